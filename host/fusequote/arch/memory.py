"""What enclaves are built from: SECS, PAGEINFO, SECINFO, TCS (instruction notes 1.2 to 1.4)."""

from __future__ import annotations

from enum import IntEnum, IntFlag

from fusequote.arch.attributes import Attributes, MiscSelect
from fusequote.arch.flags import bit_flags
from fusequote.arch.layout import U8, U16, U32, U64, Bytes, Reserved, Struct, Sub
from fusequote.arch.text import flag_names

#: Bytes of a page of enclave memory.
PAGE_SIZE = 4096
#: Bytes that one EEXTEND measures.
CHUNK_SIZE = 256
#: EEXTENDs that measure a whole page.
CHUNKS_PER_PAGE = PAGE_SIZE // CHUNK_SIZE


class Secs(Struct, size=4096, align=4096):
    """SECS, one per enclave: software supplies it to ECREATE and never sees it again.

    The bytes from 262 on are zero in ECREATE's source; what the CPU keeps there is undocumented.
    """

    size = U64(0, "bytes of the enclave's linear range, a power of two, at least 8192")
    baseaddr = U64(8, "start of the range, a multiple of SIZE")
    ssaframesize = U32(16, "pages of one SSA frame")
    miscselect = U32(20, "MISC region of the SSA", enum=MiscSelect)
    cet_leg_bitmap_offset = U64(24, "0 without CET")
    cet_attributes = U8(32, "0 without CET")
    reserved1 = Reserved(33, 15)
    attributes = Sub(48, Attributes)
    mrenclave = Bytes(64, 32, "measurement; ECREATE ignores it")
    reserved2 = Reserved(96, 32)
    mrsigner = Bytes(128, 32, "hash of the signer's modulus; ECREATE ignores it")
    reserved3 = Reserved(160, 32)
    configid = Bytes(192, 64, "0 unless KSS")
    isvprodid = U16(256, "ECREATE ignores it")
    isvsvn = U16(258, "ECREATE ignores it")
    configsvn = U16(260, "0 unless KSS")
    reserved4 = Reserved(262, 3834)


class PageInfo(Struct, size=32, align=32):
    """PAGEINFO, the operand of ECREATE and EADD: four addresses."""

    linaddr = U64(0, "linear address of the page; 0 for ECREATE")
    srcpge = U64(8, "address of the content")
    secinfo = U64(16, "address of SECINFO (or PCMD)")
    secs = U64(24, "address of the SECS; 0 for ECREATE")


class PageType(IntEnum):
    """SECINFO.FLAGS bits 15:8."""

    PT_SECS = 0
    PT_TCS = 1
    PT_REG = 2
    PT_VA = 3
    PT_TRIM = 4
    PT_SS_FIRST = 5
    PT_SS_REST = 6


@bit_flags
class SecInfoFlags(IntFlag):
    """SECINFO.FLAGS bits 5:0, and the page types that one meets as ready-made combinations to OR in."""

    R = 0x01
    W = 0x02
    X = 0x04
    PENDING = 0x08
    MODIFIED = 0x10
    PR = 0x20

    @staticmethod
    def of(page_type: PageType, permissions: int = 0) -> int:
        """FLAGS of a page of this type with these permission bits."""
        return page_type << 8 | permissions


#: FLAGS of a TCS page and of a regular page without permissions.
PT_TCS_FLAGS = SecInfoFlags.of(PageType.PT_TCS)
PT_REG_FLAGS = SecInfoFlags.of(PageType.PT_REG)


def secinfo_text(flags: int) -> str:
    """``PT_REG R | X``, ``PT_TCS none``: SECINFO.FLAGS in words."""
    kind = flags >> 8 & 0xFF
    name = PageType(kind).name if kind in PageType._value2member_map_ else f"page type {kind}"
    return f"{name} {flag_names(flags & ~0xFF00, SecInfoFlags)}"


class SecInfo(Struct, size=64, align=64):
    """SECINFO: permissions and type of a page."""

    flags = U64(0, "permissions, state, page type in bits 15:8")
    reserved1 = Reserved(8, 56)

    @property
    def page_type(self) -> PageType | int:
        """FLAGS bits 15:8; a plain integer when the manual has no such type."""
        kind = self.flags >> 8 & 0xFF
        return PageType(kind) if kind in PageType._value2member_map_ else kind

    @property
    def permissions(self) -> SecInfoFlags:
        """FLAGS bits 7:0."""
        return SecInfoFlags(self.flags & 0xFF)

    def summary(self) -> str:
        """``PT_REG R | X``."""
        return secinfo_text(self.flags)

    def measured(self) -> bytes:
        """The first 48 bytes, which EADD measures; a TCS is measured without R, W and X."""
        flags = self.flags & ~0x7 if self.page_type == PageType.PT_TCS else self.flags
        return flags.to_bytes(8, "little") + self.to_bytes()[8:48]


@bit_flags
class TcsFlags(IntFlag):
    """TCS.FLAGS."""

    DBGOPTIN = 0x1
    AEXNOTIFY = 0x2


class Tcs(Struct, size=4096, align=4096):
    """TCS, one per thread; measured like any page, hence part of an enclave's identity."""

    state = U64(0, "0 in EADD's source")
    flags = U64(8, "what the thread may do", enum=TcsFlags)
    ossa = U64(16, "offset of the first SSA frame in the enclave")
    cssa = U32(24, "SSA frame in use; EADD clears it")
    nssa = U32(28, "SSA frames")
    oentry = U64(32, "offset of the entry point")
    aep = U64(40, "0 in EADD's source")
    ofsbase = U64(48, "offset of FS's base")
    ogsbase = U64(56, "offset of GS's base")
    fslimit = U32(64, "limit of FS outside 64-bit mode")
    gslimit = U32(68, "limit of GS outside 64-bit mode")
    ocetssa = U64(72, "0 without CET")
    prevssp = U64(80, "0 in EADD's source")
    reserved1 = Reserved(88, 4008)

    def as_added(self) -> Tcs:
        """The page as EADD leaves it, which is what EEXTEND measures: STATE, DBGOPTIN, CSSA and AEP cleared."""
        return self.replace(state=0, flags=int(self.flags) & ~int(TcsFlags.DBGOPTIN), cssa=0, aep=0)
