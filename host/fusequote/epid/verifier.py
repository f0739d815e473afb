"""The verifier: all checks in Intel's order, with Intel's answers (EPID spec section 9)."""

from __future__ import annotations

from collections.abc import Sequence

from fusequote.epid.arithmetic import Arithmetic, NotAnElement, default
from fusequote.epid.equation import BasicEquation, BasicFields
from fusequote.epid.errors import EpidError, EpidFormatError, EpidStatus, VerifyResult, VersionRollback
from fusequote.epid.gid import long_gid
from fusequote.epid.hashing import HashAlg, g1_hash
from fusequote.epid.keys import GroupPublicKey, require_same_gid
from fusequote.epid.nonrevoked import EntryChecker
from fusequote.epid.parallel import Progress, map_in_order
from fusequote.epid.params import G1_IDENTITY, P
from fusequote.epid.revocation import GroupRl, PrivRl, SigRl, VerifierRl
from fusequote.epid.signature import NonRevokedProof, Signature
from fusequote.epid.splitform import SplitSignature, split_group
from fusequote.epid.wire import Envelope

#: From this many entries of a list on, tables for B and K pay for themselves.
_PREPARE_FROM = 4

SignatureLike = Signature | SplitSignature | bytes | bytearray | memoryview


class Verifier:
    """Verifies signatures of one group, plain and split ones (told apart by their form).

    ``basename`` has every signature be one with that basename. With ``strict`` (the default) the gaps of
    Intel's verifier are closed: the group's w must be of order p, K must not be the identity, and a
    signature that names a SigRL, or brings proofs, is refused with kEpidVersionMismatchErr or
    kEpidBadSignatureErr while no SigRL is set (Intel's does not look at them). ``strict=False`` answers
    exactly as Intel's does.

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
        self._a = arithmetic or default()
        if strict:
            group.check_subgroup()
        # The product of two pairings equals the literal formula only if w is of order p.
        fast = strict or self._a.g2_in_subgroup(group.w)
        self._plain = BasicEquation(group, self.hash_alg, fast, self._a)
        self._split: BasicEquation | None = None
        self._basename_point = None if basename is None else g1_hash(self.hash_alg, basename, self._a)
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
        lists = {"priv_rl": priv_rl, "sig_rl": sig_rl, "group_rl": group_rl, "verifier_rl": verifier_rl}
        for name, new in lists.items():
            if new is None:
                continue
            old = getattr(self, name)
            if not isinstance(new, GroupRl):
                require_same_gid(self.group, new.gid, new.WHAT, new.STATUS)
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

    def verify(
        self, signature: SignatureLike, message: bytes, *, progress: Progress | None = None
    ) -> VerifyResult:
        """The verdict on a signature, as an object or as untrusted bytes; never raises for what is in them.

        ``progress`` is called with (proofs done, proofs) during a long SigRL.
        """
        return self._verify(_bytes_of(signature), message, progress)

    def verify_many(
        self, items: Sequence[tuple[SignatureLike, bytes]], *, progress: Progress | None = None
    ) -> list[VerifyResult]:
        """The verdicts on many (signature, message), each exactly :meth:`verify`'s, over all cores.

        R2 is hashed, so it must be computed for each signature: no sum over several can stand for it.
        """
        data = [(_bytes_of(signature), message) for signature, message in items]

        def verdicts(run: Sequence[tuple[bytes, bytes]]) -> list[VerifyResult]:
            return [self._verify(*item, None) for item in run]

        return list(map_in_order(verdicts, data, self._a, progress))

    def _verify(self, data: bytes, message: bytes, progress: Progress | None) -> VerifyResult:
        try:
            envelope = Envelope.of(data)
        except EpidFormatError:
            return VerifyResult.kEpidBadSignatureErr
        fields = self._good_fields(data)
        if fields is None or not self._equation(envelope).holds(fields, message, envelope.nonce):
            return VerifyResult.kEpidSigInvalid
        if self.group_rl is not None and long_gid(self.group.gid) in map(long_gid, self.group_rl.entries):
            return VerifyResult.kEpidSigRevokedInGroupRl
        if self.priv_rl is not None and self._made_by_listed_key(fields.B, fields.K):
            return VerifyResult.kEpidSigRevokedInPrivRl
        verdict = self._check_sigrl(envelope, fields.B, fields.K, message, progress)
        if verdict is not VerifyResult.kEpidSigValid:
            return verdict
        listed = self.verifier_rl
        if listed is not None and listed.B == fields.B and fields.K in listed.entries:
            return VerifyResult.kEpidSigRevokedInVerifierRl
        return VerifyResult.kEpidSigValid

    def verify_basic(self, signature: SignatureLike, message: bytes) -> bool:
        """True if the basic part alone is good: no list and no proof is looked at."""
        data = _bytes_of(signature)
        try:
            envelope = Envelope.of(data)
        except EpidFormatError:
            return False
        fields = self._good_fields(data)
        return fields is not None and self._equation(envelope).holds(fields, message, envelope.nonce)

    def _equation(self, envelope: Envelope) -> BasicEquation:
        if envelope.nonce is None:
            return self._plain
        if self._split is None:
            group = split_group(self.group, self.hash_alg, self._a)
            self._split = BasicEquation(group, self.hash_alg, self._plain.fast, self._a)
        return self._split

    def _good_fields(self, data: bytes) -> BasicFields | None:
        """The basic fields, or None if one of them is not what it must be."""
        fields, is_point = BasicFields.of(data), self._a.g1_is_point
        if not (is_point(fields.B) and is_point(fields.T) and all(n < P for n in fields.numbers)):
            return None
        if not is_point(fields.K) and (self.strict or fields.K != G1_IDENTITY):
            return None
        if self._basename_point is not None and self._basename_point != fields.B:
            return None
        return fields

    def _made_by_listed_key(self, B: bytes, K: bytes) -> bool:
        entries = self.priv_rl.entries
        base = self._a.g1_prepare(B) if len(entries) >= _PREPARE_FROM else B

        def matches(run: Sequence[int]) -> list[bool]:
            points = self._a.g1_batch([((base,), [(f,) for f in run])], False)[0]
            return [f >= P or point == K for f, point in zip(run, points, strict=True)]

        return any(map_in_order(matches, entries, self._a))

    def _check_sigrl(
        self, envelope: Envelope, B: bytes, K: bytes, message: bytes, progress: Progress | None
    ) -> VerifyResult:
        if self.sig_rl is None:
            if self.strict and envelope.rl_ver:
                return VerifyResult.kEpidVersionMismatchErr
            if self.strict and envelope.count:
                return VerifyResult.kEpidBadSignatureErr
            return VerifyResult.kEpidSigValid
        if envelope.rl_ver != self.sig_rl.version:
            return VerifyResult.kEpidVersionMismatchErr
        if envelope.count != len(self.sig_rl):
            return VerifyResult.kEpidBadSignatureErr
        checker = EntryChecker(B, K, message, self.hash_alg, self._a)
        if envelope.count >= _PREPARE_FROM and K != G1_IDENTITY:
            checker.prepare()

        def hold(run: Sequence[int]) -> list[bool]:
            raw = [envelope.proof(i) for i in run]
            try:
                proofs = [NonRevokedProof.from_bytes(proof) for proof, _ in raw]
            except EpidFormatError:
                return [False]
            entries = [self.sig_rl.entries[i] for i in run]
            try:
                return checker.hold(entries, proofs, [nonce for _, nonce in raw])
            except NotAnElement:
                return [False]  # only an UncheckedSigRl has entries that are no points

        checked = 0
        for good in map_in_order(hold, range(envelope.count), self._a, progress):
            if not good:
                return VerifyResult.kEpidSigRevokedInSigRl
            checked += 1
        # Every entry has had its proof looked at, whoever shared the work out.
        return VerifyResult.kEpidSigValid if checked == envelope.count else VerifyResult.kEpidErr

    def blacklist(self, signature: SignatureLike, message: bytes) -> VerifierRl:
        """Shuts out the maker of a valid signature from this verifier's basename; returns the new VerifierRL.

        Raises EpidError if there is no basename, or the signature is not valid.
        """
        if self._basename_point is None:
            raise EpidError(
                "blacklisting needs a verifier with a basename",
                status=EpidStatus.kEpidInconsistentBasenameSetErr,
            )
        data = _bytes_of(signature)
        verdict = self.verify(data, message)
        if verdict is not VerifyResult.kEpidSigValid:
            raise EpidError(
                f"only a valid signature can be blacklisted: this one is {verdict.name}",
                status=EpidStatus(verdict.value),
            )
        current = self.verifier_rl or VerifierRl(self.group.gid, self._basename_point)
        self.verifier_rl = current.adding(data[64:128])
        return self.verifier_rl


def _bytes_of(signature: SignatureLike) -> bytes:
    return signature.to_bytes() if isinstance(signature, Signature | SplitSignature) else bytes(signature)
