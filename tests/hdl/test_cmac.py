"""The CMAC engine: known answers, random messages, back-pressure, wiping, cycles, nothing but the tag outside."""

import json
import random
from pathlib import Path

import cryptography_vectors
import pytest
from amaranth.hdl import Signal
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC as Reference
from fusequote_hdl.engines.cmac import CMAC
from streams import Pauses, cells_of, get, no_collisions, put, simulate, state_of

VECTORS = Path(__file__).parents[1] / "vectors" / "aes"
RFC4493 = json.loads((VECTORS / "rfc4493.json").read_text())
#: The contract of the docstring: cycles to the first byte of the tag, to the end of a key, to the end of a wipe.
BLOCK_CYCLES, MESSAGE_CYCLES, KEY_CYCLES, WIPE_CYCLES = 218, 33, 316, 66


def mac(key, message):
    reference = Reference(algorithms.AES(key))
    reference.update(message)
    return reference.finalize()


def beats(message, *, end_empty=False):
    """The beats of a message, `last` on its last byte or on an empty beat after it."""
    end_empty = end_empty or not message
    bytes_ = [{"data": byte, "last": not end_empty and n == len(message) - 1, "empty": 0}
              for n, byte in enumerate(message)]
    return bytes_ + [{"data": 0xEE, "last": 1, "empty": 1}] * end_empty


def watch(dut):
    return no_collisions(dut.memory, dut.aes.state, dut.aes.round_key)


def check(vectors):
    """Every (key, message, tag) through one engine; a truncated tag is compared as far as it goes."""
    dut = CMAC()

    async def bench(ctx):
        loaded = None
        for key, message, tag in vectors:
            if key != loaded:
                await put(ctx, dut.key, key)
                loaded = key
            await put(ctx, dut.data, beats(message))
            result, _ = await get(ctx, dut.tag, 16)
            assert bytes(result)[:len(tag)] == tag, (key.hex(), message.hex())

    simulate(dut, bench)


def test_rfc_4493():
    key = bytes.fromhex(RFC4493["key"])
    check([(key, bytes.fromhex(v["msg"]), bytes.fromhex(v["tag"])) for v in RFC4493["vectors"]])


def test_rfc_4493_subkeys():
    """L, K1 and K2 where the engine keeps them."""
    dut = CMAC()

    async def bench(ctx):
        await put(ctx, dut.key, bytes.fromhex(RFC4493["key"]))
        await ctx.tick().until(dut.data.ready)
        blocks = bytes(word >> 8 for word in cells_of(ctx, dut.memory))
        assert [blocks[n:n + 16].hex() for n in (16, 48, 32)] == [RFC4493[name] for name in ("L", "K1", "K2")]

    simulate(dut, bench)


def test_sp_800_38b():
    with cryptography_vectors.open_vector_file("CMAC/nist-800-38b-aes128.txt", "r") as lines:
        fields = [line.partition(" =")[::2] for line in lines if " =" in line]
    values = [bytes.fromhex(value.strip()) for name, value in fields if name in ("KEY", "MESSAGE", "OUTPUT")]
    assert len(values) == 12
    check(zip(*[iter(values)] * 3, strict=True))


@pytest.mark.parametrize("name, count", [("cavp_cmac", 3), ("wycheproof_cmac", 21)])
def test_known_answers(name, count):
    vectors = json.loads((VECTORS / f"{name}.json").read_text())["vectors"]
    assert len(vectors) == count
    check([tuple(bytes.fromhex(v[field]) for field in ("key", "msg", "tag")) for v in vectors])


