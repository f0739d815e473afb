"""Keys of EPID: the group's, the issuer's, the member's (EPID spec section 4), and the check that ties
them together.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Self

from fusequote.epid.arithmetic import Arithmetic, default
from fusequote.epid.codec import G1_POINT, G2_POINT, GID, SCALAR, SECRET_SCALAR, Record, need_size
from fusequote.epid.errors import EpidFormatError, EpidStatus, GroupMismatch, KeyCheckFailed
from fusequote.epid.gid import hash_alg_of, long_gid
from fusequote.epid.hashing import HashAlg
from fusequote.epid.params import G1_GENERATOR, G2_GENERATOR, GT_SIZE, P_BYTES


@lru_cache(maxsize=256)
def _in_subgroup(point: bytes) -> bool:
    return default().g2_in_subgroup(point)


@dataclass(frozen=True)
class GroupPublicKey(Record):
    """A group's public key, 272 bytes (260 with a 4-byte gid): gid, h1 and h2 of G1, w = [gamma]g2 of G2."""

    WHAT = "group public key"
    STATUS = EpidStatus.kEpidBadGroupPubKeyErr
    LAYOUT = (("gid", GID), ("h1", G1_POINT), ("h2", G1_POINT), ("w", G2_POINT))

    gid: bytes
    h1: bytes
    h2: bytes
    w: bytes

    @classmethod
    def from_bytes(cls, data: bytes, gid_size: int = 16, strict: bool = True) -> Self:
        """Reads a group key; raises EpidFormatError.

        With ``strict`` w must lie in the order-p subgroup. Intel's SDK does not look, so ``strict=False`` is
        there to answer as it does.
        """
        group = super().from_bytes(data, gid_size)
        if strict:
            group.check_subgroup()
        return group

    def check_subgroup(self) -> None:
        """Raises EpidFormatError if w is outside the order-p subgroup: a malicious or broken issuer's key."""
        if not _in_subgroup(self.w):
            raise EpidFormatError(
                "group public key: w is outside the subgroup of order p",
                offset=len(self.gid) + 128,
                status=self.STATUS,
            )

    @property
    def hash_alg(self) -> HashAlg:
        """What the gid says: its own field for 16 bytes, SHA-256 for 4.

        Raises EpidError if it is reserved.
        """
        return hash_alg_of(self.gid)

    def with_gid(self, gid: bytes) -> Self:
        """The same key under another form of its gid (the gid is in no hash)."""
        return replace(self, gid=gid)

    def hash_prefix(self) -> bytes:
        """``p || g1 || g2 || h1 || h2 || w``, with which joins and signatures are hashed; 480 bytes."""
        return P_BYTES + G1_GENERATOR + G2_GENERATOR + self.h1 + self.h2 + self.w


@dataclass(frozen=True)
class IssuingPrivateKey(Record):
    """The issuer's secret: gid, gamma; 48 or 36 bytes."""

    WHAT = "issuing private key"
    STATUS = EpidStatus.kEpidBadIPrivKeyErr
    LAYOUT = (("gid", GID), ("gamma", SECRET_SCALAR))

    gid: bytes
    gamma: int = field(repr=False)


@dataclass(frozen=True)
class MembershipCredential(Record):
    """What the issuer gives a member: gid, A, x; 112 or 100 bytes. [x + gamma]A = g1 + [f]h1."""

    WHAT = "membership credential"
    STATUS = EpidStatus.kEpidBadMembershipCredentialErr
    LAYOUT = (("gid", GID), ("A", G1_POINT), ("x", SCALAR))

    gid: bytes
    A: bytes = field(repr=False)
    x: int = field(repr=False)


@dataclass(frozen=True)
class MemberPrivateKey(Record):
    """A member's key: gid, A, x, f; 144 or 132 bytes. Never let it into a log: f links and revokes."""

    WHAT = "member private key"
    STATUS = EpidStatus.kEpidBadPrivKeyErr
    LAYOUT = (("gid", GID), ("A", G1_POINT), ("x", SCALAR), ("f", SECRET_SCALAR))

    gid: bytes
    A: bytes = field(repr=False)
    x: int = field(repr=False)
    f: int = field(repr=False)

    @property
    def credential(self) -> MembershipCredential:
        """The part that the issuer knows."""
        return MembershipCredential(self.gid, self.A, self.x)


