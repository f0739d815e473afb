"""Fuse commands and boot-time registers (docs/chip.md, section 3)."""

from __future__ import annotations

from ..isa import Cond, Control, Dst, Fn, KeyOp, Port, Src, Unit
from . import map as at
from .asm import Assembler
from .boot import RNG_OUT, for_generations

__all__ = ["emit", "need_length", "need_ready"]

# The body of FUSE_MANUFACTURE, link.md 3.3.
RPK = at.BODY
DEVICE_ID = at.BODY + 16
CPUSVN = at.BODY + 32
SIGNERS_AND_LEPUBKEYHASH = at.BODY + 48
OPTIONS = at.BODY + 144
RESERVED = at.BODY + 145
P256 = at.BODY + 160
BODY_BYTES = 192


def need_length(asm: Assembler, body: int) -> None:
    """LINK_BAD_LENGTH unless the body has this size."""
    asm.need_length(2 + body)
    asm.unless_zero("fail_bad_length")


def need_ready(asm: Assembler) -> None:
    """BLOCK_LIFE_CYCLE unless the chip has booted as locked."""
    asm.check_byte(at.READY, 1)
    asm.unless_zero("fail_life_cycle")


def emit(asm: Assembler) -> None:
    """FUSE_*, SET_LEPUBKEYHASH, SET_OWNEREPOCH."""
    _status(asm)
    _manufacture(asm)

    asm.leaf("FUSE_LOCK")
    need_length(asm, 0)
    asm.control(Control.FUSEL, 0)
    asm.take(at.TEMP, Port.FUSE, 1)
    asm.flags()
    asm.check_byte(at.TEMP, at.LIFE_MANUFACTURED)
    asm.unless_zero("fail_life_cycle")
    asm.control(Control.FUSEL, 0)
    asm.send_fill(Dst.FUSE, 1, at.LIFE_LOCKED)
    asm.jump("answer_empty")

    _raise_svn(asm)
    _scrap(asm)

    asm.leaf("SET_LEPUBKEYHASH")
    need_length(asm, 32)
    need_ready(asm)
    asm.check_bits(at.OPTIONS, at.OPTION_LEPUBKEYHASH_LOCKED)
    asm.unless_zero("fail_gp")
    asm.copy(at.LEPUBKEYHASH, at.BODY, 32)
    asm.jump("answer_empty")

    asm.leaf("SET_OWNEREPOCH")
    need_length(asm, 16)
    need_ready(asm)
    asm.check_zero(at.OWNEREPOCH_SET, 1)
    asm.unless_zero("fail_gp")
    asm.copy(at.OWNEREPOCH, at.BODY, 16)
    asm.fill(at.OWNEREPOCH_SET, 1, 1)
    asm.jump("answer_empty")


def _status(asm: Assembler) -> None:
    asm.leaf("FUSE_STATUS")
    need_length(asm, 0)
    asm.call("life_code")
    asm.copy(at.OUT_BODY, at.TEMP, 1)
    asm.control(Control.FUSEL, 2)
    asm.take(None, Port.FUSE, 1)
    asm.control(Control.FUSEL, 3)
    asm.take(at.OUT_BODY + 3, Port.FUSE, 1)
    asm.control(Control.FUSEL, 0x10)
    asm.take(at.OUT_BODY + 16, Port.FUSE, 112)
    asm.call("current_svn")
    asm.take(at.OUT_BODY + 2, Port.X, 1)
    asm.copy(at.OUT_BODY + 128, at.SVN_NOW, 16)
    asm.set_n(4 + 144)
    asm.jump("answer")


def _manufacture(asm: Assembler) -> None:
    asm.leaf("FUSE_MANUFACTURE")
    need_length(asm, BODY_BYTES)
    asm.control(Control.FUSEL, 0)
    asm.take(at.TEMP, Port.FUSE, 1)
    asm.flags()
    asm.check_byte(at.TEMP, at.LIFE_BLANK)
    asm.unless_zero("fail_life_cycle")
    asm.check_zero(RESERVED, 15)
    asm.check_bits(OPTIONS, 0xFF & ~(at.OPTION_LEPUBKEYHASH_LOCKED | at.OPTION_P256))
    asm.unless_zero("fail_gp")
    asm.check_zero(RPK, 16)
    asm.if_zero("fail_gp")
    asm.check_zero(DEVICE_ID, 16)
    asm.if_zero("fail_gp")
    with_p256, good = asm.fresh("p256"), asm.fresh("good")
    asm.check_bits(OPTIONS, at.OPTION_P256)
    asm.unless_zero(with_p256)
    asm.check_zero(P256, 32)
    asm.if_zero(good)
    asm.jump("fail_gp")
    asm.label(with_p256)
    asm.check_zero(P256, 32)
    asm.if_zero("fail_gp")
    asm.label(good)

    # Two chips whose generators started alike part here.
    asm.key(KeyOp.SLOT_KEY, src=at.KEY_RNG)
    asm.send(Dst.CMAC, DEVICE_ID, 16)
    asm.key(KeyOp.END)
    asm.key(KeyOp.TAG_SLOT, dst=at.KEY_RNG)
    # The root sealing key goes from the generator into its fuses.
    asm.key(KeyOp.SLOT_KEY, src=at.KEY_RNG)
    asm.send_literal(Dst.CMAC, RNG_OUT)
    asm.key(KeyOp.END)
    asm.key(KeyOp.TAG_RSK)
    asm.call("random_next")

    asm.control(Control.FUSEL, 1)
    asm.send_fill(Dst.FUSE, 1, 1)
    asm.send(Dst.FUSE, OPTIONS, 1)
    asm.send_fill(Dst.FUSE, 1, at.FUSE_MAP_VERSION)
    asm.control(Control.FUSEL, 0x10)
    asm.send(Dst.FUSE, DEVICE_ID, 16)
    asm.send(Dst.FUSE, SIGNERS_AND_LEPUBKEYHASH, 96)
    asm.send(Dst.FUSE, CPUSVN, 16)
    asm.control(Control.FUSEH, 0)
    asm.send(Dst.FUSE, RPK, 16)
    asm.control(Control.FUSEH, 0x20)
    asm.send(Dst.FUSE, P256, 32)
    asm.control(Control.FUSEL, 0)
    asm.send_fill(Dst.FUSE, 1, at.LIFE_MANUFACTURED)
    asm.unit(Unit.CLOSE_FUSES)
    asm.flags()
    asm.jump("answer_empty")


