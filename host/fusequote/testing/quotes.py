"""Quotes of every case, by members of emulated EPID groups that never were in a chip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fusequote.arch import AttributeFlags, Attributes, Psvn, QuoteBody, ReportBody, SignType
from fusequote.arch.attributes import XFRM_LEGACY
from fusequote.errors import UsageError
from fusequote.ladder.crowd import Newcomer, join, quote_of
from fusequote.platform.images import AE_ISVSVN
from fusequote.platform.pce import PCE_ISVSVN
from fusequote.relying import Policy
from fusequote.services.attestation_operator import Operator
from fusequote.services.services import Services
from fusequote.testing import Case
from fusequote.testing.seeding import SeededEncryption, Seeding

__all__ = ["ADVISORY", "LINKABLE_SPID", "SPID", "QuoteFactory"]

#: The emulated service provider's ids: a subscription is for one kind of quotes.
SPID, LINKABLE_SPID = b"emulated SPID  U", b"emulated SPID  L"
#: The advisory that reports name when the TCB is not as it should be.
ADVISORY = "EMULATED-SA-00001"
_TCB: dict[Case, dict[str, bool]] = {
    Case.GROUP_OUT_OF_DATE: {"out_of_date": True},
    Case.CONFIGURATION_NEEDED: {"configuration_needed": True},
    Case.SW_HARDENING_NEEDED: {"sw_hardening_needed": True},
    Case.CONFIGURATION_AND_SW_HARDENING_NEEDED: {"configuration_needed": True, "sw_hardening_needed": True},
}
_CPUSVN = bytes([1]) * 16


@dataclass(frozen=True)
class _Signer:
    gid: bytes
    member: Newcomer
    answers_sigrl: bool = True


class QuoteFactory:
    """Called, it gives a quote: bytes as a platform would send them.

    The same calls in the same order give the same bytes for the same seed, in every test. The enclave and its keys are
    the seed's too: :attr:`enclave` is its identity, :meth:`policy` what a relying party should ask for.
    """

    def __init__(self, services: Services, seeding: Seeding):
        self._services, self._seeding = services, seeding
        self._operator = Operator(services.registry, services.keys)
        self._signers: dict[Case, _Signer] = {}

    @cached_property
    def enclave(self) -> ReportBody:
        """The identity of the enclave that quotes are about: REPORT without REPORTDATA."""
        with self._seeding.operation("enclave"):
            return ReportBody(
                cpusvn=_CPUSVN,
                attributes=Attributes(flags=AttributeFlags.INIT | AttributeFlags.MODE64BIT, xfrm=XFRM_LEGACY),
                mrenclave=self._seeding.draw(32),
                mrsigner=self._seeding.draw(32),
                isvprodid=1,
                isvsvn=1,
            )

    def policy(self, **more: Any) -> Policy:
        """The reference policy for this enclave; ``more`` as :class:`~fusequote.relying.Policy` has it."""
        return Policy.for_enclave(self.enclave, **more)

    def __call__(
        self,
        case: Case | str = Case.OK,
        *,
        report_data: bytes = b"",
        linkable: bool = False,
        debug: bool = False,
        spid: bytes | None = None,
        **identity: Any,
    ) -> bytes:
        """A quote in which ``case`` is what is wrong, or nothing.

        ``report_data``: up to 64 bytes; ``debug``: of an enclave in DEBUG mode; ``spid``: 16 bytes, by default the one
        for the kind of quote; ``identity``: other fields of the REPORT body (``mrenclave``, ``mrsigner``,
        ``isvprodid``, ``isvsvn``, ``cpusvn``). Raises :class:`UsageError` for values that no quote can have.
        """
        try:
            case = Case(case)
        except ValueError as error:
            raise UsageError(f"no such case: {case}", hint="one of " + ", ".join(Case)) from error
        if len(report_data) > 64:
            raise UsageError(f"REPORTDATA holds 64 bytes, not {len(report_data)}")
        linkable = linkable or case is Case.VERIFIER_REVOKED
        kind = SignType.LINKABLE if linkable else SignType.UNLINKABLE
        spid = (LINKABLE_SPID if linkable else SPID) if spid is None else spid
        if len(spid) != 16:
            raise UsageError(f"a SPID is 16 bytes, not {len(spid)}")
        report = self.enclave.replace(reportdata=report_data.ljust(64, b"\0"), **identity)
        if debug:
            flags = report.attributes.flags | AttributeFlags.DEBUG
            report = report.replace(attributes=report.attributes.replace(flags=flags))
        signer = self._signer(case)
        with self._seeding.operation("quote"):
            return _damaged(self._quote(signer, report, spid, kind), case)

    def _quote(self, signer: _Signer, report: ReportBody, spid: bytes, kind: SignType) -> bytes:
        listed = self._services.registry.sigrl(signer.gid) if signer.answers_sigrl else None
        qsdk: Any = SeededEncryption(self._services.keys.qsdk.public_key(), self._seeding)
        return quote_of(
            signer.member.member, report, qsdk, spid=spid, sign_type=kind,
            sigrl=listed if listed and listed.entries else None,
        )  # fmt: skip

    def _signer(self, case: Case) -> _Signer:
        """Who signs quotes of a case: a member of a group that is as the case wants it; made when first asked for."""
        if case in _DAMAGED:
            case = Case.OK
        if case not in self._signers:
            with self._seeding.operation(f"group {case}"):
                self._signers[case] = self._make(case)
        return self._signers[case]

    def _make(self, case: Case) -> _Signer:
        operator, registry = self._operator, self._services.registry
        gid = registry.create_group(Psvn(cpusvn=_CPUSVN, isvsvn=AE_ISVSVN), PCE_ISVSVN)
        first, *others = join(
            self._services, gid, 2 if case is Case.SIGRL_VERSION_MISMATCH else 1, lambda done, total: None
        )
        signer = _Signer(gid, first, answers_sigrl=case is not Case.SIGRL_VERSION_MISMATCH)
        # Platforms join the groups that provisioning opens for them, never these.
        operator.set_tcb(gid, joins=False, advisory_ids=[ADVISORY] if case in _TCB else None, **_TCB.get(case, {}))
        if case is Case.GROUP_REVOKED:
            operator.revoke_group(gid, 1)
        elif case is Case.KEY_REVOKED:
            operator.revoke_key(first.key.to_bytes())
        elif case in (Case.SIGNATURE_REVOKED, Case.SIGRL_VERSION_MISMATCH):
            known = _Signer(gid, [first, *others][-1])
            operator.revoke_signature(self._quote(known, self.enclave, SPID, SignType.UNLINKABLE))
        elif case is Case.VERIFIER_REVOKED:
            operator.shut_out(self._quote(signer, self.enclave, LINKABLE_SPID, SignType.LINKABLE))
        return signer


_DAMAGED = frozenset({Case.SIGNATURE_INVALID, Case.UNKNOWN_GROUP, Case.MALFORMED, Case.UNDECRYPTABLE})


def _damaged(quote: bytes, case: Case) -> bytes:
    """A good quote with what the case is about changed afterwards."""
    body, rest = QuoteBody.from_bytes(quote[: QuoteBody.SIZE]), quote[QuoteBody.SIZE :]
    if case is Case.SIGNATURE_INVALID:
        return body.replace(pce_svn=body.pce_svn ^ 1).to_bytes() + rest
    if case is Case.UNKNOWN_GROUP:
        return body.replace(gid=bytes(byte ^ 0xFF for byte in body.gid)).to_bytes() + rest
    if case is Case.MALFORMED:
        return quote[:-1]
    if case is Case.UNDECRYPTABLE:
        return quote[:-1] + bytes([quote[-1] ^ 1])
    return quote