@pytest.mark.parametrize("seed", range(2))
def test_random_messages_under_back_pressure(seed):
    """Keys kept over several messages, all three streams with pauses, both ways to end a message."""
    rng, pauses, dut = random.Random(seed), Pauses(seed, most=30), CMAC()

    async def bench(ctx):
        for _ in range(4):
            key = rng.randbytes(16)
            await put(ctx, dut.key, key, pauses)
            for _ in range(4):
                message = rng.randbytes(rng.choice((0, 1, 15, 16, 17, 31, 32, 33, rng.randrange(64))))
                sent = beats(message, end_empty=rng.random() < 0.5)
                for _ in range(rng.randrange(3)):  # beats that say nothing, anywhere but after the end
                    sent.insert(rng.randrange(len(sent)), {"data": 0x77, "last": 0, "empty": 1})
                await put(ctx, dut.data, sent, pauses)
                tag, _ = await get(ctx, dut.tag, 16, pauses)
                assert bytes(tag) == mac(key, message), f"seed {seed}"

    simulate(dut, bench, watch=watch(dut))


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 32, 100])
def test_every_length_of_message_and_both_ends(length):
    dut, key, message = CMAC(), bytes(range(16)), bytes(range(length))

    async def bench(ctx):
        await put(ctx, dut.key, key)
        for end_empty in (False, True):
            await put(ctx, dut.data, beats(message, end_empty=end_empty))
            tag, _ = await get(ctx, dut.tag, 16)
            assert bytes(tag) == mac(key, message)

    simulate(dut, bench, watch=watch(dut))


