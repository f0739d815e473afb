"""What the leaves say of slots: attribute bits, states, and checks of a few bytes."""

from __future__ import annotations

from ..isa import Dst, Fn, Src
from . import map as at
from .asm import Assembler

__all__ = [
    "CET", "DEBUG", "EINITTOKEN_KEY", "KSS", "LINADDR", "MODE64BIT", "PROVISIONKEY", "masked", "need_building",
    "need_initialised", "unless_bits",
]

# Bits of byte 0 of ATTRIBUTES.FLAGS.
DEBUG, MODE64BIT, PROVISIONKEY, EINITTOKEN_KEY, CET, KSS = 0x02, 0x04, 0x10, 0x20, 0x40, 0x80

# The request of a command that names an address in an enclave.
LINADDR = at.BODY + at.HANDLE_BYTES


def need_building(asm: Assembler) -> None:
    """#GP unless the slot is being built."""
    asm.check_byte(at.STATE, at.BUILDING)
    asm.unless_zero("fail_gp")


def need_initialised(asm: Assembler) -> None:
    """#GP unless the slot went through EINIT."""
    asm.check_byte(at.STATE, at.INITIALISED)
    asm.unless_zero("fail_gp")


def unless_bits(asm: Assembler, address: int, bits: int, then) -> None:
    """Run ``then`` only if memory has none of ``bits``. Flags must be fresh; they are afterwards."""
    skip = asm.fresh("skip")
    asm.check_bits(address, bits)
    asm.unless_zero(skip)
    then()
    asm.label(skip)


def masked(asm: Assembler, dst: int, src: int, mask: int) -> None:
    """one byte: dst := src & mask."""
    asm.a(src)
    asm.d(dst)
    asm.vec(Fn.AND, Src.IMM, Dst.MEM, 1, mask)
