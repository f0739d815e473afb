"""``sim://?fuses=PATH&seed=TEXT&waves=FILE.vcd&cache=DIR&profile=NAME``: the simulated block as a pyserial port.

Opening the port builds the chip when it is not in the cache (some ten seconds, told through :attr:`Serial.on_progress`)
and powers it on; closing it powers it off. Without ``fuses`` it is a blank chip, gone with the port; a ``fuses`` file
that is not there yet is made, for a blank chip. ``seed`` makes the simulated entropy repeatable (docs/link.md section
4). ``waves`` writes a VCD file, with a chip built for that. ``cache`` is where builds are kept, by default in the home
folder. ``profile`` is ``kd1``, the default, or ``linux-sgx-sim`` (docs/chip.md section 6).

Baud rate, parity and flow control mean nothing here: the port moves bytes, and spends no clock cycles on bits.
"""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar

from fusequote.chip.urlhandler.options import chip_options
from fusequote.errors import UsageError
from fusequote.home import Home
from serial.serialutil import PortNotOpenError, SerialBase, SerialException, SerialTimeoutException, to_bytes

from ..build import build
from ..design import BLOCK, PROFILES, Design
from ..process import SimulatedChip
from ..toolchain import PROCESS, PROCESS_WITH_WAVES

__all__ = ["Serial"]


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Serial(SerialBase):
    """A pyserial port with a simulated chip at the other end.

    One thread may read while another writes. ``open`` raises what :func:`fusequote_sim.build.build` and
    :class:`fusequote_sim.process.SimulatedChip` raise, and :class:`UsageError` for a wrong URL. When the process ends
    by itself, reading and writing raise :class:`fusequote.errors.DeviceError`.
    """

    BAUDRATES = SerialBase.BAUDRATES

    #: Called with one line for each step of a build.
    on_progress: ClassVar[Callable[[str], None]] = staticmethod(_to_stderr)
    #: What is simulated. A subclass may have another design with the same ports.
    design: ClassVar[Design] = BLOCK

    def __init__(self, *args: Any, **kwargs: Any):
        self._chip: SimulatedChip | None = None
        self._received = bytearray()
        super().__init__(*args, **kwargs)

    @property
    def chip(self) -> SimulatedChip:
        """The chip behind the port: its cycle counter, reset line and waveforms. Raises PortNotOpenError."""
        if self._chip is None:
            raise PortNotOpenError
        return self._chip

    def open(self) -> None:
        """Build the chip if need be, and power it on."""
        if self._port is None:
            raise SerialException("Port must be configured before it can be used.")
        if self.is_open:
            raise SerialException("Port is already open.")
        options = chip_options(self._port, "sim", ("fuses", "seed", "waves", "cache", "profile"))
        profile = options.get("profile")
        if profile is not None and profile not in PROFILES:
            raise UsageError(f"there is no profile {profile!r}", hint=f"one of {', '.join(PROFILES)}")
        waves = options.get("waves")
        program = build(
            self.design if profile is None else PROFILES[profile],
            cache=options.get("cache") or Home().cache,
            recipe=PROCESS if waves is None else PROCESS_WITH_WAVES,
            on_progress=self.on_progress,
        )
        self._chip = SimulatedChip(program, fuses=options.get("fuses"), seed=options.get("seed"), waves=waves)
        self._chip.port.setblocking(False)
        self._received.clear()
        self.is_open = True

    def close(self) -> None:
        """Power the chip off. Doing it twice is allowed."""
        self.is_open = False
        if self._chip is not None:
            self._chip.close()
            self._chip = None

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read now."""
        self._collect(0)
        return len(self._received)

    @property
    def out_waiting(self) -> int:
        """Always 0: what was written is on the wire."""
        self.chip  # noqa: B018
        return 0

    def read(self, size: int = 1) -> bytes:
        """Up to ``size`` bytes; fewer when ``timeout`` seconds pass first (None: never, 0: at once)."""
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        while len(self._received) < size:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._collect(left):
                break
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def write(self, data: bytes) -> int:
        """Send ``data``: all of it, or SerialTimeoutException after ``write_timeout`` seconds."""
        data = memoryview(to_bytes(data))
        size = len(data)
        deadline = None if self._write_timeout is None else time.monotonic() + self._write_timeout
        while data:
            chip = self.chip
            try:
                data = data[chip.port.send(data) :]
                continue
            except BlockingIOError:
                pass
            except OSError:
                raise chip.failure() from None
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([], [chip.port], [], left)[1]:
                raise SerialTimeoutException("Write timeout")
        return size

    def flush(self) -> None:
        """Nothing to wait for."""
        self.chip  # noqa: B018

    def reset_input_buffer(self) -> None:
        """Throw away what has been received and not read."""
        while self._collect(0):
            pass
        self._received.clear()

    def reset_output_buffer(self) -> None:
        """Nothing waits to be sent."""
        self.chip  # noqa: B018

    def fileno(self) -> int:
        """A descriptor that select() finds readable when bytes have come."""
        return self.chip.port.fileno()

    def __repr__(self) -> str:
        return f"Serial<open={self.is_open}>(sim://)"  # the URL may hold a seed, and a seed decides every key

    def _collect(self, wait: float | None) -> bool:
        """Take what comes within ``wait`` seconds (None: any time). False when nothing came."""
        chip = self.chip
        try:
            if not select.select([chip.port], [], [], wait)[0]:
                return False
            data = chip.port.recv(65536)
        except (OSError, ValueError):
            data = b""
        if not data:
            if not self.is_open:  # closed by another thread
                return False
            raise chip.failure()
        self._received += data
        return True

    # What a serial port can be set to, and this one has no use for.

    def _reconfigure_port(self) -> None:
        pass

    def _update_break_state(self) -> None:
        pass

    def _update_rts_state(self) -> None:
        pass

    def _update_dtr_state(self) -> None:
        pass

    @property
    def cts(self) -> bool:
        """Always clear to send."""
        return self._chip is not None

    @property
    def dsr(self) -> bool:
        """Ready while the chip is on."""
        return self._chip is not None

    @property
    def ri(self) -> bool:
        """Never rings."""
        return False

    @property
    def cd(self) -> bool:
        """There while the chip is on."""
        return self._chip is not None
