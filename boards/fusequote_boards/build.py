"""From a board to its finished bitstream, with blank fuses, and a report; kept by the hash of the design and the tools.

A build's folder has ``top.bin`` or ``top.bit``; ``top.asc`` or ``top.config``, the same as text; ``fuses.json``, where
the fuses are in it; ``report.json``; what was given to the tools and their logs; and ``routed.json``, the netlist that
nextpnr placed and routed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fusequote.errors import EnvironmentProblem, FormatError

from . import fusebits
from .board import Board, Target, board
from .tools import Said, ToolFailed, Tools

__all__ = ["LEAST_MARGIN", "Built", "Report", "TimingMissed", "build", "cached", "kept", "latest", "pack",
           "platform_for", "unpack"]

#: How much faster than its clock a design has to be.
LEAST_MARGIN = 0.10
#: Part of the key: raise it when what is made of a routed design changes.
FORMAT = "fusequote bitstream 1"

#: Called with the step's name, seconds since it began, and what its tool said last.
Watch = Callable[[str, float, str], None]


class TimingMissed(EnvironmentProblem):
    """The placed design is too slow for the board's clock."""

    kind = "boards.timing"


#: A platform's names of devices and packages -> nextpnr's.
_DEVICES = {"iCE40UP5K": "--up5k", "LFE5U-12F": "--12k", "LFE5U-25F": "--25k", "LFE5U-85F": "--85k"}
_PACKAGES = {"SG48": "sg48", "BG256": "CABGA256", "BG381": "CABGA381", "MG285": "CSFBGA285"}


@dataclass(frozen=True)
class _Flow:
    synth: str
    constraints: tuple[str, str]    #: nextpnr's option, suffix of the file
    text: tuple[str, str]           #: likewise
    suffix: str
    pack: tuple[str, ...]
    cells: dict[str, str]           #: name in our report -> in nextpnr's
    lut: str                        #: cell of a look-up table after synthesis


_FLOWS = {
    "up5k": _Flow("synth_ice40 -dsp", ("--pcf", "pcf"), ("--asc", "asc"), "bin", (),
                  {"cells": "ICESTORM_LC", "ram": "ICESTORM_RAM", "large_ram": "ICESTORM_SPRAM",
                   "multipliers": "ICESTORM_DSP"}, "SB_LUT4"),
    "ecp5": _Flow("synth_ecp5", ("--lpf", "lpf"), ("--textcfg", "config"), "bit", ("--compress",),
                  {"cells": "TRELLIS_COMB", "ram": "DP16KD", "multipliers": "MULT18X18D"}, "LUT4"),
}


@dataclass(frozen=True)
class Report:
    """What a build is. ``used`` and ``available``: logic cells (an iCE40's, with a look-up table and a flip-flop; an
    ECP5's look-up tables, carry chains among them), block RAMs, large RAMs, multipliers. MHz, nanoseconds.
    """

    board: str
    key: str
    hz: int
    baud: int
    seed: int
    tools: dict[str, str]
    luts: int
    used: dict[str, int]
    available: dict[str, int]
    fmax_mhz: float
    sha256: str

    @property
    def margin(self) -> float:
        """How much faster than its clock it could be: 0.1 is ten per cent."""
        return self.fmax_mhz * 1e6 / self.hz - 1

    @property
    def worst_slack_ns(self) -> float:
        """Of a clock period, what the longest path leaves."""
        return 1e9 / self.hz - 1e3 / self.fmax_mhz


@dataclass(frozen=True)
class Built:
    """A finished build. ``cached``: it was there before."""

    folder: Path
    bitstream: Path
    text: Path
    report: Report
    cached: bool

    def fuse_map(self) -> fusebits.FuseMap:
        """Where its fuses are. Raises :class:`FormatError` for a damaged folder."""
        return fusebits.FuseMap.from_json((self.folder / "fuses.json").read_text("utf-8"))

    def fuse_text(self) -> fusebits.Text:
        """The bitstream as text, to read and write fuses in."""
        return fusebits.FORMATS[self.fuse_map().family](self.text.read_text("utf-8"))


def platform_for(board: Board) -> Any:
    """The board's platform, with what our designs ask it."""
    platform = board.platform()
    platform.fusequote_spram = board.family == "up5k"
    platform.fusequote_lut = _FLOWS[board.family].lut
    return platform


