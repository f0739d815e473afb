"""What can be wrong with a certificate before there is anything to judge."""

from __future__ import annotations

from fusequote.errors import Fault, PeerFault

__all__ = ["RatlsError", "RatlsFault"]


class RatlsFault(Fault):
    """Why a connection is not an attested one."""

    MALFORMED = "ratls.certificate-malformed", "the peer's certificate cannot be read"
    SELF_SIGNATURE = "ratls.not-self-signed", "the certificate is not signed with its own key"
    EXPIRED = "ratls.certificate-expired", "the certificate is not valid at this time"
    KEY_KIND = "ratls.key-kind", "the certificate's key is none of P-256, P-384 and P-521"
    NO_EVIDENCE = "ratls.no-evidence", "the certificate carries neither a quote nor an attestation report"
    AMBIGUOUS = "ratls.ambiguous-evidence", "the certificate carries a quote and an attestation report"
    EVIDENCE = "ratls.evidence-malformed", "the certificate's quote or attestation report cannot be read"
    OTHER_KEY = "ratls.other-key", "REPORTDATA is not the hash of the certificate's key: the quote is somebody else's"
    TLS = "ratls.tls", "the TLS connection failed"


class RatlsError(PeerFault):
    """There is no attested connection."""
