"""One message, one line: hexadecimal and a newline, as Intel's remote attestation sample sends it over TCP."""

from __future__ import annotations

import binascii
import socket
import time
from collections.abc import Callable

from fusequote.exchange.errors import ExchangeError, Fault

__all__ = ["LINE_LIMIT", "HexLines"]

#: The most bytes of one message: a quote against a SigRL of 13,000 entries.
LINE_LIMIT = 1 << 21
_PIECE = 1 << 16


class HexLines:
    """Messages over a connected socket. A message that is not complete within ``patience`` seconds is given up."""

    def __init__(self, connection: socket.socket, patience: float, clock: Callable[[], float] = time.monotonic):
        self._socket, self._patience, self._clock = connection, patience, clock
        self._buffer = bytearray()

    def send(self, message: bytes) -> None:
        """One line. Raises :class:`ExchangeError` (closed) when the other side is gone or does not read."""
        try:
            self._socket.settimeout(self._patience)
            self._socket.sendall(binascii.hexlify(message) + b"\n")
        except OSError as error:
            raise ExchangeError(Fault.CLOSED, str(error)) from error

    def receive(self, *, limit: int = LINE_LIMIT) -> bytes | None:
        """The next message; None when the other side closed the connection between two messages.

        Raises :class:`ExchangeError`: malformed (no hexadecimal), too-large, closed (in the middle, or too slow).
        """
        deadline = self._clock() + self._patience
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > 2 * limit + 2:
                raise ExchangeError(Fault.LIMIT, f"more than {limit:,} bytes")
            piece = self._piece(deadline)
            if not piece:
                if self._buffer:
                    raise ExchangeError(Fault.CLOSED, "in the middle of a message")
                return None
            self._buffer += piece
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        if len(line) > 2 * limit:
            raise ExchangeError(Fault.LIMIT, f"more than {limit:,} bytes")
        try:
            return binascii.unhexlify(line)
        except binascii.Error as error:
            raise ExchangeError(Fault.MALFORMED, f"a line of hexadecimal is wanted: {error}") from error

    def _piece(self, deadline: float) -> bytes:
        left = deadline - self._clock()
        try:
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            return self._socket.recv(_PIECE)
        except TimeoutError as error:
            raise ExchangeError(Fault.CLOSED, f"no message for {self._patience:g} s") from error
        except OSError as error:
            raise ExchangeError(Fault.CLOSED, str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