def build(target: Target, folder: Path, *, native: bool = False, again: bool = False, allow_slow: bool = False,
          watch: Watch | None = None, top: Callable[[Target], Any] | None = None) -> Built:
    """Build for a board below ``folder``, or find it there. ``top`` makes another design with the same fuse macro.

    Raises :class:`EnvironmentProblem` for tools that are missing or fail, and :class:`TimingMissed` for a design that
    does not have :data:`LEAST_MARGIN` (not with ``allow_slow``); it stays in the cache all the same.
    """
    tools = Tools(target.board.family, native)
    watch = watch or (lambda step, seconds, line: None)
    watch("elaborate", 0.0, "")
    versions = tools.versions()
    files = _design(target, top)
    commands = list(_commands(target, tools))
    key = _key(target, files, commands, versions)
    home = folder / target.board.name
    final = home / key[:16]
    done = None if again else _finished(final, cached=True)
    if done is None:
        home.mkdir(parents=True, exist_ok=True)
        # Finished in a place of its own: another build of the same may run, and this one may be interrupted.
        with tempfile.TemporaryDirectory(dir=home, prefix="unfinished-") as scratch:
            work = Path(scratch) / "build"
            work.mkdir()
            for name, contents in files.items():
                (work / name).write_text(contents, "utf-8")
            try:
                _run(target, tools, commands, versions, key, work, watch)
            except ToolFailed as error:
                raise _kept(error, work, home / "failed") from error
            if final.exists():
                final.rename(Path(scratch) / "before")
            os.replace(work, final)
        done = _finished(final, cached=False)
        if done is None:
            raise EnvironmentProblem(f"{final} was changed while it was being written", hint="build again")
    if done.report.margin < LEAST_MARGIN and not allow_slow:
        got = done.report
        raise TimingMissed(
            f"{got.board} runs at {got.fmax_mhz:.1f} MHz at most, {got.margin:+.1%} of {got.hz / 1e6:g} MHz: "
            f"{LEAST_MARGIN:.0%} to spare are wanted",
            hint="give another --seed, a lower --clock, or --allow-slow to have it none the less")
    return done


def _kept(error: ToolFailed, work: Path, failed: Path) -> ToolFailed:
    """The same error, with the folder of the failed build kept in place of the one before."""
    shutil.rmtree(failed, ignore_errors=True)
    work.rename(failed)
    return ToolFailed(str(error), hint=f"its output is in {failed}")


def cached(target: Target, folder: Path, *, native: bool = False, top: Callable[[Target], Any] | None = None
           ) -> Built | None:
    """The finished build of just this design by just these tools, None when there is none."""
    tools = Tools(target.board.family, native)
    key = _key(target, _design(target, top), list(_commands(target, tools)), tools.versions())
    return _finished(folder / target.board.name / key[:16], cached=True)


