"""Certificates with evidence in them (remote attestation notes 3.4).

======  ==================================  ==============================================================
form    extension, not critical             value
======  ==================================  ==============================================================
quote   1.2.840.113741.1337.6 (Gramine)     the raw quote
report  2.16.840.1.113730.1.13 (comment)    ASCII: report ``|`` base64 signature ``|`` base64 signing certificate
======  ==================================  ==============================================================

Self-signed. REPORTDATA of the quote is SHA-256 of the SubjectPublicKeyInfo in DER, then zeros. Gramine's verifier takes
keys of P-384 only, so that is what :func:`make_key` makes.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from fusequote.ratls.errors import RatlsError, RatlsFault
from fusequote.relying.service import ServiceReport

__all__ = [
    "QUOTE_OID",
    "REPORT_OID",
    "Evidence",
    "make_key",
    "quote_certificate",
    "read_evidence",
    "report_certificate",
    "report_data",
]

QUOTE_OID = ObjectIdentifier("1.2.840.113741.1337.6")
REPORT_OID = ObjectIdentifier("2.16.840.1.113730.1.13")
#: How long a certificate is valid, in days.
LIFETIME = 30
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Evidence:
    """What a certificate carries: a quote, or a report with its signature and signing certificate (DER)."""

    quote: bytes | None = None
    report: tuple[bytes, bytes, bytes] | None = None


def make_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-384 key, the enclave's for as long as its certificate lives."""
    return ec.generate_private_key(ec.SECP384R1())


def report_data(key: ec.EllipticCurvePublicKey) -> bytes:
    """REPORTDATA for a certificate of ``key``, 64 bytes."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest() + bytes(32)


def quote_certificate(
    key: ec.EllipticCurvePrivateKey, quote: bytes, *, now: datetime.datetime | None = None
) -> x509.Certificate:
    """A certificate of ``key`` with a raw quote, whose REPORTDATA should be :func:`report_data`."""
    return _certificate(key, QUOTE_OID, quote, now)


def report_certificate(
    key: ec.EllipticCurvePrivateKey, report: ServiceReport, *, now: datetime.datetime | None = None
) -> x509.Certificate:
    """A certificate of ``key`` with an attestation report on such a quote: who checks it needs no attestation service,
    and learns how things stood when it was made.
    """
    leaf = x509.load_pem_x509_certificates(report.chain_pem)[0].public_bytes(serialization.Encoding.DER)
    value = b"|".join((report.body, base64.b64encode(report.signature), base64.b64encode(leaf)))
    return _certificate(key, REPORT_OID, value, now)


def read_evidence(certificate: x509.Certificate) -> Evidence:
    """The evidence in a certificate. Raises :class:`RatlsError`: no-evidence, ambiguous-evidence, evidence-malformed,
    certificate-malformed.
    """
    try:
        found = {extension.oid: extension.value for extension in certificate.extensions}
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise RatlsError(RatlsFault.MALFORMED, str(error)) from error
    quote, comment = _value(found, QUOTE_OID), _value(found, REPORT_OID)
    if quote is not None and comment is not None:
        raise RatlsError(RatlsFault.AMBIGUOUS)
    if quote is not None:
        return Evidence(quote=quote)
    if comment is None:
        raise RatlsError(RatlsFault.NO_EVIDENCE)
    try:
        body, signature, leaf = comment.rsplit(b"|", 2)
        decoded = tuple(base64.b64decode(part, validate=True) for part in (signature, leaf))
    except ValueError as error:
        raise RatlsError(RatlsFault.EVIDENCE, "report|signature|certificate is wanted") from error
    return Evidence(report=(body, *decoded))


def _value(found: dict, oid: ObjectIdentifier) -> bytes | None:
    value = found.get(oid)
    return value.value if isinstance(value, x509.UnrecognizedExtension) else None


def _certificate(
    key: ec.EllipticCurvePrivateKey, oid: ObjectIdentifier, value: bytes, now: datetime.datetime | None
) -> x509.Certificate:
    now = now or datetime.datetime.now(datetime.UTC)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "RATLS"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "fusequote (emulated)"),
        ]
    )
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + LIFETIME * _DAY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
        .sign(key, hashes.SHA256())
    )
