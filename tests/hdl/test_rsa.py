"""The check of SIGSTRUCT's signature identity: every shortcut with a forgery made for it, plain integers beside.

In Amaranth's simulator with narrow operands, where all of the state is in sight; with 3072 bits in Verilator (see
`bench_rsa`). Random choices come from the seed in a test's name.
"""

import random
from pathlib import Path

import pytest
import rsa_designs
from amaranth.hdl import Signal
from fusequote_hdl.engines.rsa import RsaCheck
from rsa_cases import Case, fooled, forgeries, honest, just_negative, modulus, out_of_range, small_key
from streams import Pauses, cells_of, get, no_collisions, put, simulate, state_of

HERE = Path(__file__).parent
#: Widths with the fewest words, an odd number of them, and a number that is a power of two.
WIDTHS = (16, 48, 64)
BOTH = pytest.mark.parametrize("multipliers", (1, 2))


def watch(dut):
    return no_collisions(*dut.left, *dut.right)


def check_cycles(dut):
    """The contract of the docstring: from the last byte of Q2 to `done`."""
    n = dut.words
    return 4 * n * n + 23 * n + 7 if dut.multipliers == 1 else 2 * n * n + 19 * n + 7


async def verdict(ctx, dut, case, width, pauses=None):
    """t2 or None, and the cycles to the verdict; asserts what must hold of `done`, `valid`, `idle` and `result`."""
    await put(ctx, dut.load, case.encode(width), pauses)
    cycles, done = 0, False
    while not done:
        _, _, done, *early = await ctx.tick().sample(dut.done, dut.valid, dut.result.valid, dut.idle, dut.load.ready)
        assert done or not any(early)
        cycles += 1
    if not ctx.get(dut.valid):
        assert ctx.get(dut.idle)
        ctx.set(dut.result.ready, 1)
        for _ in range(6):
            _, _, given, byte = await ctx.tick().sample(dut.result.valid, dut.result.payload)
            assert not given and not byte
        ctx.set(dut.result.ready, 0)
        assert ctx.get(dut.done) and not ctx.get(dut.valid)
        return None, cycles
    block, _ = await get(ctx, dut.result, width // 8, pauses)
    assert ctx.get(dut.idle) and ctx.get(dut.done) and ctx.get(dut.valid) and not ctx.get(dut.result.payload)
    return int.from_bytes(bytes(block), "little"), cycles


def check(cases, width, multipliers, pauses=None):
    """All `cases` through one engine, against integers, each in the same number of cycles."""
    dut = RsaCheck(width=width, multipliers=multipliers)

    async def bench(ctx):
        for case in cases:
            t2, cycles = await verdict(ctx, dut, case, width, pauses)
            assert t2 == case.expected(), case
            assert cycles == check_cycles(dut)

    simulate(dut, bench, watch=watch(dut) if pauses else None)


@BOTH
@pytest.mark.parametrize("width", [32, 48])
def test_genuine_signatures(width, multipliers):
    rng, cases = random.Random(width), []
    for _ in range(4):
        n, d = small_key(rng, width - 2)
        block = rng.randrange(n)
        cases.append(honest(n, pow(block, d, n)))
        assert cases[-1].expected() == block
    check(cases, width, multipliers)


@BOTH
@pytest.mark.parametrize("width", WIDTHS)
def test_any_operands(width, multipliers):
    """Numbers of all sizes and at all edges, with honest quotients, ones off by a little, and any others."""
    rng, top = random.Random(width), (1 << width) - 1

    def number():
        return rng.choice((rng.randrange(3), top - rng.randrange(2), rng.getrandbits(rng.randrange(width) + 1)))

    cases, valid = [], 0
    for _ in range(24):
        n = number()
        s = number() if rng.random() < 0.3 else rng.randrange(n or 1)
        case = honest(n, s) if n else Case(0, s, number(), number(), 0)
        match rng.randrange(6):
            case 0:
                case = case._replace(q1=case.q1 + rng.choice((-1, 1)))
            case 1:
                case = case._replace(q2=case.q2 + rng.choice((-1, 1)))
            case 2:
                case = case._replace(**{rng.choice(("q1", "q2")): number()})
        case = Case(*(max(0, min(number, top)) for number in case))
        cases.append(case)
        valid += case.expected() is not None
    assert 5 < valid < 20
    check(cases, width, multipliers)


@BOTH
def test_a_flipped_bit_in_each_operand(multipliers):
    rng, width = random.Random(3), 48
    n = modulus(rng, width)
    good = honest(n, rng.randrange(n))
    cases = [good] + [good._replace(**{field: getattr(good, field) ^ 1 << bit})
                      for field in ("n", "s", "q1", "q2") for bit in (0, 15, 16, width - 1)]
    assert [case.expected() is not None for case in cases] == [True] + [False] * 16
    check(cases, width, multipliers)


@BOTH
def test_forgeries_for_every_shortcut(multipliers):
    """Each fools a verifier that leaves out one part (or both comparisons of upper halves), and not this one."""
    rng, width, cases, shortcuts = random.Random(4), 48, [], set()
    n = modulus(rng, width)
    for forgery, without in (*forgeries(rng, width, n, rng.randrange(n)).values(),
                             *out_of_range(rng, width).values()):
        assert fooled(forgery, width, without), forgery
        assert not any(fooled(forgery, width, without - {part}) for part in without)
        assert forgery.expected() is None
        cases.append(forgery)
        shortcuts |= {frozenset(without)}
    assert len(cases) == 14 and len(shortcuts) == 7  # each of the six parts alone, and the two halves together
    check(cases + just_negative(rng, width), width, multipliers)


def test_what_is_odd_but_valid():
    """S = 0, N = 1, an even N, N of few words: the caller's comparison with the PKCS#1 block is what refuses."""
    cases = [Case(1, 0, 0, 0, 0), Case(5, 0, 0, 0, 0), honest(1 << 47, (1 << 47) - 1), honest(0x10000, 0xFFFF),
             honest((1 << 48) - 1, (1 << 48) - 2), honest((1 << 48) - 1, 2)]
    assert all(case.expected() == case.block for case in cases)
    check(cases, 48, 1)


@BOTH
@pytest.mark.parametrize("seed", range(2))
def test_back_pressure(seed, multipliers):
    rng, width = random.Random(seed), 32
    n = modulus(rng, width)
    good = [honest(n, rng.randrange(n)) for _ in range(4)]
    check([good[0], good[1]._replace(q1=good[1].q1 ^ 1), *good[2:]], width, multipliers, Pauses(seed, most=30))


def test_load_waits_for_the_result_and_then_ends_the_verdict():
    dut, width = RsaCheck(width=32), 32
    case = honest(0xC000_0001, 0x1234_5678)

    async def bench(ctx):
        await put(ctx, dut.load, case.encode(width))
        ctx.set(dut.load.valid, 1)  # 0, the first byte of the next
        ctx.set(dut.load.payload, 0)
        await ctx.tick().until(dut.result.valid)
        for _ in range(20):
            _, _, ready, idle, byte = await ctx.tick().sample(dut.load.ready, dut.idle, dut.result.payload)
            assert not ready and not idle and byte == case.block & 0xFF
        block, _ = await get(ctx, dut.result, 4)
        assert bytes(block) == case.block.to_bytes(4, "little")
        _, _, ready, done, valid = await ctx.tick().sample(dut.load.ready, dut.done, dut.valid)
        assert ready and done and valid
        _, _, done, valid, idle = await ctx.tick().sample(dut.done, dut.valid, dut.idle)
        assert not done and not valid and not idle

    simulate(dut, bench, watch=watch(dut))


@BOTH
@pytest.mark.parametrize("how", ["clear", "reset"])
def test_struck_at_any_moment_nothing_stays(how, multipliers):
    """All of the simulator's state is then what it is in an engine that never saw an operand."""
    width = 32
    case = honest(0xFEDC_BA99, 0xABCD_EF01)

    def run(moment, work):
        dut, reset = RsaCheck(width=width, multipliers=multipliers), Signal()
        strike = dut.clear if how == "clear" else reset
        wipe = 4 * dut.words + 2

        async def worker(ctx):
            if work:
                await ctx.tick().until(dut.idle)
                data = case.encode(width)
                for cycle in range(moment):
                    ctx.set(dut.load.valid, cycle < len(data))
                    ctx.set(dut.load.payload, data[min(cycle, len(data) - 1)])
                    ctx.set(dut.result.ready, cycle % 2)
                    await ctx.tick()
                seen.append((ctx.get(dut.done), ctx.get(dut.result.valid)))
            else:
                await ctx.tick().repeat(moment)
            for signal in (dut.load.valid, dut.load.payload, dut.result.ready):
                ctx.set(signal, 0)
            ctx.set(strike, 1)
            await ctx.tick()
            ctx.set(strike, 0)
            if work is None:
                return
            await ctx.tick().repeat(wipe - 1)
            assert not ctx.get(dut.idle)
            await ctx.tick()
            assert ctx.get(dut.idle) and not ctx.get(dut.done) and not ctx.get(dut.valid)
            for ram in (*dut.left, *dut.right):
                assert not any(cells_of(ctx, ram))

        return state_of(simulate(dut, worker, reset=reset))

    seen = []
    fresh = run(50, False)
    for moment in (1, 10, 16, 17, 19, 22, 27, 41, 60, 71, 72, 73, 86, 87, 97):
        struck = run(moment, True)
        assert struck == fresh, (moment, {name for name in fresh if struck[name] != fresh[name]})
    assert {(False, False), (True, False), (True, True)} <= set(seen)  # it was struck before and in the result
    assert run(3, None) == run(3, None) != fresh  # a comparison that could not fail would say nothing


@BOTH
def test_after_a_clear_in_the_middle_the_next_check_is_right(multipliers):
    width, rng = 48, random.Random(5)
    dut = RsaCheck(width=width, multipliers=multipliers)

    async def bench(ctx):
        for moment in (1, 7, 13, 24, 60, 110):
            n = modulus(rng, width)
            await put(ctx, dut.load, honest(n, rng.randrange(n)).encode(width)[:moment])
            await ctx.tick().repeat(max(1, moment - 24))
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            n = modulus(rng, width)
            case = honest(n, rng.randrange(n))
            assert (await verdict(ctx, dut, case, width))[0] == case.block

    simulate(dut, bench, watch=watch(dut))


def test_bytes_offered_in_reset_are_not_taken():
    dut, reset, width = RsaCheck(width=32), Signal(init=1), 32
    case = honest(0xF000_0001, 0x8765_4321)

    async def bench(ctx):
        ctx.set(dut.load.valid, 1)
        for _ in range(30):
            _, _, *busy = await ctx.tick().sample(dut.load.ready, dut.result.valid, dut.idle, dut.done, dut.valid)
            assert not any(busy)
        ctx.set(dut.load.valid, 0)
        ctx.set(reset, 0)
        assert (await verdict(ctx, dut, case, width))[0] == case.block

    simulate(dut, bench, reset=reset)


@pytest.mark.parametrize("width", [0, -16, 3070, 8])
def test_widths_that_are_refused(width):
    with pytest.raises(ValueError, match=f"width {width}: it must be a positive multiple of 16"):
        RsaCheck(width=width)


@pytest.mark.parametrize("multipliers", [0, 3, 4])
def test_numbers_of_multipliers_that_are_refused(multipliers):
    with pytest.raises(ValueError, match=f"{multipliers} multipliers: 1 or 2"):
        RsaCheck(multipliers=multipliers)


@pytest.mark.rtl
@pytest.mark.timeout(900)
@pytest.mark.parametrize("component", rsa_designs.FULL_WIDTH)
def test_3072_bits(component, monkeypatch):
    """`bench_rsa` in Verilator."""
    from fusequote_sim.bench import run_benches
    from fusequote_sim.design import Design

    monkeypatch.syspath_prepend(HERE)
    monkeypatch.syspath_prepend(HERE.parent / "sim")  # bench_streams
    design = Design(component, modules=("rsa_designs", "fusequote_hdl.engines"), path=(HERE,))
    assert run_benches(design, "bench_rsa", cache=HERE.parents[1] / "build" / "test-cache") == {}
