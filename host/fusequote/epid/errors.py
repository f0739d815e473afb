"""Errors of EPID, and Intel's status numbers.

:class:`EpidStatus` names what Intel's SDK 8.0.0 answers with, so that a program that knows Intel's numbers
meets them again; :class:`VerifyResult` is the part of it that a verification can give.
"""

from __future__ import annotations

from enum import IntEnum

from fusequote.errors import ExitCode, FormatError, FusequoteError

_ERRORS = [
    "kEpidErr",
    "kEpidNotImpl",
    "kEpidNoMemErr",
    "kEpidMemAllocErr",
    "kEpidMathErr",
    "kEpidDivByZeroErr",
    "kEpidUnderflowErr",
    "kEpidHashAlgorithmNotSupported",
    "kEpidRandMaxIterErr",
    "kEpidDuplicateErr",
    "kEpidInconsistentBasenameSetErr",
    "kEpidMathQuadraticNonResidueError",
    "kEpidOutOfSequenceError",
    "kEpidBadJoinRequestErr",
    "kEpidSchemaNotSupportedErr",
    "kEpidOperationNotSupportedErr",
    "kEpidKeyNotInGroupErr",
    "kEpidPrecompNotInGroupErr",
    "kEpidVersionMismatchErr",
    "kEpidGroupIdMismatchErr",
    "kEpidMaxVersionErr",
    "kEpidMaxEntriesErr",
    "kEpidBitSupplierErr",
    "kEpidBadCtxErr",
    "kEpidBadGroupPubKeyErr",
    "kEpidBadSignatureErr",
    "kEpidBadNrProofErr",
    "kEpidBadPrivRlErr",
    "kEpidBadSigRlErr",
    "kEpidBadSigRlEntryErr",
    "kEpidBadGroupRlErr",
    "kEpidBadVerifierRlErr",
    "kEpidBadPrecompErr",
    "kEpidBadBasenameErr",
    "kEpidBadMessageErr",
    "kEpidBadRlEntryErr",
    "kEpidBadIPrivKeyErr",
    "kEpidBadGidErr",
    "kEpidBadPrivKeyErr",
    "kEpidBadNonceErr",
    "kEpidBadMembershipCredentialErr",
    "kEpidBadRekeySeedErr",
    "kEpidUnrelatedKeyPairErr",
    "kEpidBadConfigErr",
    "kEpidBasenameNotRegisteredErr",
    "kEpidBadArgErr",
]

#: Every status of the SDK: 0 to 5 are verdicts, errors count up from -999.
EpidStatus = IntEnum(
    "EpidStatus",
    {
        "kEpidSigValid": 0,
        "kEpidSigInvalid": 1,
        "kEpidSigRevokedInGroupRl": 2,
        "kEpidSigRevokedInPrivRl": 3,
        "kEpidSigRevokedInSigRl": 4,
        "kEpidSigRevokedInVerifierRl": 5,
    }
    | {name: number for number, name in enumerate(_ERRORS, -999)},
)


class VerifyResult(IntEnum):
    """What :meth:`fusequote.epid.Verifier.verify` answers (EPID spec section 9), with Intel's numbers.

    Only ``kEpidSigValid`` is good. 4 also means a broken proof: it is no evidence against a key.
    """

    kEpidSigValid = 0
    kEpidSigInvalid = 1
    kEpidSigRevokedInGroupRl = 2
    kEpidSigRevokedInPrivRl = 3
    kEpidSigRevokedInSigRl = 4
    kEpidSigRevokedInVerifierRl = 5
    #: The verifier itself is at fault.
    kEpidErr = -999
    #: Signed under another version of the SigRL than the verifier's.
    kEpidVersionMismatchErr = -981
    #: The bytes do not have the form of a signature, or the proofs are not as many as the SigRL's entries.
    kEpidBadSignatureErr = -974


class EpidError(FusequoteError):
    """Base of the errors of EPID; ``status`` is what Intel's SDK would have answered."""

    kind = "epid"
    status: EpidStatus = EpidStatus.kEpidBadArgErr

    def __init__(self, message: str, *, status: EpidStatus | None = None, hint: str | None = None):
        super().__init__(message, hint=hint)
        if status is not None:
            self.status = status


class EpidFormatError(EpidError, FormatError):
    """Bytes that are not the EPID object they should be. ``offset`` is where they stop making sense."""

    kind = "epid-format"

    def __init__(
        self,
        message: str,
        *,
        offset: int | None = None,
        status: EpidStatus | None = None,
        hint: str | None = None,
    ):
        EpidError.__init__(self, message, status=status, hint=hint)
        self.offset = offset


class GroupMismatch(EpidError):
    """Two objects that must be of one group are of different ones."""

    kind = "epid-group"
    status = EpidStatus.kEpidGroupIdMismatchErr


class KeyCheckFailed(EpidError):
    """A credential or key does not belong to the group, or the group key is malicious. Do not use either."""

    kind = "epid-key"
    exit_code = ExitCode.NEGATIVE
    status = EpidStatus.kEpidKeyNotInGroupErr


class JoinRefused(EpidError):
    """The issuer does not accept a join request: unknown or used nonce, or a wrong proof."""

    kind = "epid-join"
    exit_code = ExitCode.NEGATIVE
    status = EpidStatus.kEpidBadJoinRequestErr


class PresignatureUsed(EpidError):
    """A pre-signature was used a second time; two signatures with one would give the member's key away."""

    kind = "epid-presignature"
    status = EpidStatus.kEpidOutOfSequenceError


class VersionRollback(EpidError):
    """A revocation list older than the one in use."""

    kind = "epid-version"
    status = EpidStatus.kEpidVersionMismatchErr


class SignerRevoked(EpidError):
    """The signer's own key made an entry of the SigRL.

    ``signature`` is the completed signature, with zeros in the proofs that cannot be made; ``entries`` are
    their indices. A verifier with this SigRL answers kEpidSigRevokedInSigRl.
    """

    kind = "epid-signer-revoked"
    exit_code = ExitCode.NEGATIVE
    status = EpidStatus.kEpidSigRevokedInSigRl

    def __init__(self, signature: object, entries: list[int]):
        which = ", ".join(map(str, entries[:8])) + (" .." if len(entries) > 8 else "")
        super().__init__(f"this member's key made entry {which} of the SigRL: it is revoked")
        self.signature = signature
        self.entries = entries
