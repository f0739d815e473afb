"""Recordings: the bytes of a session with a chip, kept in a file, and played back (docs/link.md, section 5).

A recording holds all that crossed the link, keys that EGETKEY answered and tickets included: it is for whoever may have
those, and is made with mode 0600.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fusequote.errors import EnvironmentProblem, FormatError, UsageError

__all__ = ["MAGIC", "Event", "Recorder", "RecordingPort", "Session", "current_recorder", "read_recording", "recording"]

#: First line of a recording: name and version of the format.
MAGIC = "fusequote-recording 1"
_NAME = MAGIC.rpartition(" ")[0]
#: What is played back answers the same for the same questions only if unnumbered commands begin at the same number.
FIRST_ECHO = 1
#: A launch of the largest image is some hundred MB; anything larger is no recording of ours.
_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Event:
    """Bytes that went one way: ``to_chip`` or from it. ``line`` and ``offset`` say where in the file."""

    to_chip: bool
    data: bytes
    line: int
    offset: int


@dataclass(frozen=True)
class Session:
    """One opening of a chip. ``wire_ns_per_byte``: of its line, 0 without bit times. ``ended``: it was closed."""

    wire_ns_per_byte: int
    events: tuple[Event, ...]
    ended: bool
    line: int


class Recorder:
    """A recording that is being made in ``path``; each chip that is opened meanwhile adds a session.

    A file that is there is overwritten. Raises :class:`EnvironmentProblem` when it cannot be written.
    """

    def __init__(self, path: Path):
        self._path = path
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            self._file: IO[str] = os.fdopen(descriptor, "w", encoding="ascii", buffering=1)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.fchmod(descriptor, 0o600)
        except OSError as error:
            raise self._failed(error) from error
        self.put(MAGIC)

    def put(self, line: str) -> None:
        """One line."""
        try:
            self._file.write(line + "\n")
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """No more."""
        self._file.close()

    def _failed(self, error: OSError) -> EnvironmentProblem:
        return EnvironmentProblem(f"cannot write the recording {self._path}: {error.strerror}",
                                  hint="check free space and permissions")


_recorder: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


def current_recorder() -> Recorder | None:
    """The recording that is being made here, if any."""
    return _recorder.get()


@contextmanager
def recording(path: Path) -> Iterator[None]:
    """Record every chip that is opened within the block. Raises as :class:`Recorder` does."""
    recorder = Recorder(path)
    token = _recorder.set(recorder)
    try:
        yield
    finally:
        _recorder.reset(token)
        recorder.close()


class RecordingPort:
    """A port that writes down what crosses it. Everything else is the port's own business."""

    first_echo = FIRST_ECHO

    def __init__(self, port, seconds_per_byte: float, recorder: Recorder):
        self._port = port
        self._recorder = recorder
        self._received = bytearray()
        self._open = True
        for name in ("clock", "reset_line"):
            if hasattr(port, name):
                setattr(self, name, getattr(port, name))
        recorder.put(f"session {json.dumps({'wire_ns_per_byte': round(seconds_per_byte * 1e9)})}")

    @property
    def in_waiting(self) -> int:
        """As the port's."""
        return self._port.in_waiting

    def read(self, size: int = 1) -> bytes:
        """As the port's."""
        data = self._port.read(size)
        self._received += data
        return data

    def write(self, data: bytes) -> int | None:
        """As the port's. It is noted before: what a chip did not survive is what one wants to see."""
        self._flush()
        self._recorder.put(f"> {bytes(data).hex()}")
        return self._port.write(data)

    def close(self) -> None:
        """Close the port; the session ends."""
        if self._open:
            self._open = False
            self._flush()
            self._recorder.put("end")
        self._port.close()

    def _flush(self) -> None:
        # In how many pieces an answer arrives is chance.
        if self._received:
            self._recorder.put(f"< {self._received.hex()}")
            self._received.clear()


def read_recording(source: Path | bytes) -> list[Session]:
    """All sessions of a recording. Raises :class:`UsageError` when the file cannot be read, :class:`FormatError` (with
    the line) when it is no recording, or one of another version.
    """
    sessions: list[Session] = []
    head: tuple[int, int] | None = None
    events: list[Event] = []
    offset = 0
    for number, raw in enumerate(_lines(source), 1):
        word, _, rest = raw.rstrip("\n").partition(" ")
        if number == 1:
            _check_magic(raw.rstrip("\n"))
        elif word == "session" and head is None:
            head = (_wire(rest, number, offset), number)
        elif word in ("<", ">") and head is not None:
            events.append(Event(word == ">", _bytes(rest, number, offset), number, offset + 2))
        elif word == "end" and not rest and head is not None:
            sessions.append(Session(head[0], tuple(events), True, head[1]))
            head, events = None, []
        elif word not in ("", "#"):
            raise FormatError(f"line {number} of the recording is none: {raw[:40].rstrip()!r}", offset=offset)
        offset += len(raw)
    if head is not None:
        sessions.append(Session(head[0], tuple(events), False, head[1]))
    return sessions


def _lines(source: Path | bytes) -> list[str]:
    """With their ends; at least one."""
    if isinstance(source, bytes):
        data = source
    else:
        try:
            with source.open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
        except OSError as error:
            raise UsageError(f"cannot read the recording {source}: {error.strerror}",
                             hint="--record FILE makes one") from error
    if len(data) > _MOST_BYTES:
        raise FormatError("too large for a recording")
    # Every character is one byte, so that offsets are the file's; only what is ASCII is let through below.
    return data.decode("latin-1").splitlines(keepends=True) or [""]


def _check_magic(line: str) -> None:
    if line == MAGIC:
        return
    if line.startswith(f"{_NAME} "):
        raise FormatError(f"a recording of version {line[len(_NAME) + 1:][:20]!r}; this program knows "
                          f"{MAGIC.rpartition(' ')[2]}", offset=0, hint="play it with the version that made it")
    raise FormatError(f"no recording: it does not begin with {MAGIC!r}", offset=0)


def _wire(text: str, number: int, offset: int) -> int:
    try:
        wire = json.loads(text)["wire_ns_per_byte"]
    except (ValueError, KeyError, TypeError, RecursionError):
        wire = None
    if type(wire) is not int or not 0 <= wire <= 10**9:
        raise FormatError(f"line {number} of the recording: a session says its wire_ns_per_byte", offset=offset)
    return wire


def _bytes(text: str, number: int, offset: int) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise FormatError(f"line {number} of the recording: bytes are in hexadecimal", offset=offset) from None
