"""`fusequote bench area`: what the parts of the block cost on each family, beside open peers, or placed alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from fusequote.errors import EnvironmentProblem, UsageError

if TYPE_CHECKING:
    from fusequote.cli.settings import Settings

Row = Sequence[str]
HEAD = ("part", "family", "LUT4", "FF", "EBR", "SPRAM", "DSP", "what")
#: LUT4 and cycles of theirs, of ours; how many times ours their product is. The last column is for documents.
PEERS_HEAD = ("part, family", "peer", "LUT4", "cycles", "ours", "cycles", "product", "outcome", "but the peer")
PLACED_HEAD = ("engine", "family", "LUT4", "FF", "EBR", "DSP", "cells", "fmax, MHz: median", "of")


def command(
    part: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this one; repeatable.")] = None,
    family: Annotated[list[str] | None, typer.Option(metavar="NAME", help="up5k or ecp5; repeatable.")] = None,
    place: Annotated[
        bool, typer.Option("--place", help="Place and route the engines alone, for their clock rates: minutes each.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, help="With --place: placements, with seeds 1 to N.")] = 3,
    build_dir: Annotated[
        Path, typer.Option(metavar="FOLDER", help="For the tools; not below the system's temporary folder. What was "
                           "synthesised is kept there.")
    ] = Path("build") / "pnr",
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put the tables between the marks of this document.")
    ] = None,
) -> int:
    """Synthesise each part of the block, print what it costs, and set it beside open peers; some minutes, once.

    The comparison is of look-up tables times cycles. With --place: clock rates of the engines.
    """
    from fusequote.cli.document import MarkedDocument
    from fusequote.cli.settings import current

    try:
        from fusequote_boards.area import PARTS
        from fusequote_boards.pnr import ENGINES, FAMILIES
    except ModuleNotFoundError as missing:
        raise EnvironmentProblem(
            f"synthesis needs {missing.name}", hint="pip install 'fusequote[fpga]'") from missing

    known_parts = ENGINES if place else PARTS
    for what, given, known in (("part", part, known_parts), ("family", family, FAMILIES)):
        for name in given or ():
            if name not in known:
                raise UsageError(f"there is no {what} {name!r}", hint=f"one of {', '.join(known)}")
    document = None if write is None else MarkedDocument(write, "area --place" if place else "area")
    wanted = [(name, where) for name in part or known_parts for where in family or FAMILIES]
    settings = current()
    tables, facts = _place(wanted, seeds, build_dir, settings) if place else _synthesise(wanted, build_dir, settings)
    if document is not None:
        document.put("\n\n".join(markdown(head, rows, right) for _, head, rows, right in tables))
    return _show(tables, facts, settings)


def _synthesise(
    wanted: Iterable[tuple[str, str]], folder: Path, settings: Settings
) -> tuple[list[Any], dict[str, Any]]:
    from fusequote.cli.output import progress

    from fusequote_boards.area import PARTS, cycles, synthesise
    from fusequote_boards.peers import compare

    rows, facts, ours = [], {}, {}
    for name, where in wanted:
        with progress(f"synthesising {name} for {where}", settings):
            area = synthesise(name, where, folder)
            time = cycles(name, folder)
        rows.append((name, where, f"{area.lut4:,}", f"{area.ff:,}", str(area.ebr), str(area.spram), str(area.dsp),
                     PARTS[name].what))
        facts |= {f"{name}, {where}: LUT4": area.lut4, f"{name}, {where}: FF": area.ff,
                  f"{name}, {where}: EBR": area.ebr, f"{name}, {where}: SPRAM": area.spram,
                  f"{name}, {where}: DSP": area.dsp}
        if time is not None:
            ours[name, where] = area.lut4, time
            facts[f"{name}: cycles"] = time
    compared = []
    for found in compare(ours):
        peer, outcome = found.peer, "wins" if found.wins else "LOSES"
        compared.append((f"{peer.part}, {peer.family}", peer.name, f"{peer.lut4:,}", f"{peer.cycles:,}",
                         f"{found.lut4:,}", f"{found.cycles:,}", f"{found.ratio:.2f}", outcome, peer.but))
        facts[f"{peer.part}, {peer.family}: wins against {peer.name}"] = found.wins
    tables = [("parts of the block, each synthesised alone", HEAD, rows, range(2, 7))]
    if compared:
        tables.append(("beside open peers: their LUT4 times cycles, ours being 1", PEERS_HEAD, compared, range(2, 8)))
    return tables, facts


def _place(
    wanted: Iterable[tuple[str, str]], seeds: int, folder: Path, settings: Settings
) -> tuple[list[Any], dict[str, Any]]:
    from fusequote.cli.output import progress

    from fusequote_boards.pnr import engine_class, place

    rows, facts = [], {}
    for name, where in wanted:
        with progress(f"placing {name} on {where}", settings):
            got = place(engine_class(name), family=where, seeds=seeds, folder=folder / f"{name}-{where}")
        rows.append((name, where, str(got.lut4), str(got.ff), str(got.ebr), str(got.dsp), str(got.cells),
                     f"{got.median_fmax:.1f}", " ".join(f"{mhz:.1f}" for mhz in got.fmax)))
        facts |= {f"{name}, {where}: LUT4": got.lut4, f"{name}, {where}: cells": got.cells,
                  f"{name}, {where}: fmax, kHz": round(1000 * got.median_fmax)}
    return [("engines placed alone", PLACED_HEAD, rows, range(2, 9))], facts


def markdown(head: Row, rows: Iterable[Row], right: Iterable[int]) -> str:
    """A table for a document; ``right`` are the columns of numbers."""
    flush = set(right)
    rule = tuple("---:" if index in flush else "---" for index in range(len(head)))
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *rows))


def _show(tables: Iterable[Any], facts: dict[str, Any], settings: Settings) -> int:
    from fusequote.cli.output import print_document, table
    from fusequote.verdict import ResultDocument

    if settings.json:
        print_document(ResultDocument("bench area", facts).to_json())
        return 0
    for title, head, rows, right in tables:
        # A terminal has no room for what stands behind the last column of numbers.
        shown = right.stop if head is PEERS_HEAD else len(head)
        table(title, head[:shown], [row[:shown] for row in rows], right=right)
    return 0
