"""EPID objects in files: Intel's SDK form with 16-byte gids, and SGX's with 4 (EPID spec sections 11, 15).

A signed file is header || payload || ECDSA of a :class:`CertificateAuthority`. The two forms differ in the
order of the header's first two bytes and in the gid.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TypeVar

from fusequote.epid.authority import SIGNATURE_SIZE, CaCertificate, CertificateAuthority
from fusequote.epid.errors import EpidFormatError
from fusequote.epid.gid import long_gid
from fusequote.epid.keys import GroupPublicKey, MemberPrivateKey, MembershipCredential
from fusequote.epid.revocation import GroupRl, PrivRl, RevocationList, SigRl, list_kind

HEADER_SIZE = 4


class Form(Enum):
    """Which of the two families of files: its version bytes, and its gid's size."""

    SDK = (b"\x02\x00", 16)
    SGX = (b"\x00\x02", 4)

    @property
    def version(self) -> bytes:
        """The first two bytes."""
        return self.value[0]

    @property
    def gid_size(self) -> int:
        """Bytes of a gid."""
        return self.value[1]

    @classmethod
    def of_gid(cls, gid: bytes) -> Form:
        """The form that goes with a gid."""
        return cls.SGX if len(gid) == 4 else cls.SDK


class FileType(IntEnum):
    """The header's third and fourth byte."""

    PRIV_RL_REQUEST = 0x03
    SIG_RL_REQUEST = 0x0B
    GROUP_KEY = 0x0C
    PRIV_RL = 0x0D
    SIG_RL = 0x0E
    GROUP_RL = 0x0F
    CA_CERTIFICATE = 0x11
    GROUP_RL_REQUEST = 0x13

    @property
    def what(self) -> str:
        """Its name in messages."""
        return self.name.lower().replace("_", " ") + " file"


LIST_TYPES: dict[type[RevocationList], FileType] = {
    PrivRl: FileType.PRIV_RL,
    SigRl: FileType.SIG_RL,
    GroupRl: FileType.GROUP_RL,
}
AnyList = TypeVar("AnyList", PrivRl, SigRl, GroupRl)


def header(kind: FileType, form: Form) -> bytes:
    """The four bytes at the start."""
    return form.version + kind.to_bytes(2, "big")


def read_header(data: bytes, kind: FileType) -> Form:
    """The form of a file that must be of ``kind``; raises EpidFormatError for another version or type."""
    for form in Form:
        if data[:HEADER_SIZE] == header(kind, form):
            return form
    found = data[:HEADER_SIZE].hex() or "empty"
    hint = None
    for other in FileType:
        if any(data[:HEADER_SIZE] == header(other, form) for form in Form):
            hint = f"this is a {other.what}"
    if data[:2] == b"\x01\x00":
        hint = "this is a file of EPID 1.1"
    raise EpidFormatError(f"not a {kind.what}: the header is {found}", offset=0, hint=hint)


def sign_file(kind: FileType, payload: bytes, authority: CertificateAuthority, form: Form = Form.SDK) -> bytes:
    """A signed file around ``payload``."""
    data = header(kind, form) + payload
    return data + authority.sign(data)


def open_file(data: bytes, kind: FileType, ca: CaCertificate) -> tuple[Form, bytes]:
    """Form and payload of a signed file; raises EpidFormatError, BadFileSignature."""
    data = bytes(data)
    form = read_header(data, kind)
    if len(data) < HEADER_SIZE + SIGNATURE_SIZE:
        raise EpidFormatError(f"{kind.what}: {len(data)} bytes are too few", offset=len(data))
    ca.verify(data[:-SIGNATURE_SIZE], data[-SIGNATURE_SIZE:], kind.what)
    return form, data[HEADER_SIZE:-SIGNATURE_SIZE]


