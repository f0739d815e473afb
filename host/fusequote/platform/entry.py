"""An initialised enclave as the program that plays it sees it: enter, ask, leave."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from fusequote.arch import KeyRequest, Report, ReportBody, TargetInfo
from fusequote.chip.client import Chip
from fusequote.chip.handles import Handle, Ticket
from fusequote.platform.refusals import chip_refusals

__all__ = ["Enclave", "Entered"]


@dataclass(frozen=True)
class Entered:
    """One entry into an enclave. Its leaves speak for that enclave until EEXIT, and for no other."""

    chip: Chip
    ticket: Ticket

    def report(self, target: TargetInfo, reportdata: bytes) -> Report:
        """EREPORT; ``reportdata`` is 64 bytes. Raises :class:`Refused` (report.fault) for a bad TARGETINFO."""
        with chip_refusals():
            return self.chip.ereport(self.ticket, target, reportdata)

    def key(self, request: KeyRequest) -> bytes:
        """EGETKEY: 16 secret bytes, which crossed the link in the clear. Raises :class:`Refused` (key.*)."""
        with chip_refusals():
            return self.chip.egetkey(self.ticket, request)

    def verify(self, report: Report) -> bool:
        """VERIFYREPORT (ours): whether the MAC is good for this enclave; the report key stays in the chip."""
        with chip_refusals():
            return self.chip.verifyreport(self.ticket, report)


@dataclass(frozen=True)
class Enclave:
    """An initialised enclave: where it is in the chip, its first TCS, and its identity as the chip measured
    it.

    ``identity`` is a REPORT body without REPORTDATA (SLOT_INFO).
    """

    chip: Chip
    handle: Handle
    tcs: int
    identity: ReportBody

    @property
    def target_info(self) -> TargetInfo:
        """What others put into EREPORT to make a REPORT for this enclave."""
        return self.identity.target()

    @contextlib.contextmanager
    def entered(self) -> Iterator[Entered]:
        """EENTER, and EEXIT whatever happens within. Raises :class:`Refused` (report.fault) when it cannot
        be.
        """
        with chip_refusals():
            entry = self.chip.eenter(self.handle, self.tcs)
        try:
            yield Entered(self.chip, entry.ticket)
        finally:
            with chip_refusals():
                self.chip.eexit(entry.ticket)

    def remove(self) -> None:
        """EREMOVE: frees the slot."""
        with chip_refusals():
            self.chip.eremove(self.handle)
