"""The Python API: a platform up to the quote, a relying party's verdict, and the whole chain in one call.

::

    with Platform.manufacture(home=folder) as platform:
        enclave = platform.launch("app.sgxs")
        quote = platform.quote(enclave, b"data", spid=spid).quote
    verdict = verify(quote, Policy.for_enclave(enclave.enclave.identity), home=folder)

    result = attest("app.sgxs", home=folder, listener=print)
    result.verdict.accepted
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509

from fusequote.arch import SignType, SigStruct
from fusequote.chain import EnclaveFile, Platform, Progress, simulated_chip_url
from fusequote.chip.identity import Identity
from fusequote.enclave import verify_sigstruct
from fusequote.errors import Refused, UsageError
from fusequote.home import Home
from fusequote.platform.application import ApplicationEnclave
from fusequote.platform.images import with_debug
from fusequote.platform.quoting import QuoteResult
from fusequote.relying import NonceFolder, Policy, appraise
from fusequote.relying.service import LocalService, ReportSource, ServiceReport
from fusequote.services.services import Services
from fusequote.steps import Listener, Meter, Steps
from fusequote.verdict import Party, ResultDocument, Step, StepEvent, Verdict

__all__ = [
    "ApplicationEnclave",
    "AttestResult",
    "Home",
    "Platform",
    "Policy",
    "QuoteResult",
    "Services",
    "SignType",
    "Verdict",
    "attest",
    "chip_notes",
    "local_attestation",
    "policy_for",
    "simulated_chip_url",
    "verify",
    "with_debug",
]


def chip_notes(identity: Identity) -> tuple[str, ...]:
    """What has to be said about a chip wherever its answers are shown."""
    notes = ["emulated: a verdict of this chain is no evidence about real hardware"]
    if not identity.hardware_entropy:
        notes.append("this chip's randomness is simulated")
    if not identity.signed_entry:
        notes.append("whoever has the chip's port can enter any enclave that it can launch")
    notes.append("EGETKEY's answer crosses the link in the clear: who reads the wire has that enclave's keys")
    return tuple(notes)


def local_attestation(services: Services) -> ReportSource:
    """The attestation service of this process, to be asked as one at an address is."""
    return LocalService(services.attestation, lambda gid: services.registry.group_key(gid) is not None)


def policy_for(sigstruct: SigStruct, **more: Any) -> Policy:
    """The policy that wants the enclave that this SIGSTRUCT vouches for, and no older ISVSVN.

    Raises :class:`~fusequote.enclave.SigStructInvalid`: with a wrong RSA signature it vouches for nothing, whether
    or not the chip looks at that.
    """
    verify_sigstruct(sigstruct)
    return Policy(
        mrenclaves=frozenset({sigstruct.enclavehash}),
        mrsigners=frozenset({sigstruct.mrsigner}),
        isvprodid=sigstruct.isvprodid,
        min_isvsvn=sigstruct.isvsvn,
        **more,
    )


def verify(
    quote: bytes,
    policy: Policy,
    *,
    home: Home | str | Path | None = None,
    services: Services | None = None,
    attestation: ReportSource | None = None,
    root: x509.Certificate | None = None,
    nonce: str | None = None,
    listener: Listener | None = None,
) -> Verdict:
    """The verdict on a quote: the attestation service reports on it, the relying party judges the report.

    ``attestation`` is whom to ask, by default ``services``, and those by default the home folder's own; ``root`` is the
    certificate that reports must lead to, by default that of ``services``. ``nonce`` is one that the relying party
    of this home folder gave out (:class:`~fusequote.relying.NonceFolder`); by default a fresh one. Never
    raises :class:`Refused`: a service that refuses the quote is a verdict.
    """
    home = home if isinstance(home, Home) else Home(home)
    steps = Steps(listener, Meter(wants_cycles=False))
    with Services(home) if services is None else contextlib.nullcontext(services) as known:
        judge = _Judge.of(home, known, attestation, root)
        return judge(quote, policy, nonce, steps)[0]


@dataclass(frozen=True)
class _Judge:
    """The relying party: whom it asks, what it trusts, its nonces."""

    service: ReportSource
    root: x509.Certificate
    nonces: NonceFolder

    @classmethod
    def of(cls, home: Home, services: Services, service: ReportSource | None, root: x509.Certificate | None) -> _Judge:
        """Those that are named, else the services'."""
        return cls(service or local_attestation(services), root or services.keys.report_root, NonceFolder(home.relying))

    def __call__(
        self, quote: bytes, policy: Policy, nonce: str | None, steps: Steps
    ) -> tuple[Verdict, ServiceReport | None]:
        nonce = nonce or self.nonces.issue()
        try:
            with steps.step(Step.VERIFY, "attestation report and verdict") as facts:
                report = self.service.report(quote, nonce)
                steps.exchange(
                    "attestation report",
                    Party.RELYING_PARTY,
                    Party.ATTESTATION_SERVICE,
                    sent=len(quote),
                    received=len(report.body),
                )
                verdict = appraise(
                    report.body,
                    report.signature,
                    report.chain_pem,
                    policy,
                    root=self.root,
                    quote=quote,
                    nonce=nonce,
                    nonces=self.nonces,
                )
                facts.update(accepted=verdict.accepted, reason=verdict.codes[0].value)
        except Refused as error:
            return Verdict.refused(error), None
        return verdict, report


