"""Our own roots and service keys: made on first use, kept in the home folder, never Intel's.

=====================  ==========  ==============================================================
``report-root``        RSA-3072    signs the report-signing certificate (remote attestation spec 3.2)
``report-signing``     RSA-2048    signs attestation reports
``epid-signing``       P-256       ISK: group certificates and SigRLs
``qsdk``               RSA-2048    decrypts the wrap key of quotes
``pib-signing``        P-256       platformInfoBlobs
=====================  ==========  ==============================================================

The certificates' names say that they are emulated, so that nobody mistakes a report for one of Intel's.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fusequote.home import CorruptFile, Home, write_atomic
from fusequote.services.certificates import begin_certificate, emulated_name, key_usage

__all__ = ["ServiceKeys", "load_service_keys"]


@dataclass(frozen=True)
class ServiceKeys:
    """Keys and certificates of the services. Private keys have no bytes in their representation."""

    report_root: x509.Certificate
    report_certificate: x509.Certificate
    report_signing: rsa.RSAPrivateKey
    epid_signing: ec.EllipticCurvePrivateKey
    qsdk: rsa.RSAPrivateKey
    pib_signing: ec.EllipticCurvePrivateKey

    @property
    def chain_pem(self) -> bytes:
        """Signing certificate first, root second, as PEM."""
        return self.report_certificate.public_bytes(serialization.Encoding.PEM) + self.root_pem

    @property
    def root_pem(self) -> bytes:
        """What a relying party pins."""
        return self.report_root.public_bytes(serialization.Encoding.PEM)


def load_service_keys(home: Home) -> ServiceKeys:
    """All keys and the two certificates, made on first use. Raises :class:`CorruptFile`."""
    root_key = home.rsa_key("report-root", 3072)
    signing_key = home.rsa_key("report-signing", 2048)
    root, leaf = _certificates(home, root_key, signing_key)
    return ServiceKeys(
        report_root=root,
        report_certificate=leaf,
        report_signing=signing_key,
        epid_signing=home.p256_key("epid-signing"),
        qsdk=home.rsa_key("qsdk", 2048),
        pib_signing=home.p256_key("pib-signing"),
    )


def _certificates(
    home: Home, root_key: rsa.RSAPrivateKey, signing_key: rsa.RSAPrivateKey
) -> tuple[x509.Certificate, x509.Certificate]:
    path = home.keys / "report-chain.pem"
    with home.lock("report-chain"):
        if not path.exists():
            root, leaf = _issue(root_key, signing_key)
            write_atomic(path, b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (leaf, root)))
        try:
            leaf, root = x509.load_pem_x509_certificates(home.read(path, limit=1 << 16))
        except ValueError as error:
            raise CorruptFile(path, "is not two certificates in PEM") from error
    if leaf.public_key() != signing_key.public_key() or root.public_key() != root_key.public_key():
        raise CorruptFile(path, "does not belong to the keys beside it", hint="remove it: it is made again")
    return root, leaf


def _issue(root_key: rsa.RSAPrivateKey, signing_key: rsa.RSAPrivateKey) -> tuple[x509.Certificate, x509.Certificate]:
    root_name = emulated_name("fusequote emulated SGX Attestation Report Signing CA")
    leaf_name = emulated_name("fusequote emulated SGX Attestation Report Signing")
    key_id = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id)
    root = (
        begin_certificate(root_name, root_name, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(key_id, critical=False)
        .add_extension(authority, critical=False)
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        begin_certificate(leaf_name, root_name, signing_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(digital_signature=True, content_commitment=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(signing_key.public_key()), critical=False)
        .add_extension(authority, critical=False)
        .sign(root_key, hashes.SHA256())
    )
    return root, leaf
