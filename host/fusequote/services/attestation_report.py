"""Attestation Verification Reports: their fields for each version of the API, and their signature.

Remote attestation notes 3.1 and 3.2. A report is one line of JSON in the order in which Intel's were; what is signed
are these bytes, so whoever passes a report on passes the bytes on.
"""

from __future__ import annotations

import base64
import datetime
import json
import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fusequote.arch import QuoteBody, SignType
from fusequote.services.attestation_status import PseStatus, QuoteStatus

__all__ = ["ADVISORY_URL", "Findings", "SignedReport", "compose", "sign"]

ADVISORY_URL = "https://security-center.intel.com"


@dataclass(frozen=True)
class SignedReport:
    """An AVR as it travels: the JSON's exact bytes, the signature over them, signing certificate and root as PEM.

    ``advisory_ids`` are there when the status has advisories; version 3 of the API puts them into headers. ``status``
    is the one that stands in the body.
    """

    body: bytes
    signature: bytes
    chain_pem: bytes
    version: int = 4
    advisory_ids: tuple[str, ...] | None = None
    status: str = ""


@dataclass(frozen=True)
class Findings:
    """What is to be said of a quote. ``status`` is as the version of the API speaks it.

    ``pseudonym``: B and K of the signature, 128 bytes. ``advisory_ids`` and ``platform_info`` are None for a status
    without them. ``pse``: status and SHA-256 of the PSE manifest, when one was sent.
    """

    body: QuoteBody
    status: QuoteStatus
    pseudonym: bytes
    advisory_ids: tuple[str, ...] | None = None
    revocation_reason: int | None = None
    platform_info: str | None = None
    pse: tuple[PseStatus, bytes] | None = None
    evaluation: int = 1


def compose(findings: Findings, version: int, nonce: str | None, now: datetime.datetime) -> bytes:
    """The report's JSON. ``now`` is UTC without a zone."""
    report: dict[str, object] = {} if nonce is None else {"nonce": nonce}
    report["id"] = str(secrets.randbits(128))
    report["timestamp"] = now.isoformat(timespec="microseconds")
    report["version"] = version
    if version >= 5:
        report["attestationType"] = "EPID"
    if findings.body.sign_type == SignType.LINKABLE:
        report["epidPseudonym"] = _b64(findings.pseudonym)
    if version >= 4 and findings.advisory_ids is not None:
        report["advisoryURL"] = ADVISORY_URL
        report["advisoryIDs"] = list(findings.advisory_ids)
    report["isvEnclaveQuoteStatus"] = findings.status.value
    if findings.revocation_reason is not None:
        report["revocationReason"] = findings.revocation_reason
    if findings.pse is not None:
        status, digest = findings.pse
        report["pseManifestStatus"] = status.value
        report["pseManifestHash"] = digest.hex().upper()
    if findings.platform_info is not None:
        report["platformInfoBlob"] = findings.platform_info
    report["isvEnclaveQuoteBody"] = _b64(findings.body.to_bytes())
    if version >= 5:
        report["tcbEvaluationDataNumber"] = findings.evaluation
    return json.dumps(report, separators=(",", ":")).encode("ascii")


def sign(body: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """RSA PKCS#1 v1.5 with SHA-256 over the report's bytes, 256 bytes."""
    return key.sign(body, padding.PKCS1v15(), hashes.SHA256())


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
