"""The attestation service of a test, and the platform: seeded, on a clock that stands."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fusequote.arch import SignType
from fusequote.chain import Platform, simulated_chip_url
from fusequote.errors import UsageError
from fusequote.home import Home
from fusequote.platform.constants import Constants
from fusequote.relying import Policy, appraise
from fusequote.services.attestation import SignedReport
from fusequote.services.attestation_operator import Operator
from fusequote.services.attestation_report import sign
from fusequote.services.attestation_subscriptions import Subscriptions
from fusequote.services.certificates import begin_certificate
from fusequote.services.services import Services
from fusequote.testing import Fault
from fusequote.testing.quotes import LINKABLE_SPID, SPID, QuoteFactory
from fusequote.testing.seeding import SeededEncryption, Seeding
from fusequote.verdict import Verdict

if TYPE_CHECKING:
    import httpx

__all__ = ["AttestationWorld", "AttestedPlatform", "EmulatedService"]

#: When it is in a seeded world, unless a test says otherwise.
MOMENT = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
BASE_URL = "http://attestation.emulated/attestation/v4"
_SHIFTS = {Fault.OLD: -datetime.timedelta(days=1), Fault.FUTURE: datetime.timedelta(hours=1)}


class _SeededServices(Services):
    @property
    def constants(self) -> Constants:
        """As the services', with a QSDK under which the Quoting Enclave's encryption is the seed's."""
        known = super().constants
        key: Any = SeededEncryption(known.qsdk, self.seeding)
        return dataclasses.replace(known, qsdk=key)

    seeding: Seeding


class AttestationWorld:
    """Everything of one test: services over a home folder, by seed. Close it in the end."""

    def __init__(self, home: Home, seeding: Seeding, now: datetime.datetime = MOMENT):
        self.home, self.seeding, self.now = home, seeding, now
        with seeding.operation("services"):
            self.services = _SeededServices(home, clock=lambda: self.now.replace(tzinfo=None))
            self.services.seeding = seeding
        self.quotes = QuoteFactory(self.services, seeding)
        self.service = EmulatedService(self)

    def close(self) -> None:
        """Close the store."""
        self.services.close()


