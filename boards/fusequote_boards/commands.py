"""`fusequote boards`, `fusequote build`, `fusequote flash`: bitstreams for boards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fusequote_boards.build import Report, Watch

__all__ = ["boards", "build", "build_folder", "flash"]

BuildDir = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Where builds are kept. Default: in the home folder's cache.")]
Clock = Annotated[float | None, typer.Option(metavar="MHZ", help="Another clock for the block.")]
Baud = Annotated[int | None, typer.Option(metavar="RATE", help="Another rate of the link.")]
Seed = Annotated[int | None, typer.Option(min=1, help="Another seed of the placement.")]
Native = Annotated[bool, typer.Option("--native", help="The system's yosys and nextpnr instead of the wheels.")]

HEAD = ("board", "device", "cells free", "RAM free", "MHz", "Mbaud", "EUR")


def build_folder(given: Path | None) -> Path:
    """Where builds are: as given, or in the home folder's cache."""
    from fusequote.cli.settings import current

    return given if given is not None else current().home.cache / "boards"


def _free(report: Report, name: str) -> str:
    used, available = report.used[name], report.available[name]
    return f"{available - used:,} of {available:,}"


def boards(build_dir: BuildDir = None) -> int:
    """List the boards: size, clock, link, price, and what the block leaves free on those that were built here."""
    from fusequote.cli.output import print_document, stderr, stdout
    from fusequote.cli.settings import current
    from fusequote.verdict import ResultDocument

    from fusequote_boards.board import boards as known
    from fusequote_boards.build import latest

    folder = build_folder(build_dir)
    rows, facts, unbuilt = [], {}, []
    for board in known().values():
        report = latest(board, folder)
        if report is None:
            unbuilt.append(board.name)
        rows.append((board.name, board.device, *((_free(report, "cells"), _free(report, "ram")) if report else "--"),
                     f"{(report.hz if report else board.core_hz) / 1e6:g}",
                     f"{(report.baud if report else board.baud) / 1e6:g}", board.price))
        facts |= {f"{board.name}.device": board.device, f"{board.name}.clock_hz": board.core_hz,
                  f"{board.name}.baud": board.baud, f"{board.name}.bridge": board.bridge,
                  f"{board.name}.price_eur": board.price, f"{board.name}.bitstream_secret": board.secret}
        if board.wiring:
            facts[f"{board.name}.wiring"] = board.wiring
        if report is not None:
            facts |= {f"{board.name}.{name}_free": report.available[name] - report.used[name] for name in report.used}
            facts |= {f"{board.name}.fmax_khz": round(1000 * report.fmax_mhz)}
    notes = (f"not built here yet: {', '.join(unbuilt)} (`fusequote build BOARD`)",) if unbuilt else ()
    if current().json:
        print_document(ResultDocument("boards", facts, notes=notes).to_json())
        return 0
    widths = [max(len(row[i]) for row in (HEAD, *rows)) for i in range(len(HEAD))]
    for row in (HEAD, *rows):
        cells = (cell.ljust(width) if i < 2 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths, strict=True)))
        stdout().print("  ".join(cells))
    for note in notes:
        stderr().print(note)
    return 0


