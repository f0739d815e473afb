"""ECREATE, EADD, EEXTEND, EREMOVE, and how a handle finds its slot (docs/chip.md, section 4; notes 2)."""

from __future__ import annotations

from ..isa import Cond, Control, Dst, Fn, Port, Src, Unit
from . import map as at
from .asm import Assembler
from .fusing import need_length, need_ready

__all__ = ["emit", "need_building", "need_initialised"]

# Bits of byte 0 of ATTRIBUTES.FLAGS, and the one of byte 1.
DEBUG, MODE64BIT, PROVISIONKEY, EINITTOKEN_KEY, CET, KSS = 0x02, 0x04, 0x10, 0x20, 0x40, 0x80
AEXNOTIFY_BYTE1 = 0x04
FLAGS_ALLOWED = (0x4F6).to_bytes(8, "little")
XFRM_ALLOWED = (0x2FF).to_bytes(8, "little")

# Requests.
LINADDR = at.BODY + at.HANDLE_BYTES
EADD_SECINFO = LINADDR + 8
EADD_PAGE = EADD_SECINFO + 64
EADD_BYTES = at.HANDLE_BYTES + 8 + 64
EEXTEND_COUNT = LINADDR + 8
EEXTEND_DATA = EEXTEND_COUNT + 1
EEXTEND_BYTES = at.HANDLE_BYTES + 8 + 1
CHUNK_BYTES = 256
CHUNKS_PER_PAGE = 16
PAGE_BYTES = 4096

# Bytes of the TCS.
TCS_FLAGS, TCS_CSSA, TCS_NSSA, TCS_OENTRY, TCS_AEP = 8, 24, 28, 32, 40
TCS_FSLIMIT, TCS_GSLIMIT, TCS_OCETSSA, TCS_PREVSSP = 64, 68, 72, 80
DBGOPTIN, AEXNOTIFY = 0x01, 0x02


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


def emit(asm: Assembler) -> None:
    """The leaves that build an enclave, and EREMOVE."""
    _ecreate(asm)
    _eadd(asm)
    _eextend(asm)

    asm.leaf("EREMOVE")
    need_length(asm, at.HANDLE_BYTES)
    need_ready(asm)
    asm.call("find_slot")
    for tcs in range(at.TCS_PER_SLOT):
        asm.check_byte(at.TCS + tcs * at.TCS_BYTES + at.TCS_STATE, at.TCS_ACTIVE)
        asm.if_zero("fail_enclave_act")
    asm.fill(0, at.SLOT_BYTES)
    asm.jump("answer_empty")

    # Selects the slot of the handle at the start of the body, or ends the command with #PF.
    asm.label("find_slot")
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


