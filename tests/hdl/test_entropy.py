"""The noise source: cutoffs against published ones, good and bad noise, the time it takes, rings in a netlist."""

import json
import math
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.sim import Simulator
from fusequote_hdl.engines import entropy
from fusequote_hdl.engines.entropy import LAG, WINDOW, Entropy, Health, RingEntropy, Rings

#: What raises in its constructor, or in elaborate, is never elaborated.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

REPETITIONS, PROPORTION = entropy.repetition_cutoff(), entropy.proportion_cutoff()


def test_cutoffs_of_the_claim():
    assert (REPETITIONS, PROPORTION) == (121, 928)
    # SP 800-90B section 4.4.1, its example: H = 2, alpha = 2^-30.
    assert entropy.repetition_cutoff(2, 30) == 16
    # SP 800-90B section 4.4.2, a binary source, alpha = 2^-20.
    assert entropy.proportion_cutoff(1, 20, 1024) == 589
    # Those of jitterentropy-library for H = 1 and 1/2, alpha = 2^-30, windows of 512.
    assert [entropy.proportion_cutoff(1 / n, 30, 512) for n in (1, 2)] == [325, 422]


def test_the_cutoff_is_the_least_that_keeps_alpha():
    p = 2.0**-entropy.MIN_ENTROPY

    def tail(least: int) -> float:
        return math.fsum(math.exp(math.lgamma(WINDOW + 1) - math.lgamma(k + 1) - math.lgamma(WINDOW - k + 1)
                                  + k * math.log(p) + (WINDOW - k) * math.log1p(-p)) for k in range(least, WINDOW + 1))

    assert tail(PROPORTION) <= 2.0**-entropy.ALPHA_BITS < tail(PROPORTION - 1)


def test_the_boot_takes_enough():
    claimed = 8 * entropy.ENTROPY_BYTES * entropy.MIN_ENTROPY
    assert claimed >= 2 * (128 + 64)


# -- noise ------------------------------------------------------------------------------------------------------------

def biased(ones: float, seed: int = 1) -> Iterator[int]:
    source = random.Random(seed)
    while True:
        yield int(source.random() < ones)


def sticky(stay: float, seed: int = 2) -> Iterator[int]:
    """As many ones as zeros, but a sample is mostly as the one before."""
    source, bit = random.Random(seed), 0
    while True:
        bit ^= source.random() >= stay
        yield bit


def periodic(pattern: str) -> Iterator[int]:
    while True:
        yield from map(int, pattern)


def after(count: int, then: Iterator[int]) -> Iterator[int]:
    """Good noise that goes bad."""
    good = biased(0.5, seed=7)
    for _ in range(count):
        yield next(good)
    yield from then


def failing_sample(samples: list[int]) -> int | None:
    """How many of ``samples`` the tests take until one fails, written from SP 800-90B section 4.4."""
    run = periods = count = first = 0
    for i, sample in enumerate(samples):
        run = run + 1 if i and sample == samples[i - 1] else 1
        periods = periods + 1 if sample == (samples[i - LAG] if i >= LAG else 0) else 0
        if i % WINDOW == 0:
            first, count = sample, 0
        count += sample == first
        if run >= REPETITIONS or periods >= REPETITIONS or count >= PROPORTION:
            return i + 1
    return None


