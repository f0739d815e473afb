"""What an engine costs: place and route one component alone, with the YoWASP tools.

The component's ports go to shift registers (one flip-flop for each bit, two pins outside), so that any
component fits any package and its paths end in flip-flops. ``lut4``, ``ff``, ``ebr`` and ``dsp`` count the
component alone, after synthesis; ``cells`` is what is left of the placed logic cells (iCE40: LC of a look-up
table and a flip-flop; ECP5: look-up tables) when the shift registers' are taken off.

``python -m fusequote_boards.pnr --engine aes --family up5k --seeds 3`` prints the table.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockDomain, Elaboratable, Module, Signal, Value
from amaranth.lib import wiring
from fusequote.errors import EnvironmentProblem, FusequoteError, UsageError

__all__ = ["ENGINES", "FAMILIES", "Family", "Placement", "engine_class", "place"]


@dataclass(frozen=True)
class Family:
    """One device and its tools. Cell names are those of yosys and of nextpnr's ``--report``."""

    synth: str                  #: yosys command
    nextpnr: str                #: package and entry point of nextpnr
    device: tuple[str, ...]     #: nextpnr's arguments for the device
    mhz: int                    #: clock asked for, MHz
    lut: str                    #: cell of a look-up table
    ff: str                     #: prefix of the flip-flops' cells
    ebr: str                    #: block RAM
    dsp: str                    #: multiplier
    placed: str                 #: logic cells in the report
    carry: str                  #: carry cell; on ECP5 it takes two look-up tables

    @property
    def fusequote_lut(self) -> str:
        """What the ring oscillators ask a platform."""
        return self.lut

    @property
    def fusequote_spram(self) -> bool:
        """What the block's memories ask a platform."""
        return self.lut == "SB_LUT4"

    @property
    def luts_per_carry(self) -> int:
        """An iCE40's carry sits beside a look-up table that is counted already; an ECP5's takes two of its own."""
        return 2 if self.carry == "CCU2C" else 0


#: The two families that the project builds for.
FAMILIES = {
    "up5k": Family("synth_ice40 -dsp", "nextpnr_ice40", ("--up5k", "--package", "sg48"), 24,
                   "SB_LUT4", "SB_DFF", "SB_RAM40_4K", "SB_MAC16", "ICESTORM_LC", "SB_CARRY"),
    "ecp5": Family("synth_ecp5", "nextpnr_ecp5", ("--25k", "--package", "CABGA381", "--speed", "6"), 100,
                   "LUT4", "TRELLIS_FF", "DP16KD", "MULT18X18D", "TRELLIS_COMB", "CCU2C"),
}

#: Engine name: module under ``fusequote_hdl.engines`` and class.
ENGINES = {"aes": ("aes", "AES128"), "cmac": ("cmac", "CMAC"), "sha256": ("sha256", "SHA256"),
           "rsa": ("rsa", "RsaCheck"), "entropy": ("entropy", "RingEntropy")}


@dataclass(frozen=True)
class Placement:
    """Result of :func:`place`. Clock rates in MHz, one for each seed."""

    lut4: int
    ff: int
    ebr: int
    dsp: int
    cells: int
    fmax: tuple[float, ...]

    @property
    def median_fmax(self) -> float:
        """Median over the seeds, MHz: one seed is luck."""
        return statistics.median(self.fmax)


class _Wrapper(Elaboratable):
    """Shift registers around a component: ``si`` feeds all inputs, ``so`` sees all outputs."""

    def __init__(self, component: wiring.Component):
        self.component = component
        self.clk, self.rst, self.si, self.so = Signal(), Signal(), Signal(), Signal()
        inputs, outputs = [], []
        for _path, member, value in component.signature.flatten(component):
            (inputs if member.flow == wiring.In else outputs).append(Value.cast(value))
        self.inputs, self.outputs = Cat(inputs), Cat(outputs)

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = sync = ClockDomain()
        m.submodules.core = self.component
        feed, seen = Signal(len(self.inputs)), Signal(len(self.outputs))
        m.d.comb += [
            sync.clk.eq(self.clk), sync.rst.eq(self.rst), self.so.eq(seen[-1]), self.inputs.eq(feed),
        ]
        m.d.sync += [feed.eq(Cat(self.si, feed)), seen.eq(self.outputs ^ (seen << 1))]
        return m


def _run(package: str, entry: str, arguments: Sequence[str], folder: Path) -> None:
    """One YoWASP tool in ``folder``, on relative paths: elsewhere it does not see the temporary folder."""
    name = f"yowasp_{package}"
    if importlib.util.find_spec(name) is None:
        raise EnvironmentProblem(f"{name.replace('_', '-')} is not installed",
                                 hint="pip install 'fusequote[fpga]'")
    code = f"import sys, {name}; sys.exit({name}.{entry}(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    log = folder / f"{entry}.log"
    log.write_text(done.stdout)
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if "ERROR" in line]
        raise EnvironmentProblem(f"{entry} failed: {errors[-1] if errors else f'exit {done.returncode}'}",
                                 hint=f"see {log}")


