"""The verifier: all checks in Intel's order, with Intel's answers (EPID spec section 9)."""

from __future__ import annotations

from fusequote.epid.arithmetic import Arithmetic, NotAnElement, default
from fusequote.epid.errors import EpidError, EpidFormatError, EpidStatus, VerifyResult, VersionRollback
from fusequote.epid.gid import long_gid
from fusequote.epid.hashing import HashAlg, fp_hash, g1_hash
from fusequote.epid.keys import GroupPublicKey, require_same_gid
from fusequote.epid.nonrevoked import EntryChecker
from fusequote.epid.params import G1_GENERATOR, G1_IDENTITY, G1_SIZE, G2_GENERATOR, P
from fusequote.epid.revocation import GroupRl, PrivRl, SigRl, VerifierRl
from fusequote.epid.signature import BasicSignature, NonRevokedProof, Signature, proof_count

#: From this many entries of a list on, tables for B and K pay for themselves.
_PREPARE_FROM = 4

SignatureLike = Signature | bytes | bytearray | memoryview


class Verifier:
    """Verifies signatures of one group.

    ``basename`` has every signature be one with that basename. With ``strict`` (the default) the gaps of
    Intel's verifier are closed: the group's w must be of order p, K must not be the identity, and a signature
    that names a SigRL, or brings proofs, is refused with kEpidVersionMismatchErr or kEpidBadSignatureErr
    while no SigRL is set (Intel's does not look at them). ``strict=False`` answers exactly as Intel's does.

    A verifier without a SigRL cannot know of one: whoever runs it must set the group's current list.

    Raises EpidError for lists that do not fit: GroupMismatch, kEpidInconsistentBasenameSetErr for a
    VerifierRL without a basename, EpidFormatError for one whose B is not the basename's.
    """

    def __init__(
        self,
        group: GroupPublicKey,
        hash_alg: HashAlg | None = None,
        basename: bytes | None = None,
        priv_rl: PrivRl | None = None,
        sig_rl: SigRl | None = None,
        group_rl: GroupRl | None = None,
        verifier_rl: VerifierRl | None = None,
        strict: bool = True,
        *,
        arithmetic: Arithmetic | None = None,
    ):
        self.group, self.strict, self.basename = group, strict, basename
        self.hash_alg = group.hash_alg if hash_alg is None else hash_alg
        self._a = a = arithmetic or default()
        if strict:
            group.check_subgroup()
        # The product of two pairings equals the literal formula only if w is of order p.
        self._fast = strict or a.g2_in_subgroup(group.w)
        self._h1, self._h2 = a.g1_prepare(group.h1), a.g1_prepare(group.h2)
        self._g1 = a.g1_prepare(G1_GENERATOR)
        if self._fast:
            self._g2_lines, self._w_lines = a.g2_prepare(G2_GENERATOR), a.g2_prepare(group.w)
        self._prefix = group.hash_prefix()
        self._basename_point = None if basename is None else g1_hash(self.hash_alg, basename, a)
        self.priv_rl: PrivRl | None = None
        self.sig_rl: SigRl | None = None
        self.group_rl: GroupRl | None = None
        self.verifier_rl: VerifierRl | None = None
        self.update(priv_rl, sig_rl, group_rl, verifier_rl)

    def update(
        self,
        priv_rl: PrivRl | None = None,
        sig_rl: SigRl | None = None,
        group_rl: GroupRl | None = None,
        verifier_rl: VerifierRl | None = None,
    ) -> None:
        """Sets newer lists; those not given stay.

        Raises VersionRollback for an older one, and as the constructor.
        """
        for name, new in (
            ("priv_rl", priv_rl), ("sig_rl", sig_rl), ("group_rl", group_rl), ("verifier_rl", verifier_rl),
        ):  # fmt: skip
            if new is None:
                continue
            old = getattr(self, name)
            if not isinstance(new, GroupRl):
                require_same_gid(self.group, new.gid, new.WHAT)
            if isinstance(new, VerifierRl):
                self._check_verifier_rl(new)
            if old is not None and new.version < old.version:
                raise VersionRollback(
                    f"{new.WHAT} version {new.version} is older than {old.version}, which is in use"
                )
            setattr(self, name, new)

    def _check_verifier_rl(self, new: VerifierRl) -> None:
        if self._basename_point is None:
            raise EpidError(
                "a VerifierRL needs a verifier with a basename",
                status=EpidStatus.kEpidInconsistentBasenameSetErr,
            )
        if self._basename_point != new.B:
            raise EpidFormatError(
                "VerifierRL: its B is not the point of this verifier's basename", offset=16, status=new.STATUS
            )

    def verify(self, signature: SignatureLike, message: bytes) -> VerifyResult:
        """The verdict on a signature, as an object or as untrusted bytes; never raises for what is in
        them.
        """
        data = signature.to_bytes() if isinstance(signature, Signature) else bytes(signature)
        try:
            count = proof_count(data)
        except EpidFormatError:
            return VerifyResult.kEpidBadSignatureErr
        basic = self._basic_fields(data)
        if basic is None or not self._basic_holds(*basic, message):
            return VerifyResult.kEpidSigInvalid
        B, K = basic[:2]
        if self.group_rl is not None and long_gid(self.group.gid) in map(long_gid, self.group_rl.entries):
            return VerifyResult.kEpidSigRevokedInGroupRl
        if self.priv_rl is not None and self._made_by_listed_key(B, K):
            return VerifyResult.kEpidSigRevokedInPrivRl
        verdict = self._check_sigrl(data, count, B, K, message)
        if verdict is not VerifyResult.kEpidSigValid:
            return verdict
        if self.verifier_rl is not None and self.verifier_rl.B == B and K in self.verifier_rl.entries:
            return VerifyResult.kEpidSigRevokedInVerifierRl
        return VerifyResult.kEpidSigValid

    def verify_basic(self, signature: BasicSignature, message: bytes) -> bool:
        """True if the basic part alone is good: no list is looked at."""
        return self.verify_fields(signature.to_bytes(), message)

    def verify_fields(self, data: bytes, message: bytes) -> bool:
        """:meth:`verify_basic` on the first 352 bytes of a signature."""
        basic = self._basic_fields(data)
        return basic is not None and self._basic_holds(*basic, message)

    def _basic_fields(self, data: bytes) -> tuple | None:
        """B, K, T and the five numbers, or None if one of them is not what it must be."""
        B, K, T = (data[i : i + G1_SIZE] for i in (0, 64, 128))
        numbers = [int.from_bytes(data[i : i + 32], "big") for i in range(192, 352, 32)]
        is_point = self._a.g1_is_point
        if not (is_point(B) and is_point(T) and all(n < P for n in numbers)):
            return None
        if not is_point(K) and (self.strict or K != G1_IDENTITY):
            return None
        if self._basename_point is not None and self._basename_point != B:
            return None
        return (B, K, T, *numbers)

    def _basic_holds(self, B, K, T, c, sx, sf, sa, sb, message: bytes) -> bool:
        a, alg = self._a, self.hash_alg
        R1 = a.g1_sum([(B, sf), (K, -c)])
        try:
            R2 = self._r2(T, c, sx, sf, sa, sb)
        except NotAnElement:
            return False  # only the literal formula meets a pairing that cannot be computed
        t3 = fp_hash(alg, self._prefix + B + K + T + R1 + R2)
        return c == fp_hash(alg, t3.to_bytes(32, "big") + message)

    def _r2(self, T: bytes, c: int, sx: int, sf: int, sa: int, sb: int) -> bytes:
        a, group = self._a, self.group
        if self._fast:
            # e(T, -[sx]g2 - [c]w) e12^sf e22^sb e2w^sa eg12^c, gathered by the second argument
            left = a.g1_sum([(self._h1, sf), (self._h2, sb), (self._g1, c), (T, -sx)])
            right = a.g1_sum([(self._h2, sa), (T, -c)])
            return a.pairing_product([(left, self._g2_lines), (right, self._w_lines)])
        # The formula as it stands: a pairing with a w of another order is not bilinear, so nothing may be
        # moved.
        t = a.g2_sum([(G2_GENERATOR, -sx), (group.w, -c)])
        left = a.g1_sum([(self._h1, sf), (self._h2, sb), (self._g1, c)])
        e2w = a.pairing_product([(group.h2, group.w)])
        return a.gt_product([(a.pairing_product([(T, t), (left, G2_GENERATOR)]), 1), (e2w, sa)])

    def _made_by_listed_key(self, B: bytes, K: bytes) -> bool:
        entries = self.priv_rl.entries
        base = self._a.g1_prepare(B) if len(entries) >= _PREPARE_FROM else B
        return any(f >= P or self._a.g1_sum([(base, f)]) == K for f in entries)

    def _check_sigrl(self, data: bytes, count: int, B: bytes, K: bytes, message: bytes) -> VerifyResult:
        version = int.from_bytes(data[352:356], "big")
        if self.sig_rl is None:
            if self.strict and version:
                return VerifyResult.kEpidVersionMismatchErr
            if self.strict and count:
                return VerifyResult.kEpidBadSignatureErr
            return VerifyResult.kEpidSigValid
        if version != self.sig_rl.version:
            return VerifyResult.kEpidVersionMismatchErr
        if count != len(self.sig_rl):
            return VerifyResult.kEpidBadSignatureErr
        checker = EntryChecker(B, K, message, self.hash_alg, self._a)
        if count >= _PREPARE_FROM and K != G1_IDENTITY:
            checker.prepare()
        for i, entry in enumerate(self.sig_rl.entries):
            start = Signature.FIXED_SIZE + i * NonRevokedProof.SIZE
            try:
                proof = NonRevokedProof.from_bytes(data[start : start + NonRevokedProof.SIZE])
            except EpidFormatError:
                return VerifyResult.kEpidSigRevokedInSigRl
            if not checker.holds(entry, proof):
                return VerifyResult.kEpidSigRevokedInSigRl
        return VerifyResult.kEpidSigValid

    def blacklist(self, signature: SignatureLike, message: bytes) -> VerifierRl:
        """Shuts out the maker of a valid signature from this verifier's basename; returns the new VerifierRL.

        Raises EpidError if there is no basename, or the signature is not valid.
        """
        if self._basename_point is None:
            raise EpidError(
                "blacklisting needs a verifier with a basename",
                status=EpidStatus.kEpidInconsistentBasenameSetErr,
            )
        verdict = self.verify(signature, message)
        if verdict is not VerifyResult.kEpidSigValid:
            raise EpidError(
                f"only a valid signature can be blacklisted: this one is {verdict.name}",
                status=EpidStatus(verdict.value),
            )
        data = signature.to_bytes() if isinstance(signature, Signature) else bytes(signature)
        current = self.verifier_rl or VerifierRl(self.group.gid, self._basename_point)
        self.verifier_rl = current.adding(data[64:128])
        return self.verifier_rl
