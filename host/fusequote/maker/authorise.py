"""What only the maker of a chip may do to it later: raise its CPUSVN (TCB recovery), and scrap it.

The chip checks a MAC under a key that it and the maker derive from the root provisioning key (docs/link.md 3.5).
"""

from __future__ import annotations

import dataclasses

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from fusequote.chip.client import Chip
from fusequote.chip.identity import FuseStatus
from fusequote.errors import UsageError
from fusequote.maker.records import DeviceRecord, RecordBook
from fusequote.platform.refusals import chip_refusals
from fusequote.verdict import Reason, refuse

__all__ = ["raise_svn", "raise_svn_mac", "scrap", "scrap_mac"]


def _cmac(key: bytes, message: bytes) -> bytes:
    mac = CMAC(AES(key))
    mac.update(message)
    return mac.finalize()


def _maker_key(record: DeviceRecord) -> bytes:
    return _cmac(record.root_provisioning_key, b"FQ-MAKER" + bytes(8))


def raise_svn_mac(record: DeviceRecord, cpusvn: bytes) -> bytes:
    """What FUSE_RAISE_SVN wants besides the new CPUSVN: 16 bytes."""
    return _cmac(_maker_key(record), b"FQ-RAISE-SVN" + bytes(4) + record.device_id + cpusvn)


def scrap_mac(record: DeviceRecord) -> bytes:
    """What FUSE_SCRAP wants: 16 bytes."""
    return _cmac(_maker_key(record), b"FQ-SCRAP" + bytes(8) + record.device_id)


def raise_svn(chip: Chip, book: RecordBook, cpusvn: bytes) -> FuseStatus:
    """Burn another CPUSVN generation (16 bytes), reset the chip so that it counts, and note it in the record.

    A chip that has this CPUSVN already is only noted: so a run that was cut off can be done again. Raises
    :class:`UsageError` when the maker has no record of the chip, :class:`Refused` (chip.not-locked,
    chip.fuses-differ), and the chip's refusals as they are: SGX_INVALID_CPUSVN unless it is above the present
    one, BLOCK_NO_GENERATION when all generations are burnt.
    """
    if len(cpusvn) != 16:
        raise UsageError(f"CPUSVN is 16 bytes, not {len(cpusvn)}")
    before = chip.fuse_status()
    record = book.load(before.device_id)
    if before.cpusvn != cpusvn:
        with chip_refusals():
            chip.fuse_raise_svn(cpusvn, raise_svn_mac(record, cpusvn))
    chip.reset()
    status = chip.fuse_status()
    if status.cpusvn != cpusvn or status.device_id != record.device_id:
        raise refuse(Reason.CHIP_FUSES_DIFFER, "CPUSVN")
    book.replace(dataclasses.replace(record, cpusvn=cpusvn))
    return status


def scrap(chip: Chip, book: RecordBook) -> FuseStatus:
    """End a chip for good: no secret can be read from its fuses afterwards, and it runs no enclave. The record stays.

    Raises :class:`UsageError` when the maker has no record of the chip, and :class:`Refused` (chip.not-locked).
    """
    record = book.load(chip.fuse_status().device_id)
    with chip_refusals():
        chip.fuse_scrap(scrap_mac(record))
    return chip.fuse_status()
