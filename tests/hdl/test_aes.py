"""The AES-128 engine: known answers, random blocks and chains, back-pressure, wiping, cycles."""

import json
import random
from pathlib import Path

import cryptography_vectors
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Signal
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from fusequote_hdl.engines.aes import AES128, SBOX
from streams import Pauses, cells_of, get, no_collisions, put, simulate, state_of

VECTORS = Path(__file__).parents[1] / "vectors" / "aes"
#: The contract of the docstring: cycles from the first beat of a block to the first byte of the result.
BLOCK_CYCLES = 218


def encrypt(key, plain, previous=bytes(16)):
    block = bytes(a ^ b for a, b in zip(plain, previous, strict=True))
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def beats(key, plain, chain=False):
    return [{"key": k, "data": p, "chain": chain} for k, p in zip(key, plain, strict=True)]


def watch(dut):
    return no_collisions(dut.state, dut.round_key)


def check(vectors):
    """Every (key, plaintext, ciphertext) through one engine, one after another."""
    dut = AES128()

    async def bench(ctx):
        for key, plain, cipher in vectors:
            await put(ctx, dut.i, beats(key, plain))
            result, _ = await get(ctx, dut.o, 16)
            assert bytes(result) == cipher, (key.hex(), plain.hex())

    simulate(dut, bench)


def aesavs(name):
    """Known answers (key, plaintext, ciphertext) of a NIST AESAVS file; the first block of a long one."""
    fields = {}
    with cryptography_vectors.open_vector_file(f"ciphers/AES/ECB/{name}.rsp", "r") as lines:
        for line in lines:
            if line.startswith("[DECRYPT]"):
                return
            key, _, value = line.partition(" = ")
            fields[key] = value.strip()
            if key == "CIPHERTEXT":
                yield tuple(bytes.fromhex(fields[field])[:16] for field in ("KEY", "PLAINTEXT", "CIPHERTEXT"))


def test_sbox_is_the_standards():
    assert sorted(SBOX) == list(range(256))
    # FIPS 197 section 5.1.1, figure 7: {53} goes to {ed}; corners of the table
    assert (SBOX[0x00], SBOX[0x53], SBOX[0x0F], SBOX[0xF0], SBOX[0xFF]) == (0x63, 0xED, 0x76, 0x8C, 0x16)


def test_fips_197():
    known = json.loads((VECTORS / "fips197.json").read_text())
    check([tuple(bytes.fromhex(v[name]) for name in ("key", "plain", "cipher")) for v in known["vectors"]])


@pytest.mark.parametrize("name, stride", [
    ("ECBGFSbox128", 1), ("ECBKeySbox128", 1), ("ECBVarKey128", 5), ("ECBVarTxt128", 5), ("ECBMMT128", 1)])
def test_nist_aesavs(name, stride):
    vectors = list(aesavs(name))
    assert len(vectors) >= 7
    check(vectors[::stride])


@pytest.mark.parametrize("seed", range(3))
def test_random_chains_under_back_pressure(seed):
    """Chained and single blocks, read and unread results, with pauses on both streams."""
    rng, pauses, dut = random.Random(seed), Pauses(seed), AES128()

    async def bench(ctx):
        previous = bytes(16)
        for _ in range(24):
            key, plain, chain = rng.randbytes(16), rng.randbytes(16), rng.random() < 0.6
            await put(ctx, dut.i, beats(key, plain, chain), pauses)
            previous = encrypt(key, plain, previous if chain else bytes(16))
            if rng.random() < 0.6:
                result, _ = await get(ctx, dut.o, 16, pauses)
                assert bytes(result) == previous, f"seed {seed}"

    simulate(dut, bench, watch=watch(dut))


def test_each_beat_chains_for_itself():
    """`chain` is a property of the byte, not of the block."""
    dut = AES128()
    key, first, second = bytes(range(16)), bytes(range(50, 66)), bytes(range(100, 116))

    async def bench(ctx):
        await put(ctx, dut.i, beats(key, first))
        mixed = [beat | {"chain": n % 3 == 0} for n, beat in enumerate(beats(key, second))]
        await put(ctx, dut.i, mixed)
        previous = [byte if n % 3 == 0 else 0 for n, byte in enumerate(encrypt(key, first))]
        result, _ = await get(ctx, dut.o, 16)
        assert bytes(result) == encrypt(key, second, bytes(previous))

    simulate(dut, bench)


def test_cycles_are_the_contract_and_depend_on_nothing():
    rng, dut, seen = random.Random(1), AES128(), set()

    async def bench(ctx):
        await ctx.tick().until(dut.idle)
        for number in range(40):
            key = bytes(16) if number == 0 else rng.randbytes(16)
            plain = b"\xff" * 16 if number == 1 else rng.randbytes(16)
            loading = await put(ctx, dut.i, beats(key, plain, rng.random() < 0.5))
            _, waiting = await get(ctx, dut.o, 16)
            seen.add((loading, waiting))
            await ctx.tick().until(dut.idle)

    simulate(dut, bench)
    assert seen == {(16, BLOCK_CYCLES - 16)}


def test_blocks_back_to_back():
    """The next block may begin when the result is there: one block every 218 cycles."""
    dut = AES128()

    async def bench(ctx):
        await ctx.tick().until(dut.idle)
        block = beats(bytes(16), bytes(16), True)
        assert await put(ctx, dut.i, block * 5) == 4 * BLOCK_CYCLES + 16

    simulate(dut, bench)