def test_cycles_are_the_contract_and_depend_on_no_data():
    rng, dut = random.Random(2), CMAC()

    async def bench(ctx):
        await ctx.tick().until(dut.idle)
        for number in range(4):
            key = [bytes(16), b"\xff" * 16][number] if number < 2 else rng.randbytes(16)
            loading = await put(ctx, dut.key, key)
            _, _, ready = await ctx.tick().sample(dut.data.ready)
            while not ready:
                loading += 1
                _, _, ready = await ctx.tick().sample(dut.data.ready)
            assert loading == KEY_CYCLES
            for length in (0, 5, 16, 17, 40):
                end_empty = length == 0 or rng.random() < 0.5
                sending = await put(ctx, dut.data, beats(rng.randbytes(length), end_empty=end_empty))
                _, waiting = await get(ctx, dut.tag, 16)
                blocks = max(1, -(-length // 16))
                extra = end_empty and blocks == 1  # else AES hides it
                assert sending + waiting == blocks * BLOCK_CYCLES + MESSAGE_CYCLES + extra
                assert ctx.get(dut.data.ready)

    simulate(dut, bench)


def test_the_key_goes_first_and_data_waits_for_one():
    dut = CMAC()
    keys, message = [bytes(range(n, n + 16)) for n in (0, 100)], b"message"

    async def bench(ctx):
        ctx.set(dut.data.payload, beats(message)[0])
        ctx.set(dut.data.valid, 1)
        for _ in range(300):  # no key yet
            _, _, ready = await ctx.tick().sample(dut.data.ready)
            assert not ready
        ctx.set(dut.data.valid, 0)
        await put(ctx, dut.key, keys[0])
        await ctx.tick().until(dut.data.ready)
        ctx.set(dut.data.payload, beats(message)[0])
        ctx.set(dut.data.valid, 1)  # both at once
        await put(ctx, dut.key, keys[1])
        await ctx.tick().until(dut.data.ready)
        ctx.set(dut.data.valid, 0)
        await put(ctx, dut.data, beats(message)[1:])
        tag, _ = await get(ctx, dut.tag, 16)
        assert bytes(tag) == mac(keys[1], message)

    simulate(dut, bench)


def test_a_key_waits_for_the_message_in_work():
    dut, key, message = CMAC(), bytes(range(16)), bytes(40)

    async def bench(ctx):
        await put(ctx, dut.key, key)
        await put(ctx, dut.data, beats(message)[:1])
        ctx.set(dut.key.payload, 0xFF)
        ctx.set(dut.key.valid, 1)
        refused = []

        async def look():
            _, _, ready, idle = await ctx.tick().sample(dut.key.ready, dut.idle)
            refused.append(not ready and not idle)

        for _ in range(20):
            await look()
        await put(ctx, dut.data, beats(message)[1:])
        for _ in range(300):  # up to and with the tag, which nobody takes
            await look()
        assert all(refused)
        ctx.set(dut.key.valid, 0)
        tag, _ = await get(ctx, dut.tag, 16)
        assert bytes(tag) == mac(key, message)

    simulate(dut, bench)


def test_outside_there_is_only_the_tag():
    """Whatever is in work, `tag.payload` is zero but for the bytes of the tag."""
    dut, key, message = CMAC(), bytes(range(16)), bytes(range(60, 100))
    seen = []

    async def listen(ctx):
        while True:
            _, _, valid, payload = await ctx.tick().sample(dut.tag.valid, dut.tag.payload)
            assert valid or not payload
            seen.append(payload) if valid and ctx.get(dut.tag.ready) else None

    async def bench(ctx):
        await put(ctx, dut.key, key)
        await put(ctx, dut.data, beats(message))
        await get(ctx, dut.tag, 16)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        await ctx.tick().repeat(WIPE_CYCLES)

    simulate(dut, bench, watch=listen)


#: Cycles at which a clear or a reset strikes: wiping, loading the key, AES for L, doubling, filling, padding,
#: loading and running each block, giving the tag.
MOMENTS = (2, 40, 66, 70, 90, 110, 300, 320, 345, 370, 390, 401, 402, 410, 425, 440, 600, 640, 660, 880, 900)


@pytest.mark.parametrize("how", ["clear", "reset"])
def test_struck_at_any_moment_nothing_stays(how):
    """All of the simulator's state is then what it is in an engine that never saw a key or a message."""
    def run(moment, work):
        dut, reset = CMAC(), Signal()
        strike = dut.clear if how == "clear" else reset

        async def worker(ctx):
            if work:
                ctx.set(dut.key.valid, 1)
                ctx.set(dut.key.payload, 0x80 | moment & 0xFF)
                ctx.set(dut.data.payload, {"data": moment & 0xFF, "last": 0, "empty": 0})
                ctx.set(dut.data.valid, 1)
                for cycle in range(moment):
                    ctx.set(dut.key.valid, cycle < 100)
                    ctx.set(dut.data.payload, {"data": cycle & 0xFF, "last": cycle > 620, "empty": 0})
                    ctx.set(dut.tag.ready, cycle > 885)
                    await ctx.tick()
            else:
                await ctx.tick().repeat(moment)
            ctx.set(dut.key.valid, 0)
            ctx.set(dut.key.payload, 0)
            ctx.set(dut.data.valid, 0)
            ctx.set(dut.data.payload, {"data": 0, "last": 0, "empty": 0})
            ctx.set(dut.tag.ready, 0)
            ctx.set(strike, 1)
            await ctx.tick()
            ctx.set(strike, 0)
            if work is None:
                return
            await ctx.tick().repeat(WIPE_CYCLES)
            assert ctx.get(dut.idle)
            for ram in (dut.memory, dut.aes.state, dut.aes.round_key):
                assert not any(cells_of(ctx, ram))

        return state_of(simulate(dut, worker, reset=reset, watch=watch(dut) if work else None))

    fresh = run(100, False)
    for moment in MOMENTS:
        struck = run(moment, True)
        assert struck == fresh, (moment, {name for name in fresh if struck[name] != fresh[name]})
    assert run(500, None) == run(500, None) != fresh  # a comparison that could not fail would say nothing


def test_after_a_clear_the_key_is_gone_and_a_new_one_works():
    dut, key, message = CMAC(), bytes(range(16)), b"after"

    async def bench(ctx):
        await put(ctx, dut.key, bytes(range(50, 66)))
        await put(ctx, dut.data, beats(bytes(100))[:50])
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        ctx.set(dut.data.valid, 1)
        for _ in range(400):
            _, _, ready = await ctx.tick().sample(dut.data.ready)
            assert not ready
        ctx.set(dut.data.valid, 0)
        await put(ctx, dut.key, key)
        await put(ctx, dut.data, beats(message))
        tag, _ = await get(ctx, dut.tag, 16)
        assert bytes(tag) == mac(key, message)

    simulate(dut, bench, watch=watch(dut))


def test_beats_offered_in_reset_are_not_taken():
    dut, reset = CMAC(), Signal(init=1)
    key, message = bytes(range(16)), b"reset"

    async def bench(ctx):
        ctx.set(dut.key.valid, 1)
        ctx.set(dut.data.valid, 1)
        for _ in range(200):
            _, _, *busy = await ctx.tick().sample(dut.key.ready, dut.data.ready, dut.tag.valid, dut.idle)
            assert not any(busy)
        ctx.set(dut.key.valid, 0)
        ctx.set(dut.data.valid, 0)
        ctx.set(reset, 0)
        await put(ctx, dut.key, key)
        await put(ctx, dut.data, beats(message))
        tag, _ = await get(ctx, dut.tag, 16)
        assert bytes(tag) == mac(key, message)

    simulate(dut, bench, reset=reset)