def _eadd(asm: Assembler) -> None:
    asm.leaf("EADD")
    length_good = asm.fresh("length")
    asm.need_length(2 + EADD_BYTES)
    asm.if_zero(length_good)
    asm.need_length(2 + EADD_BYTES + PAGE_BYTES)
    asm.unless_zero("fail_bad_length")
    asm.label(length_good)
    need_ready(asm)
    asm.call("find_slot")
    need_building(asm)
    asm.check_zero(LINADDR, 1)
    asm.check_bits(LINADDR + 1, 0x0F)
    asm.unless_zero("fail_gp")
    asm.call("offset")
    asm.check_bits(EADD_SECINFO, 0xF8)
    asm.check_zero(EADD_SECINFO + 2, 62)
    asm.unless_zero("fail_gp")
    asm.check_byte(EADD_SECINFO + 1, at.PT_TCS)
    asm.if_zero("eadd_tcs")
    asm.check_byte(EADD_SECINFO + 1, at.PT_REG)
    asm.unless_zero("fail_gp")

    # PT_REG: W without R is no page.
    masked(asm, at.TEMP + 8, EADD_SECINFO, 0x03)
    asm.flags()
    asm.check_byte(at.TEMP + 8, 0x02)
    asm.if_zero("fail_gp")
    need_length(asm, EADD_BYTES)
    asm.call("eadd_measure")
    asm.send(Dst.SHA, EADD_SECINFO, 48)
    asm.jump("eadd_commit")

    asm.label("eadd_tcs")
    need_length(asm, EADD_BYTES + PAGE_BYTES)
    _check_tcs(asm)
    asm.control(Control.SETX, 0)
    search = asm.fresh("tcs")
    asm.label(search)
    asm.a(at.TCS + at.TCS_STATE)
    asm.index("a")
    asm.check_byte(None, at.TCS_NONE)
    asm.if_zero("eadd_record")
    asm.control(Control.INCX)
    asm.control(Control.CMPX, at.TCS_PER_SLOT)
    asm.unless_zero(search)
    asm.jump("fail_no_tcs")
    asm.label("eadd_record")
    # In the order of the record: LINADDR, OENTRY, NSSA, CSSA, state.
    asm.d(at.TCS)
    asm.index("d")
    asm.copy(None, LINADDR, 8)
    asm.copy(None, EADD_PAGE + TCS_OENTRY, 8)
    asm.copy(None, EADD_PAGE + TCS_NSSA, 4)
    asm.fill(None, 4)
    asm.fill(None, 1, at.TCS_INACTIVE)
    asm.copy(at.TCS_COPY, EADD_PAGE, at.TCS_COPY_BYTES)
    masked(asm, at.TCS_COPY + TCS_FLAGS, EADD_PAGE + TCS_FLAGS, 0xFF & ~DBGOPTIN)
    asm.fill(at.TCS_COPY + TCS_CSSA, 4)
    asm.call("eadd_measure")
    # R, W, X of a TCS are cleared before they are measured.
    asm.send_fill(Dst.SHA, 1)
    asm.send(Dst.SHA, EADD_SECINFO + 1, 47)

    asm.label("eadd_commit")
    asm.call("measurement_store")
    asm.flags(1)
    asm.a(at.BLOCKS)
    asm.d(at.BLOCKS)
    asm.vec(Fn.ADD, Src.IMM, Dst.MEM, 8, 0)
    asm.copy(at.OPEN_TYPE, EADD_SECINFO + 1, 1)
    asm.copy(at.OPEN_PAGE, LINADDR, 8)
    asm.jump("answer_empty")

    asm.label("eadd_measure")
    asm.call("measurement_load")
    asm.send_literal(Dst.SHA, b"EADD\0\0\0\0")
    asm.send(Dst.SHA, at.TEMP, 8)
    asm.ret()


def _check_tcs(asm: Assembler) -> None:
    page = EADD_PAGE
    asm.check_zero(page, 8)
    asm.check_mask(page + TCS_FLAGS, (DBGOPTIN | AEXNOTIFY).to_bytes(8, "little"))
    asm.check_zero(page + TCS_AEP, 8)
    asm.check_zero(page + TCS_PREVSSP, PAGE_BYTES - TCS_PREVSSP)
    asm.unless_zero("fail_gp")
    no_notify = asm.fresh("no_notify")
    asm.check_bits(page + TCS_FLAGS, AEXNOTIFY)
    asm.if_zero(no_notify)
    asm.check_bits(at.SECS_ATTRIBUTES + 1, AEXNOTIFY_BYTE1)
    asm.if_zero("fail_gp")
    asm.label(no_notify)

    def no_cet():
        asm.check_zero(page + TCS_OCETSSA, 8)
        asm.unless_zero("fail_gp")

    def limits():
        for i, limit in enumerate((TCS_FSLIMIT, TCS_GSLIMIT)):
            masked(asm, at.TEMP + 8 + i, page + limit + 1, 0x0F)
        asm.flags()
        for i, limit in enumerate((TCS_FSLIMIT, TCS_GSLIMIT)):
            asm.check_byte(page + limit, 0xFF)
            asm.check_byte(at.TEMP + 8 + i, 0x0F)
        asm.unless_zero("fail_gp")

    unless_bits(asm, at.SECS_ATTRIBUTES, CET, no_cet)
    unless_bits(asm, at.SECS_ATTRIBUTES, MODE64BIT, limits)


