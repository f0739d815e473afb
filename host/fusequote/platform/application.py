"""The application enclave: asks for REPORTs for the Quoting Enclave, and checks the QE's REPORT over a quote."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from fusequote.arch import Report, TargetInfo
from fusequote.errors import FormatError, UsageError
from fusequote.platform.entry import Enclave
from fusequote.verdict import Reason, refuse

__all__ = ["ApplicationEnclave", "quote_hash"]


def quote_hash(nonce: bytes, quote: bytes) -> bytes:
    """REPORTDATA of a QE REPORT, 64 bytes: SHA-256(nonce ‖ quote), then zeros (remote attestation spec 1.4)."""
    return hashlib.sha256(nonce + quote).digest() + bytes(32)


@dataclass(frozen=True)
class ApplicationEnclave:
    """Whoever wants to be attested: the sample image, or a file of the user's."""

    enclave: Enclave

    def report(self, target: TargetInfo, reportdata: bytes) -> Report:
        """A REPORT for ``target`` with up to 64 bytes of REPORTDATA (padded with zeros).

        Raises :class:`UsageError` for more, :class:`Refused` (report.fault) for a bad TARGETINFO.
        """
        if len(reportdata) > 64:
            raise UsageError(f"REPORTDATA holds 64 bytes, not {len(reportdata)}")
        with self.enclave.entered() as inside:
            return inside.report(target, reportdata.ljust(64, b"\0"))

    def check_quote(self, target: TargetInfo, report: bytes, nonce: bytes, quote: bytes) -> None:
        """Check that the Quoting Enclave named by ``target`` made this ``quote`` for this ``nonce``.

        Raises :class:`Refused`: quote.qe-report-invalid.
        """
        try:
            received = Report.from_bytes(report, check_reserved=True)
        except FormatError as error:
            raise refuse(Reason.QE_REPORT, str(error)) from error
        with self.enclave.entered() as inside:
            if not inside.verify(received):
                raise refuse(Reason.QE_REPORT, "its MAC is wrong")
        body = received.body
        if body.mrenclave != target.mrenclave or body.attributes != target.attributes:
            raise refuse(Reason.QE_REPORT, "it is another enclave's")
        if not hmac.compare_digest(body.reportdata, quote_hash(nonce, quote)):
            raise refuse(Reason.QE_REPORT, "it is about another quote or nonce")
