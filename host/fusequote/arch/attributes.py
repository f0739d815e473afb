"""ATTRIBUTES and MISCSELECT: what an enclave is and may do (instruction notes 1.1)."""

from __future__ import annotations

from enum import IntFlag

from fusequote.arch.flags import bit_flags
from fusequote.arch.layout import U64, Struct


@bit_flags
class AttributeFlags(IntFlag):
    """ATTRIBUTES.FLAGS. INIT is set by EINIT alone; all others by ECREATE."""

    INIT = 0x01
    DEBUG = 0x02
    MODE64BIT = 0x04
    PROVISIONKEY = 0x10
    EINITTOKEN_KEY = 0x20
    CET = 0x40
    KSS = 0x80
    AEXNOTIFY = 0x400


@bit_flags
class Xfrm(IntFlag):
    """ATTRIBUTES.XFRM: the XSAVE state components of an enclave, as in XCR0. X87 and SSE are obligatory."""

    X87 = 0x001
    SSE = 0x002
    AVX = 0x004
    BNDREGS = 0x008
    BNDCSR = 0x010
    OPMASK = 0x020
    ZMM_HI256 = 0x040
    HI16_ZMM = 0x080
    PKRU = 0x200


#: The two XFRM bits without which ECREATE faults.
XFRM_LEGACY = Xfrm.X87 | Xfrm.SSE


@bit_flags
class MiscSelect(IntFlag):
    """MISCSELECT: what an exit may write into the SSA's MISC region."""

    EXINFO = 0x1


class Attributes(Struct, size=16):
    """ATTRIBUTES (instruction notes 1.1)."""

    flags = U64(0, "what the enclave is", enum=AttributeFlags)
    xfrm = U64(8, "XSAVE state components", enum=Xfrm)

    @property
    def debug(self) -> bool:
        """DEBUG is set: the enclave's memory is open to a debugger."""
        return bool(self.flags & AttributeFlags.DEBUG)

    def masked(self, mask: Attributes) -> Attributes:
        """Bitwise AND of all 128 bits, as EINIT and EGETKEY do it."""
        both = zip(self.to_bytes(), mask.to_bytes(), strict=True)
        return Attributes.from_bytes(bytes(a & b for a, b in both))