def health(samples: list[int]) -> tuple[int | None, int | None]:
    """After how many samples the hardware failed, and after how many the start-up test was done."""
    dut = Health()
    found: dict[str, int] = {}

    async def bench(ctx):
        for number, sample in enumerate(samples, 1):
            ctx.set(dut.strobe, 1)
            ctx.set(dut.sample, sample)
            await ctx.tick()
            for name in ("failed", "started"):
                if ctx.get(getattr(dut, name)):
                    found.setdefault(name, number)
                else:
                    assert name not in found  # both stay
        ctx.set(dut.strobe, 0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found.get("failed"), found.get("started")


#: Noise, and the most samples until it must have failed; None: it is good enough.
SOURCES: dict[str, tuple[Callable[[], Iterator[int]], int | None]] = {
    "ideal": (lambda: biased(0.5), None),
    "another ideal": (lambda: biased(0.5, seed=11), None),
    "biased, within the claim": (lambda: biased(0.75), None),
    "biased, at the claim": (lambda: biased(2.0**-entropy.MIN_ENTROPY), None),
    "biased": (lambda: biased(0.95), WINDOW),
    "biased to zero": (lambda: biased(0.05), WINDOW),
    "sticky, within the claim": (lambda: sticky(0.75), None),
    "sticky": (lambda: sticky(0.97), 4 * WINDOW),
    "stuck at zero": (lambda: periodic("0"), REPETITIONS),
    "stuck at one": (lambda: periodic("1"), REPETITIONS),
    "oscillating": (lambda: periodic("01"), LAG + REPETITIONS),
    "oscillating, a third": (lambda: periodic("001"), LAG + REPETITIONS),
    "oscillating, a quarter": (lambda: periodic("0011"), LAG + REPETITIONS),
    "oscillating, an eighth": (lambda: periodic("00110101"), LAG + REPETITIONS),
    "oscillating, a 24th": (lambda: periodic("010111010010001101011100"), LAG + REPETITIONS),
    "dies": (lambda: after(3000, periodic("1")), 3000 + REPETITIONS),
    "locks": (lambda: after(2500, periodic("01")), 2500 + LAG + REPETITIONS),
    "becomes biased": (lambda: after(1500, biased(0.97)), 3 * WINDOW),
}


@pytest.mark.parametrize("name", SOURCES)
def test_health(name):
    make, bound = SOURCES[name]
    source = make()
    samples = [next(source) for _ in range(4 * WINDOW + 17)]
    failed, started = health(samples)
    assert failed == failing_sample(samples)
    if bound is None:
        assert failed is None and started == WINDOW
    else:
        assert failed is not None and failed <= bound


@pytest.mark.parametrize("length", [REPETITIONS - 1, REPETITIONS])
def test_exactly_the_repetition_cutoff(length):
    good = biased(0.5, seed=5)
    samples = [next(good) for _ in range(50)]
    samples += [1 - samples[-1]] * length
    samples += [1 - samples[-1]]
    failed, _ = health(samples)
    assert failed == (50 + REPETITIONS if length == REPETITIONS else None)


@pytest.mark.parametrize("alike", [PROPORTION - 1, PROPORTION])
def test_exactly_the_proportion_cutoff(alike):
    window = [1] * alike + [0] * (WINDOW - alike)
    random.Random(3).shuffle(window)
    window[window.index(1)], window[0] = window[0], 1
    failed, _ = health(window)
    assert (failed is not None) == (alike == PROPORTION)


@pytest.mark.parametrize("length", [REPETITIONS - 1, REPETITIONS])
def test_exactly_the_period_cutoff(length):
    good = biased(0.5, seed=6)
    samples = [next(good) for _ in range(59)]
    samples.append(1 - samples[-LAG])
    for _ in range(length):
        samples.append(samples[-LAG])
    samples.append(1 - samples[-LAG])
    assert len(set(samples[60:60 + LAG])) > 1
    failed, _ = health(samples)
    assert failed == (60 + REPETITIONS if length == REPETITIONS else None)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"window": 1000}, "power of two"), ({"proportion": 1025}, "proportion"), ({"repetitions": 1}, "repetition"),
])
def test_wrong_parameters_of_the_tests(arguments, message):
    with pytest.raises(ValueError, match=message):
        Health(**arguments)


# -- bytes ------------------------------------------------------------------------------------------------------------

DECIMATION = 4


