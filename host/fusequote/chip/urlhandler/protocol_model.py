"""``model://?fuses=PATH&seed=TEXT&profile=NAME``: the reference model as a pyserial port, in this process.

Opening the port powers the chip on, closing it powers it off (and lets go of the fuse file). Without
``fuses`` it is a blank chip in memory, gone with the port; a ``fuses`` file that is not there yet is made,
for a blank chip. ``seed`` makes the simulated entropy repeatable (docs/link.md section 4). ``profile`` is ``kd1``,
the default, or ``linux-sgx-sim`` (docs/chip.md section 6).

Commands run within ``write``; baud rate, parity and flow control mean nothing here.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from serial.serialutil import PortNotOpenError, SerialBase, SerialException, to_bytes

from ..entropy import SimulatedEntropy
from ..fusefile import FuseBank, FuseFile
from ..model import ModelChip, ModelLink, simulation_keys
from .options import chip_options

__all__ = ["Serial"]


class Serial(SerialBase):
    """A pyserial port with the reference model at the other end.

    Reading and writing from two threads is allowed. ``open`` raises what :func:`chip_options` and
    :meth:`FuseFile.power_on` raise.
    """

    BAUDRATES = SerialBase.BAUDRATES

    def __init__(self, *args: Any, **kwargs: Any):
        self._received = bytearray()
        self._arrival = threading.Condition()
        self._cancelled = False
        self._link: ModelLink | None = None
        self._fuse_file: FuseFile | None = None
        super().__init__(*args, **kwargs)

    def open(self) -> None:
        """Power the chip on."""
        if self._port is None:
            raise SerialException("Port must be configured before it can be used.")
        if self.is_open:
            raise SerialException("Port is already open.")
        options = chip_options(self._port, "model", ("fuses", "seed", "profile"))
        profile = options.get("profile", "kd1")
        simulation_keys.number(profile)  # before the fuse file is locked
        bank, boot_counter = FuseBank(), 1
        if "fuses" in options:
            self._fuse_file = FuseFile.power_on(options["fuses"], create=True)
            bank, boot_counter = self._fuse_file.bank, self._fuse_file.boot_counter
        self._link = ModelLink(ModelChip(bank, SimulatedEntropy(options.get("seed"), boot_counter), profile=profile))
        self._received.clear()
        self._cancelled = False
        self.is_open = True

    def close(self) -> None:
        """Power the chip off. Doing it twice is allowed."""
        with self._arrival:
            self.is_open = False
            self._link = None
            if self._fuse_file is not None:
                self._fuse_file.close()
                self._fuse_file = None
            self._arrival.notify_all()

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read now."""
        self._check_open()
        with self._arrival:
            return len(self._received)

    @property
    def out_waiting(self) -> int:
        """Always 0: what was written has been executed."""
        self._check_open()
        return 0

    def read(self, size: int = 1) -> bytes:
        """Up to ``size`` bytes; fewer when ``timeout`` seconds pass first (None: never, 0: at once)."""
        self._check_open()
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        with self._arrival:
            while len(self._received) < size and self.is_open and not self._cancelled:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._arrival.wait(left)
            self._cancelled = False
            data = bytes(self._received[:size])
            del self._received[:size]
            return data

    def cancel_read(self) -> None:
        """Let a ``read`` in another thread return with what there is."""
        with self._arrival:
            self._cancelled = True
            self._arrival.notify_all()

    def write(self, data: bytes) -> int:
        """Send ``data``; the chip has answered when this returns."""
        data = to_bytes(data)
        with self._arrival:
            self._check_open()
            assert self._link is not None
            self._received += self._link.feed(data)
            self._arrival.notify_all()
        return len(data)

    def flush(self) -> None:
        """Nothing to wait for."""
        self._check_open()

    def reset_input_buffer(self) -> None:
        """Throw away what has been received and not read."""
        self._check_open()
        with self._arrival:
            self._received.clear()

    def reset_output_buffer(self) -> None:
        """Nothing waits to be sent."""
        self._check_open()

    def __repr__(self) -> str:
        return f"Serial<open={self.is_open}>(model://)"  # the URL may hold a seed, and a seed decides every key

    def _check_open(self) -> None:
        if not self.is_open:
            raise PortNotOpenError

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
        self._check_open()
        return True

    @property
    def dsr(self) -> bool:
        """Always ready."""
        self._check_open()
        return True

    @property
    def ri(self) -> bool:
        """Never rings."""
        self._check_open()
        return False

    @property
    def cd(self) -> bool:
        """Always there while the port is open."""
        self._check_open()
        return True