def _life_cycle(asm: Assembler) -> None:
    """TEMP := the life cycle fuse, as it is now. Flags are fresh."""
    asm.control(Control.FUSEL, 0)
    asm.take(at.TEMP, Port.FUSE, 1)
    asm.flags()


def _check_maker(asm: Assembler, what: bytes, svn: int | None, mac: int) -> None:
    """SGX_INVALID_SIGNATURE unless the maker authorised this (link.md 3.5)."""
    asm.key(KeyOp.SLOT_KEY, src=at.KEY_MAKER)
    asm.send_literal(Dst.CMAC, what.ljust(16, b"\0"))
    asm.send(Dst.CMAC, at.DEVICE_ID, 16)
    if svn is not None:
        asm.send(Dst.CMAC, svn, 16)
    asm.a(mac)
    asm.call("check_mac")
    asm.unless_zero("fail_signature")


def _raise_svn(asm: Assembler) -> None:
    new = at.BODY
    asm.leaf("FUSE_RAISE_SVN")
    need_length(asm, 32)
    need_ready(asm)
    _life_cycle(asm)
    asm.check_byte(at.TEMP, at.LIFE_LOCKED)
    asm.unless_zero("fail_life_cycle")
    _check_maker(asm, b"FQ-RAISE-SVN", new, new + 16)
    asm.call("current_svn")
    asm.any_above(at.SVN_NOW, new, 16)
    asm.branch(Cond.C, "fail_cpusvn")
    asm.check_equal(at.SVN_NOW, new, 16)
    asm.if_zero("fail_cpusvn")

    def choose(following: str) -> None:
        # Above the last one: its bit alone is more than all of theirs. Blank: a burn that was cut off is passed over.
        asm.flags()
        asm.compare(at.GENERATIONS_NOW, at.SVN_BIT, 1)
        asm.branch(Cond.NC, following)
        asm.check_zero(at.SVN_ROW, 16)
        asm.if_zero("raise_burn")

    for_generations(asm, choose)
    asm.jump("fail_no_generation")

    # Back to the start of row X - 1.
    asm.label("raise_burn")
    asm.control(Control.FUSEL, 0x70)
    asm.take(at.TEMP, Port.X, 1)
    asm.get(Dst.Y, at.TEMP)
    asm.label("raise_row")
    asm.vec(Fn.PASSB, Src.PORT, Dst.NONE, 16, Port.FUSE.value)
    asm.djy("raise_row")
    asm.send(Dst.FUSE, new, 16)
    asm.control(Control.FUSEL, 1)
    asm.send(Dst.FUSE, at.SVN_BIT, 1)
    asm.flags()
    asm.jump("answer_empty")


def _scrap(asm: Assembler) -> None:
    asm.leaf("FUSE_SCRAP")
    need_length(asm, 16)
    _life_cycle(asm)
    asm.check_byte(at.TEMP, at.LIFE_MANUFACTURED)
    asm.if_zero("scrap")
    asm.check_byte(at.TEMP, at.LIFE_LOCKED)
    asm.unless_zero("fail_life_cycle")
    need_ready(asm)
    _check_maker(asm, b"FQ-SCRAP", None, at.BODY)
    asm.label("scrap")
    asm.control(Control.FUSEL, 0)
    asm.send_fill(Dst.FUSE, 1, at.LIFE_SCRAPPED)
    asm.control(Control.FUSEH, 0)
    asm.send_fill(Dst.FUSE, 128, 0xFF)
    asm.set_n(4)
    asm.send(Dst.TX_LAST, at.OUT, 0)
    asm.call("wipe_request")
    asm.unit(Unit.REBOOT)
