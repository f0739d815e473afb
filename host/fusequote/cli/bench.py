"""Measure what things cost: clock cycles of the chip's commands, times of EPID."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fusequote.cli.registry import BENCH_GROUP, CommandGroup
from fusequote.cli.settings import add_options, current


class BenchGroup(CommandGroup):
    """`fusequote bench`: what packages contribute to measure."""

    source = BENCH_GROUP
    prepare = staticmethod(add_options)


app = typer.Typer(cls=BenchGroup, add_completion=False)


@app.callback()
def _group() -> None:
    """Measure what things cost."""


def chip(
    write: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Put the table between the markers of this document."),
    ] = None,
) -> int:
    """Drive a chip through every command and print the clock cycles of each.

    By default a blank simulated chip, gone afterwards, whose fuses are burnt for the measurement. A chip with fuses of
    its own has to be manufactured; what only blank chips do is left out then.
    """
    from fusequote.cli.cycles import markdown, measure
    from fusequote.cli.document import MarkedDocument
    from fusequote.cli.output import print_document, table
    from fusequote.cli.steps import CLOCK_HZ
    from fusequote.verdict import ResultDocument

    settings = current()
    document = None if write is None else MarkedDocument(write, "chip")
    rows = list(measure(settings.blank_chip_url))
    if document is not None:
        document.put(markdown(rows))
    if settings.json:
        facts: dict[str, str | int | bool] = {row.name: row.cycles for row in rows}
        print_document(ResultDocument("bench chip", facts).to_json())
        return 0
    shown = [
        (row.name, f"{row.request:,}", f"{row.answer:,}", f"{row.cycles:,}", f"{1e6 * row.cycles / CLOCK_HZ:,.1f}")
        for row in rows
    ]
    head = ("command", "request, bytes", "answer, bytes", "cycles", f"us at {CLOCK_HZ // 1_000_000} MHz")
    table("cycles from the acceptance of a command to its answer", head, shown, right=range(1, 5))
    return 0
