"""The reference model with one thing wrong: requests and answers are changed on their way, frame by frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from fusequote.chip.framing import BadFrame, Decoder, encode
from fusequote.chip.transport import open_port

#: What a look that finds nothing costs, in seconds of the port's own clock.
TICK = 0.05


@dataclass
class Exchange:
    """A request and its answer. ``op``, ``seq`` and ``body`` are the request's. A tamperer changes the rest;
    ``silent`` keeps the answer back. ``resets`` counts those before. ``memory`` is the tamperer's, for this chip.
    """

    op: int
    seq: int
    body: bytes
    answer: bytearray
    resets: int
    memory: dict
    silent: bool = False

    @property
    def status(self) -> int:
        return int.from_bytes(self.answer[2:4], "little")

    def succeed(self, body: bytes = b"") -> None:
        """A success instead."""
        self.answer[2:] = bytes(2) + body

    def fail(self, status: int) -> None:
        """A refusal instead."""
        self.answer[2:] = status.to_bytes(2, "little")


class FaultyChip:
    """A port. ``tamper`` sees every exchange; ``twist`` may change a request (contents) before the chip has it."""

    def __init__(
        self,
        url: str = "model://",
        tamper: Callable[[Exchange], None] = lambda exchange: None,
        twist: Callable[[bytes], bytes] = lambda contents: contents,
    ):
        self._inner, _ = open_port(url)
        self._tamper, self._twist = tamper, twist
        self._requests, self._answers = Decoder(), Decoder()
        self._asked: deque[bytes | BadFrame] = deque()
        self._out = bytearray()
        self._now = 0.0
        self._resets = 0
        self._memory: dict = {}

    in_waiting = 0

    def clock(self) -> float:
        return self._now

    def write(self, data: bytes) -> int:
        for request in self._requests.feed(bytes(data)):
            self._asked.append(request)
            if isinstance(request, BadFrame):
                self._inner.write(_SPOILT[request.status])
            else:
                self._inner.write(encode(self._twist(request)))
            self._collect()
        return len(data)

    def _collect(self) -> None:
        for answer in self._answers.feed(self._inner.read(self._inner.in_waiting)):
            assert isinstance(answer, bytes)
            request = self._asked.popleft()
            head = (0, 0, b"") if isinstance(request, BadFrame) else (request[0], request[1], request[2:])
            exchange = Exchange(*head, bytearray(answer), self._resets, self._memory)
            self._tamper(exchange)
            self._resets += head[0] == 3
            if not exchange.silent:
                self._out += encode(bytes(exchange.answer))

    def read(self, size: int = 1) -> bytes:
        if not self._out:
            self._now += TICK
        data, self._out = bytes(self._out), bytearray()
        return data

    def close(self) -> None:
        self._inner.close()


#: Frames that a chip drops, by what it says of them.
_SPOILT = {0x4003: encode(b"\1"), 0x4004: encode(bytes(4609))}
