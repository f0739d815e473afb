"""An initialised enclave as the program that plays it sees it: enter, ask, leave; refusals with their
reasons.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from fusequote.arch import KeyRequest, Report, ReportBody, TargetInfo
from fusequote.enclave.entrykey import EntryKey, SignedSession
from fusequote.enclave.load import EnclaveSession, LaunchedEnclave
from fusequote.platform.refusals import chip_refusals

__all__ = ["Enclave", "Entered"]


@dataclass(frozen=True)
class Entered:
    """One entry into an enclave. Its leaves speak for that enclave until EEXIT, and for no other."""

    session: EnclaveSession | SignedSession

    def report(self, target: TargetInfo, reportdata: bytes) -> Report:
        """EREPORT; ``reportdata`` is 64 bytes. Raises :class:`Refused` (report.fault) for a bad TARGETINFO."""
        with chip_refusals():
            return self.session.ereport(target, reportdata)

    def key(self, request: KeyRequest) -> bytes:
        """EGETKEY: 16 secret bytes, which crossed the link in the clear. Raises :class:`Refused` (key.*)."""
        with chip_refusals():
            return self.session.egetkey(request)

    def verify(self, report: Report) -> bool:
        """VERIFYREPORT (ours): whether the MAC is good for this enclave; the report key stays in the chip."""
        with chip_refusals():
            return self.session.verifyreport(report)


@dataclass(frozen=True)
class Enclave:
    """An enclave that was launched. ``identity``: as the chip measured it, a REPORT body without REPORTDATA."""

    launched: LaunchedEnclave
    #: Of an enclave that only its holder can enter; None for one that anybody can.
    entry_key: EntryKey | None = None

    @property
    def identity(self) -> ReportBody:
        """MRENCLAVE, MRSIGNER, SVNs and so on, as they will stand in every REPORT."""
        return self.launched.identity

    @property
    def target_info(self) -> TargetInfo:
        """What others put into EREPORT to make a REPORT for this enclave."""
        return self.identity.target()

    @contextlib.contextmanager
    def entered(self) -> Iterator[Entered]:
        """EENTER, and EEXIT whatever happens within. Raises :class:`Refused` (report.fault) when it cannot
        be.
        """
        if self.entry_key is not None:
            # Nothing of a plan may depend on an answer, so each command is a plan, and an entry, of its own.
            yield Entered(SignedSession(self.launched, self.entry_key, self.launched.tcs[0]))
            return
        with chip_refusals(), self.launched.enter() as session:
            yield Entered(session)

    def remove(self) -> None:
        """EREMOVE: frees the slot."""
        self.launched.remove()
