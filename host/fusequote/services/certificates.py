"""What the certificates of our own roots have in common: names that say what they are, and how they are begun."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

__all__ = ["BEGIN", "END", "begin_certificate", "emulated_name", "key_usage"]

#: How long roots are valid: from a day at which no clock is, to the last one that certificates write in two digits.
BEGIN = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2049, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def emulated_name(common_name: str) -> x509.Name:
    """A name under which nobody takes the certificate for one of Intel's."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "fusequote emulated (not Intel)"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def key_usage(**used: bool) -> x509.KeyUsage:
    """KeyUsage with these bits, named as :class:`x509.KeyUsage` has them, and no others."""
    return x509.KeyUsage(**{name: used.get(name, False) for name in _USAGES})


def begin_certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    begin: datetime.datetime = BEGIN,
    end: datetime.datetime = END,
) -> x509.CertificateBuilder:
    """A certificate without extensions, for these times (UTC), with a random serial number."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
