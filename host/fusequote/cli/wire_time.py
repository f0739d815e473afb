"""What a chip makes of its wire: a REPORT and a launch, timed in clock cycles at the pins.

Wire time is that of all bytes of request and answer, framing included, at ten bit times each; for a launch it is that
of the pages that are measured and of the SIGSTRUCT alone. Cycles are counted from the first start bit of the first
request to the end of the last answer's last stop bit, by a port that has ``cycles`` and ``divisor`` (``uart://``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from fusequote.arch import CHUNK_SIZE, SigStruct
from fusequote.chip import Chip, Op, TraceEvent
from fusequote.chip.transport import open_port
from fusequote.enclave import generate_signing_key, image_from_files, sign_image
from fusequote.enclave.image import MemoryImage
from fusequote.enclave.load import launch
from fusequote.errors import UsageError

__all__ = ["LAUNCH_BYTES", "WireTime", "measure_wire"]

#: Of the enclave that is launched.
LAUNCH_BYTES = 256 << 10
_BITS_PER_BYTE = 10


@dataclass(frozen=True)
class WireTime:
    """Clock cycles: ``report`` and ``launch`` as measured, ``report_wire`` and ``launch_wire`` on the wire alone.

    ``einit`` are those of EINIT's check, which a launch may take besides. ``report_bytes`` are both ways.
    """

    report_bytes: int
    report: int
    report_wire: int
    launch_bytes: int
    launch: int
    launch_wire: int
    einit: int

    @property
    def report_ratio(self) -> float:
        """Of a REPORT's time to its wire time."""
        return self.report / self.report_wire

    @property
    def launch_ratio(self) -> float:
        """Of a launch's time, less EINIT's check, to the wire time of its pages and SIGSTRUCT."""
        return (self.launch - self.einit) / self.launch_wire


class _Cycles:
    """Keeps the cycles of the last of each command (a trace)."""

    wants_cycles = True

    def __init__(self) -> None:
        self.last: dict[int, int] = {}

    def __call__(self, event: TraceEvent) -> None:
        self.last[event.op] = event.cycles or 0


def measure_wire(url: str) -> WireTime:
    """Manufacture the blank chip at ``url``, make a REPORT and launch 256 KiB. Raises :class:`UsageError` for a chip
    whose port counts no cycles, or that is not blank.
    """
    port, seconds = open_port(url)
    try:
        if not hasattr(port, "cycles"):
            raise UsageError("this port counts no clock cycles at the pins", hint="measure a simulated board: uart://")
        options: dict[str, Any] = {"seconds_per_byte": seconds, "clock": port.clock, "first_echo": 1}
        key = generate_signing_key()
        seen = _Cycles()
        chip = Chip(port, trace=seen, **options)
        small, large = (_image(name, size, key) for name, size in (("report", 4096), ("launch", LAUNCH_BYTES)))
        _manufacture(chip, small.sigstruct.mrsigner)
        enclave = launch(chip, small)
        einit = seen.last[Op.EINIT]
        chip = Chip(port, **options)
        entry = chip.eenter(enclave.handle, enclave.tcs[0])
        report = _timed(port, chip, lambda: chip.ereport(entry.ticket, enclave.identity.target(), bytes(range(64))))
        chip.eexit(entry.ticket)
        launched = _timed(port, chip, lambda: launch(chip, large))
        pages = large.chunk_count * CHUNK_SIZE
        per_byte = _BITS_PER_BYTE * port.divisor
        return WireTime(report[0], report[1], report[0] * per_byte, pages, launched[1],
                        (pages + SigStruct.SIZE) * per_byte, einit)
    finally:
        port.close()


def _image(name: str, size: int, key: Any) -> MemoryImage:
    # Bytes as code has them: some are stuffed.
    image = image_from_files(f"fusequote bench {name}", {name: hashlib.shake_256(name.encode()).digest(size)})
    return image.signed(sign_image(image, key))


def _manufacture(chip: Chip, owner: bytes) -> None:
    if chip.identity.device_id != bytes(16):
        raise UsageError("this chip is not blank, and has to be", hint="a uart:// chip always is")
    chip.fuse_manufacture(root_provisioning_key=bytes(range(16)), device_id=bytes(15) + b"\1", cpusvn=bytes([1]) * 16,
                          provisioning_signers=(bytes(32), bytes(32)), lepubkeyhash=owner)
    chip.fuse_lock()
    chip.reset()


def _timed(port: Any, chip: Chip, run: Any) -> tuple[int, int]:
    """(bytes both ways, cycles) of ``run``; the line is idle before and after."""
    start, bytes_before = port.cycles, chip.stats.bytes_out + chip.stats.bytes_in
    run()
    return chip.stats.bytes_out + chip.stats.bytes_in - bytes_before, port.cycles - start
