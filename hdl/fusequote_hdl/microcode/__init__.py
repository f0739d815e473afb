"""The program of the block: boot, link rules, leaves. One file for each family, in the order of the manual's chapters.

:func:`assemble` puts them together. docs/chip.md lists, leaf by leaf, the checks in the order in which they stand here.
"""

from __future__ import annotations

from . import boot, building, dispatch, entry, fusing, keys, launch
from .asm import Assembler, Program

__all__ = ["Assembler", "Program", "assemble"]


def assemble(*, hardware_entropy: bool = False) -> Program:
    """Assemble the whole program.

    Parameters
    ----------
    hardware_entropy : bool
        Sets the capability bit that says so.
    """
    asm = Assembler()
    boot.emit(asm)
    dispatch.emit(asm, hardware_entropy=hardware_entropy)
    fusing.emit(asm)
    building.emit(asm)
    launch.emit(asm)
    entry.emit(asm)
    keys.emit(asm)
    return asm.program()
