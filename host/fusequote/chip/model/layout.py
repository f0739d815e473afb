"""The structures that cross the link, as the tables of the instruction notes, section 1, have them.

One class per table, one line per row: where a field lies and how wide it is. Bytes in, fields out; the
model never builds one of these. Integers are little-endian.
"""

from __future__ import annotations

from typing import Any


class Int:
    """An unsigned integer of ``size`` bytes at ``offset``."""

    def __init__(self, offset: int, size: int):
        self._offset, self._end = offset, offset + size

    def __get__(self, structure: Any, owner: type | None = None) -> Any:
        return int.from_bytes(structure.raw[self._offset : self._end], "little")


class Raw:
    """``size`` bytes at ``offset``."""

    def __init__(self, offset: int, size: int):
        self._offset, self._end = offset, offset + size

    def __get__(self, structure: Any, owner: type | None = None) -> Any:
        return structure.raw[self._offset : self._end]


class Structure:
    """Some bytes with names. ``SIZE`` in bytes; ``RESERVED``: (first, last) pairs that must be 0."""

    SIZE: int
    RESERVED: tuple[tuple[int, int], ...] = ()

    def __init__(self, raw: bytes):
        if len(raw) != self.SIZE:
            raise ValueError(f"{type(self).__name__} is {self.SIZE} bytes, not {len(raw)}")
        self.raw = raw

    @property
    def reserved_set(self) -> bool:
        """Whether any reserved byte is not 0."""
        return any(any(self.raw[first : last + 1]) for first, last in self.RESERVED)

    def __repr__(self) -> str:
        return type(self).__name__  # KEYREQUESTs and fuses come by here


class SecInfo(Structure):
    """Notes 1.3."""

    SIZE = 64
    RESERVED = ((8, 63),)
    flags = Int(0, 8)

    @property
    def page_type(self) -> int:
        return self.flags >> 8 & 0xFF


class SecsSource(Structure):
    """Notes 1.2, the part that software supplies to ECREATE."""

    SIZE = 4096
    RESERVED = ((33, 47), (96, 127), (160, 191), (262, 4095))
    size = Int(0, 8)
    baseaddr = Int(8, 8)
    ssaframesize = Int(16, 4)
    miscselect = Int(20, 4)
    cet_leg_bitmap_offset = Int(24, 8)
    cet_attributes = Int(32, 1)
    flags = Int(48, 8)
    xfrm = Int(56, 8)
    attributes = Int(48, 16)
    configid = Raw(192, 64)
    configsvn = Int(260, 2)


class TcsSource(Structure):
    """Notes 1.4. Reserved here includes what must be 0 in the source page: STATE, AEP and PREVSSP."""

    SIZE = 4096
    RESERVED = ((0, 7), (40, 47), (80, 87), (88, 4095))
    flags = Int(8, 8)
    nssa = Int(28, 4)
    oentry = Int(32, 8)
    fslimit = Int(64, 4)
    gslimit = Int(68, 4)
    ocetssa = Int(72, 8)

    def as_stored(self) -> bytes:
        """The page as EEXTEND measures it: DBGOPTIN and CSSA cleared (STATE and AEP are 0 already)."""
        flags = self.flags & ~1
        return self.raw[:8] + flags.to_bytes(8, "little") + self.raw[16:24] + bytes(4) + self.raw[28:]


class SigStruct(Structure):
    """Notes 1.8."""

    SIZE = 1808
    RESERVED = ((44, 127), (910, 911), (992, 1007), (1028, 1039))
    header = Raw(0, 16)
    vendor = Int(16, 4)
    header2 = Raw(24, 16)
    modulus = Raw(128, 384)
    exponent = Int(512, 4)
    signature = Raw(516, 384)
    miscselect = Int(900, 4)
    miscmask = Int(904, 4)
    cet_attributes = Int(908, 1)
    cet_attributes_mask = Int(909, 1)
    isvfamilyid = Raw(912, 16)
    attributes = Int(928, 16)
    attributemask = Int(944, 16)
    enclavehash = Raw(960, 32)
    isvextprodid = Raw(1008, 16)
    isvprodid = Int(1024, 2)
    isvsvn = Int(1026, 2)
    q1 = Raw(1040, 384)
    q2 = Raw(1424, 384)

    @property
    def message(self) -> bytes:
        """The 256 bytes that SIGNATURE signs."""
        return self.raw[0:128] + self.raw[900:1028]


class EinitToken(Structure):
    """Notes 1.9."""

    SIZE = 304
    RESERVED = ((4, 47), (96, 127), (160, 191), (213, 235))
    valid = Int(0, 4)
    attributes = Int(48, 16)
    mrenclave = Raw(64, 32)
    mrsigner = Raw(128, 32)
    cpusvn_le = Raw(192, 16)
    isvprodid_le = Int(208, 2)
    isvsvn_le = Int(210, 2)
    cet_masked_attributes_le = Int(212, 1)
    masked_miscselect_le = Int(236, 4)
    masked_attributes_le = Int(240, 16)
    keyid = Raw(256, 32)
    mac = Raw(288, 16)
    maced = Raw(0, 192)


class TargetInfo(Structure):
    """Notes 1.5."""

    SIZE = 512
    RESERVED = ((49, 49), (56, 63), (128, 511))
    measurement = Raw(0, 32)
    attributes = Int(32, 16)
    cet_attributes = Int(48, 1)
    configsvn = Int(50, 2)
    miscselect = Int(52, 4)
    configid = Raw(64, 64)


class KeyRequest(Structure):
    """Notes 1.7."""

    SIZE = 512
    RESERVED = ((7, 7), (78, 511))
    keyname = Int(0, 2)
    keypolicy = Int(2, 2)
    isvsvn = Int(4, 2)
    cet_attributes_mask = Int(6, 1)
    cpusvn = Raw(8, 16)
    attributemask = Int(24, 16)
    keyid = Raw(40, 32)
    miscmask = Int(72, 4)
    configsvn = Int(76, 2)


class Report(Structure):
    """Notes 1.6, what VERIFYREPORT looks at."""

    SIZE = 432
    body = Raw(0, 384)
    keyid = Raw(384, 32)
    mac = Raw(416, 16)


class Manufacture(Structure):
    """The body of FUSE_MANUFACTURE, docs/link.md section 3.3."""

    SIZE = 192
    RESERVED = ((145, 159),)
    rpk = Raw(0, 16)
    device_id = Raw(16, 16)
    cpusvn = Raw(32, 16)
    provisioning_signers = Raw(48, 64)
    lepubkeyhash = Raw(112, 32)
    options = Int(144, 1)
    p256_key = Raw(160, 32)


# ATTRIBUTES.FLAGS, notes 1.1
INIT = 0x01
DEBUG = 0x02
MODE64BIT = 0x04
PROVISIONKEY = 0x10
EINITTOKEN_KEY = 0x20
CET = 0x40
KSS = 0x80
AEXNOTIFY = 0x400

# Page types, notes 1.3
PT_SECS, PT_TCS, PT_REG = 0, 1, 2
