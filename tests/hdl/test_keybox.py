"""The key box: what each order does, and what it does not show."""

import random

import pytest
from amaranth.sim import Simulator
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from fusequote_hdl.fuses import RootKey
from fusequote_hdl.isa import KeyOp
from fusequote_hdl.keybox import KeyBox

pytestmark = pytest.mark.timeout(120)
RNG = random.Random(3)
RPK, RSK = RNG.randbytes(16), RNG.randbytes(16)
MESSAGE = RNG.randbytes(40)


def cmac(key, message):
    mac = CMAC(AES(key))
    mac.update(message)
    return mac.finalize()


class Bench:
    """A key box with a fuse controller's key port in Python."""

    def __init__(self):
        self.dut = KeyBox()
        self.burnt = bytearray(16)
        self.sim = Simulator(self.dut)
        self.sim.add_clock(1e-6)
        self.cycles = 0

    def run(self, scenario):
        async def process(ctx):
            self.ctx = ctx
            await self.tick()
            while not ctx.get(self.dut.idle):
                await self.tick()
            await scenario(self)

        self.sim.add_testbench(process)
        self.sim.run()

    async def tick(self):
        """One clock, with the fuses answering the access of the cycle before it, for that cycle alone."""
        ctx, dut = self.ctx, self.dut
        row = RPK if ctx.get(dut.fuse_key) is RootKey.PROVISIONING else RSK
        byte = ctx.get(dut.fuse_byte)
        shown = row[byte] if ctx.get(dut.fuse_en) else 0
        if ctx.get(dut.fuse_en) and ctx.get(dut.fuse_pgm):
            assert ctx.get(dut.fuse_key) is RootKey.SEALING
            self.burnt[byte] |= ctx.get(dut.fuse_wdata)
        await ctx.tick()
        ctx.set(dut.fuse_rdata, shown)
        self.cycles += 1

    async def order(self, op, src=0, dst=0):
        ctx, order = self.ctx, self.dut.order
        ctx.set(order.payload, {"op": op, "src": src, "dst": dst})
        ctx.set(order.valid, 1)
        while not ctx.get(order.ready):
            await self.tick()
        await self.tick()
        ctx.set(order.valid, 0)

    async def message(self, content):
        ctx, stream = self.ctx, self.dut.message
        ctx.set(stream.valid, 1)
        for byte in content:
            ctx.set(stream.payload, byte)
            while not ctx.get(stream.ready):
                await self.tick()
            await self.tick()
        ctx.set(stream.valid, 0)

    async def tag(self):
        ctx, stream = self.ctx, self.dut.tag
        out = bytearray()
        ctx.set(stream.ready, 1)
        while len(out) < 16:
            if ctx.get(stream.valid):
                out.append(ctx.get(stream.payload))
            await self.tick()
        ctx.set(stream.ready, 0)
        return bytes(out)

    async def mac(self, content):
        await self.message(content)
        await self.order(KeyOp.END)
        return await self.tag()


def test_a_chain_of_derivations_inside():
    """Root key, slot, slot, data: each step equals CMAC in software, and only asked-for MACs come out."""
    async def scenario(bench):
        await bench.order(KeyOp.RPK_KEY)
        await bench.message(MESSAGE)
        await bench.order(KeyOp.END)
        await bench.order(KeyOp.TAG_SLOT, dst=63)
        first = cmac(RPK, MESSAGE)
        await bench.order(KeyOp.SLOT_SLOT, src=63, dst=0)
        await bench.order(KeyOp.ZERO_SLOT, dst=63)
        await bench.order(KeyOp.SLOT_KEY, src=0)
        # A root key and a slot in the middle of a message, longer than a block so that the engine makes them wait.
        await bench.message(MESSAGE)
        await bench.order(KeyOp.RSK_DATA)
        await bench.order(KeyOp.SLOT_DATA, src=0)
        await bench.order(KeyOp.SLOT_DATA, src=63)
        assert await bench.mac(MESSAGE) == cmac(first, MESSAGE + RSK + first + bytes(16) + MESSAGE)
        # The key stays for the next message.
        assert await bench.mac(b"") == cmac(first, b"")
        await bench.order(KeyOp.ZERO_KEY)
        assert await bench.mac(MESSAGE[:16]) == cmac(bytes(16), MESSAGE[:16])

    Bench().run(scenario)


def test_a_mac_becomes_the_sealing_key_without_being_shown():
    async def scenario(bench):
        await bench.order(KeyOp.ZERO_KEY)
        await bench.message(MESSAGE)
        await bench.order(KeyOp.END)
        bench.ctx.set(bench.dut.tag.ready, 1)
        await bench.order(KeyOp.TAG_RSK)
        assert bench.burnt == cmac(bytes(16), MESSAGE)
        assert not bench.ctx.get(bench.dut.tag.valid)

    Bench().run(scenario)


def test_time_of_an_order_does_not_depend_on_keys():
    times = []
    for seed in range(3):
        async def scenario(bench, seed=seed):
            rng = random.Random(seed)
            await bench.order(KeyOp.ZERO_KEY)
            await bench.message(rng.randbytes(32))
            await bench.order(KeyOp.END)
            await bench.order(KeyOp.TAG_SLOT, dst=1)
            await bench.order(KeyOp.SLOT_KEY, src=1)
            await bench.order(KeyOp.SLOT_DATA, src=1)
            await bench.order(KeyOp.END)
            await bench.order(KeyOp.TAG_SLOT, dst=1)
            times.append(bench.cycles)

        Bench().run(scenario)
    assert len(set(times)) == 1
