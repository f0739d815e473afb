"""The P-256 signing engine: its program on integers, its ALU and its surroundings in Amaranth's simulator, all of it in
Verilator.

Known answers: RFC 6979, appendix A.2.5.
"""

import hashlib
import random

import pytest
from amaranth.hdl import Signal
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from fusequote_hdl.engines.p256 import P256Sign
from fusequote_hdl.engines.p256_alu import PRODUCT_CYCLES, SUM_CYCLES, FieldAlu, Operation, Register
from fusequote_hdl.engines.p256_numbers import N, P, R, comb
from fusequote_hdl.engines.p256_program import REGISTERS, Control, Instruction, Kind, sign
from p256_model import run
from streams import Pauses, cells_of, get, no_collisions, put, simulate, state_of

# ---- The ALU ------------------------------------------------------------------------------------------------


async def write(ctx, alu, register, number):
    ctx.set(alu.write_en, 3)
    for k in range(16):
        ctx.set(alu.write_addr, 16 * register + k)
        ctx.set(alu.write_data, number >> 16 * k & 0xFFFF)
        await ctx.tick()
    ctx.set(alu.write_en, 0)


def read(ctx, alu, register):
    """From the cells; both memories hold the same."""
    words = [[ctx.get(ram.memory.data[16 * register + k]) for k in range(16)] for ram in (alu.left, alu.right)]
    assert words[0] == words[1]
    return sum(word << 16 * k for k, word in enumerate(words[0]))


async def operate(ctx, alu, operation, by_n=0, d=0, a=0, b=0):
    """Cycles, and `outside` in the last."""
    for port, value in ((alu.operation, operation), (alu.by_n, by_n), (alu.d, d), (alu.a, a), (alu.b, b),
                        (alu.start, 1)):
        ctx.set(port, value)
    cycles, done = 0, False
    while not done:
        _, _, done, outside = await ctx.tick().sample(alu.done, alu.outside)
        ctx.set(alu.start, 0)
        cycles += 1
    return cycles, outside


@pytest.mark.parametrize("by_n", (0, 1))
def test_products_sums_and_differences(by_n):
    """Against integers, at the edges and in between, the same cycles for all; operands and results in one register."""
    rng, modulus, alu = random.Random(by_n), (P, N)[by_n], FieldAlu()
    pairs = [(0, 0), (1, modulus - 1), (modulus - 1, modulus - 1), (0, 1), (R - 1, modulus - 1), (modulus, 5)]
    pairs += [(rng.randrange(modulus), rng.randrange(modulus)) for _ in range(3)]
    inverse = pow(R, -1, modulus)

    async def bench(ctx):
        await write(ctx, alu, Register.P, P)
        await write(ctx, alu, Register.N, N)
        for a, b in pairs:
            await write(ctx, alu, 3, a)
            await write(ctx, alu, 4, b)
            assert (await operate(ctx, alu, Operation.MUL, by_n, 5, 3, 4))[0] == PRODUCT_CYCLES
            assert read(ctx, alu, 5) == a * b * inverse % modulus
            if a + b < 2 * modulus:
                assert (await operate(ctx, alu, Operation.ADD, by_n, 5, 3, 4))[0] == SUM_CYCLES
                assert read(ctx, alu, 5) == (a + b) % modulus
            if a < modulus:
                assert (await operate(ctx, alu, Operation.SUB, by_n, 3, 3, 4))[0] == SUM_CYCLES
                assert read(ctx, alu, 3) == (a - b) % modulus
            assert read(ctx, alu, 4) == b
            assert (await operate(ctx, alu, Operation.MUL, by_n, 4, 4, 4))[0] == PRODUCT_CYCLES
            assert read(ctx, alu, 4) == b * b * inverse % modulus

    simulate(alu, bench, watch=no_collisions(alu.left, alu.right))


def test_what_is_outside_of_the_scalars():
    alu = FieldAlu()

    async def bench(ctx):
        await write(ctx, alu, Register.N, N)
        for number in (0, 1, 1 << 255, N - 1, N, N + 1, R - 1):
            await write(ctx, alu, 7, number)
            assert await operate(ctx, alu, Operation.CHECK, 1, 0, 7) == (21, not 0 < number < N)
            assert read(ctx, alu, 7) == number

    simulate(alu, bench, watch=no_collisions(alu.left, alu.right))


# ---- The program --------------------------------------------------------------------------------------------