class Bench:
    """An :class:`Entropy` fed from a source that is asked for a bit whenever a sample is due."""

    def __init__(self, source: Iterator[int], **parameters):
        self.dut = Entropy(decimation=DECIMATION, **parameters)
        self.source, self.samples, self.cycle = source, [], 0

    def run(self, scenario) -> None:
        m = Module()
        m.submodules.dut = self.dut
        simulator = Simulator(m)
        simulator.add_clock(1e-6)

        async def main(ctx):
            self.ctx = ctx
            await scenario(self)

        simulator.add_testbench(main)
        simulator.run()

    async def step(self) -> tuple[int | None, int]:
        """A cycle: the byte that went over, and ``failed``."""
        if self.ctx.get(self.dut.health.strobe):
            self.samples.append(next(self.source))
            self.ctx.set(self.dut.noise, self.samples[-1])
        _, _, valid, ready, byte, failed = await self.ctx.tick().sample(
            self.dut.o.valid, self.dut.o.ready, self.dut.o.payload, self.dut.failed)
        self.cycle += 1
        return (byte if valid and ready else None), failed

    async def until_byte(self, limit: int = 10**6) -> int | None:
        """The next byte; None when it failed."""
        for _ in range(limit):
            byte, failed = await self.step()
            if failed:
                assert byte is None
                return None
            if byte is not None:
                return byte
        raise AssertionError(f"neither a byte nor failed after {limit} cycles")


def bytes_of(samples: list[int]) -> list[int]:
    return [sum(bit << i for i, bit in enumerate(samples[at:at + 8])) for at in range(0, len(samples) - 7, 8)]


def test_bytes_and_their_time():
    async def scenario(bench):
        bench.ctx.set(bench.dut.o.ready, 1)
        out, cycles = [], []
        for _ in range(40):
            out.append(await bench.until_byte())
            cycles.append(bench.cycle)
        assert out == bytes_of(bench.samples[WINDOW:])[:40]
        assert cycles[0] == (WINDOW + 8) * DECIMATION + 2
        # The sample timer rests for the cycle in which a byte moves on.
        assert {later - earlier for earlier, later in zip(cycles, cycles[1:], strict=False)} == {8 * DECIMATION + 1}

    Bench(biased(0.5)).run(scenario)


def test_a_slow_consumer_loses_nothing_and_lets_the_rings_rest():
    async def scenario(bench):
        out = []
        for wait in (0, 0, 5, 700, 0, 33, 34, 35, 700):
            for _ in range(wait):
                await bench.step()
            assert bench.ctx.get(bench.dut.enable) == (wait != 700)
            bench.ctx.set(bench.dut.o.ready, 1)
            out.append(await bench.until_byte())
            bench.ctx.set(bench.dut.o.ready, 0)
        assert out == bytes_of(bench.samples[WINDOW:])[:len(out)]

    Bench(biased(0.5)).run(scenario)


@pytest.mark.parametrize("dead", ["0", "1", "01"])
def test_a_dead_source_gives_no_byte(dead):
    async def scenario(bench):
        bench.ctx.set(bench.dut.o.ready, 1)
        assert await bench.until_byte((REPETITIONS + LAG + 1) * DECIMATION) is None
        for _ in range(20 * DECIMATION):
            byte, failed = await bench.step()
            assert byte is None and failed and not bench.ctx.get(bench.dut.enable)

    Bench(periodic(dead)).run(scenario)


def test_failed_stays_until_restart_and_takes_waiting_bytes_along():
    async def scenario(bench):
        for _ in range((WINDOW + 8) * DECIMATION + 2):  # a byte waits
            await bench.step()
        assert bench.ctx.get(bench.dut.o.valid)
        bench.ctx.set(bench.dut.o.ready, 1)
        while await bench.until_byte() is not None:
            pass
        bench.source = biased(0.5, seed=9)
        for _ in range(2000):
            byte, failed = await bench.step()
            assert byte is None and failed
        assert not bench.ctx.get(bench.dut.o.payload)
        bench.ctx.set(bench.dut.restart, 1)
        await bench.step()
        bench.ctx.set(bench.dut.restart, 0)
        bench.samples.clear()
        started = bench.cycle
        assert await bench.until_byte() == bytes_of(bench.samples[WINDOW:])[0]
        assert bench.cycle - started == (WINDOW + 8) * DECIMATION + 2  # with the whole start-up test

    Bench(after(WINDOW + 40, periodic("1"))).run(scenario)