def build(
    name: Annotated[str, typer.Argument(metavar="BOARD", help="As `fusequote boards` lists it.")],
    clock: Clock = None, baud: Baud = None, seed: Seed = None, native: Native = False,
    again: Annotated[bool, typer.Option("--again", help="Build even when it is there already.")] = False,
    allow_slow: Annotated[
        bool, typer.Option("--allow-slow", help="Accept less than 10 % to spare at the clock.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Copy the bitstream there.")] = None,
    build_dir: BuildDir = None,
) -> int:
    """Build a board's bitstream, with blank fuses, from source; some minutes the first time.

    Tools are those of the extra `fpga`. The same sources and tools give the same bytes on every machine.
    """
    from fusequote.cli.output import show_result
    from fusequote.cli.settings import current
    from fusequote.verdict import ResultDocument

    from fusequote_boards.board import board
    from fusequote_boards.build import build as run

    settings = current()
    target = board(name).target(hz=None if clock is None else round(clock * 1e6), baud=baud, seed=seed)
    with watching(settings) as watch:
        built = run(target, build_folder(build_dir), native=native, again=again, allow_slow=allow_slow, watch=watch)
    if out is not None:
        out.write_bytes(built.bitstream.read_bytes())
    report = built.report
    facts: dict[str, Any] = {
        "board": report.board, "bitstream": str(out or built.bitstream), "sha256": report.sha256,
        "cached": built.cached, "clock_hz": report.hz, "baud": report.baud, "seed": report.seed, "luts": report.luts}
    for cell, used in report.used.items():
        facts |= {cell: used, f"{cell}_available": report.available[cell],
                  f"{cell}_percent": round(100 * used / report.available[cell])}
    facts |= {"fmax_khz": round(1000 * report.fmax_mhz), "worst_slack_ps": round(1000 * report.worst_slack_ns),
              "to_spare_percent": round(100 * report.margin)}
    facts |= {f"tool_{tool}": version for tool, version in report.tools.items()}
    return show_result(ResultDocument("build", facts), settings)


def flash(
    name: Annotated[str, typer.Argument(metavar="BOARD", help="As `fusequote boards` lists it.")],
    bitstream: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: the last build of this board, with blank fuses.")
    ] = None,
    volatile: Annotated[
        bool, typer.Option("--volatile", help="Into the FPGA only: gone at power-off.")] = False,
    port: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="Which of several, by its serial line.")] = None,
    build_dir: BuildDir = None,
) -> int:
    """Write a bitstream to a board, after checking that what answers is that board."""
    from fusequote.cli.output import show_result, stderr
    from fusequote.cli.settings import current
    from fusequote.errors import UsageError
    from fusequote.verdict import ResultDocument

    from fusequote_boards import usb
    from fusequote_boards.board import board
    from fusequote_boards.build import bitstream_name, latest
    from fusequote_boards.flash import check_bitstream, loader
    from fusequote_boards.flash import flash as write

    settings = current()
    chosen = board(name)
    if bitstream is None:
        folder = build_folder(build_dir)
        report = latest(chosen, folder)
        if report is None:
            raise UsageError(f"there is no build of {name}", hint=f"`fusequote build {name}` makes one")
        bitstream = folder / name / report.key[:16] / bitstream_name(chosen.family)
    check_bitstream(chosen, bitstream)
    tool = loader()
    plugged = None
    if chosen.usb:
        plugged = usb.one(chosen, [each for each in usb.find() if port is None or each.port == port])
    if chosen.loader.first and not settings.json:
        stderr().print(f"note: {chosen.loader.first}", style="dim")
    write(chosen, bitstream, plugged, tool, volatile=volatile,
          said=None if settings.json else lambda line: stderr().print(line, style="dim"))
    facts: dict[str, Any] = {"board": name, "bitstream": str(bitstream), "volatile": volatile,
                             "baud": chosen.baud}
    if plugged is not None:
        facts["port"] = plugged.port
    return show_result(ResultDocument("flash", facts), settings)


@contextlib.contextmanager
def watching(settings: Any) -> Iterator[Watch]:
    """What a build is at, on stderr: a line that changes on a terminal, else a line a step."""
    from fusequote.cli.output import stderr

    if settings.json:
        yield lambda step, seconds, line: None
        return
    console = stderr()
    if not console.is_terminal:
        seen: set[str] = set()

        def tell(step: str, seconds: float, line: str) -> None:
            if step not in seen:
                seen.add(step)
                console.print(step)

        yield tell
        return
    with console.status("build") as status:
        yield lambda step, seconds, line: status.update(f"{step}, {seconds:.0f} s  [dim]{line[:60]!r}")