@dataclass(frozen=True)
class MemberPrecomp:
    """The pairings that a member signs with: e12 = e(h1,g2), e22 = e(h2,g2), e2w = e(h2,w), ea2 = e(A,g2);
    1536 bytes.

    ea2 is as secret as A: it links the member's signatures for whoever opens its T.
    """

    e12: bytes
    e22: bytes
    e2w: bytes
    ea2: bytes = field(repr=False)

    SIZE = 4 * GT_SIZE

    @classmethod
    def compute(cls, group: GroupPublicKey, A: bytes, arithmetic: Arithmetic | None = None) -> Self:
        """Four pairings."""
        a = arithmetic or default()
        g2, w = a.g2_prepare(G2_GENERATOR), a.g2_prepare(group.w)
        pairs = ((group.h1, g2), (group.h2, g2), (group.h2, w), (A, g2))
        return cls(*(a.pairing_product([pair]) for pair in pairs))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Reads 1536 bytes; each of the four must be of order p. Raises EpidFormatError."""
        data = bytes(data)
        need_size(data, cls.SIZE, "member precomputation", EpidStatus.kEpidBadPrecompErr)
        parts = [data[i : i + GT_SIZE] for i in range(0, cls.SIZE, GT_SIZE)]
        for i, part in enumerate(parts):
            if not default().gt_is_element(part):
                raise EpidFormatError(
                    f"member precomputation: {('e12', 'e22', 'e2w', 'ea2')[i]} is not an element of GT",
                    offset=i * GT_SIZE,
                    status=EpidStatus.kEpidBadPrecompErr,
                )
        return cls(*parts)

    def to_bytes(self) -> bytes:
        """The wire form, 1536 bytes."""
        return self.e12 + self.e22 + self.e2w + self.ea2


def same_gid(a: bytes, b: bytes) -> bool:
    """True if two gids name the same group; a 4-byte one stands for itself after twelve zeros."""
    return long_gid(a) == long_gid(b)


def require_same_gid(
    group: GroupPublicKey, other: bytes, what: str, status: EpidStatus = GroupMismatch.status
) -> None:
    """Raises GroupMismatch, with ``status``, unless ``other`` is the group's gid."""
    if not same_gid(group.gid, other):
        complaint = f"the {what} is of group {other.hex()}, not of group {group.gid.hex()}"
        raise GroupMismatch(complaint, status=status)


def check_member_key(
    group: GroupPublicKey,
    key: MemberPrivateKey,
    arithmetic: Arithmetic | None = None,
    h1: bytes | None = None,
) -> None:
    """The key check: e(A, w + [x]g2) = e(g1 + [f]h1, g2), as e(A, w) e([x]A - g1 - [f]h1, g2) = 1.

    ``h1`` replaces the group's (the split form has its own). Raises GroupMismatch, EpidFormatError for a w
    outside the order-p subgroup, KeyCheckFailed.
    """
    a = arithmetic or default()
    require_same_gid(group, key.gid, "key")
    group.check_subgroup()
    point = a.g1_sum_secret([(key.A, key.x), (G1_GENERATOR, -1), (h1 or group.h1, -key.f)])
    answer = a.pairing_product([(key.A, group.w), (point, G2_GENERATOR)])
    if int.from_bytes(answer, "big") != 1 << 8 * (GT_SIZE - 32):
        raise KeyCheckFailed("the credential is not one of this group for this f: it fails the key check")


def verifier_precomp(group: GroupPublicKey, arithmetic: Arithmetic | None = None) -> bytes:
    """The pairings that Intel's verifier keeps: gid, e12, e22, e2w, eg12; 1552 bytes (1540 with a 4-byte gid).

    Ours needs none of them: it never raises anything in GT.
    """
    a = arithmetic or default()
    pairs = (
        (group.h1, G2_GENERATOR),
        (group.h2, G2_GENERATOR),
        (group.h2, group.w),
        (G1_GENERATOR, G2_GENERATOR),
    )
    return group.gid + b"".join(a.pairing_product([pair]) for pair in pairs)
