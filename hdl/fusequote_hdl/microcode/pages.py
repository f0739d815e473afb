"""EADD and EEXTEND (docs/chip.md, section 4; notes 2)."""

from __future__ import annotations

from ..isa import Cond, Control, Dst, Fn, Port, Src
from . import map as at
from .asm import Assembler
from .fusing import need_length
from .slots import CET, LINADDR, MODE64BIT, masked, need_building, unless_bits

__all__ = ["emit"]

# Requests.
EADD_SECINFO = LINADDR + 8
EADD_PAGE = EADD_SECINFO + 64
EADD_BYTES = at.HANDLE_BYTES + 8 + 64
EEXTEND_COUNT = LINADDR + 8
EEXTEND_DATA = EEXTEND_COUNT + 1
EEXTEND_BYTES = at.HANDLE_BYTES + 8 + 1
CHUNK_BYTES = 256
ENTRY_KEY_MAGIC = b"FQ-EMUL-ENTRYKEY"
CHUNKS_PER_PAGE = 16
PAGE_BYTES = 4096

# Bytes of the TCS.
TCS_FLAGS, TCS_CSSA, TCS_NSSA, TCS_OENTRY, TCS_AEP = 8, 24, 28, 32, 40
TCS_FSLIMIT, TCS_GSLIMIT, TCS_OCETSSA, TCS_PREVSSP = 64, 68, 72, 80
DBGOPTIN, AEXNOTIFY = 0x01, 0x02

# Bit 10 of ATTRIBUTES.FLAGS, in its byte 1.
AEXNOTIFY_BYTE1 = 0x04


def emit(asm: Assembler) -> None:
    """The leaves that put pages into an enclave."""
    _eadd(asm)
    _eextend(asm)


def _eadd(asm: Assembler) -> None:
    asm.leaf("EADD")
    length_good = asm.fresh("length")
    asm.need_length(2 + EADD_BYTES)
    asm.if_zero(length_good)
    asm.need_length(2 + EADD_BYTES + PAGE_BYTES)
    asm.unless_zero("fail_bad_length")
    asm.label(length_good)
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


def _entry_key(asm: Assembler, chunk: int) -> None:
    """The first chunk of a page may hold the hash of the entry key; a second such chunk spoils the enclave."""
    none, again = asm.fresh("no_entry_key"), asm.fresh("entry_key")
    asm.check_zero(chunk, 1)
    asm.check_literal(EEXTEND_DATA, ENTRY_KEY_MAGIC)
    asm.unless_zero(none)
    asm.check_zero(at.ENTRY_KEYS, 1)
    asm.unless_zero(again)
    asm.fill(at.ENTRY_KEYS, 1, 1)
    asm.copy(at.ENTRY_HASH, EEXTEND_DATA + len(ENTRY_KEY_MAGIC), 32)
    asm.jump(none)
    asm.label(again)
    asm.fill(at.ENTRY_KEYS, 1, 2)
    asm.label(none)


def _eextend(asm: Assembler) -> None:
    length, page_byte, chunk = at.OPEN_LENGTH, at.TEMP + 8, at.TEMP + 9
    asm.leaf("EEXTEND")
    asm.control(Control.NLEN)
    asm.take(length, Port.N, 2)
    asm.flags()
    asm.compare_literal(length, (2 + EEXTEND_BYTES).to_bytes(2, "little"))
    asm.branch(Cond.C, "fail_bad_length")
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
    _entry_key(asm, chunk)
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
    asm.jump("measurement_load")

    asm.label("eextend_header")
    asm.send_literal(Dst.SHA, b"EEXTEND\0")
    asm.send_fill(Dst.SHA, 1)
    asm.vec(Fn.PASSB, Src.PORT, Dst.SHA, 1, Port.X.value)
    asm.send(Dst.SHA, at.TEMP + 2, 6)
    asm.send_fill(Dst.SHA, 48)
    asm.control(Control.INCX)
    asm.ret()
