"""ECREATE, EREMOVE, and how a handle finds its slot (docs/chip.md, section 4; notes 2). EADD, EEXTEND: pages.py."""

from __future__ import annotations

from ..isa import Cond, Control, Dst, Fn, Port, Src, Unit
from . import map as at
from . import pages
from .asm import Assembler
from .fusing import need_length, need_ready
from .slots import CET, KSS, LINADDR, MODE64BIT, masked, unless_bits

__all__ = ["emit"]

FLAGS_ALLOWED = (0x4F6).to_bytes(8, "little")
XFRM_ALLOWED = (0x2FF).to_bytes(8, "little")


def emit(asm: Assembler) -> None:
    """The leaves that build an enclave, and EREMOVE."""
    _ecreate(asm)
    pages.emit(asm)

    asm.leaf("EREMOVE")
    need_length(asm, at.HANDLE_BYTES)
    asm.call("find_slot")
    for tcs in range(at.TCS_PER_SLOT):
        asm.check_byte(at.TCS + tcs * at.TCS_BYTES + at.TCS_STATE, at.TCS_ACTIVE)
        asm.if_zero("fail_enclave_act")
    asm.fill(0, at.SLOT_BYTES)
    asm.jump("answer_empty")

    # Selects the slot of the handle at the start of the body, or ends the command: life cycle, #PF.
    asm.label("find_slot")
    need_ready(asm)
    asm.check_bits(at.BODY, 0xFF & ~(at.SLOTS - 1))
    asm.unless_zero("fail_pf")
    asm.get(Dst.S, at.BODY)
    asm.flags()
    asm.check_byte(at.STATE, at.FREE)
    asm.if_zero("fail_pf")
    asm.check_equal(at.BODY + 1, at.EID, 8)
    asm.unless_zero("fail_pf")
    asm.ret()

    # TEMP := LINADDR - BASEADDR; #GP outside the enclave.
    asm.label("offset")
    asm.combine(Fn.SUB, at.TEMP, LINADDR, at.SECS_BASEADDR, 8)
    asm.branch(Cond.C, "fail_gp")
    asm.compare(at.TEMP, at.SECS_SIZE, 8)
    asm.branch(Cond.NC, "fail_gp")
    asm.ret()

    asm.label("measurement_load")
    asm.send(Dst.SHA_STATE, at.MEASUREMENT, 32)
    asm.ret()
    asm.label("measurement_store")
    asm.take(at.MEASUREMENT, Port.DIGEST, 32)
    asm.ret()


