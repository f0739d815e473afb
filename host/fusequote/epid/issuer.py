"""The issuer of a group: gives credentials, makes revocation lists (EPID spec section 5 and 10)."""

from __future__ import annotations

import secrets
from typing import Protocol

from fusequote.epid.arithmetic import Arithmetic, default
from fusequote.epid.errors import (
    EpidError,
    EpidFormatError,
    EpidStatus,
    GroupMismatch,
    JoinRefused,
    VerifyResult,
)
from fusequote.epid.gid import check_gid_size, hash_alg_of
from fusequote.epid.hashing import HashAlg
from fusequote.epid.join import NONCE_SIZE, JoinRequest
from fusequote.epid.keys import (
    GroupPublicKey,
    IssuingPrivateKey,
    MemberPrivateKey,
    MembershipCredential,
    check_member_key,
    require_same_gid,
)
from fusequote.epid.params import G1_GENERATOR, G2_GENERATOR, P
from fusequote.epid.randomness import Draw, random_point, random_scalar, system_random
from fusequote.epid.revocation import GroupRl, PrivRl, SigRl
from fusequote.epid.verifier import SignatureLike, Verifier


class NonceStore(Protocol):
    """Where an issuer keeps the nonces that it gave out, so that each is good for one join."""

    def remember(self, nonce: bytes) -> None:
        """Notes a fresh nonce."""

    def consume(self, nonce: bytes) -> bool:
        """True, once, for a nonce that was remembered."""


class MemoryNonces:
    """Nonces of this process; the oldest are forgotten beyond ``limit``, so that nobody can fill the memory."""

    def __init__(self, limit: int = 1 << 16):
        self._limit = limit
        self._nonces: dict[bytes, None] = {}

    def remember(self, nonce: bytes) -> None:
        """Notes a fresh nonce."""
        while len(self._nonces) >= self._limit:
            del self._nonces[next(iter(self._nonces))]
        self._nonces[nonce] = None

    def consume(self, nonce: bytes) -> bool:
        """True, once, for a nonce that was remembered."""
        return self._nonces.pop(nonce, self) is None