def test_the_program_on_integers():
    """Random keys and nonces verify, and every run takes the same cycles."""
    rng, took = random.Random(1), set()
    for _ in range(10):
        key, nonce, digest = rng.randrange(1, N), rng.randrange(1, N), rng.randbytes(32)
        pair, cycles = run(key, nonce, int.from_bytes(digest))
        verify(key, pair, digest)
        took.add(cycles)
    for key, nonce in ((0, 1), (N, 1), (1, 0), (1, N), (R - 1, 1), (1, R - 1), (1, 1), (1, 2), (N - 1, N - 1)):
        pair, cycles = run(key, nonce, 5)
        assert (pair is None) == (not (0 < key < N and 0 < nonce < N))
        took.add(cycles)
    key, nonce = 7, 11  # the hash for which s is 0: z = -r d
    r = run(key, nonce, 0)[0][0]
    assert run(key, nonce, -r * key % N)[0] is None and run(key, nonce, (1 - r * key) % N)[0] is not None
    assert len(took) == 1 and took.pop() + 16 * REGISTERS["r"] + 3 == P256Sign.CYCLES


def test_the_table_is_of_points():
    for number, point in enumerate(comb()):
        scalar = sum((number >> j & 1) << 64 * j for j in range(4))
        if point is None:
            assert scalar == 0
        else:
            public = ec.derive_private_key(scalar, ec.SECP256R1()).public_key().public_numbers()
            assert point == (public.x, public.y)


def test_no_branch_on_a_secret():
    """Between a look at a bit and the next branch on it, the register looked at is an exponent."""
    looked = None
    for instruction in sign():
        if instruction.kind is Kind.LOOK and instruction.d == 0:
            looked = instruction.a
        if instruction.kind is Kind.CONTROL and instruction.d == Control.ZERO:
            assert looked == REGISTERS["exponent"]


# ---- The engine around a short program -----------------------------------------------------------------------

_KEY, _NONCE, _HASH, _R, _S = (REGISTERS[name] for name in ("key", "nonce", "hash", "r", "s"))
_ZERO = REGISTERS["zero"]


def short(*middle):
    """r = key + nonce, s = hash, and what else is asked for; all modulo p."""
    return [
        Instruction(Kind.LOAD, REGISTERS["p"], 7, 0), Instruction(Kind.LOAD, REGISTERS["n"], 7, 1), *middle,
        Instruction(Kind.ADD_P, _R, _KEY, _NONCE), Instruction(Kind.ADD_P, _S, _HASH, _ZERO),
        Instruction(Kind.CONTROL, Control.END)]


async def feed(ctx, dut, key, nonce, digest, pauses=None):
    for port, number in ((dut.key, key), (dut.nonce, nonce), (dut.load, digest)):
        await put(ctx, port, number.to_bytes(32), pauses)


async def answer(ctx, dut, pauses=None):
    raw = bytes((await get(ctx, dut.result, 64, pauses))[0])
    return int.from_bytes(raw[:32]), int.from_bytes(raw[32:])


def test_bytes_in_and_out_and_the_wipe():
    dut, rng = P256Sign(short(Instruction(Kind.LOOK, 1, _KEY))), random.Random(2)

    async def bench(ctx):
        await ctx.tick().until(dut.idle)
        for pauses in (None, Pauses(3)):
            key, nonce, digest = (rng.randrange(1, P) for _ in range(3))
            await feed(ctx, dut, key, nonce, digest, pauses)
            assert not ctx.get(dut.idle)
            await ctx.tick().until(dut.done)
            assert not ctx.get(dut.failed)
            kept = cells_of(ctx, dut.alu.left)
            assert not any(kept[:16 * _R]) and any(kept[16 * _R:])
            assert kept == cells_of(ctx, dut.alu.right)
            assert await answer(ctx, dut, pauses) == ((key + nonce) % P, digest)
            await ctx.tick().until(dut.idle)
            assert ctx.get(dut.done) and not any(cells_of(ctx, dut.alu.left) + cells_of(ctx, dut.alu.right))

    simulate(dut, bench, watch=no_collisions(dut.alu.left, dut.alu.right))