def _eextend(asm: Assembler) -> None:
    length, page_byte, chunk = at.OPEN_LENGTH, at.TEMP + 8, at.TEMP + 9
    asm.leaf("EEXTEND")
    asm.control(Control.NLEN)
    asm.take(length, Port.N, 2)
    asm.flags()
    asm.compare_literal(length, (2 + EEXTEND_BYTES).to_bytes(2, "little"))
    asm.branch(Cond.C, "fail_bad_length")
    need_ready(asm)
    asm.call("find_slot")
    need_building(asm)
    asm.check_zero(LINADDR, 1)
    asm.unless_zero("fail_gp")
    asm.call("offset")
    asm.check_zero(at.OPEN_TYPE, 1)
    asm.if_zero("fail_pf")
    masked(asm, page_byte, LINADDR + 1, 0xF0)
    masked(asm, chunk, LINADDR + 1, 0x0F)
    asm.flags()
    asm.check_equal(page_byte, at.OPEN_PAGE + 1, 1)
    asm.check_equal(LINADDR + 2, at.OPEN_PAGE + 2, 6)
    asm.unless_zero("fail_pf")
    # 1 <= count, chunk + count <= 16
    asm.check_zero(EEXTEND_COUNT, 1)
    asm.if_zero("fail_bad_length")
    asm.compare_literal(EEXTEND_COUNT, bytes([CHUNKS_PER_PAGE + 1]))
    asm.branch(Cond.NC, "fail_bad_length")
    asm.combine(Fn.ADD, at.TEMP + 10, chunk, EEXTEND_COUNT, 1)
    asm.flags()
    asm.compare_literal(at.TEMP + 10, bytes([CHUNKS_PER_PAGE + 1]))
    asm.branch(Cond.NC, "fail_bad_length")
    asm.check_byte(length, 2 + EEXTEND_BYTES)
    asm.unless_zero("fail_bad_length")
    asm.check_byte(at.OPEN_TYPE, at.PT_TCS)
    asm.if_zero("eextend_tcs")

    asm.check_equal(length + 1, EEXTEND_COUNT, 1)
    asm.unless_zero("fail_bad_length")
    asm.call("eextend_begin")
    asm.a(EEXTEND_DATA)
    loop = asm.fresh("chunk")
    asm.label(loop)
    asm.call("eextend_header")
    # The data goes by pointer A, which nothing else in this loop moves.
    asm.vec(Fn.OR, Src.IMM, Dst.SHA, CHUNK_BYTES, 0)
    asm.djy(loop)
    asm.jump("eextend_commit")

    asm.label("eextend_tcs")
    asm.check_zero(length + 1, 1)
    asm.unless_zero("fail_bad_length")
    asm.call("eextend_begin")
    asm.flags()
    asm.check_zero(chunk, 1)
    rest = asm.fresh("rest")
    asm.unless_zero(rest)
    # Chunk 0 is the TCS as the chip keeps it; all others are zero.
    asm.call("eextend_header")
    asm.send(Dst.SHA, at.TCS_COPY, at.TCS_COPY_BYTES)
    asm.send_fill(Dst.SHA, CHUNK_BYTES - at.TCS_COPY_BYTES)
    asm.djy(rest)
    asm.jump("eextend_commit")
    asm.label(rest)
    asm.call("eextend_header")
    asm.send_fill(Dst.SHA, CHUNK_BYTES)
    asm.djy(rest)

    asm.label("eextend_commit")
    asm.call("measurement_store")
    # Five blocks a chunk.
    asm.get(Dst.Y, EEXTEND_COUNT)
    loop = asm.fresh("count")
    asm.label(loop)
    asm.flags()
    asm.combine_literal(Fn.ADD, at.BLOCKS, at.BLOCKS, (5).to_bytes(8, "little"))
    asm.djy(loop)
    asm.flags()
    asm.jump("answer_empty")

    # X := the second byte of the chunk's offset, Y := count, measurement loaded.
    asm.label("eextend_begin")
    asm.get(Dst.X, at.TEMP + 1)
    asm.get(Dst.Y, EEXTEND_COUNT)
    asm.call("measurement_load")
    asm.ret()

    asm.label("eextend_header")
    asm.send_literal(Dst.SHA, b"EEXTEND\0")
    asm.send_fill(Dst.SHA, 1)
    asm.vec(Fn.PASSB, Src.PORT, Dst.SHA, 1, Port.X.value)
    asm.send(Dst.SHA, at.TEMP + 2, 6)
    asm.send_fill(Dst.SHA, 48)
    asm.control(Control.INCX)
    asm.ret()
