"""The attestation service without its transport: quote in, signed Attestation Verification Report out.

Formats and the order of decisions are those of remote attestation notes 3. A quote that is none, that does not
decrypt, or that is of another service provider than the one who asks, is no report but a refusal (HTTP 400 there);
everything else is a status in a report. docs/attestation-service.md describes it.
"""

from __future__ import annotations

import hashlib

from fusequote.arch import QuoteBody, SignType
from fusequote.errors import UsageError
from fusequote.platform.epidfiles import sign_sigrl
from fusequote.services.attestation_groups import GroupReader, GroupView, UnknownGroup
from fusequote.services.attestation_quote import decrypt, read_quote
from fusequote.services.attestation_recent import Recent
from fusequote.services.attestation_report import ADVISORY_URL, Findings, SignedReport, compose, sign
from fusequote.services.attestation_status import API_VERSIONS, PseStatus, QuoteStatus, decide, spoken
from fusequote.services.attestation_subscriptions import Subscriber, Subscriptions, is_key
from fusequote.services.attestation_tables import PseRecord
from fusequote.services.platforminfo import platform_info
from fusequote.services.registry import Registry
from fusequote.services.roots import ServiceKeys
from fusequote.services.store import Clock
from fusequote.verdict import Reason, refuse

__all__ = ["ADVISORY_URL", "API_VERSIONS", "AVR_VERSION", "AttestationService", "SignedReport", "UnknownGroup"]

#: The version of reports unless another one is asked for.
AVR_VERSION = 4
#: Characters of a relying party's nonce.
NONCE_LIMIT = 32
#: Bytes of a PSE manifest (sgx_ps_sec_prop_desc_t); one of another size is INVALID, and above the limit refused.
PSE_MANIFEST_SIZE = 256


class AttestationService:
    """Verifies quotes against the registry's groups and signs what it finds. ``clock`` gives UTC, without a zone.

    Threads may share one; it keeps verifiers of the groups that it has seen.
    """

    def __init__(self, registry: Registry, keys: ServiceKeys, clock: Clock | None = None):
        self._registry, self._keys = registry, keys
        self._clock = clock or registry.store.clock
        self._groups = GroupReader()
        self._subscriptions = Subscriptions(registry.store)
        self._recent = Recent(registry.store)
        self._chain = keys.chain_pem

    def sigrl(self, gid: bytes) -> bytes:
        """The signed SigRL of a group (its 4-byte gid as EPID has it); b"" when it has no entries.

        Raises :class:`UnknownGroup`, a :class:`UsageError`.
        """
        with self._registry.store.reading() as session:
            return self._groups.signed_sigrl(session, gid, lambda listed: sign_sigrl(listed, self._keys.epid_signing))

    def report(
        self,
        quote: bytes,
        nonce: str | None = None,
        *,
        version: int = AVR_VERSION,
        subscriber: Subscriber | None = None,
        pse_manifest: bytes | None = None,
    ) -> SignedReport:
        """The signed report about ``quote`` in the form of an API version, with ``nonce`` (up to 32 characters) echoed.

        ``subscriber``: who asks; quotes must be made for its SPID and be of the agreed kind. None is for callers
        inside, who may ask about any. Raises :class:`Refused`: quote.malformed, quote.undecryptable, policy.spid,
        policy.linkability; :class:`UsageError` for a longer nonce or an unknown version.
        """
        if nonce is not None and len(nonce) > NONCE_LIMIT:
            raise UsageError(f"a nonce has at most {NONCE_LIMIT} characters, not {len(nonce)}")
        if version not in API_VERSIONS:
            raise UsageError(f"there is no version {version} of the attestation API")
        parsed = read_quote(quote)
        body = parsed.body
        if subscriber is not None:
            _check_agreement(body, subscriber)
        payload = decrypt(parsed, self._keys.qsdk)
        group = self._group(body.group_id, body.spid)
        pse = None if pse_manifest is None else self._pse(pse_manifest)
        findings = self._findings(group, body, payload, version, pse)
        report = compose(findings, version, nonce, self._clock())
        signature = sign(report, self._keys.report_signing)
        return SignedReport(report, signature, self._chain, version, findings.advisory_ids, findings.status.value)

    def subscriber(self, key: str) -> Subscriber | None:
        """Who asks with this subscription key; None for a wrong one, or a subscription that was ended."""
        return self._recent.get(key, lambda: self._subscriptions.of_key(key)) if is_key(key) else None

    def _group(self, gid: bytes, spid: bytes) -> GroupView | None:
        def read() -> GroupView | None:
            with self._registry.store.reading() as session:
                return self._groups.view(session, gid, spid)

        return self._recent.get((gid, spid), read)

    def _pse(self, manifest: bytes) -> tuple[PseStatus, bytes]:
        """Status and hash of a PSE manifest. No platform services here: only an operator's record knows one."""
        digest = hashlib.sha256(manifest).digest()
        if len(manifest) != PSE_MANIFEST_SIZE:
            return PseStatus.INVALID, digest
        with self._registry.store.reading() as session:
            row = session.get(PseRecord, digest)
        return (PseStatus.UNKNOWN if row is None else PseStatus(row.status)), digest

    def _findings(
        self,
        group: GroupView | None,
        body: QuoteBody,
        payload: bytes,
        version: int,
        pse: tuple[PseStatus, bytes] | None,
    ) -> Findings:
        status = spoken(decide(group, body, payload), version)
        return Findings(
            body=body,
            status=status,
            pseudonym=payload[:128],
            advisory_ids=group.advisory_ids if group and status.has_advisories else None,
            revocation_reason=group.revocation_reason if group and status is QuoteStatus.GROUP_REVOKED else None,
            platform_info=self._platform_info(status, body) if group and status.has_platform_info else None,
            pse=pse,
            evaluation=group.evaluation if group else 1,
        )

    def _platform_info(self, status: QuoteStatus, body: QuoteBody) -> str:
        return platform_info(status, body, self._registry, self._keys.pib_signing)


def _check_agreement(body: QuoteBody, subscriber: Subscriber) -> None:
    if body.spid != subscriber.spid:
        raise refuse(Reason.SPID, "not the SPID of this subscription")
    if (body.sign_type == SignType.LINKABLE) != subscriber.linkable:
        raise refuse(Reason.LINKABILITY, f"{subscriber.kind} quotes were agreed with this subscription")
