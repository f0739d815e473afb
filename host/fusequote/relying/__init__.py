"""The relying party: what it asks for (policy), its nonces, and its verdict on an attestation report."""

from fusequote.relying.nonces import NonceFolder, Nonces
from fusequote.relying.policy import Policy
from fusequote.relying.report import AttestationReport, read_report
from fusequote.relying.verify import appraise

__all__ = ["AttestationReport", "NonceFolder", "Nonces", "Policy", "appraise", "read_report"]
