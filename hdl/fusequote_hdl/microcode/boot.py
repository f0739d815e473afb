"""Boot (docs/chip.md, section 2): wipe, seed the generator, walk the CPUSVN ratchet, close the provisioning key."""

from __future__ import annotations

from ..isa import Cond, Control, Dst, Fn, KeyOp, Port, Src, Unit
from . import map as at
from .asm import Assembler

__all__ = ["emit", "emit_walk", "for_generations", "for_x"]

RNG_OUT = b"FQ-RNG-OUT".ljust(16, b"\0")
MAKER = b"FQ-MAKER".ljust(16, b"\0")
RNG_NEXT = b"FQ-RNG-NEXT".ljust(16, b"\0")
SVN = b"FQ-SVN"
STEP = b"FQ-STEP"


def emit_walk(asm: Assembler, base: int) -> None:
    """Key slot base + X walks as many steps as the byte at B says; B advances. Uses Y."""
    loop, end = asm.fresh("step"), asm.fresh("walked")
    asm.flags()
    asm.vec(Fn.PASSB, Src.MEM, Dst.Y, 1)
    asm.if_zero(end)
    asm.label(loop)
    asm.key(KeyOp.SLOT_KEY, src=base, src_x=True)
    asm.send_literal(Dst.CMAC, STEP)
    asm.vec(Fn.PASSB, Src.PORT, Dst.CMAC, 1, Port.X.value)
    asm.key(KeyOp.END)
    asm.key(KeyOp.TAG_SLOT, dst=base, dst_x=True)
    asm.djy(loop)
    asm.label(end)


def for_x(asm: Assembler, count: int, body, *, first: int = 0) -> None:
    """``body()`` for X = first .. count - 1."""
    loop = asm.fresh("x")
    asm.control(Control.SETX, first)
    asm.label(loop)
    body()
    asm.control(Control.INCX)
    asm.flags()
    asm.control(Control.CMPX, count)
    asm.unless_zero(loop)


