"""The member: joins, signs, proves that it is not revoked (EPID spec sections 5 to 7)."""

from __future__ import annotations

from fusequote.epid.arithmetic import Arithmetic, default
from fusequote.epid.errors import EpidError, EpidStatus, PresignatureUsed, SignerRevoked, VersionRollback
from fusequote.epid.hashing import HashAlg, device_challenge, fp_hash, g1_hash
from fusequote.epid.join import make_join_request, provision
from fusequote.epid.keys import (
    GroupPublicKey,
    MemberPrecomp,
    MemberPrivateKey,
    check_member_key,
    require_same_gid,
)
from fusequote.epid.nonrevoked import EntryProver
from fusequote.epid.parallel import Progress, map_in_order
from fusequote.epid.params import P
from fusequote.epid.randomness import Draw, random_point, random_scalar, system_random
from fusequote.epid.revocation import SigRl
from fusequote.epid.signature import BasicSignature, NonRevokedProof, Signature

#: From this many entries on, tables for B and K pay for themselves.
_PREPARE_FROM = 4


class Presignature:
    """The part of a signature that needs neither message nor basename, made ahead.

    Good for one signature: :meth:`take` empties it. It is as secret as the key (two signatures with one of
    these give the key away), cannot be pickled or copied, and belongs in memory only.
    """

    __slots__ = ("_owner", "_values")

    def __init__(self, owner: object, values: tuple):
        self._owner = owner
        #: T, R2, a, b, rx, rf, ra, rb
        self._values: tuple | None = values

    def take(self, owner: object) -> tuple:
        """The values, once; raises PresignatureUsed ever after, and EpidError for another member than its maker."""
        if owner is not self._owner:
            raise EpidError("this pre-signature is another member's", status=EpidStatus.kEpidOutOfSequenceError)
        values, self._values = self._values, None
        if values is None:
            raise PresignatureUsed("this pre-signature has been used", hint="make a new one for each signature")
        return values

    @property
    def used(self) -> bool:
        """True once it has been taken."""
        return self._values is None

    def __repr__(self) -> str:
        return f"<Presignature, {'used' if self.used else 'unused'}>"

    def __reduce__(self):
        raise TypeError("a pre-signature must not be copied or stored")

    def __copy__(self):
        return self.__reduce__()

    def __deepcopy__(self, memo):
        return self.__reduce__()


