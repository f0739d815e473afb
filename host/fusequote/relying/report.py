"""Attestation reports as received: who signed them, and what they say (remote attestation spec 3.1, 3.2)."""

from __future__ import annotations

import base64
import binascii
import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fusequote.arch import QuoteBody
from fusequote.errors import FormatError
from fusequote.verdict import Reason, refuse

__all__ = ["AttestationReport", "check_chain", "check_signature", "read_report"]

#: No report is longer; a larger one is not parsed.
LIMIT = 1 << 16
#: What the X.509 parser raises for bytes that are no certificate, or one of a kind that nobody issues here.
_BAD_CERTIFICATE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True)
class AttestationReport:
    """What a report says, fields as the specification names them."""

    id: str
    timestamp: datetime.datetime
    version: int
    status: str
    quote_body: QuoteBody
    nonce: str | None
    advisory_ids: tuple[str, ...]
    platform_info: str | None


def check_chain(chain_pem: bytes, root: x509.Certificate, now: datetime.datetime) -> rsa.RSAPublicKey:
    """The signing key of a chain of exactly signing certificate and root. ``now`` is UTC with its zone.

    Raises :class:`Refused` (avr.chain-invalid).
    """
    try:
        leaf, top = x509.load_pem_x509_certificates(chain_pem)
        if top != root:
            raise refuse(Reason.AVR_CHAIN, "its root is not the one that is trusted here")
        for certificate in (leaf, top):
            if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
                raise refuse(Reason.AVR_CHAIN, "a certificate is not valid at this time")
        leaf.verify_directly_issued_by(root)
        basic = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except _BAD_CERTIFICATE as error:
        raise refuse(Reason.AVR_CHAIN, "two certificates in PEM are wanted, signing certificate first") from error
    except InvalidSignature as error:
        raise refuse(Reason.AVR_CHAIN, "the root did not sign the signing certificate") from error
    key = leaf.public_key()
    if basic.ca or not usage.digital_signature or not isinstance(key, rsa.RSAPublicKey):
        raise refuse(Reason.AVR_CHAIN, "its first certificate is not one for signing reports")
    return key


def check_signature(body: bytes, signature: bytes, key: rsa.RSAPublicKey) -> None:
    """RSA PKCS#1 v1.5 with SHA-256 over the exact bytes. Raises :class:`Refused` (avr.signature-invalid)."""
    try:
        key.verify(signature, body, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        raise refuse(Reason.AVR_SIGNATURE) from None


def read_report(body: bytes) -> AttestationReport:
    """Parse a report whose signature holds. Raises :class:`Refused` (avr.malformed)."""
    try:
        if len(body) > LIMIT:
            raise ValueError(f"{len(body)} bytes")
        fields = json.loads(body, object_pairs_hook=_unique)
        if not isinstance(fields, dict):
            raise ValueError("it is no JSON object")
        return AttestationReport(
            id=_field(fields, "id", str),
            timestamp=datetime.datetime.strptime(_field(fields, "timestamp", str), "%Y-%m-%dT%H:%M:%S.%f").replace(
                tzinfo=datetime.UTC
            ),
            version=_field(fields, "version", int),
            status=_field(fields, "isvEnclaveQuoteStatus", str),
            quote_body=QuoteBody.from_bytes(
                base64.b64decode(_field(fields, "isvEnclaveQuoteBody", str), validate=True)
            ),
            nonce=_field(fields, "nonce", str, optional=True),
            advisory_ids=tuple(map(str, _field(fields, "advisoryIDs", list, optional=True) or ())),
            platform_info=_field(fields, "platformInfoBlob", str, optional=True),
        )
    except (ValueError, binascii.Error, FormatError, RecursionError) as error:
        raise refuse(Reason.AVR_FORMAT, str(error)) from error


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is there twice")
    return fields


def _field(fields: Mapping[str, object], name: str, kind: type, *, optional: bool = False):
    value = fields.get(name)
    if value is None and optional:
        return None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} is missing or of a wrong type")
    return value
