"""The server's certificate: the operator's own, or one for localhost under a root of ours.

The root is one for TLS alone: under the root of attestation reports, a server's certificate could sign reports.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fusequote.errors import EnvironmentProblem, UsageError
from fusequote.home import CorruptFile, Home, write_atomic
from fusequote.services.certificates import begin_certificate, emulated_name, key_usage
from fusequote.services.http.settings import ServerSettings

__all__ = ["TlsFiles", "server_files", "tls_context"]

_LOCAL = ("localhost", "127.0.0.1", "::1")
_VALID = datetime.timedelta(days=365)
#: A certificate of our own is made anew this long before it ends.
_RENEW = datetime.timedelta(days=30)


@dataclass(frozen=True)
class TlsFiles:
    """What the server presents, and the root that its clients trust; None when that is the operator's matter."""

    certificate: Path
    key: Path
    root: Path | None


def server_files(home: Home, settings: ServerSettings) -> TlsFiles:
    """The files for these settings; those of our own are made, or made anew, as needed.

    Raises :class:`CorruptFile`, :class:`UsageError` for a name that is none.
    """
    if settings.certificate is not None and settings.key is not None:
        return TlsFiles(settings.certificate, settings.key, None)
    listens_for = () if settings.host in ("0.0.0.0", "::", "") else (settings.host,)
    names = tuple(dict.fromkeys((*_LOCAL, *listens_for, *settings.names)))
    root_key, key = home.p256_key("tls-root"), home.p256_key("tls-server")
    files = TlsFiles(home.keys / "tls-server.crt", home.keys / "tls-server.pem", home.keys / "tls-root.crt")
    with home.lock("tls"):
        root = _load(home, files.root)
        if root is None or root.public_key() != root_key.public_key():
            root = _root(root_key)
            write_atomic(files.root, root.public_bytes(serialization.Encoding.PEM))
        leaf = _load(home, files.certificate)
        if leaf is None or not _good(leaf, root, key, names):
            leaf = _leaf(root, root_key, key, names)
            write_atomic(files.certificate, leaf.public_bytes(serialization.Encoding.PEM))
    return files


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS 1.2 and newer. Raises :class:`UsageError` for files that are no certificate with its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION

    def no_password() -> str:
        raise UsageError(f"the key {files.key} is encrypted", hint="give one that is not: a server cannot ask")

    try:
        context.load_cert_chain(files.certificate, files.key, no_password)
    except ssl.SSLError as error:
        raise UsageError(f"{files.certificate} and {files.key} are no certificate with its key: {error}") from error
    except OSError as error:
        raise EnvironmentProblem(f"cannot read {files.certificate} and {files.key}: {error.strerror}") from error
    return context


def _load(home: Home, path: Path) -> x509.Certificate | None:
    if not path.exists():
        return None
    try:
        return x509.load_pem_x509_certificate(home.read(path, limit=1 << 16))
    except ValueError as error:
        raise CorruptFile(path, "is no certificate in PEM", hint="remove it: it is made again") from error


def _good(
    leaf: x509.Certificate, root: x509.Certificate, key: ec.EllipticCurvePrivateKey, names: Sequence[str]
) -> bool:
    now = datetime.datetime.now(datetime.UTC)
    try:
        leaf.verify_directly_issued_by(root)
        has = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # a certificate of another root or form: as good as none
        return False
    in_time = leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc - _RENEW
    return in_time and leaf.public_key() == key.public_key() and list(has) == [_general_name(name) for name in names]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise UsageError(f"{name!r} is no name for a certificate", hint="write other scripts in IDNA") from error


def _root(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name, public = emulated_name("fusequote emulated services TLS CA"), key.public_key()
    return (
        begin_certificate(name, name, public)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
    names: Sequence[str],
) -> x509.Certificate:
    now, public = datetime.datetime.now(datetime.UTC), key.public_key()
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    # From an hour ago: a client's clock may be a little behind.
    begin, end = now - datetime.timedelta(hours=1), now + _VALID
    return (
        begin_certificate(emulated_name("fusequote emulated services"), root.subject, public, begin, end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(authority, critical=False)
        .sign(root_key, hashes.SHA256())
    )