def test_a_result_begun_is_finished_first():
    dut = AES128()
    key, plain = bytes(range(16)), bytes(range(16, 32))

    async def bench(ctx):
        await put(ctx, dut.i, beats(key, plain))
        head, _ = await get(ctx, dut.o, 5)
        ctx.set(dut.i.payload, beats(key, plain)[0])
        ctx.set(dut.i.valid, 1)
        for _ in range(60):
            _, _, ready, valid, idle = await ctx.tick().sample(dut.i.ready, dut.o.valid, dut.idle)
            assert (ready, valid, idle) == (0, 1, 0)
        ctx.set(dut.i.valid, 0)
        tail, _ = await get(ctx, dut.o, 11)
        assert bytes(head + tail) == encrypt(key, plain)
        # Only once: what is read is no longer offered, though it still chains.
        for _ in range(60):
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            assert not valid

    simulate(dut, bench)


def test_an_offer_stands_until_the_next_block():
    """The offer does not change while nobody takes it, and the next block's first beat withdraws it."""
    dut = AES128()
    key, plain = bytes(range(16)), bytes(range(16, 32))

    async def bench(ctx):
        await put(ctx, dut.i, beats(key, plain))
        await ctx.tick().until(dut.o.valid)
        for _ in range(60):
            _, _, valid, byte, idle = await ctx.tick().sample(dut.o.valid, dut.o.payload, dut.idle)
            assert (valid, byte, idle) == (1, encrypt(key, plain)[0], 1)
        ctx.set(dut.o.ready, 1)
        await put(ctx, dut.i, beats(key, plain, True))  # both want to move: the block wins
        ctx.set(dut.o.ready, 0)
        result, _ = await get(ctx, dut.o, 16)
        assert bytes(result) == encrypt(key, plain, encrypt(key, plain))

    simulate(dut, bench)


#: Cycles at which a clear or a reset strikes: while wiping, idle, loading, in rounds, at the end, reading.
MOMENTS = (3, 41, 45, 52, 59, 60, 61, 62, 75, 120, 200, 255, 256, 257, 258, 259, 260, 261, 262, 268, 280)


@pytest.mark.parametrize("how", ["clear", "reset"])
def test_struck_at_any_moment_nothing_stays(how):
    """All of the simulator's state is then what it is in an engine that never saw a key or a block."""
    def run(moment, work):
        dut, reset = AES128(), Signal()
        strike = dut.clear if how == "clear" else reset

        async def worker(ctx):
            if work:
                rng = random.Random(moment)
                ctx.set(dut.i.payload, {"key": rng.randrange(256), "data": rng.randrange(256), "chain": 1})
                ctx.set(dut.i.valid, 1)
                ctx.set(dut.o.ready, 1)
            await ctx.tick().repeat(moment)
            ctx.set(dut.i.payload, {"key": 0, "data": 0, "chain": 0})
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.o.ready, 0)
            ctx.set(strike, 1)
            await ctx.tick()
            ctx.set(strike, 0)
            if work is None:
                return
            await ctx.tick().repeat(42)
            assert ctx.get(dut.idle) and not ctx.get(dut.o.valid)
            assert not any(cells_of(ctx, dut.state) + cells_of(ctx, dut.round_key))

        return state_of(simulate(dut, worker, reset=reset, watch=watch(dut) if work else None))

    fresh = run(100, False)
    for moment in MOMENTS:
        struck = run(moment, True)
        assert struck == fresh, (moment, {name for name in fresh if struck[name] != fresh[name]})
    assert run(200, None) != fresh  # a comparison that could not fail would say nothing


@pytest.mark.parametrize("moment", MOMENTS[::4])
def test_after_a_clear_it_works_and_chains_to_zeros(moment):
    dut = AES128()
    key, plain = bytes(range(16)), bytes(range(16, 32))

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, {"key": 0xA5, "data": 0x5A, "chain": 1})
        await ctx.tick().repeat(moment)
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        await put(ctx, dut.i, beats(key, plain, chain=True))
        result, _ = await get(ctx, dut.o, 16)
        assert bytes(result) == encrypt(key, plain)

    simulate(dut, bench)


def test_beats_offered_in_reset_are_not_taken():
    dut, reset = AES128(), Signal(init=1)
    key, plain = bytes(range(16)), bytes(range(16, 32))

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, {"key": 1, "data": 2, "chain": 1})
        for _ in range(100):
            _, _, ready, valid, idle = await ctx.tick().sample(dut.i.ready, dut.o.valid, dut.idle)
            assert (ready, valid, idle) == (0, 0, 0)
        ctx.set(dut.i.valid, 0)
        ctx.set(reset, 0)
        await put(ctx, dut.i, beats(key, plain, chain=True))
        result, _ = await get(ctx, dut.o, 16)
        assert bytes(result) == encrypt(key, plain)

    simulate(dut, bench, reset=reset)


def test_memories_are_block_ram_without_bypass():
    """What the area rests on, as the synthesiser is told it."""
    text = rtlil.convert(AES128())
    assert text.count('attribute \\ram_style "block"') == 3
    assert text.count("attribute \\no_rw_check 1") == 2
