"""Fuses for a chip in an FPGA: the maker writes them into its bitstream, where a chip of silicon would burn its own.

The map is that of docs/chip.md, section 1. The root sealing key is left blank here: it is not the maker's to know, and
whoever writes the bitstream makes it.
"""

from __future__ import annotations

import secrets

from fusequote.maker.manufacture import DEFAULT_CPUSVN
from fusequote.maker.records import DeviceRecord

__all__ = ["FUSE_BYTES", "fuses_of", "new_record"]

FUSE_BYTES = 384
LOCKED, FIRST_GENERATION, LEPUBKEYHASH_LOCKED, MAP_VERSION = 0x03, 0x01, 0x01, 0x01


def new_record(*, provisioning_signers: tuple[bytes, bytes], lepubkeyhash: bytes, lepubkeyhash_locked: bool = False,
               cpusvn: bytes = DEFAULT_CPUSVN) -> DeviceRecord:
    """A fresh device, id and root provisioning key at random. Sizes: signers and hash 32 bytes each, ``cpusvn`` 16."""
    return DeviceRecord(
        device_id=secrets.token_bytes(16),
        root_provisioning_key=secrets.token_bytes(16),
        cpusvn=cpusvn,
        signer0=provisioning_signers[0],
        signer1=provisioning_signers[1],
        lepubkeyhash=lepubkeyhash,
        lepubkeyhash_locked=lepubkeyhash_locked,
    )


def fuses_of(record: DeviceRecord) -> bytes:
    """The 384 bytes of fuses of a locked chip with this record, its root sealing key blank."""
    fuses = bytearray(FUSE_BYTES)
    options = LEPUBKEYHASH_LOCKED if record.lepubkeyhash_locked else 0
    for at, value in (
        (0x000, bytes([LOCKED, FIRST_GENERATION, options, MAP_VERSION])),
        (0x010, record.device_id),
        (0x020, record.signer0),
        (0x040, record.signer1),
        (0x060, record.lepubkeyhash),
        (0x080, record.cpusvn),
        (0x100, record.root_provisioning_key),
    ):
        fuses[at : at + len(value)] = value
    return bytes(fuses)
