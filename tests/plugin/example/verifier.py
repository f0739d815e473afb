"""A relying party that knows nothing of fusequote: attestation reports, read after Intel's manuals."""

import base64
import datetime
import json

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding


class Rejected(Exception):
    """The argument says why."""


def verify(report, *, root_pem, quote, nonce, mrenclave, now):
    """REPORTDATA of the enclave, 64 bytes, when everything is as it must be."""
    root = x509.load_pem_x509_certificate(root_pem)
    leaf = x509.load_pem_x509_certificates(report.chain_pem)[0]
    try:
        leaf.verify_directly_issued_by(root)
        leaf.public_key().verify(report.signature, report.body, padding.PKCS1v15(), hashes.SHA256())
        said = json.loads(report.body)
    except (InvalidSignature, ValueError) as error:
        raise Rejected("not authentic") from error
    made = datetime.datetime.fromisoformat(said["timestamp"]).replace(tzinfo=datetime.UTC)
    body = base64.b64decode(said["isvEnclaveQuoteBody"])
    checks = {
        "version": said["version"] == 4,
        "time": -60 <= (now - made).total_seconds() <= 300,
        "nonce": said.get("nonce") == nonce,
        "quote": body == quote[:432] and said["isvEnclaveQuoteStatus"] == "OK",
        "debug": not body[48 + 48] & 2,
        "enclave": body[48 + 64 : 48 + 96] == mrenclave,
    }
    for name, good in checks.items():
        if not good:
            raise Rejected(name)
    return body[48 + 320 :]