def test_restart_in_the_middle_begins_anew():
    async def scenario(bench):
        for _ in range((WINDOW + 20) * DECIMATION):
            await bench.step()
        bench.ctx.set(bench.dut.restart, 1)
        await bench.step()
        bench.ctx.set(bench.dut.restart, 0)
        assert not bench.ctx.get(bench.dut.o.valid) and not bench.ctx.get(bench.dut.o.payload)
        bench.samples.clear()
        started = bench.cycle
        bench.ctx.set(bench.dut.o.ready, 1)
        assert await bench.until_byte() == bytes_of(bench.samples[WINDOW:])[0]
        assert bench.cycle - started == (WINDOW + 8) * DECIMATION + 2

    Bench(biased(0.5)).run(scenario)


@pytest.mark.parametrize("decimation", [0, 1])
def test_a_decimation_that_is_none(decimation):
    with pytest.raises(ValueError, match="between samples"):
        Entropy(decimation=decimation)


# -- rings ------------------------------------------------------------------------------------------------------------

class Platform:
    def __init__(self, cell: str):
        self.fusequote_lut = cell


@pytest.mark.parametrize("arguments", [{"lengths": ()}, {"lengths": (3, 1)}, {"lut": "LUT6"}])
def test_wrong_rings(arguments):
    with pytest.raises(ValueError, match="rings"):
        Rings(**arguments)


@pytest.mark.parametrize("platform", [None, Platform("LUT6")])
def test_rings_need_an_fpga(platform):
    with pytest.raises(ValueError, match="FPGA"):
        rtlil.convert(RingEntropy(), platform=platform, emit_src=False)


@pytest.mark.parametrize(("cell", "synth"), [("SB_LUT4", "synth_ice40"), ("LUT4", "synth_ecp5")])
def test_every_ring_survives_synthesis(cell, synth):
    """The netlist still has each ring, closed, with one inverting stage; walked from cell to cell."""
    from fusequote_boards.pnr import _run

    folder = Path(__file__).parents[2] / "build" / "test-rings" / cell  # YoWASP does not see the temporary folder
    folder.mkdir(parents=True, exist_ok=True)
    rings = Rings()
    (folder / "rings.il").write_text(rtlil.convert(rings, name="rings", platform=Platform(cell), emit_src=False))
    _run("yosys", "run_yosys", ["-q", "-p", f"read_rtlil rings.il; {synth} -top rings; write_json rings.json"], folder)
    module = json.loads((folder / "rings.json").read_text())["modules"]["rings"]
    stages = {name: c for name, c in module["cells"].items() if re.match(r"ring\d+_\d+", name)}
    assert len(stages) == sum(rings.lengths)
    out = "O" if cell == "SB_LUT4" else "Z"
    ins = ("I0", "I1") if cell == "SB_LUT4" else ("A", "B")
    by_output = {c["connections"][out][0]: name for name, c in stages.items()}
    enable = module["ports"]["enable"]["bits"][0]
    loops = []
    for number, length in enumerate(rings.lengths):
        name, seen = f"ring{number}_0", []
        while name not in seen:
            seen.append(name)
            stage = stages[name]
            table = int(stage["parameters"]["LUT_INIT" if cell == "SB_LUT4" else "INIT"], 2)
            if stage["connections"][ins[1]] == [enable]:
                assert table == 0x4444
            else:
                assert table == 0xAAAA and stage["connections"][ins[1]] == ["0"]
            name = by_output[stage["connections"][ins[0]][0]]
        assert name == seen[0] and len(seen) == length
        assert sum(stages[s]["connections"][ins[1]] == [enable] for s in seen) == 1
        loops.append(set(seen))
    assert len(set().union(*loops)) == sum(rings.lengths)
