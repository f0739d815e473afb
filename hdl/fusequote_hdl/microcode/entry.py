"""EENTER, EEXIT, AEX, ERESUME, and how tickets and TCSs are found (docs/chip.md, section 4; notes 8)."""

from __future__ import annotations

from ..isa import Cond, Control, Dst, Fn, Port, Src
from . import map as at
from .asm import Assembler
from .fusing import need_length, need_ready
from .proof import PROOF_BYTES
from .slots import need_initialised

__all__ = ["emit"]

TCS_ADDRESS = at.BODY + at.HANDLE_BYTES
#: NSSA, CSSA of the TCS, then OENTRY
NSSA, CSSA, OENTRY = at.TEMP, at.TEMP + 4, at.TEMP + 8


def field(asm: Assembler, pointer: str, offset: int) -> None:
    """Pointer := a field of the record of TCS X."""
    {"a": asm.a, "b": asm.b, "d": asm.d}[pointer](at.TCS + offset)
    asm.index(pointer)


def check_state(asm: Assembler, state: int) -> None:
    """Z falls unless TCS X is in this state."""
    field(asm, "a", at.TCS_STATE)
    asm.check_byte(None, state)


def begin(asm: Assembler, name: str, *, entering: bool) -> None:
    """Length, life cycle, handle, state, TCS: the same for EENTER, AEX and ERESUME; with a proof or not."""
    asm.leaf(name)
    if entering:
        plain = asm.fresh("plain")
        asm.need_length(2 + at.HANDLE_BYTES + 8)
        asm.if_zero(plain)
        need_length(asm, at.HANDLE_BYTES + 8 + PROOF_BYTES)
        asm.label(plain)
    else:
        need_length(asm, at.HANDLE_BYTES + 8)
    asm.call("find_slot")
    need_initialised(asm)
    if entering:
        asm.call("entry_form")
    asm.call("find_tcs")


def add_cssa(asm: Assembler, fn: Fn) -> None:
    """CSSA + 1 or - 1."""
    asm.flags(1)
    field(asm, "a", at.TCS_CSSA)
    field(asm, "d", at.TCS_CSSA)
    asm.vec(fn, Src.IMM, Dst.MEM, 4, 0)


def emit(asm: Assembler) -> None:
    """The leaves of entering and leaving."""
    begin(asm, "EENTER", entering=True)
    check_state(asm, at.TCS_ACTIVE)
    asm.if_zero("fail_gp")
    asm.call("tcs_counters")
    asm.flags()
    asm.compare(CSSA, NSSA, 4)
    asm.branch(Cond.NC, "fail_gp")
    asm.call("check_proof")
    asm.jump("enter")

    begin(asm, "ERESUME", entering=True)
    check_state(asm, at.TCS_ACTIVE)
    asm.if_zero("fail_gp")
    asm.call("tcs_counters")
    asm.flags()
    asm.check_zero(CSSA, 4)
    asm.if_zero("fail_gp")
    asm.call("check_proof")
    add_cssa(asm, Fn.SUB)
    asm.call("tcs_counters")

    asm.label("enter")
    asm.call("commit_proof")
    asm.call("random")
    field(asm, "d", at.TCS_STATE)
    asm.fill(None, 1, at.TCS_ACTIVE)
    field(asm, "d", at.TCS_TICKET)
    asm.copy(None, at.RANDOM, at.TICKET_BYTES)
    asm.copy(at.OUT_BODY, at.RANDOM, at.TICKET_BYTES)
    asm.copy(None, CSSA, 4)
    asm.flags()
    asm.combine(Fn.ADD, at.OUT_BODY + 20, OENTRY, at.SECS_BASEADDR, 8)
    asm.set_n(4 + 28)
    asm.jump("answer")

    begin(asm, "AEX", entering=False)
    check_state(asm, at.TCS_ACTIVE)
    asm.unless_zero("fail_gp")
    add_cssa(asm, Fn.ADD)
    asm.jump("leave")

    asm.leaf("EEXIT")
    asm.set_n(2 + at.TICKET_BYTES)
    asm.call("begin_ticketed")
    asm.label("leave")
    field(asm, "d", at.TCS_STATE)
    asm.fill(None, 1, at.TCS_INACTIVE)
    field(asm, "d", at.TCS_TICKET)
    asm.fill(None, at.TICKET_BYTES)
    asm.jump("answer_empty")

    # TEMP := NSSA, CSSA, OENTRY of TCS X
    asm.label("tcs_counters")
    field(asm, "b", at.TCS_NSSA)
    asm.copy(NSSA, None, 8)
    field(asm, "b", at.TCS_OENTRY)
    asm.copy(OENTRY, None, 8)
    asm.ret()

    # X := the first TCS at the address in the request, or the command ends with #PF.
    asm.label("find_tcs")
    asm.control(Control.SETX, 0)
    asm.label("next_tcs")
    following = asm.fresh("other_tcs")
    check_state(asm, at.TCS_NONE)
    asm.if_zero(following)
    field(asm, "a", at.TCS_LINADDR)
    asm.check_equal(None, TCS_ADDRESS, 8)
    asm.if_zero("found_tcs")
    asm.label(following)
    asm.control(Control.INCX)
    asm.control(Control.CMPX, at.TCS_PER_SLOT)
    asm.unless_zero("next_tcs")
    asm.jump("fail_pf")
    asm.label("found_tcs")
    asm.ret()

    # S and X := slot and TCS of the entry whose ticket the request carries, or the command ends: life cycle, #GP.
    # All entries are compared, all bytes of each, wherever the match is.
    asm.label("find_ticket")
    need_ready(asm)
    asm.control(Control.SETS, 0)
    asm.label("ticket_slot")
    asm.control(Control.SETX, 0)
    asm.label("ticket_tcs")
    other = asm.fresh("other_ticket")
    check_state(asm, at.TCS_ACTIVE)
    field(asm, "a", at.TCS_TICKET)
    asm.check_equal(None, at.BODY, at.TICKET_BYTES)
    asm.unless_zero(other)
    asm.take(at.FOUND_SLOT, Port.S, 1)
    asm.take(at.FOUND_TCS, Port.X, 1)
    asm.fill(at.FOUND, 1, 1)
    asm.flags()
    asm.label(other)
    asm.control(Control.INCX)
    asm.control(Control.CMPX, at.TCS_PER_SLOT)
    asm.unless_zero("ticket_tcs")
    asm.control(Control.INCS)
    asm.control(Control.CMPS, 0)
    asm.unless_zero("ticket_slot")
    asm.check_zero(at.FOUND, 1)
    asm.if_zero("fail_gp")
    asm.get(Dst.S, at.FOUND_SLOT)
    asm.get(Dst.X, at.FOUND_TCS)
    asm.flags()
    asm.ret()
