"""`fusequote bench area`: what each engine costs on each family, placed alone (:mod:`fusequote_boards.pnr`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from fusequote.errors import EnvironmentProblem, UsageError

HEAD = ("engine", "family", "LUT4", "FF", "EBR", "DSP", "cells", "fmax, MHz: median", "of")


def command(
    engine: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this one; repeatable.")] = None,
    family: Annotated[list[str] | None, typer.Option(metavar="NAME", help="up5k or ecp5; repeatable.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Placements, with seeds 1 to N.")] = 3,
    build_dir: Annotated[
        Path, typer.Option(metavar="FOLDER", help="For the tools; not below the system's temporary folder.")
    ] = Path("build") / "pnr",
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put the table between the marks of this document.")
    ] = None,
) -> int:
    """Place and route each engine alone and print what it costs; some minutes."""
    from fusequote.cli.document import MarkedDocument
    from fusequote.cli.output import print_document, progress, table
    from fusequote.cli.settings import current
    from fusequote.verdict import ResultDocument

    try:
        from fusequote_boards.pnr import ENGINES, FAMILIES, engine_class, place
    except ModuleNotFoundError as missing:
        raise EnvironmentProblem(
            f"placing needs {missing.name}", hint="pip install 'fusequote[fpga]'") from missing

    for what, given, known in (("engine", engine, ENGINES), ("family", family, FAMILIES)):
        for name in given or ():
            if name not in known:
                raise UsageError(f"there is no {what} {name!r}", hint=f"one of {', '.join(known)}")
    document = None if write is None else MarkedDocument(write, "area")
    rows, facts = [], {}
    wanted = [(e, f) for e in engine or ENGINES for f in family or FAMILIES]
    settings = current()
    for name, where in wanted:
        with progress(f"placing {name} on {where}", settings):
            got = place(engine_class(name), family=where, seeds=seeds, folder=build_dir / f"{name}-{where}")
        rows.append((name, where, str(got.lut4), str(got.ff), str(got.ebr), str(got.dsp), str(got.cells),
                     f"{got.median_fmax:.1f}", " ".join(f"{mhz:.1f}" for mhz in got.fmax)))
        facts |= {f"{name}, {where}: LUT4": got.lut4, f"{name}, {where}: cells": got.cells,
                  f"{name}, {where}: fmax, kHz": round(1000 * got.median_fmax)}
    if document is not None:
        lines = [HEAD, ("---", "---", *("---:",) * 7), *rows]
        document.put("\n".join("| " + " | ".join(line) + " |" for line in lines))
    if settings.json:
        print_document(ResultDocument("bench area", facts).to_json())
        return 0
    table("engines placed alone", HEAD, rows, right=range(2, 9))
    return 0
