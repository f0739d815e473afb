"""`fusequote bench wire`: a REPORT and a launch on each board's UART, simulated to the cycle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from fusequote_boards.board import Target, boards

if TYPE_CHECKING:
    from fusequote.cli.wire_time import WireTime

__all__ = ["MOST", "command", "targets"]

#: What either may take, in its wire time.
MOST = 1.10
HEAD = ("board", "MHz", "Mbaud", "REPORT: bytes", "wire, µs", "took, µs", "ratio", "launch: wire, ms", "took, ms",
        "ratio")


@dataclass(frozen=True)
class Row:
    """Boards that have clock and rate in common, and what was measured."""

    names: tuple[str, ...]
    target: Target
    time: WireTime

    @property
    def good(self) -> bool:
        """Whether both ratios are as wanted."""
        return max(self.time.report_ratio, self.time.launch_ratio) <= MOST

    def cells(self) -> tuple[str, ...]:
        """For people. A launch's time is without EINIT's check, which is the same on any wire."""
        time, hz = self.time, self.target.hz
        ms = [f"{1e3 * cycles / hz:,.1f}" for cycles in (time.launch_wire, time.launch - time.einit)]
        us = [f"{1e6 * cycles / hz:,.0f}" for cycles in (time.report_wire, time.report)]
        return (", ".join(self.names), f"{hz / 1e6:g}", f"{self.target.baud / 1e6:g}", f"{time.report_bytes:,}", *us,
                f"{time.report_ratio:.3f}", *ms, f"{time.launch_ratio:.3f}")


def targets(only: list[str] | None = None, *, fastest: bool = False) -> list[tuple[tuple[str, ...], Target]]:
    """Boards by clock and rate: each at its own, and with ``fastest`` those with an ECP5 also at the highest rate that
    clock and bridge give. Raises :class:`UsageError` for an unknown board.
    """
    from fusequote_boards.board import board

    chosen = [board(name) for name in only] if only else list(boards().values())
    found: dict[tuple[int, int], tuple[list[str], Target]] = {}
    for each in chosen:
        rates = {each.baud, *(each.target().rates()[:1] if fastest and each.family == "ecp5" else ())}
        for rate in sorted(rates):
            target = each.target(baud=rate)
            found.setdefault((target.hz, rate), ([], target))[0].append(each.name)
    return [(tuple(names), target) for names, target in found.values()]


def measure(chosen: list[tuple[tuple[str, ...], Target]], cache: Path) -> Iterator[Row]:
    """One after the other. Cycles depend on the cycles per bit alone: a simulated chip for each number of these."""
    from fusequote.cli.wire_time import measure_wire

    times: dict[int, WireTime] = {}
    for names, target in chosen:
        if target.divisor not in times:
            rate = f"clock={target.divisor * target.baud}&baud={target.baud}"
            times[target.divisor] = measure_wire(f"uart://?{rate}&cache={quote(str(cache), safe='/')}")
        yield Row(names, target, times[target.divisor])


def command(
    board: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this one; repeatable.")] = None,
    fastest: Annotated[
        bool, typer.Option("--fastest", help="ECP5 boards at the highest rate of their clock, too.")] = False,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put the table between the marks of this document.")
    ] = None,
) -> int:
    """Simulate each board's UART bit by bit, and compare the time of a REPORT and of a launch with that of their bytes.

    Needs g++; minutes for each clock and rate. Exit code 10 when one takes more than 1.10 times its wire time.
    """
    from fusequote.cli.document import MarkedDocument
    from fusequote.cli.output import print_document, progress, table
    from fusequote.cli.settings import current
    from fusequote.errors import ExitCode
    from fusequote.verdict import ResultDocument

    settings = current()
    document = None if write is None else MarkedDocument(write, "wire")
    chosen = targets(board, fastest=fastest)
    rows: list[Row] = []
    with progress("boards", settings) as done:
        for row in measure(chosen, settings.home.cache):
            rows.append(row)
            done(len(rows), len(chosen))
    cells = [row.cells() for row in rows]
    if document is not None:
        lines = [HEAD, ("---", *("---:",) * (len(HEAD) - 1)), *cells]
        document.put("\n".join("| " + " | ".join(line) + " |" for line in lines))
    if settings.json:
        facts: dict[str, str | int | bool] = {}
        for row in rows:
            name = f"{row.names[0]} {row.target.baud}"
            facts |= {f"{name}.report_cycles": row.time.report, f"{name}.report_wire_cycles": row.time.report_wire,
                      f"{name}.launch_cycles": row.time.launch, f"{name}.launch_wire_cycles": row.time.launch_wire,
                      f"{name}.einit_cycles": row.time.einit, f"{name}.boards": ", ".join(row.names),
                      f"{name}.good": row.good}
        print_document(ResultDocument("bench wire", facts).to_json())
    else:
        table("from the first start bit to the last stop bit", HEAD, cells, right=range(1, len(HEAD)))
    return int(ExitCode.OK if all(row.good for row in rows) else ExitCode.NEGATIVE)
