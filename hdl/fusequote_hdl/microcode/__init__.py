"""The program of the block: boot, link rules, leaves. One file for each family, in the order of the manual's chapters.

:func:`assemble` puts them together. docs/chip.md lists, leaf by leaf, the checks in the order in which they stand here.
"""

from __future__ import annotations

from ..engines.entropy import ENTROPY_BYTES
from . import boot, building, dispatch, entry, fusing, keys, launch, proof, status
from .asm import Assembler, Program

__all__ = ["Assembler", "Program", "assemble"]

#: What a boot takes of a simulated source (docs/link.md, section 4).
SIMULATED_ENTROPY_BYTES = 32


def assemble(*, hardware_entropy: bool = False) -> Program:
    """Assemble the whole program.

    Parameters
    ----------
    hardware_entropy : bool
        Sets the capability bit that says so, and takes as many bytes at boot as a ring oscillator needs.
    """
    asm = Assembler(status.ENDS)
    asm.leaf("start")
    asm.jump("boot")
    status.emit(asm)
    boot.emit(asm, entropy_bytes=ENTROPY_BYTES if hardware_entropy else SIMULATED_ENTROPY_BYTES)
    dispatch.emit(asm, hardware_entropy=hardware_entropy)
    fusing.emit(asm)
    building.emit(asm)
    launch.emit(asm)
    entry.emit(asm)
    proof.emit(asm)
    keys.emit(asm)
    return asm.program()
