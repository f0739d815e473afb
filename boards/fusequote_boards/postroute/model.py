"""From a finished build and a bitstream to a program that simulates what would be flashed.

A bitstream is of a build when packing the build with the bitstream's fuses gives it again, byte for byte. It is turned
back into text by the family's own tool; the look-up tables and block RAMs in there, at the places where nextpnr put the
cells, are what is simulated. The program does not have a chip's fuses in it: it gets them when it is started
(:class:`Contents`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fusequote.errors import EnvironmentProblem, FormatError, UsageError
from fusequote_sim.toolchain import Recipe, Toolchain

from ..board import Board
from ..build import Built, kept, pack, unpack
from ..flash import check_bitstream
from ..personalize import FUSE_BYTES
from ..tools import Tools
from .bitstream import TEXTS, Asc, Config
from .netlist import Unmodelled, load
from .verilog import Contents, Placed, pin_port

__all__ = ["Model", "prepare"]

_HERE = Path(__file__).parent
_CELLS = _HERE.parent / "cells"
_RX, _TX = "uart_0__rx__io", "uart_0__tx__io"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Model:
    """A program that simulates a placed design, and what one bitstream adds to it. ``hz``, ``baud``: of the build."""

    program: Path
    contents: Contents
    ram_bytes: int
    hz: int
    baud: int


def prepare(board: Board, builds: Path, bitstream: Path | None = None, *, on_progress: Progress | None = None) -> Model:
    """The simulation of a bitstream: the file, or the board's last build (blank fuses) when there is none.

    ``builds`` is where builds are kept: the netlist comes from there. The program is made when it is not there yet, in
    about a minute.

    Raises :class:`UsageError` for a bitstream of no build that is there, :class:`Unmodelled` for what the cell library
    does not have, :class:`EnvironmentProblem` and :class:`fusequote_sim.toolchain.BuildError` for tools that are
    missing or fail, and what :func:`fusequote_boards.flash.check_bitstream` raises.
    """
    say = on_progress or (lambda line: None)
    built, text = _find(board, builds, bitstream)
    placed = Placed(load(built.folder / "routed.json"), board.family)
    _check_clock(placed, board, built)
    contents = placed.contents(text)
    ram_bytes = placed.family.ram_bits // 8
    toolchain = Toolchain(_recipe(placed, ram_bytes))
    # Of the design's own text, with blank fuses: a program has no chip's fuses in it.
    own = TEXTS[board.family](built.text.read_text("utf-8"))
    source = (_CELLS / placed.family.library).read_text("utf-8") + placed.verilog(own)
    key = hashlib.sha256(f"{source}\n{toolchain.identity()}".encode()).hexdigest()[:16]
    program = built.folder.absolute() / f"postroute-{key}"
    if not program.exists():
        _make(toolchain, source, program, say)
    return Model(program, contents, ram_bytes, built.report.hz, built.report.baud)


def _find(board: Board, builds: Path, bitstream: Path | None) -> tuple[Built, Asc | Config]:
    """The build that a bitstream was made of, and what the bitstream says."""
    found = kept(board, builds)
    if bitstream is None:
        if not found:
            raise UsageError(f"there is no build of {board.name} in {builds}",
                             hint=f"`fusequote build {board.name}` makes one")
        bitstream = found[0].bitstream
        found = found[:1]
    check_bitstream(board, bitstream)
    wanted = bitstream.read_bytes()
    tools = Tools(board.family)
    with tempfile.TemporaryDirectory(prefix="fusequote-") as folder:  # mode 0700: there are keys in these files
        copy, text = Path(folder) / "flashed.bin", Path(folder) / "flashed.txt"
        copy.write_bytes(wanted)
        unpack(board.family, copy, text, tools)
        flashed = TEXTS[board.family](text.read_text("utf-8"))
        for built in found:
            if _again(built, flashed, Path(folder), tools) == wanted:
                return built, flashed
    raise UsageError(f"{bitstream} is of no build that is kept in {builds}",
                     hint="give the folder of its build: the netlist is there")


def _again(built: Built, flashed: Asc | Config, folder: Path, tools: Tools) -> bytes:
    """The bitstream of a build with the fuses of another bitstream: the same bytes when that is of this build."""
    fuse_map, text = built.fuse_map(), built.fuse_text()
    try:
        fuse_map.write(text, fuse_map.read(flashed)[:FUSE_BYTES])
    except FormatError:
        return b""
    source, packed = folder / "again.txt", folder / "again.bin"
    source.write_text(text.text(), "utf-8")
    pack(fuse_map.family, source, packed, tools)
    return packed.read_bytes()


def _check_clock(placed: Placed, board: Board, built: Built) -> None:
    """The rate that the PLL's parameters make of the board's oscillator is the block's."""
    rates = [placed.family.pll_rate(cell, board.oscillator_hz) for cell in placed.netlist.of_kind(placed.family.pll)]
    if (rates or [board.oscillator_hz]) != [built.report.hz]:
        raise Unmodelled(f"the PLL does not make {built.report.hz:,} Hz of {board.oscillator_hz:,} Hz")


def _recipe(placed: Placed, ram_bytes: int) -> Recipe:
    return Recipe(
        clocked=False,
        verilator=("--prefix", "Vchip", "-Wno-PINMISSING"),
        cxx=("-DVL_TIME_CONTEXT", "-DVM_TRACE=0", f"-DFUSEQUOTE_RX={pin_port(_RX)}", f"-DFUSEQUOTE_TX={pin_port(_TX)}",
             f"-DFUSEQUOTE_RAM_BYTES={ram_bytes}", f"-DFUSEQUOTE_NOISE_MASK={(1 << len(placed.rings)) - 1}u"),
        harness=(_HERE / "harness.cpp",),
        headers=(_HERE / "serial_line.h",),
    )


def _make(toolchain: Toolchain, source: str, program: Path, say: Progress) -> None:
    try:
        with tempfile.TemporaryDirectory(dir=program.parent, prefix="unfinished-") as folder:
            work = Path(folder)
            (work / "chip.v").write_text(source, "utf-8")
            say("building the post-route simulation: Verilog to C++")
            toolchain.verilate(work / "chip.v", work / "obj")
            say("building the post-route simulation: C++ to a program")
            toolchain.compile(work / "obj", work / "chip")
            shutil.copyfile(work / "chip.v", program.with_name(f"{program.name}.v"))
            os.replace(work / "chip", program)
    except OSError as error:
        raise EnvironmentProblem(f"cannot build in {program.parent}: {error.strerror or error}",
                                 hint="check permissions and free space") from error