def latest(board: Board, folder: Path) -> Report | None:
    """The report of the board's last finished build, of whatever design and tools."""
    reports = sorted((folder / board.name).glob("*/report.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in reports:
        try:
            return Report(**json.loads(path.read_text("utf-8")))
        except (ValueError, TypeError, OSError):
            continue
    return None


def kept(board: Board, folder: Path) -> list[Built]:
    """The board's finished builds, of whatever design and tools, the last one first."""
    reports = sorted((folder / board.name).glob("*/report.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [built for path in reports if (built := _finished(path.parent, cached=True)) is not None]


def pack(family: str, text: Path, bitstream: Path, tools: Tools, *, said: Said | None = None) -> None:
    """Make a bitstream of its text, in the same folder. Raises what :meth:`Tools.run` raises."""
    flow = _FLOWS[family]
    tools.run("icepack" if family == "up5k" else "ecppack", [*flow.pack, text.name, bitstream.name], text.parent,
              said=said)


def unpack(family: str, bitstream: Path, text: Path, tools: Tools) -> None:
    """Turn a bitstream back into its text, in the same folder. Raises what :meth:`Tools.run` raises."""
    tools.run("iceunpack" if family == "up5k" else "ecpunpack", [bitstream.name, text.name], text.parent)


def bitstream_name(family: str) -> str:
    """Of a build's folder."""
    return f"top.{_FLOWS[family].suffix}"


def _design(target: Target, top: Callable[[Target], Any] | None) -> dict[str, str]:
    from .top import Top

    flow = _FLOWS[target.board.family]
    # Without source lines: they would name folders of this machine.
    plan = platform_for(target.board).prepare((top or Top)(target), "top", emit_src=False)
    wanted = ("top.il", f"top.{flow.constraints[1]}")
    return {name: contents if isinstance(contents, str) else contents.decode()
            for name, contents in plan.files.items() if name in wanted}


def _commands(target: Target, tools: Tools) -> Iterator[tuple[str, str, list[str]]]:
    board, flow = target.board, _FLOWS[target.board.family]
    yosys, nextpnr, _ = tools.versions()
    platform = board.platform()
    yield "synthesis", yosys, ["-q", "-p", f"read_rtlil top.il; {flow.synth} -top top; "
                               "tee -q -o stat.json stat -json; write_json top.json"]
    speed = ["--speed", str(platform.speed)] if board.family == "ecp5" else []
    yield "place and route", nextpnr, [
        _DEVICES[platform.device], "--package", _PACKAGES[platform.package], *speed,
        "--json", "top.json", flow.constraints[0], f"top.{flow.constraints[1]}",
        flow.text[0], f"marked.{flow.text[1]}", "--write", "routed.json", "--report", "timing.json",
        "--freq", f"{target.hz / 1e6:g}", "--seed", str(target.seed), "--timing-allow-fail",
        "--ignore-loops"]  # the ring oscillators are loops


def _key(target: Target, files: dict[str, str], commands: list[Any], versions: dict[str, str]) -> str:
    facts = {"format": FORMAT, "target": [target.board.name, target.hz, target.baud, target.seed],
             "files": files, "commands": commands, "tools": versions, "pack": _FLOWS[target.board.family].pack}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _run(target: Target, tools: Tools, commands: list[Any], versions: dict[str, str], key: str, work: Path,
         watch: Watch) -> None:
    family = target.board.family
    flow = _FLOWS[family]
    for step, program, arguments in commands:
        watch(step, 0.0, "")
        tools.run(program, arguments, work, said=lambda seconds, line, step=step: watch(step, seconds, line))
    watch("fuses", 0.0, "")
    marked, text = work / f"marked.{flow.text[1]}", work / f"top.{flow.text[1]}"
    bits = fusebits.FORMATS[family](marked.read_text("utf-8"))
    fuses = fusebits.locate(family, work / "routed.json", bits)
    fuses.write(bits, b"")
    text.write_text(bits.text(), "utf-8")
    marked.unlink()
    (work / "fuses.json").write_text(fuses.to_json(), "utf-8")
    watch("pack", 0.0, "")
    bitstream = work / bitstream_name(family)
    pack(family, text, bitstream, tools)
    report = _report(target, versions, key, work, bitstream)
    # Last: a folder without it is not finished.
    (work / "report.json").write_text(json.dumps(asdict(report), indent=1), "utf-8")


def _report(target: Target, versions: dict[str, str], key: str, work: Path, bitstream: Path) -> Report:
    flow = _FLOWS[target.board.family]
    timing = json.loads((work / "timing.json").read_text("utf-8"))
    counts = json.loads((work / "stat.json").read_text("utf-8"))["design"]["num_cells_by_type"]
    use = {name: timing["utilization"][cell] for name, cell in flow.cells.items()}
    clocks = [clock["achieved"] for clock in timing["fmax"].values()]
    if not clocks:
        raise EnvironmentProblem("nextpnr found no clock in the design", hint=f"see {work / 'nextpnr.log'}")
    return Report(
        board=target.board.name, key=key, hz=target.hz, baud=target.baud, seed=target.seed, tools=versions,
        luts=sum(n for cell, n in counts.items() if re.fullmatch(flow.lut, cell)),
        used={name: cell["used"] for name, cell in use.items()},
        available={name: cell["available"] for name, cell in use.items()},
        fmax_mhz=round(min(clocks), 2), sha256=hashlib.sha256(bitstream.read_bytes()).hexdigest())


def _finished(folder: Path, *, cached: bool) -> Built | None:
    """The build in a folder when it is whole, else None."""
    try:
        report = Report(**json.loads((folder / "report.json").read_text("utf-8")))
        family = board(report.board).family
        built = Built(folder, folder / bitstream_name(family), folder / f"top.{_FLOWS[family].text[1]}", report, cached)
        whole = hashlib.sha256(built.bitstream.read_bytes()).hexdigest() == report.sha256 and built.text.is_file()
        built.fuse_map()
    except (OSError, ValueError, TypeError, FormatError):
        whole = False
    if not whole:
        return None
    return built
