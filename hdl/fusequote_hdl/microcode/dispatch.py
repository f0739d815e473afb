"""The rules of the link (docs/link.md, section 2): sequence numbers, dispatch, answers; and the unnumbered commands."""

from __future__ import annotations

from ..isa import Cond, Control, Dst, Fn, Port, Src, Unit
from . import map as at
from .asm import Assembler

__all__ = ["NUMBERED", "UNNUMBERED", "emit"]

UNNUMBERED = {0x01: "IDENTIFY", 0x02: "CYCLES", 0x03: "RESET", 0x04: "EVENT"}
NUMBERED = {
    0x10: "FUSE_STATUS", 0x11: "FUSE_MANUFACTURE", 0x12: "FUSE_LOCK", 0x13: "FUSE_RAISE_SVN",
    0x14: "SET_LEPUBKEYHASH", 0x15: "SET_OWNEREPOCH", 0x16: "SLOT_INFO", 0x17: "FUSE_SCRAP",
    0x20: "ECREATE", 0x21: "EADD", 0x22: "EEXTEND", 0x23: "EINIT", 0x24: "EREMOVE", 0x25: "EENTER",
    0x26: "EEXIT", 0x27: "EREPORT", 0x28: "EGETKEY", 0x29: "AEX", 0x2A: "ERESUME", 0x2B: "ECHALLENGE",
    0x30: "VERIFYREPORT",
}
LINK_UNKNOWN_COMMAND, LINK_BAD_LENGTH = 0x4001, 0x4002
LINK_BAD_FRAME, LINK_TOO_LONG, LINK_OUT_OF_SEQUENCE, LINK_ANSWER_GONE = 0x4003, 0x4004, 0x4005, 0x4006
MAGIC = b"FQ-EMUL\0"
CAPABILITY_SIGNATURE_ENFORCED = 1 << 0
CAPABILITY_HARDWARE_ENTROPY = 1 << 1
CAPABILITY_SIGNED_ENTRY = 1 << 2
CAPABILITY_LEPUBKEYHASH_LOCKED = 1 << 4


def emit(asm: Assembler, *, hardware_entropy: bool, profile: int) -> None:
    """The main loop, the endings of commands, and the unnumbered commands."""
    _main(asm)
    _endings(asm)
    _identify(asm, hardware_entropy, profile)

    asm.leaf("CYCLES")
    asm.need_length(2)
    asm.unless_zero("side_bad_length")
    asm.take(at.SIDE + 4, Port.CYCLES, 4)
    asm.set_n(4 + 4)
    asm.jump("send_side")

    # It does its work by waiting: EINIT looks for it.
    asm.leaf("EVENT")
    asm.need_length(2)
    asm.unless_zero("side_bad_length")
    asm.jump("send_side_status")

    asm.leaf("RESET")
    asm.need_length(2)
    asm.unless_zero("side_bad_length")
    asm.set_n(4)
    asm.send(Dst.TX_LAST, at.SIDE, 0)
    asm.call("wipe_request")
    asm.unit(Unit.REBOOT)


