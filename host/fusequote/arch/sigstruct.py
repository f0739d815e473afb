"""SIGSTRUCT: who vouches for an enclave (instruction notes 1.8)."""

from __future__ import annotations

import hashlib
from datetime import date

from fusequote.arch.attributes import Attributes, MiscSelect
from fusequote.arch.layout import U8, U16, U32, Bytes, Reserved, Struct, Sub

#: What EINIT demands of HEADER and HEADER2, all 16 bytes of each.
HEADER = bytes.fromhex("06000000e10000000000010000000000")
HEADER2 = bytes.fromhex("01010000600000006000000001000000")
#: The two VENDOR values that EINIT takes: everybody, and Intel.
VENDOR_OTHER = 0
VENDOR_INTEL = 0x8086
#: The only public exponent.
EXPONENT = 3


class SigStruct(Struct, size=1808, align=4096):
    """SIGSTRUCT. The signed message is the 256 bytes [0, 128) and [900, 1028)."""

    COVER = ((0, 128, "RSA signature"), (900, 1028, "RSA signature"), (128, 512, "MRSIGNER"))

    header = Bytes(0, 16, "06000000E1000000 0000010000000000", default=HEADER)
    vendor = U32(16, "0, or 8086 for Intel")
    date = U32(20, "yyyymmdd, BCD")
    header2 = Bytes(24, 16, "0101000060000000 6000000001000000", default=HEADER2)
    swdefined = U32(40, "free for software")
    reserved1 = Reserved(44, 84)
    modulus = Bytes(128, 384, "RSA-3072, little-endian")
    exponent = U32(512, "3", default=EXPONENT)
    signature = Bytes(516, 384, "little-endian")
    miscselect = U32(900, enum=MiscSelect)
    miscmask = U32(904, "bits of MISCSELECT that must be as given")
    cet_attributes = U8(908)
    cet_attributes_mask = U8(909)
    reserved2 = Reserved(910, 2)
    isvfamilyid = Bytes(912, 16, "0 unless KSS")
    attributes = Sub(928, Attributes)
    attributemask = Sub(944, Attributes, "bits of ATTRIBUTES that must be as given")
    enclavehash = Bytes(960, 32, "MRENCLAVE that is vouched for")
    reserved3 = Reserved(992, 16)
    isvextprodid = Bytes(1008, 16, "KSS")
    isvprodid = U16(1024, "product id")
    isvsvn = U16(1026, "security version of the enclave")
    reserved4 = Reserved(1028, 12)
    q1 = Bytes(1040, 384, "floor(S^2 / N), little-endian")
    q2 = Bytes(1424, 384, "floor((S^2 mod N) * S / N), little-endian")

    def signed_message(self) -> bytes:
        """The 256 bytes under the signature."""
        return self.to_bytes()[0:128] + self.to_bytes()[900:1028]

    @property
    def mrsigner(self) -> bytes:
        """SHA-256 of MODULUS as its 384 bytes lie in the structure."""
        return hashlib.sha256(self.modulus).digest()

    @property
    def signed_on(self) -> date | None:
        """DATE, or None when it is no calendar date in BCD."""
        try:
            return date.fromisoformat(f"{self.date >> 16:04x}-{self.date >> 8 & 0xFF:02x}-{self.date & 0xFF:02x}")
        except ValueError:
            return None


def bcd_date(day: date) -> int:
    """DATE of a calendar day: 2026-11-23 is 0x20261123."""
    return int(day.strftime("%Y%m%d"), 16)