class Issuer:
    """The issuer of one group.

    ``group`` and ``key`` must belong together (w = [gamma]g2), else KeyCheckFailed's kin: EpidError with
    kEpidUnrelatedKeyPairErr. ``draw`` is for tests only.
    """

    def __init__(
        self,
        group: GroupPublicKey,
        key: IssuingPrivateKey,
        hash_alg: HashAlg | None = None,
        *,
        nonces: NonceStore | None = None,
        arithmetic: Arithmetic | None = None,
        draw: Draw = system_random,
    ):
        self.group = group
        self.hash_alg = group.hash_alg if hash_alg is None else hash_alg
        self._a = arithmetic or default()
        require_same_gid(group, key.gid, "issuing key")
        if self._a.g2_sum_secret([(G2_GENERATOR, key.gamma)]) != group.w:
            raise EpidError(
                "the issuing key is not this group's: w is not [gamma]g2",
                status=EpidStatus.kEpidUnrelatedKeyPairErr,
            )
        self._key, self._draw = key, draw
        self._nonces = nonces if nonces is not None else MemoryNonces()

    def __repr__(self) -> str:
        return f"<Issuer of group {self.group.gid.hex()}>"

    @classmethod
    def create(
        cls,
        gid: bytes,
        hash_alg: HashAlg | None = None,
        *,
        nonces: NonceStore | None = None,
        arithmetic: Arithmetic | None = None,
        draw: Draw = system_random,
    ) -> Issuer:
        """A new group with a 4- or 16-byte gid (see :class:`GidFields`): gamma, h1 and h2 at random.

        The hash algorithm is the gid's own unless given. Raises EpidError for a gid that cannot be.
        """
        check_gid_size(len(gid))
        hash_alg = hash_alg_of(gid) if hash_alg is None else hash_alg
        a = arithmetic or default()
        gamma = random_scalar(draw)
        h1, h2 = random_point(a, draw), random_point(a, draw)
        group = GroupPublicKey(gid, h1, h2, a.g2_sum_secret([(G2_GENERATOR, gamma)]))
        return cls(group, IssuingPrivateKey(gid, gamma), hash_alg, nonces=nonces, arithmetic=a, draw=draw)

    # keeping

    def export(self) -> bytes:
        """Group public key, then issuing private key: 320 bytes (296 with a 4-byte gid). **Secret.**

        Nonces are not in it, nor a hash algorithm other than the gid's.
        """
        return self.group.to_bytes() + self._key.to_bytes()

    @classmethod
    def load(cls, data: bytes, hash_alg: HashAlg | None = None, **options) -> Issuer:
        """The issuer from :meth:`export`'s bytes; raises EpidFormatError, EpidError.

        Options as the constructor's.
        """
        sizes = {GroupPublicKey.size(n) + IssuingPrivateKey.size(n): n for n in (4, 16)}
        if len(data) not in sizes:
            raise EpidFormatError(
                f"issuer: {len(data)} bytes, but there must be {' or '.join(map(str, sizes))}",
                offset=len(data),
            )
        n = sizes[len(data)]
        split = GroupPublicKey.size(n)
        group = GroupPublicKey.from_bytes(data[:split], n)
        return cls(group, IssuingPrivateKey.from_bytes(data[split:], n), hash_alg, **options)

    # joining

    def nonce(self) -> bytes:
        """A fresh 32-byte nonce, good for one :meth:`issue`."""
        nonce = secrets.token_bytes(NONCE_SIZE)
        self._nonces.remember(nonce)
        return nonce

    def consume(self, nonce: bytes) -> None:
        """Uses a nonce up; raises JoinRefused if this issuer did not give it out, or it has been used."""
        if not self._nonces.consume(bytes(nonce)):
            raise JoinRefused(
                "this nonce was not given out, or has been used",
                status=EpidStatus.kEpidBadNonceErr,
                hint="ask the issuer for a new nonce and make a new join request",
            )

    def issue(self, request: JoinRequest, nonce: bytes) -> MembershipCredential:
        """A credential for the f behind ``request``.

        The nonce is used up, whatever the outcome. Raises JoinRefused for a nonce that this issuer did not
        give out or has seen before, or a proof that does not hold.
        """
        self.consume(nonce)
        if not request.proves(self.group, nonce, self.hash_alg, self._a):
            raise JoinRefused("the join request does not prove knowledge of f for this group and nonce")
        return self.credential(request.F)

    def credential(self, F: bytes) -> MembershipCredential:
        """A credential for F = [f]h1, whoever has proven that: A = [1/(x + gamma)](g1 + F) with a random x.

        For callers that checked the proof themselves; everybody else wants :meth:`issue`.
        """
        while True:
            credential = self._credential(F, random_scalar(self._draw))
            if credential is not None:
                return credential

    def credential_for(self, x: int, f: int) -> MembershipCredential | None:
        """The credential with this x for this f (both 1..p-1), or None if x + gamma = 0: for compressed keys."""
        if not (0 < x < P and 0 < f < P):
            return None
        return self._credential(self._a.g1_sum_secret([(self.group.h1, f)]), x)

    def _credential(self, F: bytes, x: int) -> MembershipCredential | None:
        total = (x + self._key.gamma) % P
        if total == 0:
            return None
        inverse = pow(total, -1, P)
        A = self._a.g1_sum_secret([(G1_GENERATOR, inverse), (F, inverse)])
        return MembershipCredential(self.group.gid, A, x)

    # revoking: each takes a list and gives its next version

    def empty_priv_rl(self) -> PrivRl:
        """Version 0, no entries."""
        return PrivRl(self.group.gid)

    def empty_sig_rl(self) -> SigRl:
        """Version 0, no entries."""
        return SigRl(self.group.gid)

    def revoke_key(self, current: PrivRl, key: MemberPrivateKey) -> PrivRl:
        """Adds a leaked key to the PrivRL. Raises KeyCheckFailed unless it is a key of this group."""
        require_same_gid(self.group, current.gid, current.WHAT)
        check_member_key(self.group, key, self._a)
        return current.adding(key.f)

    def revoke_signature(
        self,
        current: SigRl,
        signature: SignatureLike,
        message: bytes,
        basename: bytes | None = None,
    ) -> SigRl:
        """Adds the maker of a signature to the SigRL.

        Only a good signature of ``message`` may revoke: raises EpidError otherwise, or else anybody could
        fill the list. Its own proofs are not looked at: it was made under an older list, or by somebody
        revoked already.
        """
        require_same_gid(self.group, current.gid, current.WHAT)
        verifier = Verifier(self.group, self.hash_alg, basename, arithmetic=self._a)
        if not verifier.verify_basic(signature, message):
            raise EpidError(
                "the signature is not one of this group over this message: it revokes nobody",
                status=EpidStatus(VerifyResult.kEpidSigInvalid.value),
            )
        data = signature if isinstance(signature, bytes | bytearray | memoryview) else signature.to_bytes()
        return current.adding((bytes(data[:64]), bytes(data[64:128])))

    def revoke_group(self, current: GroupRl) -> GroupRl:
        """Adds this whole group to the GroupRL; raises GroupMismatch if the list's gids have another length."""
        if any(len(gid) != len(self.group.gid) for gid in current.entries):
            raise GroupMismatch(f"the GroupRL's gids do not have {len(self.group.gid)} bytes as this group's")
        return current.adding(self.group.gid)