def sign_group_key(group: GroupPublicKey, authority: CertificateAuthority) -> bytes:
    """The group certificate: 340 bytes in the SDK's form, 328 in SGX's, as the gid says."""
    return sign_file(FileType.GROUP_KEY, group.to_bytes(), authority, Form.of_gid(group.gid))


def read_group_key(data: bytes, ca: CaCertificate, strict: bool = True) -> GroupPublicKey:
    """The group key in a group certificate of either form; raises EpidFormatError, BadFileSignature.

    Of several certificates one after the other (extractgrps' output) the first is read.
    """
    data = bytes(data)
    form = read_header(data, FileType.GROUP_KEY)
    size = HEADER_SIZE + GroupPublicKey.size(form.gid_size) + SIGNATURE_SIZE
    if len(data) > size and len(data) % size == 0:
        data = data[:size]
    form, payload = open_file(data, FileType.GROUP_KEY, ca)
    return GroupPublicKey.from_bytes(payload, form.gid_size, strict)


def sign_list(value: RevocationList, authority: CertificateAuthority, form: Form | None = None) -> bytes:
    """A signed PrivRL, SigRL or GroupRL. ``form`` is the gid's; an empty GroupRL has none, and takes the SDK's."""
    if form is None:
        gid = getattr(value, "gid", None) or next(iter(value.entries), bytes(16))
        form = Form.of_gid(gid)
    kind = next(LIST_TYPES[known] for known in type(value).__mro__ if known in LIST_TYPES)
    return sign_file(kind, value.to_bytes(), authority, form)


def read_list(data: bytes, kind: type[AnyList], ca: CaCertificate, strict: bool = True) -> AnyList:
    """A signed list of either form; raises EpidFormatError, BadFileSignature.

    Intel's SDK does not look at the entries, so ``strict=False`` is there to take any.
    """
    form, payload = open_file(data, LIST_TYPES[kind], ca)
    return list_kind(kind, strict).from_bytes(payload, form.gid_size)


def read_member_key(data: bytes) -> MemberPrivateKey | MembershipCredential | bytes:
    """What "mprivkey.dat" holds, told apart by its size: a key of 144 or 132 bytes, a credential of 112 or
    100.

    A compressed key (80 or 68 bytes) comes back as its bytes; :func:`fusequote.epid.compressed.expand` opens
    it with the group key. Raises EpidFormatError.
    """
    for kind in (MemberPrivateKey, MembershipCredential):
        for gid_size in (16, 4):
            if len(data) == kind.size(gid_size):
                return kind.from_bytes(data, gid_size)
    if len(data) in (80, 68):
        return bytes(data)
    raise EpidFormatError(
        f"member key: {len(data)} bytes are neither a key (144, 132), a compressed one (80, 68) nor a credential"
    )


# Requests to revoke: made by who has the evidence, carried to the issuer. They are not signed.


def priv_rl_request(key: MemberPrivateKey) -> bytes:
    """Asks to revoke a leaked key, which is in it: 148 bytes in the SDK's form."""
    return header(FileType.PRIV_RL_REQUEST, Form.of_gid(key.gid)) + key.to_bytes()


def read_priv_rl_request(data: bytes) -> list[MemberPrivateKey]:
    """The keys of one or more requests one after the other; raises EpidFormatError."""
    form = read_header(data, FileType.PRIV_RL_REQUEST)
    size = HEADER_SIZE + MemberPrivateKey.size(form.gid_size)
    if len(data) % size:
        raise EpidFormatError(
            f"PrivRL request: {len(data)} bytes are not whole requests of {size}", offset=len(data)
        )
    keys = []
    for at in range(0, len(data), size):
        read_header(data[at:], FileType.PRIV_RL_REQUEST)
        keys.append(MemberPrivateKey.from_bytes(data[at + HEADER_SIZE : at + size], form.gid_size))
    return keys


