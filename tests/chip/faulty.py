"""A bad line to any chip, and what really happened at the chip's end of it. No time passes: the clock is
the line's."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from fusequote.chip.framing import BadFrame, Decoder

#: What one look at the line costs, and one look that finds nothing, in seconds of its clock.
TICK = 0.0001
IDLE = 0.01


@dataclass(frozen=True)
class Faults:
    """Probabilities, per chunk of the stream. ``longest``: bytes of a chunk at most (0: what was written,
    whole)."""

    lose: float = 0.0
    double: float = 0.0
    corrupt: float = 0.0
    inject: float = 0.0
    delay: float = 0.0
    overtake: float = 0.0
    longest: int = 0


@dataclass
class Direction:
    """One direction of the line. Chunks wait in ``queue`` as [looks to wait, bytes]; one that waits holds
    up the rest."""

    random: random.Random
    faults: Faults
    queue: deque[list] = field(default_factory=deque)
    damage: int = 0

    def put(self, data: bytes) -> None:
        while data:
            size = self.random.randint(1, self.faults.longest) if self.faults.longest else len(data)
            chunk, data = data[:size], data[size:]
            self._put_chunk(chunk)

    def _put_chunk(self, chunk: bytes) -> None:
        faults, happens = self.faults, lambda probability: self.random.random() < probability
        if happens(faults.inject):
            self.damage += 1
            self.queue.append(
                [0, self.random.randbytes(self.random.randint(1, 9)) + self.random.choice([b"", b"\x7e"])]
            )
        if happens(faults.lose):
            self.damage += 1
            return
        if happens(faults.corrupt):
            self.damage += 1
            damaged = bytearray(chunk)
            damaged[self.random.randrange(len(damaged))] ^= 1 << self.random.randrange(8)
            chunk = bytes(damaged)
        wait = self.random.randint(1, 300) if happens(faults.delay) else 0
        place = len(self.queue)
        if self.queue and happens(faults.overtake):
            self.damage += 1
            place -= 1
        self.queue.insert(place, [wait, chunk])
        if happens(faults.double):
            self.damage += 1
            self.queue.append([0, chunk])

    def take(self) -> bytes:
        out = bytearray()
        while self.queue and self.queue[0][0] <= 0:
            out += self.queue.popleft()[1]
        if self.queue:
            self.queue[0][0] -= 1
        return bytes(out)


class Tap:
    """At the chip's end, by the text of docs/link.md 2.1: which requests the chip ran. Its view owes the
    client nothing."""

    def __init__(self) -> None:
        self._requests, self._answers = Decoder(), Decoder()
        self._waiting: deque[bytes | BadFrame] = deque()
        self._last = 0
        #: (op, body) of every numbered request that was run, in order.
        self.ran: list[tuple[int, bytes]] = []
        #: Answers to requests that were recognised as repeats.
        self.repeats = 0

    def request_bytes(self, data: bytes) -> None:
        self._waiting.extend(self._requests.feed(data))

    def answer_bytes(self, data: bytes) -> None:
        for answer in self._answers.feed(data):
            assert isinstance(answer, bytes), "the chip sent a damaged frame"
            request = self._waiting.popleft()
            status = int.from_bytes(answer[2:4], "little")
            if isinstance(request, BadFrame):
                assert (answer[0], answer[1], status) == (0x80, 0, request.status)
                continue
            op, seq = request[0], request[1]
            assert answer[:2] == bytes((op | 0x80, seq)) or (op >= 0x10 and seq == self._last)
            if op == 0x03 and status == 0:
                self._last = 0
            if op < 0x10:
                continue
            if seq == self._last != 0:
                self.repeats += 1
            elif seq == (1 if self._last == 255 else self._last + 1):
                self._last = seq
                self.ran.append((op, request[2:]))
            else:
                assert (status, answer[4:]) == (0x4005, bytes((self._last,)))


class FaultyPort:
    """A port in front of another one, with a bad line between. ``clock`` is its own: it goes on when the
    line is looked at."""

    def __init__(self, inner, seed: int, to_chip: Faults, from_chip: Faults | None = None):
        rng = random.Random(seed)
        self._inner = inner
        self._out = Direction(rng, to_chip)
        self._in = Direction(rng, to_chip if from_chip is None else from_chip)
        self._now = 0.0
        self.tap = Tap()

    @property
    def damage(self) -> int:
        """How often the line did something to a chunk."""
        return self._out.damage + self._in.damage

    def spoil(self, to_chip: Faults, from_chip: Faults | None = None) -> None:
        """From here on the line is as bad as this; what is on it stays."""
        self._out.faults, self._in.faults = to_chip, to_chip if from_chip is None else from_chip

    def heal(self) -> None:
        """From here on the line is good; what is on it stays."""
        self.spoil(Faults())

    def clock(self) -> float:
        return self._now

    @property
    def in_waiting(self) -> int:
        return 0

    def write(self, data: bytes) -> int:
        self._out.put(data)
        return len(data)

    def read(self, size: int = 1) -> bytes:
        if request := self._out.take():
            self.tap.request_bytes(request)
            self._inner.write(request)
        if ready := self._inner.in_waiting:
            answer = self._inner.read(ready)
            self.tap.answer_bytes(answer)
            self._in.put(answer)
        data = self._in.take()
        self._now += TICK if data or self._out.queue or self._in.queue else IDLE
        return data

    def close(self) -> None:
        self._inner.close()
