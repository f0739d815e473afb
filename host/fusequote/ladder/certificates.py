"""X.509 for the ladder: a root that signs keys, and the check of what it signed. None of it is Intel's."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fusequote.ladder.rung import NotAccepted

__all__ = ["Authority", "der", "key_in"]

_LIFETIME = datetime.timedelta(days=1)


class Authority:
    """A P-256 root with a name that says that it is emulated."""

    def __init__(self, name: str):
        self._name, self._key = _name(name), ec.generate_private_key(ec.SECP256R1())
        basic = x509.BasicConstraints(ca=True, path_length=0)
        self.root = (
            _builder(self._name, self._name, self._key.public_key())
            .add_extension(basic, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def certify(self, name: str, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
        """A certificate for ``key``; its serial number is random."""
        basic = x509.BasicConstraints(ca=False, path_length=None)
        made = _builder(_name(name), self._name, key).add_extension(basic, critical=True)
        return made.sign(self._key, hashes.SHA256())


def key_in(certificate: bytes, root: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """The P-256 key in a certificate (DER) that ``root`` signed. Raises :class:`NotAccepted`."""
    try:
        read = x509.load_der_x509_certificate(certificate)
        read.verify_directly_issued_by(root)
        key = read.public_key()
    except (ValueError, TypeError, InvalidSignature) as error:
        raise NotAccepted("the certificate is not signed by the root that is trusted here") from error
    now = datetime.datetime.now(datetime.UTC)
    if not read.not_valid_before_utc <= now <= read.not_valid_after_utc:
        raise NotAccepted("the certificate is not valid now")
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise NotAccepted("the certificate is not for a P-256 key")
    return key


def der(certificate: x509.Certificate) -> bytes:
    """As it travels."""
    return certificate.public_bytes(serialization.Encoding.DER)


def _name(common: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "fusequote emulated (not Intel)")
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LIFETIME)
        .not_valid_after(now + _LIFETIME)
    )