def emit(asm: Assembler, *, entropy_bytes: int, report_keyid: bytes | None = None) -> None:
    """Boot, which takes ``entropy_bytes`` of noise, and the subroutines that it shares with the leaves.

    ``report_keyid``: CR_REPORT_KEYID, where it is not random.
    """
    asm.leaf("boot")
    asm.fill(at.GLOBALS, 4095)
    asm.fill(None, 1)
    # After the watchdog a request may still be there.
    asm.set_n(at.BANK_WIPE)
    asm.fill(at.REQUEST, 0)
    for slot in range(at.SLOTS):
        asm.control(Control.SETS, slot)
        asm.fill(0, at.SLOT_BYTES)
    asm.unit(Unit.SHA_CLEAR)
    asm.unit(Unit.CMAC_CLEAR)
    asm.unit(Unit.RSA_CLEAR)
    for_x(asm, at.KEY_SLOT_COUNT, lambda: asm.key(KeyOp.ZERO_SLOT, dst=0, dst_x=True))

    asm.control(Control.FUSEL, 0)
    asm.take(at.LIFE_CYCLE, Port.FUSE, 4)
    asm.control(Control.FUSEL, 0x10)
    asm.take(at.DEVICE_ID, Port.FUSE, 16)

    asm.key(KeyOp.ZERO_KEY)
    asm.vec(Fn.PASSB, Src.PORT, Dst.CMAC, entropy_bytes, Port.ENTROPY.value)
    asm.send(Dst.CMAC, at.DEVICE_ID, 16)
    asm.key(KeyOp.END)
    asm.key(KeyOp.TAG_SLOT, dst=at.KEY_RNG)
    asm.call("random")
    asm.copy(at.REPORT_KEYID, at.RANDOM, 16)
    if report_keyid is not None:
        asm.literal(at.REPORT_KEYID, report_keyid)
    asm.call("random")
    asm.copy(at.NEXT_EID, at.RANDOM, 8)

    # Noise, and fuses that make sense?
    asm.branch(Cond.NO_ENTROPY, "boot_failed")
    asm.check_zero(at.LIFE_CYCLE, 1)
    asm.if_zero("boot_blank")
    asm.check_byte(at.MAP_VERSION, at.FUSE_MAP_VERSION)
    asm.unless_zero("boot_failed")
    asm.unit(Unit.CLOSE_FUSES)
    asm.control(Control.FUSEL, 0x60)
    asm.take(at.LEPUBKEYHASH, Port.FUSE, 32)
    asm.flags()
    asm.check_byte(at.LIFE_CYCLE, at.LIFE_LOCKED)
    asm.if_zero("boot_locked")
    asm.check_byte(at.LIFE_CYCLE, at.LIFE_MANUFACTURED)
    asm.if_zero("boot_end")
    asm.check_bits(at.LIFE_CYCLE, at.LIFE_SCRAPPED)
    asm.unless_zero("boot_end")
    asm.jump("boot_failed")

    asm.label("boot_blank")
    asm.check_zero(at.MAP_VERSION, 1)
    asm.if_zero("boot_end")
    asm.label("boot_failed")
    asm.unit(Unit.CLOSE_FUSES)
    asm.fill(at.BOOT_FAILED, 1, 1)
    asm.jump("boot_end")

    asm.label("boot_locked")
    asm.call("current_svn")
    asm.copy(at.CPUSVN, at.SVN_NOW, 16)
    # 255 - CPUSVN[i] steps each
    asm.d(at.STEPS)
    asm.a(at.CPUSVN)
    asm.vec(Fn.XOR, Src.IMM, Dst.MEM, 16, 0xFF)
    asm.b(at.STEPS)

    asm.key(KeyOp.RPK_KEY)
    asm.send_literal(Dst.CMAC, MAKER)
    asm.key(KeyOp.END)
    asm.key(KeyOp.TAG_SLOT, dst=at.KEY_MAKER)

    def chain():
        asm.key(KeyOp.RPK_KEY)
        asm.send_literal(Dst.CMAC, SVN)
        asm.vec(Fn.PASSB, Src.PORT, Dst.CMAC, 1, Port.X.value)
        asm.key(KeyOp.END)
        asm.key(KeyOp.TAG_SLOT, dst=at.CHAIN, dst_x=True)
        emit_walk(asm, at.CHAIN)

    for_x(asm, at.CHAINS, chain)
    # K(current CPUSVN), made once
    asm.key(KeyOp.SLOT_KEY, src=at.CHAIN)
    for_x(asm, at.CHAINS, lambda: asm.key(KeyOp.SLOT_DATA, src=at.CHAIN, src_x=True), first=1)
    asm.key(KeyOp.END)
    asm.key(KeyOp.TAG_SLOT, dst=at.KEY_CURRENT)
    asm.fill(at.READY, 1, 1)

    asm.label("boot_end")
    asm.unit(Unit.CLOSE_RPK)
    asm.fill(at.SCRATCH, at.SCRATCH_BYTES)
    asm.unit(Unit.CMAC_CLEAR)
    asm.jump("main")

    # RANDOM := 16 fresh bytes
    asm.label("random")
    asm.key(KeyOp.SLOT_KEY, src=at.KEY_RNG)
    asm.send_literal(Dst.CMAC, RNG_OUT)
    asm.key(KeyOp.END)
    asm.take(at.RANDOM, Port.TAG, 16)
    asm.label("random_next")
    asm.send_literal(Dst.CMAC, RNG_NEXT)
    asm.key(KeyOp.END)
    asm.key(KeyOp.TAG_SLOT, dst=at.KEY_RNG)
    asm.ret()

    # SVN_NOW := the CPUSVN of the last generation burnt, 0 when there is none, X and SVN_NUMBER := its number from 1,
    # or 0; reads the fuses themselves.
    asm.label("current_svn")
    asm.control(Control.FUSEL, 1)
    asm.take(at.GENERATIONS_NOW, Port.FUSE, 1)
    asm.fill(at.SVN_NOW, 17)

    def generation(following: str) -> None:
        asm.flags()
        asm.a(at.GENERATIONS_NOW)
        asm.b(at.SVN_BIT)
        asm.vec(Fn.AND, Src.MEM, Dst.NONE, 1)
        asm.if_zero(following)
        asm.copy(at.SVN_NOW, at.SVN_ROW, 16)
        asm.take(None, Port.X, 1)

    for_generations(asm, generation)
    asm.get(Dst.X, at.SVN_NUMBER)
    asm.flags()
    asm.ret()


def for_generations(asm: Assembler, body) -> None:
    """For each CPUSVN generation: SVN_ROW := its row, SVN_BIT := its bit, X := its number from 1; ``body(following)``.

    The fuse pointer stands behind the row. ``body`` may branch to ``following``.
    """
    loop, following = asm.fresh("generation"), asm.fresh("following")
    asm.fill(at.SVN_BIT, 1, 1)
    asm.control(Control.FUSEL, 0x80)
    asm.control(Control.SETX, 0)
    asm.label(loop)
    asm.take(at.SVN_ROW, Port.FUSE, 16)
    asm.control(Control.INCX)
    body(following)
    asm.label(following)
    asm.flags()
    asm.combine(Fn.ADD, at.SVN_BIT, at.SVN_BIT, at.SVN_BIT, 1)
    asm.flags()
    asm.control(Control.CMPX, at.CPUSVN_GENERATIONS)
    asm.unless_zero(loop)
