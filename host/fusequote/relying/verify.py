"""The verdict: chain, signature, nonce, quote, identity and status, each a check with its own reason."""

from __future__ import annotations

import datetime
import hmac
from collections.abc import Iterator

from cryptography import x509

from fusequote.arch import QuoteBody, ReportBody
from fusequote.errors import Refused
from fusequote.relying.nonces import Nonces
from fusequote.relying.policy import Policy
from fusequote.relying.report import AttestationReport, check_chain, check_signature, read_report
from fusequote.verdict import Reason, ReasonGiven, Verdict

__all__ = ["appraise", "identity_facts"]

#: Seconds by which the service's clock may be ahead of ours.
CLOCK_SKEW = 60
#: Of the API, whose reports are judged; v3 has no words for half of the statuses.
VERSIONS = (4, 5)

STATUS_REASONS = {
    "SIGNATURE_INVALID": Reason.SIGNATURE_INVALID,
    "GROUP_REVOKED": Reason.GROUP_REVOKED,
    "KEY_REVOKED": Reason.KEY_REVOKED,
    "SIGRL_VERSION_MISMATCH": Reason.SIGRL_VERSION,
    "SIGNATURE_REVOKED": Reason.SIGNATURE_REVOKED,
    "GROUP_OUT_OF_DATE": Reason.GROUP_OUT_OF_DATE,
    "CONFIGURATION_NEEDED": Reason.CONFIGURATION_NEEDED,
    "SW_HARDENING_NEEDED": Reason.SW_HARDENING_NEEDED,
    "CONFIGURATION_AND_SW_HARDENING_NEEDED": Reason.CONFIGURATION_AND_SW,
}
#: No policy can accept these: the quote proves nothing.
NEVER = frozenset({"SIGNATURE_INVALID", "KEY_REVOKED", "SIGNATURE_REVOKED", "GROUP_REVOKED", "SIGRL_VERSION_MISMATCH"})


def appraise(
    body: bytes,
    signature: bytes,
    chain_pem: bytes,
    policy: Policy,
    *,
    root: x509.Certificate,
    quote: bytes | None = None,
    nonce: str | None = None,
    nonces: Nonces | None = None,
    now: datetime.datetime | None = None,
) -> Verdict:
    """Yes or no about an attestation report, with every reason found.

    ``body``, ``signature`` and ``chain_pem`` are the report as received, ``root`` what is trusted, ``quote``
    the quote in hand (its body must be the report's). With ``nonces`` the report's nonce must be one that was
    given out there, and is used up whatever the verdict; ``nonce`` names the one that was asked for. ``now``
    is UTC, for tests and for reports of the past. A report that is not authentic gives one reason: nothing in
    it can be believed.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    try:
        check_signature(body, signature, check_chain(chain_pem, root, now))
        report = read_report(body)
    except Refused as error:
        return Verdict.refused(error)
    given = [
        *_freshness(report, nonce, nonces, policy, now),
        *_quote(report, quote, policy),
        *_identity(report.quote_body.report, policy),
    ]
    if report.status not in policy.statuses - NEVER:
        # A status that nobody has heard of is as good as an invalid signature.
        reason = STATUS_REASONS.get(report.status, Reason.SIGNATURE_INVALID)
        given.insert(0, ReasonGiven(reason, f"status {report.status}"))
    return Verdict(
        accepted=not given,
        reasons=tuple(given) or (ReasonGiven(Reason.ACCEPTED, f"status {report.status}"),),
        enclave=identity_facts(report.quote_body.report),
        quote_status=report.status,
        advisory_ids=report.advisory_ids,
    )


def identity_facts(body: ReportBody) -> dict[str, str | int | bool]:
    """An enclave's identity for verdicts and events."""
    return {
        "mrenclave": body.mrenclave.hex(),
        "mrsigner": body.mrsigner.hex(),
        "isvprodid": int(body.isvprodid),
        "isvsvn": int(body.isvsvn),
        "debug": body.attributes.debug,
        "attributes": body.attributes.to_bytes().hex(),
        "cpusvn": body.cpusvn.hex(),
        "reportdata": body.reportdata.hex(),
    }


def _freshness(
    report: AttestationReport, nonce: str | None, nonces: Nonces | None, policy: Policy, now: datetime.datetime
) -> Iterator[ReasonGiven]:
    if report.version not in VERSIONS:
        yield ReasonGiven(Reason.AVR_VERSION, f"version {report.version}")
    age = (now - report.timestamp).total_seconds()
    if not -CLOCK_SKEW <= age <= policy.max_age:
        yield ReasonGiven(Reason.AVR_TIME, f"{age:.0f} s old")
    if nonce is not None and not hmac.compare_digest((report.nonce or "").encode(), nonce.encode()):
        yield ReasonGiven(Reason.AVR_NONCE)
    if nonces is not None and not nonces.consume(report.nonce or ""):
        yield ReasonGiven(Reason.AVR_REPLAYED)


def _quote(report: AttestationReport, quote: bytes | None, policy: Policy) -> Iterator[ReasonGiven]:
    body = report.quote_body
    if quote is not None and quote[: QuoteBody.SIZE] != body.to_bytes():
        yield ReasonGiven(Reason.QUOTE_BODY)
    if policy.spid is not None and body.spid != policy.spid:
        yield ReasonGiven(Reason.SPID, body.spid.hex())
    if policy.sign_type is not None and body.sign_type != policy.sign_type:
        yield ReasonGiven(Reason.LINKABILITY)


def _identity(body: ReportBody, policy: Policy) -> Iterator[ReasonGiven]:
    if policy.mrenclaves is not None and body.mrenclave not in policy.mrenclaves:
        yield ReasonGiven(Reason.MRENCLAVE, body.mrenclave.hex())
    if policy.mrsigners is not None and body.mrsigner not in policy.mrsigners:
        yield ReasonGiven(Reason.MRSIGNER, body.mrsigner.hex())
    if policy.isvprodid is not None and body.isvprodid != policy.isvprodid:
        yield ReasonGiven(Reason.ISVPRODID, f"{body.isvprodid} instead of {policy.isvprodid}")
    if body.isvsvn < policy.min_isvsvn:
        yield ReasonGiven(Reason.ISVSVN, f"{body.isvsvn} is below {policy.min_isvsvn}")
    if body.attributes.debug and not policy.allow_debug:
        yield ReasonGiven(Reason.DEBUG)
    if policy.report_data is not None and body.reportdata != policy.report_data.ljust(64, b"\0"):
        yield ReasonGiven(Reason.REPORTDATA)