def _ecreate(asm: Assembler) -> None:
    secinfo, secs = at.BODY, at.BODY + 64
    asm.leaf("ECREATE")
    need_length(asm, 64 + at.SECS_BYTES)
    need_ready(asm)
    # SECINFO: page type PT_SECS; R, W, X, PENDING, MODIFIED, PR do not matter here.
    asm.check_bits(secinfo, 0xC0)
    asm.check_zero(secinfo + 1, 63)
    # SIZE: at least 8192, at most 2^36, a power of two (with SIZE - 1 in TEMP).
    asm.check_zero(secs + at.SECS_SIZE, 1)
    asm.check_bits(secs + at.SECS_SIZE + 1, 0x1F)
    asm.check_bits(secs + at.SECS_SIZE + 4, 0xE0)
    asm.check_zero(secs + at.SECS_SIZE + 5, 3)
    asm.unless_zero("fail_gp")
    asm.check_zero(secs + at.SECS_SIZE, 8)
    asm.if_zero("fail_gp")
    asm.flags(1)
    asm.a(secs + at.SECS_SIZE)
    asm.d(at.TEMP)
    asm.vec(Fn.SUB, Src.IMM, Dst.MEM, 8, 0)
    asm.flags()
    for field in (at.SECS_SIZE, at.SECS_BASEADDR):
        asm.a(secs + field)
        asm.b(at.TEMP)
        asm.vec(Fn.AND, Src.MEM, Dst.NONE, 8)
    asm.unless_zero("fail_gp")

    def size_32_bits():
        # above 2^31: a power of two from 2^32 on
        asm.check_zero(secs + at.SECS_SIZE + 4, 4)
        asm.unless_zero("fail_gp")

    unless_bits(asm, secs + at.SECS_ATTRIBUTES, MODE64BIT, size_32_bits)
    asm.check_zero(secs + at.SECS_SSAFRAMESIZE, 4)
    asm.if_zero("fail_gp")
    asm.check_mask(secs + at.SECS_MISCSELECT, bytes([1, 0, 0, 0]))
    asm.check_mask(secs + at.SECS_ATTRIBUTES, FLAGS_ALLOWED)
    asm.check_mask(secs + at.SECS_XFRM, XFRM_ALLOWED)
    asm.unless_zero("fail_gp")
    _xfrm(asm, secs + at.SECS_XFRM)

    # CET and KSS fields only with their attribute.
    with_cet, cet_done = asm.fresh("cet"), asm.fresh("cet_done")
    asm.check_bits(secs + at.SECS_ATTRIBUTES, CET)
    asm.unless_zero(with_cet)
    asm.check_zero(secs + at.SECS_CET_LEG_BITMAP, 9)
    asm.if_zero(cet_done)
    asm.jump("fail_gp")
    asm.label(with_cet)
    asm.check_bits(secs + at.SECS_CET_ATTRIBUTES, 0xC0)
    asm.check_zero(secs + at.SECS_CET_LEG_BITMAP, 1)
    asm.check_bits(secs + at.SECS_CET_LEG_BITMAP + 1, 0x0F)
    asm.unless_zero("fail_gp")
    asm.label(cet_done)

    def no_config():
        asm.check_zero(secs + at.SECS_CONFIGID, 64)
        asm.check_zero(secs + at.SECS_CONFIGSVN, 2)
        asm.unless_zero("fail_gp")

    unless_bits(asm, secs + at.SECS_ATTRIBUTES, KSS, no_config)
    for first, last in ((33, 47), (96, 127), (160, 191), (262, 4095)):
        asm.check_zero(secs + first, last - first + 1)
    asm.unless_zero("fail_gp")

    found = asm.fresh("slot")
    for slot in range(at.SLOTS):
        asm.control(Control.SETS, slot)
        asm.check_byte(at.STATE, at.FREE)
        asm.if_zero(found)
    asm.jump("fail_no_slot")

    asm.label(found)
    asm.fill(0, at.SLOT_BYTES)
    asm.copy(0, secs, at.SECS_CONFIGSVN + 2)
    asm.fill(at.SECS_MRENCLAVE, 32)
    asm.fill(at.SECS_MRSIGNER, 32)
    asm.fill(at.SECS_ISVPRODID, 4)
    asm.copy(at.EID, at.NEXT_EID, 8)
    asm.flags(1)
    asm.a(at.NEXT_EID)
    asm.d(at.NEXT_EID)
    asm.vec(Fn.ADD, Src.IMM, Dst.MEM, 8, 0)
    asm.fill(at.STATE, 1, at.BUILDING)
    asm.unit(Unit.SHA_INIT)
    asm.send_literal(Dst.SHA, b"ECREATE\0")
    asm.send(Dst.SHA, at.SECS_SSAFRAMESIZE, 4)
    asm.send(Dst.SHA, at.SECS_SIZE, 8)
    asm.send(Dst.SHA, at.SECS_CET_LEG_BITMAP, 8)
    asm.send_fill(Dst.SHA, 36)
    asm.call("measurement_store")
    asm.fill(at.BLOCKS, 1, 1)
    asm.take(at.OUT_BODY, Port.S, 1)
    asm.copy(None, at.EID, 8)
    asm.set_n(4 + at.HANDLE_BYTES)
    asm.jump("answer")


def _xfrm(asm: Assembler, xfrm: int) -> None:
    """x87 and SSE on; MPX both or none; AVX-512 all or none, and only with AVX."""
    low, mpx, avx512 = at.TEMP + 8, at.TEMP + 9, at.TEMP + 10
    masked(asm, low, xfrm, 0x03)
    masked(asm, mpx, xfrm, 0x18)
    masked(asm, avx512, xfrm, 0xE0)
    asm.flags()
    asm.check_byte(low, 0x03)
    asm.unless_zero("fail_gp")
    good = asm.fresh("mpx")
    asm.check_zero(mpx, 1)
    asm.if_zero(good)
    asm.check_byte(mpx, 0x18)
    asm.unless_zero("fail_gp")
    asm.label(good)
    good = asm.fresh("avx512")
    asm.check_zero(avx512, 1)
    asm.if_zero(good)
    asm.check_byte(avx512, 0xE0)
    asm.unless_zero("fail_gp")
    asm.check_bits(xfrm, 0x04)
    asm.if_zero("fail_gp")
    asm.label(good)
