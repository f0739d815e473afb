"""The four revocation lists (EPID spec section 10): immutable, versioned, of any size.

``list.adding(..)`` makes the next version. A count is believed only after it fits the length.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from fusequote.epid.codec import ANY_64_BYTES, ANY_256_BITS, G1_POINT, GID, SECRET_SCALAR, U32, Kind
from fusequote.epid.errors import EpidError, EpidFormatError, EpidStatus
from fusequote.epid.gid import check_gid_size

Entry = Any


@dataclass(frozen=True)
class RevocationList:
    """Header, version, count, entries.

    Subclasses name the header's fields and the kinds of an entry's parts.
    """

    WHAT: ClassVar[str]
    STATUS: ClassVar[EpidStatus]
    #: Fields before the version.
    HEADER: ClassVar[tuple[tuple[str, Kind], ...]] = (("gid", GID),)
    #: The parts of an entry; an entry with one part is that part, else a tuple.
    ENTRY: ClassVar[tuple[Kind, ...]]

    @classmethod
    def _sizes(cls, gid_size: int) -> tuple[int, int]:
        header = sum(kind.size or gid_size for _, kind in cls.HEADER)
        return header, sum(kind.size or gid_size for kind in cls.ENTRY)

    @classmethod
    def _fail(cls, complaint: str, offset: int | None = None) -> EpidFormatError:
        return EpidFormatError(f"{cls.WHAT}: {complaint}", offset=offset, status=cls.STATUS)

    def __post_init__(self) -> None:
        for name, kind in (*self.HEADER, ("version", U32)):
            complaint = kind.complaint(getattr(self, name))
            if complaint:
                raise self._fail(f"{name} {complaint}")
        for i, entry in enumerate(self.entries):
            complaint = self._entry_complaint(entry)
            if complaint:
                raise self._fail(f"entry {i} {complaint}")

    def _entry_complaint(self, entry: Entry) -> str | None:
        parts = entry if len(self.ENTRY) > 1 else (entry,)
        for kind, part in zip(self.ENTRY, parts, strict=True):
            complaint = kind.complaint(part)
            if complaint:
                return complaint
        return None

    @classmethod
    def from_bytes(cls, data: bytes, gid_size: int = 16) -> Self:
        """Reads and checks a list; raises EpidFormatError.

        Nothing is allocated by the count before it is checked.
        """
        check_gid_size(gid_size)
        data = bytes(data)
        header, entry_size = cls._sizes(gid_size)
        if len(data) < header + 8:
            raise cls._fail(f"{len(data)} bytes are too few for its header of {header + 8}", len(data))
        values, offset = {}, 0
        for name, kind in (*cls.HEADER, ("version", U32)):
            size = kind.size or gid_size
            values[name] = kind.decode(data[offset : offset + size])
            offset += size
        count = int.from_bytes(data[offset : offset + 4], "big")
        offset += 4
        if offset + count * entry_size != len(data):
            raise cls._fail(f"{len(data)} bytes do not hold the {count} entries that it announces", offset - 4)
        entries = []
        while offset < len(data):
            parts = []
            for kind in cls.ENTRY:
                size = kind.size or gid_size
                parts.append(kind.decode(data[offset : offset + size]))
                offset += size
            entries.append(tuple(parts) if len(parts) > 1 else parts[0])
        return cls(**values, entries=tuple(entries))

    def to_bytes(self) -> bytes:
        """The wire form."""
        out = [kind.encode(getattr(self, name)) for name, kind in (*self.HEADER, ("version", U32))]
        out.append(len(self.entries).to_bytes(4, "big"))
        for entry in self.entries:
            parts = entry if len(self.ENTRY) > 1 else (entry,)
            out += [kind.encode(part) for kind, part in zip(self.ENTRY, parts, strict=True)]
        return b"".join(out)

    def adding(self, *entries: Entry) -> Self:
        """The next version with these entries too; entries already there are left out.

        Raises EpidError at 2^32-1.
        """
        known, fresh = set(self.entries), []
        for entry in entries:
            if entry not in known:
                known.add(entry)
                fresh.append(entry)
        if self.version == 0xFFFFFFFF:
            raise EpidError(f"{self.WHAT}: its version is at the end", status=EpidStatus.kEpidMaxVersionErr)
        return replace(self, version=self.version + 1, entries=(*self.entries, *fresh))

    def __len__(self) -> int:
        return len(self.entries)


@dataclass(frozen=True)
class PrivRl(RevocationList):
    """Keys revoked by their secret f, each in 1..p-1; 24 + 32 n bytes (12 + 32 n with a 4-byte gid)."""

    WHAT = "PrivRL"
    STATUS = EpidStatus.kEpidBadPrivRlErr
    ENTRY = (SECRET_SCALAR,)

    gid: bytes
    version: int = 0
    entries: tuple[int, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class SigRl(RevocationList):
    """Members revoked by one of their signatures: its (B, K); 24 + 128 n bytes (12 + 128 n with a 4-byte gid)."""

    WHAT = "SigRL"
    STATUS = EpidStatus.kEpidBadSigRlErr
    ENTRY = (G1_POINT, G1_POINT)

    gid: bytes
    version: int = 0
    entries: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class GroupRl(RevocationList):
    """Groups revoked as a whole; 8 + 16 n bytes. It belongs to no group itself."""

    WHAT = "GroupRL"
    STATUS = EpidStatus.kEpidBadGroupRlErr
    HEADER = ()
    ENTRY = (GID,)

    version: int = 0
    entries: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class VerifierRl(RevocationList):
    """One verifier's own list for one basename: its B and the K of those it shuts out; 88 + 64 n bytes."""

    WHAT = "VerifierRL"
    STATUS = EpidStatus.kEpidBadVerifierRlErr
    HEADER = (("gid", GID), ("B", G1_POINT))
    ENTRY = (G1_POINT,)

    gid: bytes
    B: bytes
    version: int = 0
    entries: tuple[bytes, ...] = field(default=(), repr=False)


# As Intel's SDK takes them: the form and the group are looked at, the entries are not.


@dataclass(frozen=True)
class UncheckedPrivRl(PrivRl):
    """A PrivRL whose entries may be any 32 bytes: one that is not below p matches everybody, zero nobody."""

    ENTRY = (ANY_256_BITS,)


@dataclass(frozen=True)
class UncheckedSigRl(SigRl):
    """A SigRL whose entries may be any bytes: the proof for one that is no point is never good."""

    ENTRY = (ANY_64_BYTES, ANY_64_BYTES)


@dataclass(frozen=True)
class UncheckedVerifierRl(VerifierRl):
    """A VerifierRL whose entries may be any bytes: one that is no point matches nobody."""

    ENTRY = (ANY_64_BYTES,)


_UNCHECKED = {PrivRl: UncheckedPrivRl, SigRl: UncheckedSigRl, VerifierRl: UncheckedVerifierRl}


def list_kind(kind: type[RevocationList], strict: bool) -> type[RevocationList]:
    """The class to read a list of ``kind`` with, for a verifier that is strict or not."""
    return kind if strict else _UNCHECKED.get(kind, kind)
