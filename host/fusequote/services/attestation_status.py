"""The status of a quote: which of the ten a report carries, and what each API version makes of it.

The order is that of remote attestation notes 3.1; the first that applies wins.
"""

from __future__ import annotations

from enum import StrEnum

from fusequote.arch import QuoteBody, QuotePayload, SignType
from fusequote.arch.quote import payload_size
from fusequote.epid import HashAlg, VerifyResult, g1_hash
from fusequote.epid.arithmetic import default
from fusequote.services.attestation_groups import GroupView

__all__ = ["API_VERSIONS", "PseStatus", "QuoteStatus", "decide", "spoken"]

#: Versions of the API that are served.
API_VERSIONS = (3, 4, 5)


class QuoteStatus(StrEnum):
    """isvEnclaveQuoteStatus."""

    OK = "OK"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    GROUP_REVOKED = "GROUP_REVOKED"
    KEY_REVOKED = "KEY_REVOKED"
    SIGRL_VERSION_MISMATCH = "SIGRL_VERSION_MISMATCH"
    SIGNATURE_REVOKED = "SIGNATURE_REVOKED"
    GROUP_OUT_OF_DATE = "GROUP_OUT_OF_DATE"
    CONFIGURATION_AND_SW_HARDENING_NEEDED = "CONFIGURATION_AND_SW_HARDENING_NEEDED"
    CONFIGURATION_NEEDED = "CONFIGURATION_NEEDED"
    SW_HARDENING_NEEDED = "SW_HARDENING_NEEDED"

    @property
    def has_platform_info(self) -> bool:
        """Whether a report with this status tells the platform what to do."""
        return self in _WITH_BLOB

    @property
    def has_advisories(self) -> bool:
        """Whether a report with this status names security advisories."""
        return self in _WITH_ADVISORIES


class PseStatus(StrEnum):
    """pseManifestStatus."""

    OK = "OK"
    UNKNOWN = "UNKNOWN"
    INVALID = "INVALID"
    OUT_OF_DATE = "OUT_OF_DATE"
    REVOKED = "REVOKED"
    RL_VERSION_MISMATCH = "RL_VERSION_MISMATCH"


_WITH_BLOB = frozenset(
    {
        QuoteStatus.GROUP_REVOKED,
        QuoteStatus.GROUP_OUT_OF_DATE,
        QuoteStatus.CONFIGURATION_NEEDED,
        QuoteStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    }
)
_WITH_ADVISORIES = _WITH_BLOB - {QuoteStatus.GROUP_REVOKED} | {QuoteStatus.SW_HARDENING_NEEDED}
_OF_VERDICT = {
    VerifyResult.kEpidSigRevokedInPrivRl: QuoteStatus.KEY_REVOKED,
    VerifyResult.kEpidVersionMismatchErr: QuoteStatus.SIGRL_VERSION_MISMATCH,
    VerifyResult.kEpidSigRevokedInSigRl: QuoteStatus.SIGNATURE_REVOKED,
}
#: Version 3 knows neither; it must not look better than in version 4, and there is no TCB recovery to send the
#: platform to (docs/attestation-service.md).
_IN_V3 = {
    QuoteStatus.SW_HARDENING_NEEDED: QuoteStatus.CONFIGURATION_NEEDED,
    QuoteStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: QuoteStatus.CONFIGURATION_NEEDED,
}


def decide(group: GroupView | None, body: QuoteBody, payload: bytes) -> QuoteStatus:
    """The status of a quote whose signature decrypted to ``payload``, as version 4 says it.

    ``group`` is the quote's own, None when nobody knows it.
    """
    if group is None:
        return QuoteStatus.SIGNATURE_INVALID
    if group.revocation_reason is not None:
        return QuoteStatus.GROUP_REVOKED
    # Only the plain form of a signature is a quote's, and only over the basename in the quote.
    proofs = int.from_bytes(payload[QuotePayload.SIZE - 4 : QuotePayload.SIZE], "big")
    if len(payload) != payload_size(proofs) or payload[:64] != g1_hash(HashAlg.SHA256, body.basename, default()):
        return QuoteStatus.SIGNATURE_INVALID
    verdict = group.verifier.verify(payload, body.to_bytes())
    if verdict is not VerifyResult.kEpidSigValid:
        return _OF_VERDICT.get(verdict, QuoteStatus.SIGNATURE_INVALID)
    listed = group.verifier_list if body.sign_type == SignType.LINKABLE else None
    if listed is not None and payload[:64] == listed.B and payload[64:128] in listed.entries:
        return QuoteStatus.SIGNATURE_REVOKED
    return _tcb_status(group)


def spoken(status: QuoteStatus, version: int) -> QuoteStatus:
    """The status as this version of the API says it."""
    return _IN_V3.get(status, status) if version == 3 else status


def _tcb_status(group: GroupView) -> QuoteStatus:
    if group.out_of_date:
        return QuoteStatus.GROUP_OUT_OF_DATE
    if group.configuration_needed and group.sw_hardening_needed:
        return QuoteStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED
    if group.configuration_needed:
        return QuoteStatus.CONFIGURATION_NEEDED
    return QuoteStatus.SW_HARDENING_NEEDED if group.sw_hardening_needed else QuoteStatus.OK
