"""Frames over a byte stream: HDLC-like framing of RFC 1662 with its 32-bit FCS (docs/link.md section 1).

Both ends use this module: the client for answers, the reference model for requests. It knows nothing of
commands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from zlib import crc32

FLAG = b"\x7e"
ESCAPE = b"\x7d"
#: Most bytes of contents in a frame, the same for requests and answers.
MAX_CONTENTS = 4608
#: Fewest bytes of contents: op and seq.
MIN_CONTENTS = 2
FCS_SIZE = 4

#: Status that a dropped frame is reported with (docs/link.md section 2.2).
LINK_BAD_FRAME = 0x4003
LINK_TOO_LONG = 0x4004

_TO_STUFF = re.compile(rb"[\x7d\x7e]")
_STUFFED = re.compile(rb"\x7d(.)", re.DOTALL)


@dataclass(frozen=True)
class BadFrame:
    """A frame that was dropped whole.

    ``status`` is LINK_BAD_FRAME (FCS, abort, too short) or LINK_TOO_LONG.
    """

    status: int


def _escape(match: re.Match[bytes]) -> bytes:
    return bytes((0x7D, match[0][0] ^ 0x20))


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes((match[1][0] ^ 0x20,))


def encode(contents: bytes) -> bytes:
    """The whole frame for ``contents``, flags on both sides: at most ``2 * (len(contents) + 4) + 2`` bytes.

    Lengths are the caller's business: a test of a chip must be able to send what a receiver drops.
    """
    body = bytes(contents) + crc32(contents).to_bytes(FCS_SIZE, "little")
    return FLAG + _TO_STUFF.sub(_escape, body) + FLAG


class Decoder:
    """Takes a stream apart into frames, in whatever pieces it arrives.

    Holds ``2 * max_contents + 9`` bytes at most, whatever comes. Bytes before the first flag are a frame like
    any other, as after power-on.
    """

    def __init__(self, max_contents: int = MAX_CONTENTS):
        self._max_body = max_contents + FCS_SIZE
        self._pending = bytearray()
        self._overflow = False

    def feed(self, data: bytes) -> list[bytes | BadFrame]:
        """What ``data`` completes, in order: a frame's contents, or a :class:`BadFrame` for a dropped one."""
        found: list[bytes | BadFrame] = []
        *complete, rest = bytes(data).split(FLAG)
        for piece in complete:
            self._append(piece)
            if (frame := self._close()) is not None:
                found.append(frame)
        self._append(rest)
        return found

    def reset(self) -> None:
        """Forget a frame that has begun (after the stream was reopened)."""
        self._pending.clear()
        self._overflow = False

    def _append(self, piece: bytes) -> None:
        # Each unstuffed byte comes from two at most, and one escape may be open: from here on it is too
        # long for certain, and nothing more of it need be held.
        room = 2 * self._max_body + 1 - len(self._pending)
        if len(piece) > room:
            self._overflow = True
        self._pending += piece[:room]

    def _close(self) -> bytes | BadFrame | None:
        raw = bytes(self._pending)
        overflow = self._overflow
        self.reset()
        if not raw:
            return None
        # 7D 7D is an escaped 5D, so only an odd run of 7D at the end leaves an escape open.
        aborted = (len(raw) - len(raw.rstrip(ESCAPE))) % 2 == 1
        body = _STUFFED.sub(_unescape, raw[:-1] if aborted else raw)
        if overflow or len(body) > self._max_body:
            return BadFrame(LINK_TOO_LONG)
        if aborted or len(body) < MIN_CONTENTS + FCS_SIZE:
            return BadFrame(LINK_BAD_FRAME)
        contents, fcs = body[:-FCS_SIZE], body[-FCS_SIZE:]
        if crc32(contents).to_bytes(FCS_SIZE, "little") != fcs:
            return BadFrame(LINK_BAD_FRAME)
        return contents