class Member:
    """A member of one group, ready to sign.

    ``hash_alg`` is what the gid says unless given. ``precomp`` (see :class:`MemberPrecomp`) saves four
    pairings. Raises KeyCheckFailed, GroupMismatch or EpidFormatError if key and group do not belong together.
    ``draw`` is for tests only.
    """

    join_request = staticmethod(make_join_request)
    provision = staticmethod(provision)

    def __init__(
        self,
        group: GroupPublicKey,
        key: MemberPrivateKey,
        hash_alg: HashAlg | None = None,
        precomp: MemberPrecomp | None = None,
        *,
        arithmetic: Arithmetic | None = None,
        draw: Draw = system_random,
    ):
        self.group = group
        self.hash_alg = group.hash_alg if hash_alg is None else hash_alg
        self._a = arithmetic or default()
        check_member_key(group, key, self._a)
        self._key, self._draw = key, draw
        self.precomp = precomp or MemberPrecomp.compute(group, key.A, self._a)
        gt = self._a.gt_prepare
        self._e12, self._e22 = gt(self.precomp.e12), gt(self.precomp.e22)
        self._e2w, self._ea2 = gt(self.precomp.e2w), gt(self.precomp.ea2)
        self._h2 = self._a.g1_prepare(group.h2)
        self._prefix = group.hash_prefix()
        self._sigrl_version = 0

    def __repr__(self) -> str:
        return f"<Member of group {self.group.gid.hex()}>"

    def presign(self) -> Presignature:
        """Does the larger part of a signature's work ahead of its message. Five draws: a, rx, rf, ra, rb."""
        a, rx, rf, ra, rb = (random_scalar(self._draw) for _ in range(5))
        b = a * self._key.x % P
        T = self._a.g1_sum_secret([(self._key.A, 1), (self._h2, a)])
        R2 = self._a.gt_product_secret(
            [(self._ea2, -rx % P), (self._e12, rf), (self._e22, (rb - a * rx) % P), (self._e2w, ra)]
        )
        return Presignature(self, (T, R2, a, b, rx, rf, ra, rb))

    def sign_basic(
        self, message: bytes, basename: bytes | None = None, presig: Presignature | None = None
    ) -> BasicSignature:
        """The basic signature: 352 bytes without any proof.

        Raises EpidError for an empty basename (as Intel does).
        """
        return self._sign_basic(message, basename, presig, None)

    def _sign_basic(
        self, message: bytes, basename: bytes | None, presig: Presignature | None, nonce: bytes | None
    ) -> BasicSignature:
        """``nonce`` is the device's, in the split form."""
        if basename is not None and not basename:
            raise EpidError(
                "a member cannot sign with an empty basename",
                status=EpidStatus.kEpidBadBasenameErr,
                hint="give a basename, or none at all for an unlinkable signature",
            )
        T, R2, a, b, rx, rf, ra, rb = (presig or self.presign()).take(self)
        key, arithmetic = self._key, self._a
        unlinkable = basename is None
        B = random_point(arithmetic, self._draw) if unlinkable else g1_hash(self.hash_alg, basename, arithmetic)
        K, R1 = arithmetic.g1_sums_secret((B,), ((key.f,), (rf,)))
        t3 = fp_hash(self.hash_alg, self._prefix + B + K + T + R1 + R2)
        c = fp_hash(self.hash_alg, t3.to_bytes(32, "big") + message)
        e = c if nonce is None else device_challenge(self.hash_alg, nonce, c)
        responses = ((r + e * secret) % P for r, secret in ((rx, key.x), (rf, key.f), (ra, a), (rb, b)))
        return BasicSignature(B, K, T, c, *responses)

    def sign(
        self,
        message: bytes,
        basename: bytes | None = None,
        sigrl: SigRl | None = None,
        presig: Presignature | None = None,
        *,
        progress: Progress | None = None,
    ) -> Signature:
        """A signature of ``message`` (any length, may be empty).

        ``basename`` makes it linkable to this member's other signatures with the same one; without, it is
        linkable to nothing. ``sigrl`` has it prove that this member made none of the list's entries;
        ``progress`` is called with (proofs done, proofs) meanwhile. Raises SignerRevoked, which carries the
        completed signature, if it did make one; GroupMismatch and VersionRollback for a list of another
        group or older than the last; PresignatureUsed.
        """
        self._accept(sigrl)
        basic = self.sign_basic(message, basename, presig)
        if sigrl is None:
            return Signature(basic)
        prover = self._prover(basic, message, sigrl)
        proofs = self._prove_all(lambda run: prover.prove(run, self._draw), sigrl, progress)
        blank = NonRevokedProof.blank()
        signature = Signature(basic, sigrl.version, tuple(proof or blank for proof in proofs))
        self._raise_if_revoked(signature, proofs)
        return signature

    def _accept(self, sigrl: SigRl | None) -> None:
        if sigrl is None:
            return
        require_same_gid(self.group, sigrl.gid, "SigRL")
        if sigrl.version < self._sigrl_version:
            raise VersionRollback(
                f"SigRL version {sigrl.version} is older than {self._sigrl_version}, used before"
            )
        self._sigrl_version = sigrl.version

    def _prover(self, basic: BasicSignature, message: bytes, sigrl: SigRl) -> EntryProver:
        prover = EntryProver(basic.B, basic.K, self._key.f, message, self.hash_alg, self._a)
        if len(sigrl) >= _PREPARE_FROM:
            prover.prepare()
        return prover

    def _prove_all(self, prove, sigrl: SigRl, progress: Progress | None) -> list:
        # A random tape has an order; the system's generator has none.
        workers = None if self._draw is system_random else 1
        return list(map_in_order(prove, sigrl.entries, self._a, progress, workers))

    @staticmethod
    def _raise_if_revoked(signature: object, proofs: list) -> None:
        made = [i for i, proof in enumerate(proofs) if proof is None]
        if made:
            raise SignerRevoked(signature, made)

    def prove_nonrevoked(
        self, signature: BasicSignature, message: bytes, entry: tuple[bytes, bytes]
    ) -> NonRevokedProof:
        """The proof for one SigRL entry (B', K') and this member's own ``signature``; raises SignerRevoked."""
        prover = EntryProver(signature.B, signature.K, self._key.f, message, self.hash_alg, self._a)
        proof = prover.prove([entry], self._draw)[0]
        if proof is None:
            raise SignerRevoked(Signature(signature, 0, (NonRevokedProof.blank(),)), [0])
        return proof