def _main(asm: Assembler) -> None:
    asm.leaf("main")
    asm.control(Control.WAIT)
    asm.branch(Cond.BAD, "nak_bad")
    asm.branch(Cond.LONG, "nak_long")
    asm.check_bits(at.OP, 0xF0)
    asm.if_zero("unnumbered")

    # Sequence: a repeat, the next one, or neither.
    asm.check_zero(at.SEQ, 1)
    asm.if_zero("out_of_sequence")
    asm.check_equal(at.SEQ, at.LAST_SEQ, 1)
    asm.if_zero("repeat")
    asm.flags(1)
    asm.a(at.LAST_SEQ)
    asm.d(at.TEMP)
    asm.vec(Fn.ADD, Src.IMM, Dst.MEM, 1, 0)
    in_range = asm.fresh("seq")
    asm.unless_zero(in_range)
    asm.fill(at.TEMP, 1, 1)
    asm.label(in_range)
    asm.flags()
    asm.check_equal(at.SEQ, at.TEMP, 1)
    asm.unless_zero("out_of_sequence")

    asm.unit(Unit.CYCLES_START)
    asm.copy(at.LAST_SEQ, at.SEQ, 1)
    asm.fill(at.OUT, at.OUT_BYTES)
    asm.a(at.OP)
    asm.d(at.OUT)
    asm.vec(Fn.OR, Src.IMM, Dst.MEM, 1, at.OP_ANSWER)
    asm.copy(None, at.SEQ, 1)
    asm.flags()
    asm.check_zero(at.BOOT_FAILED, 1)
    asm.unless_zero("fail_boot")
    _by_op(asm, NUMBERED)
    asm.jump("fail_unknown_command")

    asm.leaf("unnumbered")
    asm.call("side_header")
    _by_op(asm, UNNUMBERED)
    asm.literal(at.SIDE + 2, LINK_UNKNOWN_COMMAND.to_bytes(2, "little"))
    asm.jump("send_side_status")

    asm.label("repeat")
    asm.call("side_header")
    asm.check_zero(at.KEPT_LENGTH, 2)
    asm.if_zero("answer_gone")
    asm.get(Dst.N_LOW, at.KEPT_LENGTH)
    asm.get(Dst.N_HIGH, None)
    asm.send(Dst.TX_LAST, at.OUT, 0)
    asm.call("wipe_request")
    asm.jump("main")

    asm.label("answer_gone")
    asm.literal(at.SIDE + 2, LINK_ANSWER_GONE.to_bytes(2, "little"))
    asm.jump("send_side_status")

    asm.label("out_of_sequence")
    asm.call("side_header")
    asm.literal(at.SIDE + 2, LINK_OUT_OF_SEQUENCE.to_bytes(2, "little"))
    asm.copy(None, at.LAST_SEQ, 1)
    asm.set_n(4 + 1)
    asm.jump("send_side")

    for label, status in (("nak_bad", LINK_BAD_FRAME), ("nak_long", LINK_TOO_LONG)):
        asm.label(label)
        asm.literal(at.SIDE, bytes([at.OP_ANSWER, 0]) + status.to_bytes(2, "little"))
        asm.set_n(4)
        asm.send(Dst.TX_LAST, at.SIDE, 0)
        asm.set_n(at.BANK_WIPE)
        asm.fill(at.REQUEST, 0)
        asm.flags()
        asm.jump("main")


def _by_op(asm: Assembler, leaves: dict[int, str]) -> None:
    """On to the leaf of the request's op. Flags are fresh."""
    asm.get(Dst.X, at.OP)
    asm.flags()
    for op, name in leaves.items():
        asm.control(Control.CMPX, op)
        asm.if_zero(name)


