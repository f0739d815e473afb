"""How commands end: the status words of docs/link.md 2.2, and the byte that stands for each in a TRAP instruction.

The byte is the status itself for Intel's codes; link and block codes (0x40xx) have C0 added to their low byte, the two
faults are 8D and 8E, and the only code of Intel's above 0xFF has a byte of its own.
"""

from __future__ import annotations

from ..isa import Cond, Control, Dst, Fn, Port, Src
from . import map as at
from .asm import Assembler

__all__ = ["FAIL", "STATUS", "emit"]

#: What a leaf says -> status.
STATUS = {
    "sig_struct": 0x0001, "attribute": 0x0002, "measurement": 0x0004, "signature": 0x0008, "enclave_act": 0x000E,
    "einittoken": 0x0010, "cpusvn": 0x0020, "isvsvn": 0x0040, "event": 0x0080, "keyname": 0x0100,
    "unknown_command": 0x4001, "bad_length": 0x4002, "life_cycle": 0x4011, "no_slot": 0x4012, "no_tcs": 0x4013,
    "boot": 0x4014, "no_generation": 0x4015, "entry_proof": 0x4016, "gp": 0x800D, "pf": 0x800E,
}
_LINK, _FAULTS, _KEYNAME = 0xC0, (0x8D, 0x8E), 0xF0


def _code(status: int) -> int:
    if status == 0x0100:
        return _KEYNAME
    return {0x00: 0, 0x40: _LINK, 0x80: 0x80}[status >> 8] | status & 0xFF


#: Label that ends a command -> immediate of the TRAP.
FAIL = {f"fail_{name}": _code(status) for name, status in STATUS.items()}


def emit(asm: Assembler) -> None:
    """What stands at TRAP_VECTOR: the status of X, then an answer without a body."""
    asm.leaf("trap")
    asm.take(at.OUT_STATUS, Port.X, 1)
    asm.flags()
    for code in _FAULTS:
        asm.control(Control.CMPX, code)
        asm.if_zero("trap_fault")
    asm.control(Control.CMPX, _KEYNAME)
    asm.if_zero("trap_keyname")
    asm.compare_literal(at.OUT_STATUS, bytes([_LINK]))
    asm.branch(Cond.C, "answer_empty")
    asm.a(at.OUT_STATUS)
    asm.d(at.OUT_STATUS)
    asm.vec(Fn.AND, Src.IMM, Dst.MEM, 1, 0xFF & ~_LINK)
    asm.fill(None, 1, 0x40)
    asm.jump("answer_empty")
    asm.label("trap_fault")
    asm.a(at.OUT_STATUS)
    asm.d(at.OUT_STATUS)
    asm.vec(Fn.AND, Src.IMM, Dst.MEM, 1, 0x0F)
    asm.fill(None, 1, 0x80)
    asm.jump("answer_empty")
    asm.label("trap_keyname")
    asm.literal(at.OUT_STATUS, (0x0100).to_bytes(2, "little"))
    asm.jump("answer_empty")
