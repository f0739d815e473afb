"""What can be wrong with a certificate before there is anything to judge."""

from __future__ import annotations

from enum import StrEnum

from fusequote.errors import ExitCode, FusequoteError

__all__ = ["RatlsError", "RatlsFault"]


class RatlsFault(StrEnum):
    """Why a connection is not an attested one. ``fault.meaning`` is its one line."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> RatlsFault:
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    MALFORMED = "ratls.certificate-malformed", "the peer's certificate cannot be read"
    SELF_SIGNATURE = "ratls.not-self-signed", "the certificate is not signed with its own key"
    EXPIRED = "ratls.certificate-expired", "the certificate is not valid at this time"
    KEY_KIND = "ratls.key-kind", "the certificate's key is none of P-256, P-384 and P-521"
    NO_EVIDENCE = "ratls.no-evidence", "the certificate carries neither a quote nor an attestation report"
    AMBIGUOUS = "ratls.ambiguous-evidence", "the certificate carries a quote and an attestation report"
    EVIDENCE = "ratls.evidence-malformed", "the certificate's quote or attestation report cannot be read"
    OTHER_KEY = "ratls.other-key", "REPORTDATA is not the hash of the certificate's key: the quote is somebody else's"
    TLS = "ratls.tls", "the TLS connection failed"


class RatlsError(FusequoteError):
    """There is no attested connection. ``fault`` says why, ``reason`` and ``kind`` are its code."""

    exit_code = ExitCode.NEGATIVE

    def __init__(self, fault: RatlsFault, detail: str = "", *, hint: str | None = None):
        super().__init__(f"{fault.meaning} ({detail})" if detail else fault.meaning, hint=hint)
        self.fault = fault
        self.reason = self.kind = fault.value