def _counts(folder: Path, stat: str) -> dict[str, int]:
    design = json.loads((folder / stat).read_text())["design"]
    return design["num_cells_by_type"]


def place(make: Callable[[], wiring.Component], *, family: str, seeds: int = 3, folder: Path) -> Placement:
    """Synthesise, place and route what ``make`` returns (called twice: alone, and between shift registers).

    Intermediate files and reports go to ``folder``.

    Raises :class:`fusequote.errors.UsageError` for an unknown family or no seed, and
    :class:`~fusequote.errors.EnvironmentProblem` when a tool is missing or fails.
    """
    if family not in FAMILIES:
        raise UsageError(f"no family {family!r}: {', '.join(FAMILIES)}")
    if seeds < 1:
        raise UsageError(f"{seeds} seeds: at least one is needed")
    kind = FAMILIES[family]
    folder.mkdir(parents=True, exist_ok=True)

    (folder / "core.il").write_text(rtlil.convert(make(), name="core", platform=kind, emit_src=False))
    wrapper = _Wrapper(make())
    (folder / "top.il").write_text(rtlil.convert(
        wrapper, name="top", platform=kind, ports=[wrapper.clk, wrapper.rst, wrapper.si, wrapper.so],
        emit_src=False))
    for name in ("core", "top"):
        _run("yosys", "run_yosys", [
            "-q", "-p", f"read_rtlil {name}.il; {kind.synth} -top {name}; "
                        f"tee -q -o {name}.stat stat -json; write_json {name}.json"], folder)
    cells = _counts(folder, "core.stat")

    rates, used = [], []
    for seed in range(1, seeds + 1):
        report = f"report{seed}.json"
        _run(kind.nextpnr, f"run_{kind.nextpnr}", [
            *kind.device, "--freq", str(kind.mhz), "--seed", str(seed), "--timing-allow-fail",
            *(["--ignore-loops"] if getattr(make, "combinational_loops", False) else []),
            "--json", "top.json", "--report", report, "-q"], folder)
        result = json.loads((folder / report).read_text())
        rates.append(round(min(clock["achieved"] for clock in result["fmax"].values()), 1))
        used.append(result["utilization"][kind.placed]["used"])

    # A flip-flop alone takes a logic cell of an iCE40, but no look-up table of an ECP5.
    around = len(wrapper.outputs) + (len(wrapper.inputs) if family == "up5k" else 0)
    return Placement(
        lut4=cells.get(kind.lut, 0) + kind.luts_per_carry * cells.get(kind.carry, 0),
        ff=sum(n for cell, n in cells.items() if re.match(kind.ff, cell)),
        ebr=cells.get(kind.ebr, 0), dsp=cells.get(kind.dsp, 0),
        cells=max(used) - around, fmax=tuple(rates))


def engine_class(engine: str) -> Callable[[], wiring.Component]:
    """The component of an engine, by its name in :data:`ENGINES`."""
    module, name = ENGINES[engine]
    return getattr(importlib.import_module(f"fusequote_hdl.engines.{module}"), name)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit codes are those of ``fusequote``."""
    parser = argparse.ArgumentParser(prog="python -m fusequote_boards.pnr",
                                     description="Place and route an engine alone; print what it costs.")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="default: all")
    parser.add_argument("--family", choices=FAMILIES, action="append", help="default: all")
    parser.add_argument("--seeds", type=int, default=3, help="placements, with seeds 1..N (default 3)")
    parser.add_argument("--build-dir", type=Path, default=Path("build") / "pnr", help="default build/pnr")
    args = parser.parse_args(argv)
    print("engine  family    LUT4    FF  EBR  DSP  cells  fmax, MHz (median; each seed)")
    for engine in args.engine or ENGINES:
        make = engine_class(engine)
        for family in args.family or FAMILIES:
            folder = args.build_dir / f"{engine}-{family}"
            try:
                got = place(make, family=family, seeds=args.seeds, folder=folder)
            except FusequoteError as error:
                print(f"{error}\n{error.hint or ''}".rstrip(), file=sys.stderr)
                return int(error.exit_code)
            print(f"{engine:8}{family:8}{got.lut4:6}{got.ff:6}{got.ebr:5}{got.dsp:5}{got.cells:7}  "
                  f"{got.median_fmax:.1f}; {' '.join(map(str, got.fmax))}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
