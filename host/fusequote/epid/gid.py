"""Group ids: 16 bytes with fields in Intel's SDK, 4 bytes in SGX (EPID spec section 4).

A gid is in no hash, so one key serves under both forms. ``bytes`` are used for it everywhere; this module
reads and makes the fields of the long form.
"""

from __future__ import annotations

from dataclasses import dataclass

from fusequote.epid.errors import EpidError, EpidFormatError, EpidStatus
from fusequote.epid.hashing import HashAlg

SIZES = (4, 16)


def check_gid_size(size: int) -> int:
    """``size`` if it is 4 or 16; raises EpidFormatError."""
    if size not in SIZES:
        raise EpidFormatError(f"a gid has 4 or 16 bytes, not {size}", status=EpidStatus.kEpidBadGidErr)
    return size


def long_gid(gid: bytes) -> bytes:
    """The 16-byte form: a 4-byte gid after twelve zeros."""
    check_gid_size(len(gid))
    return gid.rjust(16, b"\0")


def hash_alg_of(gid: bytes) -> HashAlg:
    """The hash algorithm: SHA-256 for a 4-byte gid (as SGX sets by hand), the gid's own field for a long one.

    Raises EpidError for a reserved algorithm or an unknown schema.
    """
    return HashAlg.SHA256 if len(gid) == 4 else GidFields.from_bytes(gid).hash_alg


@dataclass(frozen=True)
class GidFields:
    """The fields of a 16-byte gid, from its first bit to its last. Each is an integer of the width named."""

    hash_alg: HashAlg = HashAlg.SHA256  #: 4 bits
    usage: int = 0  #: global usage id, 8 bits
    issuer: int = 0  #: 12 bits
    vendor: int = 0  #: 20 bits
    product: int = 0  #: 16 bits
    reserved: int = 0  #: 32 bits, unused by Intel
    core: int = 0  #: the group's number, 32 bits; this is the 4-byte gid
    schema: int = 0  #: 4 bits, must be 0

    #: (field, width in bits), most significant first.
    LAYOUT = (
        ("schema", 4), ("usage", 8), ("hash_alg", 4), ("issuer", 12), ("vendor", 20), ("product", 16),
        ("reserved", 32), ("core", 32),
    )  # fmt: skip

    @classmethod
    def from_bytes(cls, gid: bytes) -> GidFields:
        """Reads a 16-byte gid; raises EpidError for a schema other than 0 or a reserved hash algorithm."""
        if len(gid) != 16:
            raise EpidFormatError(
                f"a gid with fields has 16 bytes, not {len(gid)}", status=EpidStatus.kEpidBadGidErr
            )
        value, fields = int.from_bytes(gid, "big"), {}
        for name, width in reversed(cls.LAYOUT):
            fields[name] = value & ((1 << width) - 1)
            value >>= width
        if fields["schema"]:
            raise EpidError(
                f"gid schema {fields['schema']} is unknown", status=EpidStatus.kEpidSchemaNotSupportedErr
            )
        return cls(**(fields | {"hash_alg": HashAlg.from_code(fields["hash_alg"])}))

    def to_bytes(self) -> bytes:
        """The 16 bytes; raises EpidError for a field that does not fit its width."""
        value = 0
        for name, width in self.LAYOUT:
            field = int(getattr(self, name))
            if not 0 <= field < 1 << width:
                raise EpidError(f"gid field {name} must fit {width} bits", status=EpidStatus.kEpidBadGidErr)
            value = value << width | field
        return value.to_bytes(16, "big")
