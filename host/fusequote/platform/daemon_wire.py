"""What the platform daemon and its clients say to each other: frames over a Unix socket.

Request: length of the payload u32, call u8, payload. Answer: length u32, 0 (done) or 1 (error), payload; numbers are
little-endian. An error's payload is JSON. One request at a time on a connection.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from fusequote.errors import ExitCode, FusequoteError, Refused

__all__ = [
    "ANSWER_LIMIT",
    "REQUEST_LIMIT",
    "STREAM_LIMIT",
    "Call",
    "Frames",
    "PlatformCode",
    "PlatformError",
    "QuoteRequest",
    "error_from_wire",
    "error_to_wire",
]

#: The most bytes of a request's payload: get_quote with a SigRL of 8,000 entries. Of an answer: a quote against it.
REQUEST_LIMIT = 1 << 20
ANSWER_LIMIT = 1 << 21
#: The most chip commands of one request: what one client may do before it is the next one's turn.
STREAM_LIMIT = 16
_HEAD = struct.Struct("<IB")


class Call(IntEnum):
    """What a client asks for. The names of 1x are those of Intel's libraries, without ``sgx_``."""

    HELLO = 0x00
    CHIP = 0x01
    STREAM = 0x02
    GET_EXTENDED_EPID_GROUP_ID = 0x10
    INIT_QUOTE = 0x11
    GET_QUOTE = 0x12
    REPORT_ATTESTATION_STATUS = 0x13
    CHECK_UPDATE_STATUS = 0x14
    GET_LAUNCH_TOKEN = 0x15


class PlatformCode(StrEnum):
    """Why the daemon answers no, besides what enclaves and services refuse."""

    PARAMETER = "platform.invalid-parameter"
    NOT_ALLOWED = "platform.not-allowed"
    BUSY = "platform.busy"
    CLOSED = "platform.closed"


class PlatformError(FusequoteError):
    """The platform daemon says no; ``code`` says why (SGX_ERROR_INVALID_PARAMETER, SGX_ERROR_BUSY, and so on)."""

    def __init__(self, code: PlatformCode, message: str, *, hint: str | None = None):
        super().__init__(message, hint=hint)
        self.code = code
        self.kind = self.reason = code.value
        self.exit_code = ExitCode.USAGE if code is PlatformCode.PARAMETER else ExitCode.DEVICE


class _Relayed(FusequoteError):
    """Any other error of the daemon's, as it was there."""

    def __init__(self, message: str, kind: str, exit_code: int, hint: str | None):
        super().__init__(message, hint=hint)
        self.kind, self.exit_code = kind, ExitCode(exit_code)


def error_to_wire(error: FusequoteError) -> bytes:
    """An error's payload."""
    fields = {"kind": error.kind, "message": str(error), "hint": error.hint, "exit_code": int(error.exit_code)}
    if isinstance(error, Refused):
        fields |= {"reason": str(error.reason), "detail": error.detail}
    return json.dumps(fields).encode()


def error_from_wire(payload: bytes) -> FusequoteError:
    """The error again."""
    try:
        fields = json.loads(payload)
        message, kind, hint = fields["message"], fields["kind"], fields["hint"]
        if kind == Refused.kind:
            return Refused(message, reason=fields["reason"], hint=hint, detail=fields["detail"])
        if kind in set(PlatformCode):
            return PlatformError(PlatformCode(kind), message, hint=hint)
        return _Relayed(message, kind, fields["exit_code"], hint)
    except (ValueError, KeyError, TypeError) as error:
        return PlatformError(PlatformCode.CLOSED, f"the platform daemon answered nonsense: {error}")


class Frames:
    """Frames over a connected socket. A frame that has begun must be there within ``patience`` seconds, and so must the
    other side's reading of an answer; between frames nobody is hurried, unless ``waiting`` says how long to wait.
    """

    def __init__(self, connection: socket.socket, patience: float, clock: Callable[[], float] = time.monotonic):
        self._socket, self._patience, self._clock = connection, patience, clock

    def send(self, kind: int, payload: bytes) -> None:
        """One frame. Raises :class:`PlatformError` (closed)."""
        try:
            self._socket.settimeout(self._patience)
            self._socket.sendall(_HEAD.pack(len(payload), kind) + payload)
        except OSError as error:
            raise PlatformError(PlatformCode.CLOSED, f"the connection is gone: {error}") from error

    def receive(self, limit: int, waiting: float | None = None) -> tuple[int, bytes] | None:
        """The next frame, or None at the end. Raises :class:`PlatformError` (closed, invalid-parameter)."""
        try:
            self._socket.settimeout(waiting)
            first = self._socket.recv(1)
            if not first:
                return None
            deadline = self._clock() + self._patience
            size, kind = _HEAD.unpack(first + self._exactly(_HEAD.size - 1, deadline))
            if size > limit:
                raise PlatformError(PlatformCode.PARAMETER, f"a frame of {size:,} bytes; {limit:,} are the most")
            return kind, self._exactly(size, deadline)
        except OSError as error:
            raise PlatformError(PlatformCode.CLOSED, f"the connection is gone: {error}") from error

    def _exactly(self, size: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            left = deadline - self._clock()
            if left <= 0:
                raise TimeoutError(f"no whole frame within {self._patience:g} s")
            self._socket.settimeout(left)
            piece = self._socket.recv(min(size - len(data), 1 << 16))
            if not piece:
                raise ConnectionResetError("it ended within a frame")
            data += piece
        return bytes(data)


@dataclass(frozen=True)
class QuoteRequest:
    """The arguments of get_quote. ``nonce`` None: no QE REPORT either. ``size`` as calc_quote_size tells it."""

    report: bytes
    sign_type: int
    spid: bytes
    nonce: bytes | None
    size: int
    sigrl: bytes

    _FORM = struct.Struct("<432sHH16s16sI")

    def to_bytes(self) -> bytes:
        """472 bytes, then the SigRL."""
        has_nonce, nonce = self.nonce is not None, self.nonce or bytes(16)
        return self._FORM.pack(self.report, self.sign_type, has_nonce, self.spid, nonce, self.size) + self.sigrl

    @classmethod
    def from_bytes(cls, data: bytes) -> QuoteRequest:
        """Raises :class:`PlatformError` (invalid-parameter)."""
        if len(data) < cls._FORM.size:
            raise PlatformError(PlatformCode.PARAMETER, f"get_quote: {len(data)} bytes, {cls._FORM.size} at least")
        report, sign_type, flags, spid, nonce, size = cls._FORM.unpack_from(data)
        if flags > 1 or (not flags and any(nonce)):
            raise PlatformError(PlatformCode.PARAMETER, "get_quote: nonce and QE REPORT are both wanted, or neither")
        return cls(report, sign_type, spid, nonce if flags else None, size, data[cls._FORM.size :])
