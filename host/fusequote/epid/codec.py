"""Fixed-layout records of EPID: one definition parses, prints and checks each of them.

A record class is a frozen dataclass whose ``LAYOUT`` names the kind of each field in wire order. Whatever way
an instance comes about, its fields have been checked; reading bytes says where they stop making sense.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from fusequote.epid.arithmetic import default
from fusequote.epid.errors import EpidFormatError, EpidStatus
from fusequote.epid.gid import check_gid_size
from fusequote.epid.params import G1_SIZE, G2_SIZE, SCALAR_SIZE, P


@dataclass(frozen=True)
class Kind:
    """A kind of field: its size in bytes (0: the gid's), and what is wrong with a value, or None."""

    size: int
    complaint: Callable[[Any], str | None]
    is_int: bool = False

    def decode(self, data: bytes) -> Any:
        return int.from_bytes(data, "big") if self.is_int else data

    def encode(self, value: Any) -> bytes:
        return value.to_bytes(self.size, "big") if self.is_int else value


def _blob(size: int, test: Callable[[bytes], bool] = lambda data: True, complaint: str = "") -> Kind:
    def check(value: Any) -> str | None:
        if not isinstance(value, bytes) or len(value) != size:
            return f"must be {size} bytes"
        return None if test(value) else complaint

    return Kind(size, check)


def _number(size: int, low: int, high: int, complaint: str) -> Kind:
    def check(value: Any) -> str | None:
        return None if isinstance(value, int) and low <= value < high else complaint

    return Kind(size, check, is_int=True)


def _gid_complaint(value: Any) -> str | None:
    return None if isinstance(value, bytes) and len(value) in (4, 16) else "must be 4 or 16 bytes"


GID = Kind(0, _gid_complaint)
G1_POINT = _blob(
    G1_SIZE, lambda d: default().g1_is_point(d), "is not a point of G1 in canonical form, or the identity"
)
G2_POINT = _blob(
    G2_SIZE,
    lambda d: default().g2_is_point(d),
    "is not a point of the twist in canonical form, or the identity",
)
SCALAR = _number(SCALAR_SIZE, 0, P, "is not below the group order")
SECRET_SCALAR = _number(SCALAR_SIZE, 1, P, "is zero, or not below the group order")
ANY_256_BITS = _number(SCALAR_SIZE, 0, 1 << 256, "does not fit 32 bytes")
U32 = _number(4, 0, 1 << 32, "does not fit 32 bits")
NONCE = _blob(32)
ANY_64_BYTES = _blob(G1_SIZE)


def need_size(data: bytes, size: int, what: str, status: EpidStatus) -> None:
    """Raises EpidFormatError unless ``data`` has exactly ``size`` bytes."""
    if len(data) != size:
        how = "too short" if len(data) < size else "too long"
        raise EpidFormatError(
            f"{what}: {len(data)} bytes, {how}: there must be {size}",
            offset=min(len(data), size),
            status=status,
        )


class Record:
    """Base of the fixed-layout records; subclasses are frozen dataclasses with fields in ``LAYOUT`` order."""

    #: What to call it in messages.
    WHAT: ClassVar[str]
    LAYOUT: ClassVar[tuple[tuple[str, Kind], ...]]
    #: What Intel's SDK answers to a bad one.
    STATUS: ClassVar[EpidStatus] = EpidStatus.kEpidBadArgErr

    def __post_init__(self) -> None:
        offset = 0
        for name, kind in self.LAYOUT:
            value = getattr(self, name)
            complaint = kind.complaint(value)
            if complaint:
                raise EpidFormatError(f"{self.WHAT}: {name} {complaint}", offset=offset, status=self.STATUS)
            offset += kind.size or len(value)

    @classmethod
    def size(cls, gid_size: int = 16) -> int:
        """Bytes on the wire, with gids of ``gid_size`` bytes."""
        return sum(kind.size or check_gid_size(gid_size) for _, kind in cls.LAYOUT)

    @classmethod
    def from_bytes(cls, data: bytes, gid_size: int = 16) -> Self:
        """Reads and checks the record; raises EpidFormatError."""
        data = bytes(data)
        need_size(data, cls.size(gid_size), cls.WHAT, cls.STATUS)
        values, offset = {}, 0
        for name, kind in cls.LAYOUT:
            size = kind.size or gid_size
            values[name] = kind.decode(data[offset : offset + size])
            offset += size
        return cls(**values)

    def to_bytes(self) -> bytes:
        """The wire form."""
        return b"".join(kind.encode(getattr(self, name)) for name, kind in self.LAYOUT)