def test_what_fails_gives_nothing_and_the_next_is_good():
    dut = P256Sign(short(Instruction(Kind.LOOK, 1, _KEY), Instruction(Kind.LOOK, 1, _NONCE)))

    async def bench(ctx):
        await ctx.tick().until(dut.idle)
        took = set()
        for key, nonce in ((1, 2), (0, 2), (1, 0), (N, 1), (1, N), (N - 1, 5)):
            await feed(ctx, dut, key, nonce, 9)
            cycles, done = 1, False
            while not done:
                _, _, done = await ctx.tick().sample(dut.done)
                cycles += 1
            took.add(cycles)
            if 0 < key < N and 0 < nonce < N:
                assert not ctx.get(dut.failed)
                assert await answer(ctx, dut) == ((key + nonce) % P, 9)
            else:
                assert ctx.get(dut.failed)
                ctx.set(dut.result.ready, 1)
                idle = given = False
                while not idle:
                    _, _, idle, given, payload = await ctx.tick().sample(
                        dut.idle, dut.result.valid, dut.result.payload)
                    assert not given and not payload
                ctx.set(dut.result.ready, 0)
                assert not any(cells_of(ctx, dut.alu.left))
        assert len(took) == 1

    simulate(dut, bench)


def test_loops_bits_and_branches():
    """r counts the ones of a byte of the key; s is Y of the entry of the comb that four bits of the nonce say."""
    unit, count = REGISTERS["unit"], REGISTERS["t0"]
    program = [
        Instruction(Kind.LOAD, REGISTERS["p"], 7, 0), Instruction(Kind.LOAD, unit, 7, 4),
        Instruction(Kind.CONTROL, Control.SET, 7),
        Instruction(Kind.LOOK, 0, _KEY, 1),  # 3: bits 71 to 64
        Instruction(Kind.CONTROL, Control.ZERO, 6),
        Instruction(Kind.ADD_P, count, count, unit),
        Instruction(Kind.CONTROL, Control.NEXT, 3),
        Instruction(Kind.ADD_P, _R, count, _ZERO),
        *(Instruction(Kind.LOOK, 0, _NONCE, teeth) for teeth in (3, 2, 1, 0)),
        Instruction(Kind.LOAD, _S, 1), Instruction(Kind.CONTROL, Control.END)]
    dut, points = P256Sign(program), list(comb())

    async def bench(ctx):
        await ctx.tick().until(dut.idle)
        for bits, entry in ((0b10110111, 0b1011), (0xFF, 0b0100), (0, 0)):
            nonce = sum((entry >> j & 1) << 64 * j for j in range(4))
            await feed(ctx, dut, bits << 64 | 0xFF << 56, nonce, 0)
            y = points[entry][1] if entry else 1
            assert await answer(ctx, dut) == (bits.bit_count(), y * R % P)

    simulate(dut, bench, watch=no_collisions(dut.alu.left, dut.alu.right))


@pytest.mark.parametrize("how", ["clear", "reset"])
def test_struck_at_any_moment_nothing_stays(how):
    """All of the simulator's state is then what it is in an engine that never saw a byte."""
    program = short(Instruction(Kind.MUL_N, 9, _KEY, _NONCE), Instruction(Kind.LOOK, 0, _NONCE),
                    Instruction(Kind.LOAD, 9, 0))

    def outcome(moment, work):
        dut, reset = P256Sign(program), Signal()
        strike = dut.clear if how == "clear" else reset

        async def worker(ctx):
            await ctx.tick().until(dut.idle)
            if work:
                for port in (dut.key, dut.nonce, dut.load):
                    ctx.set(port.valid, 1)
                    ctx.set(port.payload, 0xA5)
                ctx.set(dut.result.ready, 1)
            await ctx.tick().repeat(moment)
            seen.add((ctx.get(dut.done), ctx.get(dut.result.valid)))
            for port in (dut.key, dut.nonce, dut.load):
                ctx.set(port.valid, 0)
                ctx.set(port.payload, 0)
            ctx.set(dut.result.ready, 0)
            ctx.set(strike, 1)
            await ctx.tick()
            ctx.set(strike, 0)
            await ctx.tick().repeat(513)
            assert not ctx.get(dut.idle)
            await ctx.tick()
            assert ctx.get(dut.idle) and not ctx.get(dut.done) and not ctx.get(dut.failed)
            assert not any(cells_of(ctx, dut.alu.left) + cells_of(ctx, dut.alu.right))

        return state_of(simulate(dut, worker, reset=reset))

    seen = set()
    fresh = outcome(3, False)
    for moment in (40, 97, 400, 785, 830, 1390, 1410) if how == "clear" else (120, 800, 1410):
        struck = outcome(moment, True)
        assert struck == fresh, (moment, {name for name in fresh if struck[name] != fresh[name]})
    assert {(0, 0), (1, 1)} <= seen


