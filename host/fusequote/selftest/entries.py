"""Checks of entries and REPORTs: whom a ticket speaks for and how long, and what a REPORT is worth."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from fusequote.arch import KeyName, Report, TargetInfo
from fusequote.chip import Handle, Status, Ticket
from fusequote.selftest import material
from fusequote.selftest.bench import Bench, Failed
from fusequote.selftest.registry import Check, check

__all__ = ["CHECKS"]

CHECKS: list[Check] = []
_DATA = bytes(range(64))


@check(CHECKS, "entry.ticket-dies-at-eexit")
def _eexit(bench: Bench) -> None:
    """After EEXIT a ticket opens nothing, and the next entry has another one."""
    with bench.enclave() as resident, bench.entry(resident) as ticket:
        bench.chip.eexit(ticket)
        _dead(bench, ticket, resident.identity.target())
        with bench.entry(resident) as second:
            bench.equal("the second ticket like the first", second == ticket, False)
            _dead(bench, ticket, resident.identity.target())


@check(CHECKS, "entry.aex-and-eresume")
def _aex(bench: Bench) -> None:
    """AEX kills the ticket and counts CSSA up; ERESUME brings another one and counts it down."""
    chip = bench.chip
    with bench.enclave() as resident:
        entry = chip.eenter(resident.handle, material.TCS)
        bench.equal("CSSA and entry point of the first entry", (entry.cssa, entry.address), (0, material.BASE + 0x10))
        chip.aex(resident.handle, material.TCS)
        _dead(bench, entry.ticket, resident.identity.target())
        bench.refused(Status.FAULT_GP, chip.aex, resident.handle, material.TCS)
        inner = chip.eenter(resident.handle, material.TCS)
        bench.equal("CSSA of an entry after AEX", inner.cssa, 1)
        chip.eexit(inner.ticket)
        resumed = chip.eresume(resident.handle, material.TCS)
        bench.equal("CSSA after ERESUME", resumed.cssa, 0)
        bench.equal("ERESUME's ticket like the first", resumed.ticket == entry.ticket, False)
        chip.eexit(resumed.ticket)
        bench.refused(Status.FAULT_GP, chip.eresume, resident.handle, material.TCS)


@check(CHECKS, "entry.refusals")
def _refusals(bench: Bench) -> None:
    """A TCS that is in use, an address without one, a forged ticket; and nobody removes an enclave that is entered."""
    chip = bench.chip
    with bench.enclave() as resident, bench.entry(resident) as ticket:
        bench.refused(Status.FAULT_GP, chip.eenter, resident.handle, material.TCS)
        bench.refused(Status.FAULT_PF, chip.eenter, resident.handle, material.BASE)
        bench.refused(Status.FAULT_PF, chip.eenter, Handle(resident.handle.slot, resident.handle.eid + 1), material.TCS)
        bench.refused(Status.SGX_ENCLAVE_ACT, chip.eremove, resident.handle)
        for bit in (0, 64, 127):
            raw = int.from_bytes(ticket.to_bytes(), "little") ^ 1 << bit
            _dead(bench, Ticket(raw.to_bytes(16, "little")), resident.identity.target())
        _dead(bench, Ticket(bytes(16)), resident.identity.target())
        # All of this was refused to somebody: the entry itself goes on.
        bench.report(ticket, resident.identity.target())


@check(CHECKS, "report.body")
def _body(bench: Bench) -> None:
    """A REPORT states the identity that SLOT_INFO states, and the REPORTDATA that was given."""
    with bench.enclave() as resident, bench.entry(resident) as ticket:
        report = bench.report(ticket, resident.identity.target(), _DATA)
        bench.equal("REPORTDATA", report.body.reportdata, _DATA)
        same = report.body.replace(reportdata=bytes(64))
        bench.equal("the REPORT's body", bytes(same), bytes(resident.identity))


@check(CHECKS, "report.mac")
def _mac(bench: Bench) -> None:
    """A REPORT's MAC is AES-CMAC under the target's report key, computed here with another implementation."""
    with bench.enclave() as resident, bench.entry(resident) as ticket:
        report = bench.report(ticket, resident.identity.target(), _DATA)
        key = bench.key(ticket, KeyName.REPORT, keyid=report.keyid)
        mac = CMAC(AES(key))
        mac.update(bytes(report.body))
        bench.equal("the MAC", report.mac, mac.finalize())


@check(CHECKS, "report.verify")
def _verify(bench: Bench) -> None:
    """VERIFYREPORT takes a good REPORT, and none with a flipped bit of body, KEYID or MAC."""
    with bench.enclave() as resident, bench.entry(resident) as ticket:
        report = bench.report(ticket, resident.identity.target(), _DATA)
        if not bench.chip.verifyreport(ticket, report):
            raise Failed("VERIFYREPORT refuses a good REPORT")
        raw = bytes(report)
        for offset in (0, 64, 383, 384, 400, 416, 431):
            spoilt = bytearray(raw)
            spoilt[offset] ^= 0x10
            if bench.chip.verifyreport(ticket, Report.from_bytes(bytes(spoilt))):
                raise Failed(f"VERIFYREPORT takes a REPORT with a flipped bit in byte {offset}")


@check(CHECKS, "report.for-its-target-alone")
def _target(bench: Bench) -> None:
    """A REPORT for another enclave, or for other attributes of this one, is not good here."""
    with bench.enclave() as resident, bench.entry(resident) as ticket:
        target = resident.identity.target()
        for what, wrong in (
            ("another MRENCLAVE", target.replace(mrenclave=bytes(32))),
            ("other ATTRIBUTES", target.replace(attributes=target.attributes.replace(flags=0x27))),
            ("another CONFIGID", target.replace(configid=b"\1" * 64)),
        ):
            if bench.chip.verifyreport(ticket, bench.report(ticket, wrong, _DATA)):
                raise Failed(f"VERIFYREPORT takes a REPORT for {what}")
        reserved = bytearray(bytes(target))
        reserved[511] = 1
        bench.refused(Status.FAULT_GP, bench.chip.ereport, ticket, bytes(reserved), _DATA)


@check(CHECKS, "report.keyid-fresh-after-reset")
def _fresh(bench: Bench) -> None:
    """After a RESET, REPORTs have another KEYID, and those of before are not good any more."""
    bench.need_enclaves()
    bench.need_reset()
    reports = []
    for _ in range(2):
        with bench.enclave() as resident, bench.entry(resident) as ticket:
            if reports and bench.chip.verifyreport(ticket, reports[0]):
                raise Failed("VERIFYREPORT takes a REPORT of the boot before")
            reports.append(bench.report(ticket, resident.identity.target()))
        bench.chip.reset()
    if reports[0].keyid == reports[1].keyid:
        raise Failed("KEYID is the same after a RESET")
    bench.equal("the second half of KEYID", reports[0].keyid[16:], bytes(16))


def _dead(bench: Bench, ticket: Ticket, target: TargetInfo) -> None:
    bench.refused(Status.FAULT_GP, bench.chip.ereport, ticket, target, bytes(64))
    bench.refused(Status.FAULT_GP, bench.chip.eexit, ticket)
