"""A TCP listener that gives each connection a thread, and stops when it is told."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable

from fusequote.errors import EnvironmentProblem

__all__ = ["ThreadedListener", "listen"]


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """A listening socket, on a free port for port 0. Raises :class:`EnvironmentProblem` when it cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot listen on {host}:{port}: {error.strerror or error}", hint="--port 0 takes a free port"
        ) from error


class ThreadedListener:
    """Accepts connections on ``host``:``port`` (0: any free one), ``most`` at once.

    ``converse`` is called with the connection and the peer's address, in a thread of its own, and raises nothing; the
    connection is closed behind it. ``too_many`` is told of a peer for whom there was no place. ``patience``: seconds
    that conversations have to end after :meth:`stop`. Raises :class:`EnvironmentProblem` when there is no such address.
    """

    def __init__(
        self,
        host: str,
        port: int,
        converse: Callable[[socket.socket, str], None],
        *,
        most: int,
        patience: float,
        too_many: Callable[[str], None],
    ):
        self._converse, self._patience, self._too_many = converse, patience, too_many
        self._listener = listen(host, port, most)
        self._places = threading.BoundedSemaphore(most)
        self._stop_receiver, self._stop_sender = socket.socketpair()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._listener.getsockname()[1]

    def serve(self) -> None:
        """Serve until :meth:`stop`; conversations that are under way then have ``patience`` seconds to end."""
        try:
            while True:
                readable, _, _ = select.select([self._listener, self._stop_receiver], [], [])
                if self._stop_receiver in readable:
                    return
                connection, address = self._listener.accept()
                self._start(connection, f"{address[0]}:{address[1]}")
        finally:
            self._listener.close()
            self._end_all()

    def stop(self) -> None:
        """End :meth:`serve`, from any thread or a signal handler."""
        with contextlib.suppress(OSError):
            self._stop_sender.send(b"\0")

    def _start(self, connection: socket.socket, peer: str) -> None:
        if not self._places.acquire(blocking=False):
            self._too_many(peer)
            connection.close()
            return
        # A handle of our own to end it by: TLS takes the connection's over.
        handle = connection.dup()
        thread = threading.Thread(target=self._run, args=(connection, handle, peer), daemon=True)
        with self._lock:
            self._open[thread] = handle
        thread.start()

    def _run(self, connection: socket.socket, handle: socket.socket, peer: str) -> None:
        try:
            with connection:
                self._converse(connection, peer)
        finally:
            with self._lock:
                self._open.pop(threading.current_thread(), None)
                handle.close()
            self._places.release()

    def _end_all(self) -> None:
        with self._lock:
            for handle in self._open.values():
                # Who waits to read ends now; what is being answered is still sent.
                with contextlib.suppress(OSError):
                    handle.shutdown(socket.SHUT_RD)
            threads = list(self._open)
        for thread in threads:
            thread.join(self._patience)
        self._stop_receiver.close()