def _endings(asm: Assembler) -> None:
    asm.leaf("endings")
    # A command ends here: N bytes of OUT, header and all, are the answer.
    asm.label("answer")
    asm.take(at.KEPT_LENGTH, Port.N, 2)
    asm.b(at.OUT)
    # Or here, when its last N bytes, at B, are all that has not been sent yet.
    asm.label("answer_rest")
    asm.unit(Unit.CYCLES_STOP)
    asm.send(Dst.TX_LAST, None, 0)
    asm.label("wipe")
    asm.call("wipe_request")
    asm.fill(at.SCRATCH, at.SCRATCH_BYTES)
    asm.unit(Unit.CMAC_CLEAR)
    asm.unit(Unit.SHA_CLEAR)
    asm.unit(Unit.RSA_CLEAR)
    asm.jump("main")

    # The same for an answer that nothing may keep.
    asm.label("answer_once")
    asm.unit(Unit.CYCLES_STOP)
    asm.send(Dst.TX_LAST, at.OUT, 0)
    asm.fill(at.OUT, at.OUT_BYTES)
    asm.fill(at.KEPT_LENGTH, 2)
    asm.jump("wipe")

    asm.label("answer_header")
    asm.set_n(4)
    asm.jump("answer")

    # The rest is for answers beside the kept one.
    asm.label("side_header")
    asm.fill(at.SIDE, at.SIDE_BYTES)
    asm.a(at.OP)
    asm.d(at.SIDE)
    asm.vec(Fn.OR, Src.IMM, Dst.MEM, 1, at.OP_ANSWER)
    asm.copy(None, at.SEQ, 1)
    asm.flags()
    asm.ret()

    asm.label("side_bad_length")
    asm.literal(at.SIDE + 2, LINK_BAD_LENGTH.to_bytes(2, "little"))
    asm.label("send_side_status")
    asm.set_n(4)
    asm.label("send_side")
    asm.send(Dst.TX_LAST, at.SIDE, 0)
    asm.call("wipe_request")
    asm.jump("main")

    asm.label("wipe_request")
    asm.control(Control.NLEN)
    asm.fill(at.REQUEST, 0)
    asm.flags()
    asm.ret()


def _identify(asm: Assembler, hardware_entropy: bool, profile: int) -> None:
    capabilities = CAPABILITY_SIGNATURE_ENFORCED | CAPABILITY_SIGNED_ENTRY
    capabilities |= CAPABILITY_HARDWARE_ENTROPY if hardware_entropy else 0
    asm.leaf("IDENTIFY")
    asm.need_length(2)
    asm.unless_zero("side_bad_length")
    asm.control(Control.FUSEL, 2)
    asm.take(at.TEMP, Port.FUSE, 1)
    asm.literal(at.SIDE + 4, MAGIC + at.LINK_VERSION.to_bytes(2, "little") + at.BLOCK_VERSION.to_bytes(2, "little"))
    asm.flags()
    asm.check_bits(at.TEMP, at.OPTION_LEPUBKEYHASH_LOCKED)
    locked, done = asm.fresh("locked"), asm.fresh("capabilities")
    asm.unless_zero(locked)
    asm.literal(None, capabilities.to_bytes(4, "little"))
    asm.jump(done)
    asm.label(locked)
    asm.literal(None, (capabilities | CAPABILITY_LEPUBKEYHASH_LOCKED).to_bytes(4, "little"))
    asm.label(done)
    asm.literal(None, bytes([profile, at.SLOTS, at.TCS_PER_SLOT, at.WINDOW])
                + at.MAX_CONTENTS.to_bytes(2, "little"))
    asm.call("life_code")
    asm.copy(at.SIDE + 4 + 22, at.TEMP, 1)
    asm.copy(None, at.LAST_SEQ, 1)
    asm.control(Control.FUSEL, 0x10)
    asm.take(None, Port.FUSE, 16)
    asm.call("current_svn")
    asm.copy(at.SIDE + 4 + 40, at.SVN_NOW, 16)
    asm.copy(None, at.READY, 1)
    asm.take(None, Port.CAUSE, 1)
    asm.set_n(4 + 64)
    asm.jump("send_side")

    # TEMP := life cycle as the link counts it, from the fuse itself. A value that does not exist counts as scrapped.
    asm.label("life_code")
    asm.control(Control.FUSEL, 0)
    asm.take(at.TEMP, Port.FUSE, 1)
    asm.flags()
    for code, value in enumerate((at.LIFE_BLANK, at.LIFE_MANUFACTURED, at.LIFE_LOCKED)):
        asm.check_byte(at.TEMP, value)
        asm.if_zero(f"life_{code}")
    asm.fill(at.TEMP, 1, 3)
    asm.flags()
    asm.ret()
    for code in range(3):
        asm.label(f"life_{code}")
        asm.fill(at.TEMP, 1, code)
        asm.flags()
        asm.ret()
