"""RA-TLS, EPID flavour: TLS whose certificate carries the quote, or the attestation report, of its key's enclave.

:func:`quote_certificate` and :func:`report_certificate` make the two forms (remote attestation notes 3.4),
:func:`check_certificate` judges both, :mod:`fusequote.ratls.tls` speaks TLS 1.2 and 1.3 with them.
"""

from fusequote.ratls.certificate import make_key, quote_certificate, report_certificate, report_data
from fusequote.ratls.errors import RatlsError, RatlsFault
from fusequote.ratls.verify import check_certificate

__all__ = [
    "RatlsError",
    "RatlsFault",
    "check_certificate",
    "make_key",
    "quote_certificate",
    "report_certificate",
    "report_data",
]