def test_nothing_stays_of_a_signature():
    """When it is given, all of the simulator's state but `done` is that of an engine that never signed."""
    program = short(Instruction(Kind.MUL_N, 9, _KEY, _NONCE), Instruction(Kind.LOOK, 0, _NONCE),
                    Instruction(Kind.LOAD, 9, 0), Instruction(Kind.SUB_P, 10, _KEY, _NONCE))

    def outcome(count):
        dut = P256Sign(program)

        async def worker(ctx):
            await ctx.tick().until(dut.idle)
            for number in range(1, count + 1):
                await feed(ctx, dut, number, P - 1, P - number)
                await answer(ctx, dut)
                for port in (dut.key, dut.nonce, dut.load):
                    ctx.set(port.payload, 0)
                await ctx.tick().until(dut.idle)
            assert ctx.get(dut.done) == bool(count)

        return state_of(simulate(dut, worker))

    fresh, used = outcome(0), outcome(2)
    assert {name for name in fresh if fresh[name] != used[name]} == {"done"}


def test_ports_take_their_turn():
    dut = P256Sign(short())

    async def bench(ctx):
        await ctx.tick().until(dut.idle)
        for turn, port in enumerate((dut.key, dut.nonce, dut.load)):
            ready = [ctx.get(each.ready) for each in (dut.key, dut.nonce, dut.load)]
            assert ready == [turn == 0, turn == 1, turn == 2]
            await put(ctx, port, bytes(32))
        assert not any(ctx.get(each.ready) for each in (dut.key, dut.nonce, dut.load))

    simulate(dut, bench)


@pytest.mark.parametrize("count", [0, 257])
def test_programs_that_are_refused(count):
    with pytest.raises(ValueError, match=f"{count} instructions: 1 to 256"):
        P256Sign([Instruction(Kind.CONTROL, Control.END)] * count)


# ---- Whole signatures, in Verilator ---------------------------------------------------------------------------


def verify(key, pair, digest):
    public = ec.derive_private_key(key, ec.SECP256R1()).public_key()
    public.verify(encode_dss_signature(*pair), digest, ec.ECDSA(Prehashed(hashes.SHA256())))


#: RFC 6979, A.2.5, with SHA-256.
_RFC_KEY = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
_RFC = (
    (b"sample", 0xA6E3C57DD01ABE90086538398355DD4C3B17AA873382B0F24D6129493D8AAD60,
     0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
     0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8),
    (b"test", 0xD16B6AE827F17175E040871A1C7EC3500192C4C92677336EC2537ACAEE0008E0,
     0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367,
     0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083),
)


def test_the_program_gives_the_known_answers():
    for message, nonce, r, s in _RFC:
        assert run(_RFC_KEY, nonce, int.from_bytes(hashlib.sha256(message).digest()))[0] == (r, s)


@pytest.mark.rtl
@pytest.mark.timeout(600)
def test_whole_signatures(pytestconfig):
    """Known answers, edges and random numbers: all right, all in the same number of cycles, failures too."""
    from fusequote_sim.p256 import Request, SimulatedSigningUnit
    from fusequote_sim.p256 import run as run_rtl

    rng, cache = random.Random(7), pytestconfig.rootpath / "build" / "test-cache"
    cases = [(_RFC_KEY, nonce, hashlib.sha256(message).digest(), (r, s)) for message, nonce, r, s in _RFC]
    for key, nonce, digest in ((1, 1, bytes(32)), (N - 1, 2, b"\xff" * 32), (2, N - 1, rng.randbytes(32)),
                               (rng.randrange(1, N), rng.randrange(1, N), rng.randbytes(32))):
        pair = run(key, nonce, int.from_bytes(digest))[0]
        verify(key, pair, digest)
        cases.append((key, nonce, digest, pair))
    zero_s = (-run(7, 11, 0)[0][0] * 7 % N).to_bytes(32)
    cases += [(0, 1, bytes(32), None), (1, N, bytes(32), None), (7, 11, zero_s, None)]
    answers = run_rtl([Request(key.to_bytes(32), nonce.to_bytes(32), digest) for key, nonce, digest, _ in cases],
                      cache=cache)
    assert [answer.pair for answer in answers] == [pair for *_, pair in cases]
    assert {answer.cycles for answer in answers} == {P256Sign.CYCLES}

    unit, digest = SimulatedSigningUnit(_RFC_KEY.to_bytes(32), cache=cache), rng.randbytes(32)
    pairs = [unit.sign(digest) for _ in range(2)]
    assert pairs[0] != pairs[1] and unit.cycles == P256Sign.CYCLES  # another nonce each time
    for pair in pairs:
        verify(_RFC_KEY, pair, digest)
