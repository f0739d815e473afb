"""What commands of both sides of an exchange share: keys, roots, and the attestation service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fusequote.errors import UsageError

if TYPE_CHECKING:
    import ssl

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    from fusequote.home import Home
    from fusequote.relying import Policy
    from fusequote.relying.service import ReportSource

__all__ = [
    "Attestation",
    "Provisioning",
    "ReportRoot",
    "SubscriptionKey",
    "attestation_service",
    "policy_of",
    "provider_key",
    "provider_public_key",
    "remote_service",
    "root_certificate",
    "trusted_servers",
]

Provisioning = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The provisioning server, http(s)://HOST:PORT/. Default: in here."),
]
Attestation = Annotated[
    str | None, typer.Option(metavar="URL", help="The attestation service, .../attestation/v4. Default: in here.")
]
SubscriptionKey = Annotated[
    str | None, typer.Option(metavar="KEY", envvar="FUSEQUOTE_SUBSCRIPTION_KEY", help="For the attestation service.")
]
ReportRoot = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Root of attestation reports, PEM. Default: the home folder's.")
]

#: Name of the home folder's own service provider key.
PROVIDER_KEY = "service-provider"
_PEM_LIMIT = 1 << 16


@contextlib.contextmanager
def attestation_service(home: Home, url: str | None, key: str | None) -> Iterator[ReportSource]:
    """The attestation service at ``url``, or the home folder's own in this process."""
    if url is not None:
        with remote_service(home, url, key) as remote:
            yield remote
        return
    from fusequote.api import local_attestation
    from fusequote.services.services import Services

    with Services(home) as services:
        yield local_attestation(services)


@contextlib.contextmanager
def remote_service(home: Home, url: str | None, key: str | None) -> Iterator[ReportSource | None]:
    """The attestation service at ``url``, None without one."""
    from fusequote.relying.service import RemoteService

    if url is None:
        yield None
        return
    if not key:
        raise UsageError("--attestation needs a subscription key", hint="give --subscription-key")
    remote = RemoteService(url, key, verify=trusted_servers(home))
    try:
        yield remote
    finally:
        remote.close()


def trusted_servers(home: Home) -> ssl.SSLContext:
    """What HTTPS servers are checked against: the system's authorities, and the home folder's own root if there."""
    import ssl

    context = ssl.create_default_context()
    own = home.keys / "tls-root.crt"
    if own.exists():
        try:
            context.load_verify_locations(own)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"{own} is no certificate in PEM", hint="remove it: it is made again") from error
    return context


def policy_of(
    home: Home,
    mrenclaves: list[str] | None,
    mrsigners: list[str] | None,
    isvprodid: int | None,
    min_isvsvn: int,
    allow_debug: bool,
    statuses: list[str] | None = None,
) -> Policy:
    """The policy that the options name; whose enclaves, if none does: those of the home folder's application signer."""
    from fusequote.cli.values import hex_bytes
    from fusequote.platform.signers import Signers, mrsigner_of
    from fusequote.relying import Policy
    from fusequote.relying.policy import TRUSTED_STATUSES

    enclaves = frozenset(hex_bytes("--mrenclave", text, 32) for text in mrenclaves or ())
    signers = frozenset(hex_bytes("--mrsigner", text, 32) for text in mrsigners or ())
    if not enclaves and not signers:
        signers = frozenset({mrsigner_of(Signers(home).application)})
    return Policy(
        mrenclaves=enclaves or None,
        mrsigners=signers or None,
        isvprodid=isvprodid,
        min_isvsvn=min_isvsvn,
        allow_debug=allow_debug,
        statuses=TRUSTED_STATUSES | frozenset(statuses or ()),
    )


def provider_key(home: Home, path: Path | None) -> ec.EllipticCurvePrivateKey:
    """A service provider's long-term key from a PEM file, or the home folder's own."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if path is None:
        return home.p256_key(PROVIDER_KEY)
    try:
        return _p256(load_pem_private_key(_pem(path), password=None), path)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} is not a P-256 private key in PEM without a password") from error


def provider_public_key(home: Home, path: Path | None) -> ec.EllipticCurvePublicKey:
    """The public half as enclaves have it: from a PEM file, or the home folder's own."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if path is None:
        return home.p256_key(PROVIDER_KEY).public_key()
    try:
        return _p256(load_pem_public_key(_pem(path)), path)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} is not a P-256 public key in PEM") from error


def root_certificate(home: Home, path: Path | None) -> x509.Certificate:
    """The root that attestation reports must lead to: from a PEM file, or the home folder's own."""
    from cryptography import x509

    if path is None:
        from fusequote.services.roots import load_service_keys

        return load_service_keys(home).report_root
    try:
        return x509.load_pem_x509_certificate(_pem(path))
    except ValueError as error:
        raise UsageError(f"{path} is not a certificate in PEM") from error


def _pem(path: Path) -> bytes:
    from fusequote.cli.values import read_limited

    return read_limited(path, "a PEM file", _PEM_LIMIT)


def _p256(key, path: Path):
    from cryptography.hazmat.primitives.asymmetric import ec

    if not isinstance(getattr(key, "curve", None), ec.SECP256R1):
        raise UsageError(f"{path} is not a key of P-256")
    return key
