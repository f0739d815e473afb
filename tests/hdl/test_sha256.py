"""The SHA-256 engine against NIST vectors and hashlib; save and load, back-pressure, clear, reset, cycles."""

import hashlib
import json
import random
from pathlib import Path

import cryptography_vectors
import pytest
from amaranth.hdl import ClockDomain, Module, Signal
from amaranth.sim import Simulator
from fusequote_hdl.engines.sha256 import SHA256

pytestmark = pytest.mark.timeout(120)       # an engine that never answers
VECTORS = Path(__file__).parents[1] / "vectors" / "sha"
IV = bytes.fromhex("6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19")


def pad(message):
    """FIPS 180-4 section 5.1.1."""
    zeros = -(len(message) + 9) % 64
    return message + b"\x80" + bytes(zeros) + (8 * len(message)).to_bytes(8, "big")


def nist(name):
    """(message, digest) of a byte-oriented CAVP response file."""
    fields = {}
    with cryptography_vectors.open_vector_file(f"hashes/SHA2/{name}.rsp", "r") as lines:
        for line in lines:
            key, _, value = line.partition(" = ")
            fields[key] = value.strip()
            if key == "MD":
                yield bytes.fromhex(fields["Msg"])[:int(fields["Len"]) // 8], bytes.fromhex(fields["MD"])


class Bench:
    """An engine in a simulation. Every method returns after the cycle in which its request was met."""

    def __init__(self):
        self.dut = SHA256()
        self.domain = ClockDomain("sync")
        self.counter = Signal(32)

    def run(self, body):
        m = Module()
        count = ClockDomain("count", reset_less=True)
        m.domains += [self.domain, count]
        m.submodules.dut = self.dut
        m.d.count += self.counter.eq(self.counter + 1)
        simulator = Simulator(m)
        simulator.add_clock(1e-6)
        simulator.add_clock(1e-6, domain="count")
        finished = []

        async def testbench(ctx):
            self.ctx = ctx
            await self.wait()
            await body(self)
            finished.append(True)

        simulator.add_testbench(testbench)
        simulator.run()
        assert finished

    async def tick(self, *samples):
        """One cycle; the values before its edge."""
        return (await self.ctx.tick().sample(*samples))[2:]

    @property
    def cycle(self):
        return self.ctx.get(self.counter)

    async def wait(self):
        """Until idle; how many cycles it was not."""
        start = self.cycle
        await self.ctx.tick().until(self.dut.idle)
        return self.cycle - start - 1

    async def pulse(self, signal):
        self.ctx.set(signal, 1)
        await self.tick()
        self.ctx.set(signal, 0)

    async def put(self, port, octets, pause=lambda: 0):
        """Send bytes, `pause()` cycles before each; cycles taken."""
        start = self.cycle
        for octet in octets:
            for _ in range(pause()):
                await self.tick()
            self.ctx.set(port.valid, 1)
            self.ctx.set(port.payload, octet)
            await self.ctx.tick().until(port.ready)
            self.ctx.set(port.valid, 0)
        return self.cycle - start

    async def start(self):
        await self.pulse(self.dut.init)
        await self.wait()

    async def save(self, pause=lambda: 0):
        port = self.dut.digest
        await self.pulse(self.dut.read)
        octets = bytearray()
        while len(octets) < 32:
            for _ in range(pause()):        # what is offered stays as it is until it is taken
                before = await self.tick(port.valid, port.payload)
                if before[0]:
                    after = await self.tick(port.valid, port.payload)
                    assert before == after
            self.ctx.set(port.ready, 1)
            valid, payload = await self.tick(port.valid, port.payload)
            self.ctx.set(port.ready, 0)
            if valid:
                octets.append(payload)
        return bytes(octets)

    async def digest(self, message, pause=lambda: 0):
        await self.start()
        await self.put(self.dut.data, pad(message), pause)
        await self.wait()
        return await self.finish(pause)

    async def finish(self, pause=lambda: 0):
        octets = await self.save(pause)
        await self.wait()
        return octets

    def remains(self):
        """Everything the engine remembers of what it was given, but for bits that follow public inputs."""
        p, q = self.dut.memory_p.data, self.dut.memory_q.data
        rows = [p[i] for i in range(64, 80)] + [q[i] for i in range(32)]
        rows += [memory.read_ports[0].data for memory in (self.dut.memory_p, self.dut.memory_q)]
        rows += [self.dut.held, self.dut.x]
        return [self.ctx.get(row) for row in rows]


def bench(body):
    """A test from a coroutine that is given a `Bench`."""
    def test():
        Bench().run(body)
    test.__doc__ = body.__doc__
    return test


@bench
async def test_fips180_examples(b):
    for example in json.loads((VECTORS / "fips180.json").read_text())["examples"]:
        blocks = pad(bytes.fromhex(example["message"]))
        await b.start()
        assert await b.finish() == IV
        await b.put(b.dut.data, blocks[:64])
        await b.wait()
        if len(blocks) > 64:
            assert (await b.finish()).hex() == example["after_first_block"]
            await b.put(b.dut.data, blocks[64:])
            await b.wait()
        assert (await b.finish()).hex() == example["digest"]
        assert (await b.finish()).hex() == example["digest"]        # kept


@bench
async def test_nist_short_messages(b):
    """Those about the edge of a block, and some others."""
    vectors = list(nist("SHA256ShortMsg"))
    assert len(vectors) == 65
    for message, digest in vectors[:4] + vectors[54:58] + vectors[63:]:
        assert await b.digest(message) == digest, len(message)


@bench
async def test_nist_long_messages(b):
    vectors = list(nist("SHA256LongMsg"))
    assert len(vectors) == 64
    for message, digest in vectors[:3]:
        assert await b.digest(message) == digest, len(message)


@pytest.mark.parametrize("seed", range(3))
def test_pauses_and_back_pressure(seed):
    """Bytes come and go in any cycle."""
    async def body(b):
        rng = random.Random(seed)
        for _ in range(4):
            message = rng.randbytes(rng.randrange(200))
            got = await b.digest(message, lambda: rng.choice([0, 0, 0, 1, 2, 7]))
            assert got == hashlib.sha256(message).digest()
    Bench().run(body)


@bench
async def test_messages_in_turn(b):
    """Several messages at once, each H saved and loaded between blocks, with pauses in the load."""
    rng = random.Random(7)
    messages = [rng.randbytes(rng.randrange(64, 250)) for _ in range(3)]
    blocks = [[pad(m)[i:i + 64] for i in range(0, len(pad(m)), 64)] for m in messages]
    states = [IV] * 3
    while any(blocks):
        i = rng.choice([i for i, left in enumerate(blocks) if left])
        await b.put(b.dut.load, states[i], lambda: rng.choice([0, 0, 0, 3]))
        await b.put(b.dut.data, blocks[i].pop(0))
        await b.wait()
        states[i] = await b.finish()
    assert states == [hashlib.sha256(m).digest() for m in messages]


def test_cycles():
    """Those of the docstring, whatever the data."""
    async def body(b):
        rng = random.Random(3)
        for octets in [bytes(64), b"\xff" * 64, b"\x80" + bytes(63)] + [rng.randbytes(64) for _ in range(5)]:
            state = octets[:32]
            assert await b.put(b.dut.load, state) == 33
            assert await b.wait() == 0
            assert await b.put(b.dut.data, octets) == 64
            assert await b.wait() == 809
            start = b.cycle
            await b.save()
            assert b.cycle - start == 34
            assert await b.wait() == 1
            await b.pulse(b.dut.init)
            assert await b.wait() == 25
            await b.pulse(b.dut.clear)
            assert await b.wait() == 33
    Bench().run(body)


@bench
async def test_eextend_budget(b):
    """Five blocks with their H loaded and saved, within 1.15 times five blocks of 825 cycles."""
    start = b.cycle
    await b.put(b.dut.load, IV)
    await b.put(b.dut.data, bytes(320))
    await b.wait()
    await b.finish()
    assert b.cycle - start <= 1.15 * 5 * 825


async def _under_way(b, what):
    """Leave an operation on secret data in the middle."""
    await b.put(b.dut.load, b"\xa5" * 32)
    await b.put(b.dut.data, b"\x5a" * 64)
    if what == "load":
        await b.wait()
        await b.put(b.dut.load, b"\x3c" * 13)
    elif what == "data":
        await b.wait()
        await b.put(b.dut.data, b"\xc3" * 29)
    elif what == "read":
        await b.wait()
        await b.pulse(b.dut.read)
        await b.tick()
        b.ctx.set(b.dut.digest.ready, 1)
        for _ in range(18):
            await b.tick()
        b.ctx.set(b.dut.digest.ready, 0)
    elif what == "init":
        await b.wait()
        await b.pulse(b.dut.init)
        for _ in range(5):
            await b.tick()
    else:
        if what:
            await b.ctx.tick().repeat(what)
    assert any(b.remains())


@pytest.mark.parametrize("reset", [False, True], ids=["clear", "reset"])
def test_nothing_is_left(reset):
    """Clear or reset at any time: 33 cycles later nothing is there to read, and the engine works."""
    async def body(b):
        # Cycles of the compression: a round without and one with a schedule, and the last steps.
        steps = [0, 6, 170] if reset else [*range(10), *range(160, 173), 784, 785, 786, 808]
        for what in ["load", "data", "read", "init", *steps]:
            await _under_way(b, what)
            await b.pulse(b.domain.rst if reset else b.dut.clear)
            assert await b.wait() == 33
            assert not any(b.remains()), what
        assert await b.finish() == bytes(32)
        assert await b.digest(b"abc") == hashlib.sha256(b"abc").digest()
    Bench().run(body)


@bench
async def test_power_on_state(b):
    """H is zero before the first init or load, and the wipe has run."""
    assert not any(b.remains())
    assert await b.finish() == bytes(32)


@bench
async def test_requests_while_busy(b):
    """Init and read without idle are ignored, and no byte is taken."""
    await b.start()
    await b.put(b.dut.data, pad(b"abc"))
    for _ in range(20):
        await b.pulse(b.dut.init)
        await b.pulse(b.dut.read)
    b.ctx.set(b.dut.data.valid, 1)
    b.ctx.set(b.dut.load.valid, 1)
    for _ in range(20):
        assert await b.tick(b.dut.data.ready, b.dut.load.ready, b.dut.digest.valid) == (0, 0, 0)
    b.ctx.set(b.dut.data.valid, 0)
    b.ctx.set(b.dut.load.valid, 0)
    assert await b.wait() == 809 - 60
    assert await b.finish() == hashlib.sha256(b"abc").digest()


@bench
async def test_unfinished_block_is_dropped(b):
    """Init, read and load begin a new block, at every byte of a word."""
    digest = hashlib.sha256(b"abc").digest()
    for count in range(1, 6):
        await b.start()
        await b.put(b.dut.data, b"\xee" * count)
        assert await b.digest(b"abc") == digest
        await b.put(b.dut.data, b"\xee" * count)
        assert await b.finish() == digest
        await b.put(b.dut.data, b"\xee" * count)
        await b.put(b.dut.load, IV)
        await b.put(b.dut.data, pad(b"abc"))
        await b.wait()
        assert await b.finish() == digest


@bench
async def test_one_request_at_a_time(b):
    """Init before read before load before data."""
    digest = hashlib.sha256(b"abc").digest()
    dut = b.dut
    assert await b.digest(b"abc") == digest
    for signal in (dut.data.valid, dut.load.valid, dut.read, dut.init):
        b.ctx.set(signal, 1)
    assert await b.tick(dut.data.ready, dut.load.ready) == (0, 0)
    for signal in (dut.data.valid, dut.load.valid, dut.read, dut.init):
        b.ctx.set(signal, 0)
    assert await b.wait() == 25                                     # init
    assert await b.finish() == IV
    b.ctx.set(dut.data.valid, 1)
    b.ctx.set(dut.load.valid, 1)
    assert await b.save() == IV                                     # read
    b.ctx.set(dut.load.payload, 0x11)
    await b.put(dut.load, b"\x11" * 32)                             # load, with data waiting
    b.ctx.set(dut.data.valid, 0)
    await b.wait()
    assert await b.finish() == b"\x11" * 32
