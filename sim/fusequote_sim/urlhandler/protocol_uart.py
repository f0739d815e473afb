"""``uart://?clock=HZ&baud=RATE&cache=DIR``: what boards are configured with, simulated at the pins, as a pyserial port.

``clock`` and ``baud`` (default 18 MHz and 3 Mbaud) give the cycles per bit, a whole number of at least 4. Fuses are
blank at first, and gone with the port; the noise is simulated. Time is the chip's: it goes on while a read waits, and
:attr:`Serial.clock` and timeouts are in its seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from fusequote.chip.urlhandler.options import chip_options
from fusequote.errors import UsageError
from fusequote.home import Home
from serial.serialutil import PortNotOpenError, SerialBase, SerialException, to_bytes

from ..build import build
from ..uart import UART, PinChip, board_design
from .protocol_sim import _to_stderr

__all__ = ["Serial"]

_CLOCK, _BAUD = "18000000", "3000000"
#: Cycles that one look at the line takes at most when a read has no end.
_LONG = 1_000_000


class Serial(SerialBase):
    """A pyserial port; ``open`` raises what :func:`fusequote_sim.build.build` and :class:`PinChip` raise, and
    :class:`UsageError` for a wrong URL. A subclass may run another ``program`` (a design with these pins, in place of
    what a board has) by its own :meth:`program`.
    """

    BAUDRATES = SerialBase.BAUDRATES
    #: Called with one line for each step of a build.
    on_progress: ClassVar[Callable[[str], None]] = staticmethod(_to_stderr)

    def __init__(self, *args: Any, **kwargs: Any):
        self._pins: PinChip | None = None
        self._received = bytearray()
        #: Of the chip, Hz, and its clock cycles per bit.
        self.clock_hz = self.divisor = 0
        super().__init__(*args, **kwargs)

    def open(self) -> None:
        """Build the chip if need be, and power it on."""
        if self._port is None:
            raise SerialException("Port must be configured before it can be used.")
        if self.is_open:
            raise SerialException("Port is already open.")
        options = chip_options(self._port, "uart", ("clock", "baud", "cache"))
        self.clock_hz, baud = (_number(options, *option) for option in (("clock", _CLOCK), ("baud", _BAUD)))
        self.divisor, rest = divmod(self.clock_hz, baud)
        if rest:
            raise UsageError(f"uart://: a clock of {self.clock_hz} Hz is no whole multiple of {baud} baud")
        self._pins = PinChip(self.program(options.get("cache")), self.divisor)
        self._received.clear()
        self.is_open = True

    def program(self, cache: str | None) -> Path:
        """What is run."""
        return build(board_design(self.divisor), cache=cache or Home().cache, recipe=UART, on_progress=self.on_progress)

    def close(self) -> None:
        """Power the chip off. Doing it twice is allowed."""
        self.is_open = False
        if self._pins is not None:
            self._pins.close()
            self._pins = None

    @property
    def pins(self) -> PinChip:
        """The chip behind the port. Raises PortNotOpenError."""
        if self._pins is None:
            raise PortNotOpenError
        return self._pins

    @property
    def cycles(self) -> int:
        """Clock cycles since power-on; right after a read, those up to the end of the last stop bit."""
        return self.pins.cycles

    def clock(self) -> float:
        """The chip's time, in seconds since power-on."""
        return self.cycles / self.clock_hz

    @property
    def seconds_per_byte(self) -> float:
        """On the wire: ten bits."""
        return 10 * self.divisor / self.clock_hz

    def reset_line(self) -> None:
        """A break: the chip drops the frame that it has half received."""
        self.pins.send_break(16)

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read without time passing."""
        return len(self._received)

    def read(self, size: int = 1) -> bytes:
        """Up to ``size`` bytes; fewer when ``timeout`` seconds of the chip's pass first (None: never)."""
        most = None if self._timeout is None else int(self._timeout * self.clock_hz)
        end = None if most is None else self.cycles + most
        while len(self._received) < size and (end is None or self.cycles < end):
            self._received += self.pins.run(_LONG if end is None else min(_LONG, end - self.cycles))
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def write(self, data: bytes) -> int:
        """Send ``data``: it is on the wire as soon as time goes on."""
        data = bytes(to_bytes(data))
        self.pins.write(data)
        return len(data)

    def flush(self) -> None:
        """Nothing to wait for."""
        self.pins  # noqa: B018

    def reset_input_buffer(self) -> None:
        """Throw away what has been received and not read."""
        self._received.clear()

    def reset_output_buffer(self) -> None:
        """Nothing can be taken back."""
        self.pins  # noqa: B018

    def __repr__(self) -> str:
        return f"Serial<open={self.is_open}>({self._port})"

    # What a serial port can be set to, and this one has no use for.

    def _reconfigure_port(self) -> None:
        pass

    def _update_rts_state(self) -> None:
        pass

    def _update_dtr_state(self) -> None:
        pass


def _number(options: dict[str, str], name: str, default: str) -> int:
    text = options.get(name, default)
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 10**9:
        raise UsageError(f"uart://: {name} is a number of 1 to 999999999, not {text!r}")
    return int(text)
