"""A worker process: what runs in it, and the messages between it and the server, over a pair of sockets.

A message is its length (8 bytes) and a pickle: to the worker a function and its arguments, back whether that went well
and what came of it. Both ends are this program's own, and nobody else has them.
"""

from __future__ import annotations

import contextlib
import gc
import pickle
import signal
import socket
import struct
from collections.abc import Callable
from typing import Any

__all__ = ["Inbox", "open_worker_services", "packed", "rebuild", "work", "worker_services"]

_LENGTH = struct.Struct("!Q")
#: Bytes of one read: most messages come whole.
_CHUNK = 1 << 16


def packed(message: object) -> bytes:
    """A message as it travels. Raises what pickle raises."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


class Inbox:
    """Messages out of what was read, one at a time."""

    def __init__(self) -> None:
        self._data = bytearray()

    def read(self, end: socket.socket) -> None:
        """One read. Raises :class:`EOFError` at the end, and what the socket raises."""
        data = end.recv(_CHUNK)
        if not data:
            raise EOFError
        self._data += data

    def take(self) -> tuple[bool, Any]:
        """Whether a message is complete, and the message. Raises what pickle raises."""
        have = len(self._data) - _LENGTH.size
        if have < 0 or have < (size := _LENGTH.unpack_from(self._data)[0]):
            return False, None
        end = _LENGTH.size + size
        with memoryview(self._data) as view:
            message = pickle.loads(view[_LENGTH.size : end])
        del self._data[:end]
        return True, message


def rebuild(kind: type[BaseException], arguments: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    """The exception that a worker told of."""
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(attributes)
    return error


def work(end: socket.socket, initializer: Callable[..., Any] | None, arguments: tuple[Any, ...]) -> None:
    """Do one job after the other until the server is gone. Signals are for the server: a signal to all processes of a
    service leaves the jobs of its last requests to be finished.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    ready = initializer is None
    # Before the first job, which then takes no longer than others. What fails now is tried again with that job.
    with contextlib.suppress(Exception):
        if initializer is not None:
            initializer(*arguments)
            ready = True
    # What is there now stays: the collector need not walk it again and again.
    gc.collect()
    gc.freeze()
    inbox = Inbox()
    while True:
        try:
            while not (found := inbox.take())[0]:
                inbox.read(end)
        except (EOFError, OSError):
            return
        try:
            function, values = found[1]
            if not ready and initializer is not None:
                initializer(*arguments)
                ready = True
            answer = (True, function(*values))
        except Exception as error:
            # Not the object: pickle calls a class with its positional arguments only.
            answer = (False, (type(error), error.args, dict(error.__dict__)))
        try:
            end.sendall(_sendable(answer))
        except OSError:
            return


def _sendable(answer: tuple[bool, Any]) -> bytes:
    try:
        return packed(answer)
    except Exception as error:
        return packed((False, (RuntimeError, (f"the result cannot be sent: {type(error).__name__}",), {})))


_services: Any = None


def open_worker_services(home_folder: str, store_url: str | None) -> None:
    """The initializer of a server's workers: opens the services of its home folder and store for this process."""
    from fusequote.home import Home
    from fusequote.services.services import Services

    global _services
    _services = Services(Home(home_folder), store_url)


def worker_services() -> Any:
    """The :class:`fusequote.services.services.Services` of this worker process."""
    if _services is None:
        raise RuntimeError("only a worker has worker_services")
    return _services
