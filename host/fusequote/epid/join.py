"""Joining a group: the member's request and its proof (EPID spec section 5)."""

from __future__ import annotations

from dataclasses import dataclass, field

from fusequote.epid.arithmetic import Arithmetic, default
from fusequote.epid.codec import G1_POINT, SCALAR, SECRET_SCALAR, Record
from fusequote.epid.errors import EpidError, EpidStatus
from fusequote.epid.hashing import HashAlg, device_challenge, fp_hash
from fusequote.epid.keys import (
    GroupPublicKey,
    MemberPrivateKey,
    MembershipCredential,
    check_member_key,
    require_same_gid,
)
from fusequote.epid.params import P
from fusequote.epid.randomness import Draw, random_scalar, system_random

NONCE_SIZE = 32


@dataclass(frozen=True)
class JoinRequest(Record):
    """F = [f]h1 and a proof (c, s) that the member knows f, bound to the issuer's nonce; 128 bytes."""

    WHAT = "join request"
    STATUS = EpidStatus.kEpidBadJoinRequestErr
    LAYOUT = (("F", G1_POINT), ("c", SCALAR), ("s", SCALAR))

    F: bytes
    c: int
    s: int

    def proves(
        self,
        group: GroupPublicKey,
        nonce: bytes,
        hash_alg: HashAlg | None = None,
        arithmetic: Arithmetic | None = None,
    ) -> bool:
        """True if the proof holds for this group and nonce."""
        a, alg = arithmetic or default(), group.hash_alg if hash_alg is None else hash_alg
        R = a.g1_sum([(group.h1, self.s), (self.F, -self.c)])
        return self.c == fp_hash(alg, group.hash_prefix() + self.F + R + nonce)


@dataclass(frozen=True)
class PendingJoin:
    """A member between its request and the issuer's answer.

    Holds f: keep it as the key that it will become.
    """

    group: GroupPublicKey
    f: int = field(repr=False)

    def provision(
        self, credential: MembershipCredential, arithmetic: Arithmetic | None = None
    ) -> MemberPrivateKey:
        """The finished key, after the key check. Raises what :func:`provision` raises."""
        return provision(self.group, credential, self.f, arithmetic)


def make_join_request(
    group: GroupPublicKey,
    nonce: bytes,
    f: int | None = None,
    hash_alg: HashAlg | None = None,
    *,
    draw: Draw = system_random,
    arithmetic: Arithmetic | None = None,
    device_nonce: bytes | None = None,
) -> tuple[JoinRequest, PendingJoin]:
    """A request to join ``group``, answering the issuer's 32-byte ``nonce``; f is drawn if not given.

    Raises EpidFormatError for a group key with w outside the subgroup, EpidError for a bad nonce or f.
    ``draw`` is for tests only; ``device_nonce`` is the split form's.
    """
    if len(nonce) != NONCE_SIZE:
        raise EpidError(f"an issuer's nonce has 32 bytes, not {len(nonce)}", status=EpidStatus.kEpidBadNonceErr)
    group.check_subgroup()
    a, alg = arithmetic or default(), group.hash_alg if hash_alg is None else hash_alg
    r = random_scalar(draw)
    if f is None:
        f = random_scalar(draw)
    complaint = SECRET_SCALAR.complaint(f)
    if complaint:
        raise EpidError(f"the member's secret f {complaint}", status=EpidStatus.kEpidBadPrivKeyErr)
    F = a.g1_sum_secret([(group.h1, f)])
    R = a.g1_sum_secret([(group.h1, r)])
    c = fp_hash(alg, group.hash_prefix() + F + R + nonce)
    e = c if device_nonce is None else device_challenge(alg, device_nonce, c)
    return JoinRequest(F, c, (r + e * f) % P), PendingJoin(group, f)


def provision(
    group: GroupPublicKey, credential: MembershipCredential, f: int, arithmetic: Arithmetic | None = None
) -> MemberPrivateKey:
    """The member's key from the issuer's credential and its own f, after the key check.

    Raises GroupMismatch, KeyCheckFailed for a credential that is not for this f and group, EpidFormatError
    for a group key with w outside the subgroup.
    """
    require_same_gid(group, credential.gid, "credential")
    key = MemberPrivateKey(group.gid, credential.A, credential.x, f)
    check_member_key(group, key, arithmetic)
    return key