@dataclass(frozen=True)
class AttestResult:
    """What a run of the whole chain left. ``quote`` and ``report`` are None when it did not get that far."""

    verdict: Verdict
    device_id: bytes
    notes: tuple[str, ...]
    events: tuple[StepEvent, ...] = field(repr=False)
    quote: bytes | None = field(default=None, repr=False)
    report: ServiceReport | None = field(default=None, repr=False)
    chip_commands: int = 0
    chip_cycles: int | None = None

    def to_json(self) -> dict[str, Any]:
        """One ``result`` document of the schema."""
        facts: dict[str, str | int | bool] = {
            "device_id": self.device_id.hex(),
            "chip_commands": self.chip_commands,
        }
        if self.chip_cycles is not None:
            facts["chip_cycles"] = self.chip_cycles
        if self.quote is not None:
            facts["quote"] = self.quote.hex()
        return ResultDocument("attest", facts, self.verdict, self.events, self.notes).to_json()


def attest(
    image: EnclaveFile = None,
    sigstruct: Path | str | None = None,
    *,
    url: str | None = None,
    home: Home | str | Path | None = None,
    services: Services | None = None,
    provisioning_url: str | None = None,
    attestation: ReportSource | None = None,
    root: x509.Certificate | None = None,
    tls: ssl.SSLContext | None = None,
    policy: Policy | None = None,
    report_data: bytes | None = None,
    spid: bytes | None = None,
    sign_type: SignType = SignType.UNLINKABLE,
    debug: bool = False,
    reprovision: bool = False,
    listener: Listener | None = None,
    progress: Progress | None = None,
) -> AttestResult:
    """The six steps, from the fuse to a verdict, on the chip at ``url`` (None: the home folder's model chip).

    ``image``: the enclave's file, or None for the sample. ``policy``: what the relying party wants, by
    default exactly the enclave that the SIGSTRUCT vouches for, not in DEBUG. ``report_data``: up to 64 bytes,
    by default a hash of the relying party's nonce. ``spid``: 16 bytes, by default the home folder's own. A
    blank chip is manufactured; a platform that has an EPID key keeps it unless ``reprovision`` is set. A
    refusal at any step is a verdict with its reason; everything else raises.

    Provisioning server and attestation service are those of ``services``, in this process, unless ``provisioning_url``
    (an address; ``tls`` is what it is checked against, if it is HTTPS) and ``attestation`` name others; ``root`` is the
    certificate that reports must lead to.
    """
    home = home if isinstance(home, Home) else Home(home)
    if report_data is not None and len(report_data) > 64:
        raise UsageError(f"REPORTDATA holds 64 bytes, not {len(report_data)}")
    events: list[StepEvent] = []

    def note(event: StepEvent) -> None:
        events.append(event)
        if listener is not None:
            listener(event)

    with Platform(
        url, home=home, services=services, listener=note, provisioning_url=provisioning_url, tls=tls
    ) as platform:
        judge = _Judge.of(home, platform.services, attestation, root)
        run = _Run(platform, judge, spid or home.secret("spid", 16), sign_type, reprovision)
        try:
            verdict = run(image, sigstruct, policy, report_data, debug, progress)
        except Refused as error:
            verdict = Verdict.refused(error)
        meter = platform.meter
        return AttestResult(
            verdict=verdict,
            device_id=platform.device_id,
            notes=chip_notes(platform.chip.identity),
            events=tuple(events),
            quote=run.quote,
            report=run.report,
            chip_commands=meter.commands,
            chip_cycles=meter.cycles if meter.wants_cycles else None,
        )


class _Run:
    """One run of the chain; keeps what it reached."""

    def __init__(self, platform: Platform, judge: _Judge, spid: bytes, sign_type: SignType, reprovision: bool):
        self._platform, self._judge = platform, judge
        self._spid, self._sign_type, self._reprovision = spid, sign_type, reprovision
        self.quote: bytes | None = None
        self.report: ServiceReport | None = None

    def __call__(
        self,
        image: EnclaveFile,
        sigstruct: Path | str | None,
        policy: Policy | None,
        report_data: bytes | None,
        debug: bool,
        progress: Progress | None,
    ) -> Verdict:
        platform, nonce = self._platform, self._judge.nonces.issue()
        data = hashlib.sha256(nonce.encode()).digest() if report_data is None else report_data
        opened = platform.open_image(image, sigstruct, debug=debug)
        try:
            platform.ensure_manufactured()
            _ = platform.quoting_enclave
            application = platform.launch(opened, progress=progress)
            if policy is None and opened.sigstruct is not None:
                policy = policy_for(opened.sigstruct, report_data=data, spid=self._spid, sign_type=self._sign_type)
        finally:
            if opened is not image:
                opened.close()
        reported = platform.report(application, data)
        if self._reprovision:
            platform.provision()
        sigrl = platform.sigrl(self._judge.service)
        result = platform.quote_report(
            reported, spid=self._spid, sign_type=self._sign_type, nonce=secrets.token_bytes(16), sigrl=sigrl
        )
        self.quote = result.quote
        verdict, self.report = self._judge(result.quote, policy, nonce, platform.steps)
        return verdict
