"""``replay:FILE``: a recorded session as a chip, which knows nothing but what was said then.

The first byte that the host sends otherwise than it was recorded ends it, with a word on both; so does an end before
everything was said.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fusequote.chip.framing import FLAG, BadFrame, Decoder
from fusequote.chip.ops import ANSWER_HEAD, REQUEST_HEAD, op_name
from fusequote.chip.recording import FIRST_ECHO, Event, Session, read_recording
from fusequote.chip.status import status_name
from fusequote.chip.trace import answer_text, request_text
from fusequote.errors import DeviceError, FormatError

__all__ = ["SCHEME", "ReplayDifference", "ReplayPort", "frame_text", "is_replay", "open_replay"]

SCHEME = "replay:"
#: A look that finds nothing lets this much of the session's own time pass, in seconds; and so much of it at most
#: passes before a host that waits for nothing is told so: more than a client's longest pause.
_TICK, _PATIENCE = 0.01, 20.0


class ReplayDifference(DeviceError):
    """The session is another one than was recorded. ``frame`` counts from 1, both ways together; ``line`` is the
    recording's.
    """

    kind = "replay"

    def __init__(self, message: str, *, frame: int, line: int | None = None):
        super().__init__(message, hint="the recording is of another command, version or chip; record it anew, or mend "
                                       "what has changed")
        self.frame = frame
        self.line = line
        self.reason = "device.replay"


def is_replay(url: str) -> bool:
    """Whether this chip's URL is a recording's."""
    return url.lower().startswith(SCHEME)


def open_replay(url: str) -> ReplayPort:
    """The first session of a recording, ``replay:FILE``. Raises what :func:`read_recording` raises."""
    path = Path(url[len(SCHEME) :].removeprefix("//"))
    sessions = read_recording(path)
    if not sessions:
        raise FormatError(f"{path}: a recording in which no chip was opened")
    return ReplayPort(sessions[0])


class ReplayPort:
    """Plays ``session`` back. Time is its own: waiting takes none of anybody else's."""

    first_echo = FIRST_ECHO

    def __init__(self, session: Session):
        self.seconds_per_byte = session.wire_ns_per_byte / 1e9
        self._session = session
        self._events: Sequence[Event] = session.events
        self._at = 0        # the event under way
        self._sent = 0      # bytes of it that the host has sent
        self._frames = 0    # that have gone by, both ways
        self._now = 0.0
        self._waited = 0.0
        self._broken = False

    def clock(self) -> float:
        """Seconds of the session's own time."""
        return self._now

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read at once."""
        event = self._event()
        return len(event.data) if event is not None and not event.to_chip else 0

    def read(self, size: int = 1) -> bytes:
        """What the chip said here: all of it, or nothing while it is the host's turn."""
        event = self._event()
        if event is not None and not event.to_chip:
            self._at += 1
            self._frames += _frames(event.data)
            self._waited = 0.0
            return event.data
        self._now += _TICK
        self._waited += _TICK
        if event is None:
            what = "ends" if self._session.ended else "breaks off"
            raise self._differ(f"the recording {what} here, and the host waits for an answer", None)
        if self._waited > _PATIENCE:
            raise self._differ(f"the host waits; in the recording it sends {_shown(event)}", event)
        return b""

    def write(self, data: bytes) -> int:
        """Compare with what the host said then."""
        self._waited = 0.0
        rest = bytes(data)
        while rest:
            event = self._event()
            if event is None:
                raise self._differ(f"the recording ends here, and the host sends {_request(rest)}", None)
            if not event.to_chip:
                raise self._differ(f"the recording has the chip answer {_shown(event)}, and the host sends "
                                   f"{_request(rest)}", event)
            wanted = event.data[self._sent :]
            piece, rest = rest[: len(wanted)], rest[len(wanted) :]
            if piece != wanted[: len(piece)]:
                place = next(i for i, (a, b) in enumerate(zip(piece, wanted, strict=False)) if a != b) + self._sent
                raise self._differ(f"recorded {_shown(event)}, got {_request(data)}: first difference at byte {place} "
                                   f"of the frame", event)
            self._sent += len(piece)
            if self._sent == len(event.data):
                self._frames += _frames(event.data)
                self._at, self._sent = self._at + 1, 0
        return len(data)

    def close(self) -> None:
        """The end. Raises :class:`ReplayDifference` when the recording goes on, unless a difference was told before."""
        event = self._event()
        if event is None or self._broken:
            return
        left = sum(len(each.data) for each in self._events[self._at :]) - self._sent
        next_one = f"{'the host sends' if event.to_chip else 'the chip answers'} {_shown(event)}"
        raise self._differ(f"the session ends, but the recording goes on for {left} bytes: {next_one}", event)

    def _event(self) -> Event | None:
        return self._events[self._at] if self._at < len(self._events) else None

    def _differ(self, what: str, event: Event | None) -> ReplayDifference:
        self._broken = True
        where = f" (line {event.line})" if event is not None else ""
        return ReplayDifference(f"replay: frame {self._frames + 1}{where}: {what}", frame=self._frames + 1,
                                line=event.line if event is not None else None)


def _frames(data: bytes) -> int:
    return len(Decoder().feed(data + FLAG))


def _request(data: bytes) -> str:
    return _shown(Event(True, data, 0, 0))


def _shown(event: Event) -> str:
    found = Decoder().feed(event.data + FLAG)
    return frame_text(found[0], event.to_chip) if found else f"{len(event.data)} bytes that are no frame"


def frame_text(frame: bytes | BadFrame, to_chip: bool) -> str:
    """A frame's contents for people, tickets and keys left out."""
    head = REQUEST_HEAD if to_chip else ANSWER_HEAD
    if isinstance(frame, BadFrame) or len(frame) < head:
        return "a damaged frame"
    op, seq, body = frame[0] & (0xFF if to_chip else 0x7F), frame[1], frame[head:]
    if to_chip:
        return " ".join(filter(None, (f"{op_name(op)} seq {seq}", request_text(op, body))))
    status = int.from_bytes(frame[2:4], "little")
    name = "NAK" if op == 0 and seq == 0 else f"{op_name(op)} seq {seq}"
    return " ".join(filter(None, (f"{name}: {status_name(status)}", answer_text(op, body) if not status else "")))