@dataclass(frozen=True)
class SigRlRequest:
    """Asks to revoke the maker of ``signature`` over ``message``."""

    gid: bytes
    signature: bytes
    message: bytes

    def to_bytes(self) -> bytes:
        """Header, gid, signature, u32 length, message."""
        head = header(FileType.SIG_RL_REQUEST, Form.of_gid(self.gid))
        return head + self.gid + self.signature + len(self.message).to_bytes(4, "big") + self.message

    @classmethod
    def from_bytes(cls, data: bytes) -> SigRlRequest:
        """Reads one request; raises EpidFormatError."""
        data = bytes(data)
        form = read_header(data, FileType.SIG_RL_REQUEST)
        at = HEADER_SIZE + form.gid_size
        # The signature says itself how many proofs, and so how many bytes, it has.
        count = int.from_bytes(data[at + 356 : at + 360], "big") if len(data) >= at + 364 else 0
        end = at + 360 + 160 * count
        if len(data) < end + 4 or end + 4 + int.from_bytes(data[end : end + 4], "big") != len(data):
            raise EpidFormatError(
                f"SigRL request: {len(data)} bytes do not hold what they announce", offset=len(data)
            )
        return cls(data[HEADER_SIZE:at], data[at:end], data[end + 4 :])


def group_rl_request(gids: list[tuple[bytes, int]]) -> bytes:
    """Asks to revoke groups, each with a reason byte."""
    body = b"".join(long_gid(gid) + bytes([reason]) for gid, reason in gids)
    return header(FileType.GROUP_RL_REQUEST, Form.SDK) + len(gids).to_bytes(4, "big") + body


def read_group_rl_request(data: bytes) -> list[tuple[bytes, int]]:
    """The gids and reasons of a request; raises EpidFormatError."""
    read_header(data, FileType.GROUP_RL_REQUEST)
    count = int.from_bytes(data[4:8], "big")
    if len(data) < 8 or len(data) != 8 + 17 * count:
        raise EpidFormatError(f"GroupRL request: {len(data)} bytes do not hold {count} groups", offset=4)
    return [(bytes(data[at : at + 16]), data[at + 16]) for at in range(8, len(data), 17)]


# What Intel's key generation gives out in bulk, and its extractkeys cuts up.


@dataclass(frozen=True)
class BulkKey:
    """One key of a bulk file; ``key`` is a full (144) or a compressed (80) one, as its bytes."""

    product: int
    key_id: bytes
    svn: int
    key: bytes

    def to_bytes(self) -> bytes:
        """Product id 2, key id 8, svn 4, key."""
        return self.product.to_bytes(2, "big") + self.key_id + self.svn.to_bytes(4, "big") + self.key

    def __repr__(self) -> str:
        return f"<BulkKey {self.key_id.hex()} of product {self.product}>"


def read_bulk_keys(data: bytes, compressed: bool = False) -> list[BulkKey]:
    """The keys of a bulk file, whose records are 158 bytes, or 94 with ``compressed``; raises EpidFormatError."""
    size = 14 + (80 if compressed else MemberPrivateKey.size())
    if len(data) % size:
        raise EpidFormatError(f"bulk keys: {len(data)} bytes are not whole records of {size}", offset=len(data))
    records = (bytes(data[at : at + size]) for at in range(0, len(data), size))
    return [
        BulkKey(int.from_bytes(r[:2], "big"), r[2:10], int.from_bytes(r[10:14], "big"), r[14:]) for r in records
    ]


def read_bulk_groups(data: bytes, ca: CaCertificate) -> list[GroupPublicKey]:
    """All group keys of a file of several certificates; raises EpidFormatError, BadFileSignature."""
    size = HEADER_SIZE + GroupPublicKey.size(read_header(data, FileType.GROUP_KEY).gid_size) + SIGNATURE_SIZE
    if len(data) % size:
        raise EpidFormatError(f"bulk groups: {len(data)} bytes are not whole files of {size}", offset=len(data))
    return [read_group_key(data[at : at + size], ca) for at in range(0, len(data), size)]
