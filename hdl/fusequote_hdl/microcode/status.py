"""How commands end: the status words of docs/link.md 2.2, and the byte that stands for each in a TRAP instruction.

The upper two bits of the byte are those of the status, the lower six its low byte. Codes 0x40 and 0x80, where the lower
six are 0, stand for themselves, and the only code of Intel's above 0xFF has a byte of its own.
"""

from __future__ import annotations

from ..isa import Control, Dst, Fn, Port, Src
from . import map as at
from .asm import Assembler

__all__ = ["ENDS", "STATUS", "emit"]

#: What a leaf says -> status.
STATUS = {
    "sig_struct": 0x0001, "attribute": 0x0002, "measurement": 0x0004, "signature": 0x0008, "enclave_act": 0x000E,
    "einittoken": 0x0010, "cpusvn": 0x0020, "isvsvn": 0x0040, "event": 0x0080, "keyname": 0x0100,
    "unknown_command": 0x4001, "bad_length": 0x4002, "life_cycle": 0x4011, "no_slot": 0x4012, "no_tcs": 0x4013,
    "boot": 0x4014, "no_generation": 0x4015, "entry_proof": 0x4016, "gp": 0x800D, "pf": 0x800E,
}
_KEYNAME = 0xC0 | 0x3F


def _code(status: int) -> int:
    if status == STATUS["keyname"]:
        return _KEYNAME
    if status & 0xFF == status:
        return status
    return status >> 8 | status & 0x3F


#: Label that ends a command -> immediate of the TRAP. "answer_empty" is success with nothing to say.
ENDS = {"answer_empty": 0, **{f"fail_{name}": _code(status) for name, status in STATUS.items()}}


def emit(asm: Assembler) -> None:
    """What stands at TRAP_VECTOR: the status of X, then an answer without a body."""
    asm.leaf("trap")
    asm.take(at.OUT_STATUS, Port.X, 1)
    asm.flags()
    asm.check_bits(at.OUT_STATUS, 0x3F)
    asm.if_zero("answer_header")
    asm.a(at.OUT_STATUS)
    asm.d(at.OUT_STATUS + 1)
    asm.vec(Fn.AND, Src.IMM, Dst.MEM, 1, 0xC0)
    asm.a(at.OUT_STATUS)
    asm.d(at.OUT_STATUS)
    asm.vec(Fn.AND, Src.IMM, Dst.MEM, 1, 0x3F)
    asm.flags()
    asm.control(Control.CMPX, _KEYNAME)
    asm.unless_zero("answer_header")
    asm.literal(at.OUT_STATUS, STATUS["keyname"].to_bytes(2, "little"))
    asm.jump("answer_header")
