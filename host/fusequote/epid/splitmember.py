"""A software member of the split (TPM) form, and its issuer's side (EPID spec section 12).

A real one keeps f in a device that signs for itself (ECDAA). Here the device is this process: for tests, and
for groups that mix both kinds of member. A split and a plain member of one group are different kinds: a
credential for one is none for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fusequote.epid.arithmetic import Arithmetic, default
from fusequote.epid.codec import G1_POINT, NONCE, SCALAR, U32, Kind, Record
from fusequote.epid.errors import EpidError, EpidStatus, JoinRefused
from fusequote.epid.hashing import HashAlg, device_challenge, fp_hash
from fusequote.epid.issuer import Issuer
from fusequote.epid.join import PendingJoin, make_join_request
from fusequote.epid.keys import GroupPublicKey, MemberPrivateKey, MembershipCredential
from fusequote.epid.member import Member, Presignature
from fusequote.epid.nonrevoked import Entry
from fusequote.epid.parallel import Progress
from fusequote.epid.params import Q
from fusequote.epid.randomness import Draw, system_random
from fusequote.epid.revocation import SigRl
from fusequote.epid.signature import NonRevokedProof
from fusequote.epid.splitform import SplitProof, SplitSignature, split_generator, split_group
from fusequote.epid.wire import NONCE_SIZE

_FIELD = Kind(
    32, lambda v: None if isinstance(v, int) and 0 <= v < Q else "is not below the field's modulus", True
)


@dataclass(frozen=True)
class SplitJoinRequest(Record):
    """F = [f]h1s, a proof (c, s) under the device's nonce k, and counter and y of the hash to h1s; 196 bytes."""

    WHAT = "split join request"
    STATUS = EpidStatus.kEpidBadJoinRequestErr
    LAYOUT = (("F", G1_POINT), ("c", SCALAR), ("s", SCALAR), ("k", NONCE), ("i", U32), ("y", _FIELD))

    F: bytes
    c: int
    s: int
    k: bytes
    i: int
    y: int

    def proves(
        self,
        group: GroupPublicKey,
        nonce: bytes,
        hash_alg: HashAlg | None = None,
        arithmetic: Arithmetic | None = None,
    ) -> bool:
        """True if the proof holds for this (plain) group key and the issuer's nonce."""
        a, alg = arithmetic or default(), group.hash_alg if hash_alg is None else hash_alg
        h1s, counter = split_generator(group, alg, a)
        if self.i != counter or self.y != int.from_bytes(h1s[32:], "big"):
            return False
        R = a.g1_sum([(h1s, self.s), (self.F, -device_challenge(alg, self.k, self.c))])
        prefix = split_group(group, alg, a).hash_prefix()
        return self.c == fp_hash(alg, prefix + self.F + R + nonce)


@dataclass(frozen=True)
class SplitPendingJoin:
    """A split member between its request and the issuer's answer."""

    pending: PendingJoin = field(repr=False)

    def provision(self, credential: MembershipCredential) -> MemberPrivateKey:
        """The finished key, after the key check against h1s."""
        return self.pending.provision(credential)


def make_split_join_request(
    group: GroupPublicKey,
    nonce: bytes,
    f: int | None = None,
    hash_alg: HashAlg | None = None,
    *,
    draw: Draw = system_random,
    arithmetic: Arithmetic | None = None,
) -> tuple[SplitJoinRequest, SplitPendingJoin]:
    """A split member's request to join ``group``; raises as :func:`fusequote.epid.join.make_join_request`."""
    a, alg = arithmetic or default(), group.hash_alg if hash_alg is None else hash_alg
    h1s, counter = split_generator(group, alg, a)
    k = draw(NONCE_SIZE)
    plain, pending = make_join_request(
        split_group(group, alg, a), nonce, f, alg, draw=draw, arithmetic=a, device_nonce=k
    )
    y = int.from_bytes(h1s[32:], "big")
    return SplitJoinRequest(plain.F, plain.c, plain.s, k, counter, y), SplitPendingJoin(pending)


def issue_split(issuer: Issuer, request: SplitJoinRequest, nonce: bytes) -> MembershipCredential:
    """A credential for a split member; the nonce is used up. Raises JoinRefused."""
    issuer.consume(nonce)
    if not request.proves(issuer.group, nonce, issuer.hash_alg):
        raise JoinRefused("the split join request does not prove knowledge of f for this group and nonce")
    return issuer.credential(request.F)


class SplitMember(Member):
    """A split member, ready to sign. ``group`` is the plain group key."""

    def __init__(
        self,
        group: GroupPublicKey,
        key: MemberPrivateKey,
        hash_alg: HashAlg | None = None,
        *,
        arithmetic: Arithmetic | None = None,
        draw: Draw = system_random,
    ):
        alg = group.hash_alg if hash_alg is None else hash_alg
        super().__init__(split_group(group, alg, arithmetic), key, alg, arithmetic=arithmetic, draw=draw)

    def sign(
        self,
        message: bytes,
        basename: bytes | None = None,
        sigrl: SigRl | None = None,
        presig: Presignature | None = None,
        *,
        progress: Progress | None = None,
    ) -> SplitSignature:
        """A split signature; everything else as :meth:`Member.sign`."""
        self._accept(sigrl)
        nonce = self._nonce()
        basic = self._sign_basic(message, basename, presig, nonce)
        if sigrl is None:
            return SplitSignature(basic, nonce)
        prover = self._prover(basic, message, sigrl)

        def prove(run: Sequence[Entry]) -> list[SplitProof | None]:
            devices = [self._nonce() for _ in run]
            proofs = zip(prover.prove(run, self._draw, devices), devices, strict=True)
            return [
                proof and SplitProof(proof.T, proof.c, proof.smu, proof.snu, nonce) for proof, nonce in proofs
            ]

        proofs = self._prove_all(prove, sigrl, progress)
        blank = NonRevokedProof.blank()
        made = tuple(proof or _blank(blank) for proof in proofs)
        signature = SplitSignature(basic, nonce, sigrl.version, made)
        self._raise_if_revoked(signature, proofs)
        return signature

    def _nonce(self) -> bytes:
        nonce = self._draw(NONCE_SIZE)
        if len(nonce) != NONCE_SIZE:
            raise EpidError("the random source ran dry", status=EpidStatus.kEpidBitSupplierErr)
        return nonce


def _blank(plain: NonRevokedProof) -> SplitProof:
    proof = object.__new__(SplitProof)
    for name, value in (*vars(plain).items(), ("nonce", bytes(NONCE_SIZE))):
        object.__setattr__(proof, name, value)
    return proof
