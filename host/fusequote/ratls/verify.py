"""The client's check of an RA-TLS certificate: whose key it is, and what is reported of its enclave."""

from __future__ import annotations

import datetime
import hmac
from dataclasses import replace

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fusequote.arch import QuoteV2
from fusequote.errors import FormatError, Refused
from fusequote.ratls.certificate import Evidence, read_evidence, report_data
from fusequote.ratls.errors import RatlsError, RatlsFault
from fusequote.relying import Nonces, Policy, appraise
from fusequote.relying.service import ReportSource
from fusequote.verdict import Verdict

__all__ = ["CERTIFICATE_LIMIT", "check_certificate"]

#: The most bytes of a certificate; the handshake itself takes few more.
CERTIFICATE_LIMIT = 1 << 17
_PEM = serialization.Encoding.PEM


def check_certificate(
    der: bytes,
    policy: Policy,
    *,
    root: x509.Certificate,
    service: ReportSource | None,
    nonces: Nonces | None = None,
    now: datetime.datetime | None = None,
) -> Verdict:
    """The verdict on the peer with this certificate, which has proved in the handshake to have its key.

    A quote is sent to ``service`` with a nonce of ``nonces``; a report in the certificate is checked as it is. Both
    must lead to ``root``. REPORTDATA of ``policy`` is replaced by the hash of the certificate's key. ``now`` is UTC,
    for tests. Raises :class:`RatlsError` for a certificate that is none or not its key's, and for a quote without
    ``service`` and ``nonces`` (evidence-malformed); what the service raises.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    certificate, key = _read(der, now)
    evidence = read_evidence(certificate)
    policy = replace(policy, report_data=report_data(key))
    if evidence.report is not None:
        return _judge_report(evidence.report, policy, root, now)
    return _judge_quote(evidence, key, policy, root, service, nonces, now)


def _read(der: bytes, now: datetime.datetime) -> tuple[x509.Certificate, ec.EllipticCurvePublicKey]:
    if len(der) > CERTIFICATE_LIMIT:
        raise RatlsError(RatlsFault.MALFORMED, f"{len(der):,} bytes")
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
        certificate.verify_directly_issued_by(certificate)
    except InvalidSignature as error:
        raise RatlsError(RatlsFault.SELF_SIGNATURE) from error
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise RatlsError(RatlsFault.MALFORMED, str(error)) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(
        key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1
    ):
        raise RatlsError(RatlsFault.KEY_KIND)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise RatlsError(RatlsFault.EXPIRED)
    return certificate, key


def _judge_report(
    report: tuple[bytes, bytes, bytes], policy: Policy, root: x509.Certificate, now: datetime.datetime
) -> Verdict:
    body, signature, leaf = report
    try:
        chain = x509.load_der_x509_certificate(leaf).public_bytes(_PEM) + root.public_bytes(_PEM)
    except (ValueError, x509.InvalidVersion) as error:
        raise RatlsError(RatlsFault.EVIDENCE, "its signing certificate is none") from error
    # No nonce: how old the report may be is the policy's max_age.
    return appraise(body, signature, chain, policy, root=root, now=now)


def _judge_quote(
    evidence: Evidence,
    key: ec.EllipticCurvePublicKey,
    policy: Policy,
    root: x509.Certificate,
    service: ReportSource | None,
    nonces: Nonces | None,
    now: datetime.datetime,
) -> Verdict:
    assert evidence.quote is not None
    if service is None or nonces is None:
        raise RatlsError(RatlsFault.EVIDENCE, "it is a quote, and there is no attestation service to ask")
    try:
        quote = QuoteV2.from_bytes(evidence.quote)
    except FormatError as error:
        raise RatlsError(RatlsFault.EVIDENCE, str(error)) from error
    if not hmac.compare_digest(quote.body.report.reportdata[:32], report_data(key)[:32]):
        raise RatlsError(RatlsFault.OTHER_KEY)
    nonce = nonces.issue()
    try:
        report = service.report(evidence.quote, nonce)
    except Refused as error:
        return Verdict.refused(error)
    return appraise(
        report.body,
        report.signature,
        report.chain_pem,
        policy,
        root=root,
        quote=evidence.quote,
        nonce=nonce,
        nonces=nonces,
        now=now,
    )