class EmulatedService:
    """The attestation service. ``now`` (UTC, with its zone) is its time and stands until it is set."""

    def __init__(self, world: AttestationWorld):
        self._world, self._services = world, world.services
        self.now = world.now
        with world.seeding.operation("subscriptions"):
            subscriptions = Subscriptions(self._services.store)
            self._keys = {
                linkable: subscriptions.create(name, linkable=linkable, spid=spid)[1]
                for name, linkable, spid in (("unlinkable", False, SPID), ("linkable", True, LINKABLE_SPID))
            }

    @property
    def now(self) -> datetime.datetime:
        """The service's time."""
        return self._world.now

    @now.setter
    def now(self, value: datetime.datetime) -> None:
        if value.tzinfo is None:
            raise UsageError("the service's time needs its zone", hint="datetime.now(timezone.utc)")
        self._world.now = value.astimezone(datetime.UTC)

    @property
    def root(self) -> x509.Certificate:
        """What a verifier has to trust: an emulated root, never Intel's."""
        return self._services.keys.report_root

    @property
    def root_pem(self) -> bytes:
        """The same, in PEM."""
        return self._services.keys.root_pem

    @property
    def operator(self) -> Operator:
        """Sets TCB statuses and revokes, for :attr:`AttestedPlatform.gid` for instance."""
        return Operator(self._services.registry, self._services.keys)

    def report(
        self, quote: bytes, nonce: str | None = None, *, fault: Fault | str | None = None, version: int = 4
    ) -> SignedReport:
        """The signed report on a quote: ``body``, ``signature``, ``chain_pem``; ``fault`` is what is wrong with it.

        Raises :class:`Refused` for a quote of which the service makes no report, :class:`UsageError` for an unknown
        fault or version, or a nonce of more than 32 characters.
        """
        try:
            fault = None if fault is None else Fault(fault)
        except ValueError as error:
            raise UsageError(f"no such fault: {fault}", hint="one of " + ", ".join(Fault)) from error
        if fault is Fault.NONCE:
            nonce = "another" if nonce != "another" else "yet another"
        if fault is Fault.OTHER_QUOTE:
            quote = self._world.quotes(report_data=b"another quote")
        with self._world.seeding.operation("report"), self._shifted(fault):
            version = 3 if fault is Fault.VERSION else version
            made = self._services.attestation.report(quote, nonce, version=version)
            return self._broken(made, fault)

    def verdict(
        self,
        quote: bytes,
        policy: Policy | None = None,
        *,
        nonce: str = "reference",
        fault: Fault | str | None = None,
    ) -> Verdict:
        """What fusequote's own relying party says of the report on a quote, to compare another verifier with.

        ``policy`` is by default the one for :class:`QuoteFactory`'s enclave. Raises as :meth:`report`.
        """
        report = self.report(quote, nonce, fault=fault)
        return appraise(
            report.body, report.signature, report.chain_pem, policy or self._world.quotes.policy(),
            root=self.root, quote=quote, nonce=nonce, now=self.now,
        )  # fmt: skip

    @contextlib.contextmanager
    def client(self, *, linkable: bool = False) -> Iterator[httpx.Client]:
        """An HTTP client of the service's REST API, without a network: Intel's paths (``/report``, ``/sigrl/{gid}``),
        with the key of the subscription for this kind of quotes. Needs the extra ``server``.
        """
        from fusequote.testing.http import in_process_client

        with in_process_client(self._world, BASE_URL, self._keys[linkable]) as client:
            yield client

    @contextlib.contextmanager
    def _shifted(self, fault: Fault | None) -> Iterator[None]:
        kept = self.now
        self.now = kept + _SHIFTS.get(fault, datetime.timedelta()) if fault is not None else kept
        try:
            yield
        finally:
            self.now = kept

    def _broken(self, report: SignedReport, fault: Fault | None) -> SignedReport:
        if fault is Fault.SIGNATURE:
            return dataclasses.replace(report, signature=report.signature[:-1] + bytes([report.signature[-1] ^ 1]))
        if fault is Fault.MALFORMED:
            body = b"{" + report.body
            return dataclasses.replace(report, body=body, signature=sign(body, self._services.keys.report_signing))
        if fault is Fault.CHAIN:
            return dataclasses.replace(report, chain_pem=self._other_chain)
        return report

    @cached_property
    def _other_chain(self) -> bytes:
        """A certificate for the same signing key, by a root that has the trusted one's name and not its key."""
        keys, name = self._services.keys, self._services.keys.report_root.subject
        other: rsa.RSAPrivateKey = keys.qsdk
        leaf_name, public = keys.report_certificate.subject, keys.report_signing.public_key()
        made = [
            begin_certificate(subject, name, key)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(other, hashes.SHA256())
            for subject, key, ca in ((leaf_name, public, False), (name, other.public_key(), True))
        ]
        return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in made)


class AttestedPlatform:
    """A whole platform: reference chip, Quoting Enclave, EPID key, and the sample application on it."""

    def __init__(self, world: AttestationWorld):
        self._world = world
        with world.seeding.operation("platform"):
            self.platform = Platform.manufacture(
                simulated_chip_url(world.home), home=world.home, services=world.services
            )
            try:
                self.application = self.platform.launch()
                self.platform.provision()
            except BaseException:
                self.platform.close()
                raise

    @property
    def gid(self) -> bytes:
        """Its EPID group, 4 bytes."""
        return self.platform.gid()

    def policy(self, **more: Any) -> Policy:
        """The reference policy for its application."""
        return Policy.for_enclave(self.application.enclave.identity, **more)

    def quote(self, report_data: bytes = b"", *, linkable: bool = False) -> bytes:
        """A quote about the application, against the current SigRL of the platform's group.

        Raises :class:`Refused` as the Quoting Enclave does, for instance when the platform's key is on that list.
        """
        kind, spid = (SignType.LINKABLE, LINKABLE_SPID) if linkable else (SignType.UNLINKABLE, SPID)
        with self._world.seeding.operation("platform quote"):
            listed = self._world.services.registry.sigrl(self.gid)
            sigrl = self._world.services.attestation.sigrl(self.gid) if listed.entries else b""
            made = self.platform.quote(self.application, report_data, spid=spid, sign_type=kind, sigrl=sigrl)
        return made.quote

    def close(self) -> None:
        """Switch the chip off."""
        self.platform.close()
