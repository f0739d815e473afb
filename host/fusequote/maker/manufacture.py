"""Manufacture: fresh root provisioning key and device id into the fuses of a blank chip, then locked for
good.

The record is written before the fuses are burnt, so that no chip exists whose key the maker does not have. A
run that was cut off (power, cable) can be taken up again: a chip that is burnt but not locked, or locked but
was never seen to boot so, and of which the maker has the record, is finished; one without a record is refused,
for nobody knows what is in it.
"""

from __future__ import annotations

import dataclasses
import secrets
from dataclasses import dataclass

from fusequote.chip.client import Chip
from fusequote.chip.identity import FuseOption, FuseStatus, LifeCycle
from fusequote.errors import Refused
from fusequote.maker.records import DeviceRecord, RecordBook
from fusequote.platform.refusals import chip_refusals
from fusequote.verdict import Reason, refuse

__all__ = ["DEFAULT_CPUSVN", "Manufactured", "manufacture", "unfinished"]

#: First generation: every component at 1, so that there is room below (a PPID is derived at 0) and above.
DEFAULT_CPUSVN = bytes([1]) * 16
_OPTIONS = {False: FuseOption(0), True: FuseOption.LEPUBKEYHASH_LOCKED}


@dataclass(frozen=True)
class Manufactured:
    """A chip that has booted as locked: its id and its public fuses. ``resumed``: it had been burnt before."""

    device_id: bytes
    status: FuseStatus
    resumed: bool


def unfinished(status: FuseStatus, book: RecordBook) -> DeviceRecord | None:
    """The record of a chip whose manufacture was cut off after its fuses were burnt, else None.

    Raises what :meth:`RecordBook.load` raises.
    """
    if status.life_cycle not in (LifeCycle.MANUFACTURED, LifeCycle.LOCKED) or status.device_id not in book.devices():
        return None
    record = book.load(status.device_id)
    return None if record.locked and status.life_cycle is LifeCycle.LOCKED else record


def manufacture(
    chip: Chip,
    book: RecordBook,
    *,
    provisioning_signers: tuple[bytes, bytes],
    lepubkeyhash: bytes,
    cpusvn: bytes = DEFAULT_CPUSVN,
    lock_lepubkeyhash: bool = False,
) -> Manufactured:
    """Burn, lock, reset, check. Sizes in bytes: signers and hash 32 each, ``cpusvn`` 16.

    Raises :class:`Refused`: chip.not-blank for a chip that is locked (or burnt by somebody else),
    chip.refused-fuses, chip.fuses-differ when the chip's public fuses are not those that were burnt.
    """
    status = chip.fuse_status()
    record = unfinished(status, book)
    resumed = record is not None
    if record is None:
        if status.life_cycle is not LifeCycle.BLANK:
            raise refuse(
                Reason.CHIP_NOT_BLANK,
                f"device {status.device_id.hex()} is {status.life_cycle.name.lower()}",
                hint="take a blank chip: a new fuse file, or another board",
            )
        record = DeviceRecord(
            device_id=secrets.token_bytes(16),
            root_provisioning_key=secrets.token_bytes(16),
            cpusvn=cpusvn,
            signer0=provisioning_signers[0],
            signer1=provisioning_signers[1],
            lepubkeyhash=lepubkeyhash,
            lepubkeyhash_locked=lock_lepubkeyhash,
        )
        _burn(chip, book, record)
        status = chip.fuse_status()
    # Checked before the lock, while a wrong chip can still be told from a good one, and again after it.
    if status.life_cycle is not LifeCycle.LOCKED:
        _compare(status, record, LifeCycle.MANUFACTURED)
        with chip_refusals():
            chip.fuse_lock()
    identity = chip.reset()
    status = chip.fuse_status()
    _compare(status, record, LifeCycle.LOCKED)
    if not identity.booted_locked or identity.device_id != record.device_id:
        raise refuse(Reason.CHIP_FUSES_DIFFER, "it did not boot as locked")
    book.replace(dataclasses.replace(record, locked=True))
    return Manufactured(record.device_id, status, resumed)


def _burn(chip: Chip, book: RecordBook, record: DeviceRecord) -> None:
    book.add(record)
    try:
        with chip_refusals():
            chip.fuse_manufacture(
                root_provisioning_key=record.root_provisioning_key,
                device_id=record.device_id,
                cpusvn=record.cpusvn,
                provisioning_signers=(record.signer0, record.signer1),
                lepubkeyhash=record.lepubkeyhash,
                lock_lepubkeyhash=record.lepubkeyhash_locked,
            )
    except Refused:
        # The chip said no, so nothing was burnt. After any other error the fuses may be burnt: the record
        # stays, and the run can be taken up again.
        book.discard(record.device_id)
        raise


def _compare(status: FuseStatus, record: DeviceRecord, life_cycle: LifeCycle) -> None:
    wrong = [
        name
        for name, seen, wanted in (
            ("life cycle", status.life_cycle, life_cycle),
            ("device id", status.device_id, record.device_id),
            ("CPUSVN", status.cpusvn, record.cpusvn),
            ("provisioning signers", status.provisioning_signers, (record.signer0, record.signer1)),
            ("LEPUBKEYHASH", status.lepubkeyhash, record.lepubkeyhash),
            ("options", status.options, _OPTIONS[record.lepubkeyhash_locked]),
        )
        if seen != wanted
    ]
    if wrong:
        raise refuse(Reason.CHIP_FUSES_DIFFER, ", ".join(wrong))
