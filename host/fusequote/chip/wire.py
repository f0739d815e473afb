"""Frames over an open port: bytes out, answers in, and what damage was seen on the way."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from serial import SerialException, SerialTimeoutException

from fusequote.chip.framing import FLAG, LINK_BAD_FRAME, BadFrame, Decoder, encode
from fusequote.chip.ops import ANSWER_HEAD, Answer, Command
from fusequote.chip.status import LinkError
from fusequote.chip.trace import Stats

#: Seconds on a clock that never goes back. Tests bring their own and wait for nothing.
Clock = Callable[[], float]


class Port(Protocol):
    """What is used of a pyserial port. ``read`` answers b"" after the port's own (short) timeout."""

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read at once."""

    def read(self, size: int = 1) -> bytes:
        """Up to ``size`` bytes."""

    def write(self, data: bytes) -> int | None:
        """Send all of ``data``."""

    def close(self) -> None:
        """Let go of the port."""


class Wire:
    """Sends requests and receives answers, one frame each, and counts the bytes in ``stats``.

    ``seconds_per_byte`` is 0 for a wire without bit times. All failures of the port become
    :class:`LinkError`.
    """

    def __init__(
        self, port: Port, stats: Stats, *, seconds_per_byte: float = 0.0, clock: Clock = time.monotonic
    ):
        self._port = port
        self.stats = stats
        self._decoder = Decoder()
        self._inbox: deque[Answer | BadFrame] = deque()
        self.clock = clock
        self.seconds_per_byte = seconds_per_byte

    def send(self, command: Command, seq: int, *, again: bool = False) -> int:
        """One request; the number of bytes it took. ``again`` puts two flags in front, which end whatever
        had begun."""
        frame = encode(bytes((command.op, seq)) + command.body)
        if again:
            frame = FLAG + FLAG + frame
        try:
            self._port.write(frame)
        except SerialTimeoutException as error:
            raise LinkError(
                f"{command.name}: the port took no bytes for too long", op=command.op, hint=_STUCK
            ) from error
        except (SerialException, OSError) as error:
            raise LinkError(
                f"{command.name}: cannot write to the port: {error}", op=command.op, hint=_GONE
            ) from error
        self.stats.bytes_out += len(frame)
        return len(frame)

    def receive(self, until: float) -> Answer | BadFrame | None:
        """The next answer or damaged frame, or None once the clock shows ``until``."""
        while not self._inbox:
            if self.clock() >= until:
                return None
            data = self._read()
            self.stats.bytes_in += len(data)
            self._inbox.extend(_parse(frame) for frame in self._decoder.feed(data))
        return self._inbox.popleft()

    def reset_line(self) -> None:
        """A break, where the port can send one: the chip drops what it has half received."""
        reset = getattr(self._port, "reset_line", None)
        if reset is not None:
            reset()

    def close(self) -> None:
        """Close the port. A second time does nothing."""
        self._port.close()

    def _read(self) -> bytes:
        try:
            return self._port.read(max(1, self._port.in_waiting))
        except (SerialException, OSError) as error:
            raise LinkError(f"cannot read from the port: {error}", hint=_GONE) from error


def _parse(frame: bytes | BadFrame) -> Answer | BadFrame:
    if isinstance(frame, BadFrame):
        return frame
    if len(frame) < ANSWER_HEAD or not frame[0] & 0x80:
        return BadFrame(LINK_BAD_FRAME)
    return Answer(frame[0] & 0x7F, frame[1], int.from_bytes(frame[2:4], "little"), frame[4:])


_STUCK = "is the chip powered, and does flow control fit?"
_GONE = "is the chip still plugged in (or its simulation still running)? Open it again"
