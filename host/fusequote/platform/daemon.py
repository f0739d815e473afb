"""The platform daemon: alone has the chip, gives each client its own slots, and quotes for all.

A Unix socket, a thread and a :class:`~fusequote.platform.daemon_slots.Holdings` for each connection. Who a client is,
the kernel says (SO_PEERCRED). A connection has one request under way and chip and Quoting Enclave take requests in the
order in which they come, so that each client's turn comes after one request of each other at most.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fusequote.chip import Chip
from fusequote.chip.ops import Command
from fusequote.errors import EnvironmentProblem, FormatError, FusequoteError
from fusequote.platform.daemon_calls import Calls
from fusequote.platform.daemon_slots import Broker, Holdings
from fusequote.platform.daemon_wire import (
    REQUEST_LIMIT,
    STREAM_LIMIT,
    Call,
    Frames,
    PlatformCode,
    PlatformError,
    QuoteRequest,
    error_to_wire,
)

__all__ = ["Daemon", "Limits", "Peer", "VERSION"]

VERSION = 1
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class Limits:
    """``connections`` at once; ``patience`` seconds for one frame; ``lease`` seconds after which a connection that
    does nothing, or a slot, may be taken away from its holder when all are taken.
    """

    connections: int = 64
    patience: float = 10.0
    lease: float = 600.0


@dataclass(frozen=True)
class Peer:
    """Who connected, as the kernel says."""

    pid: int
    uid: int
    gid: int

    @classmethod
    def of(cls, connection: socket.socket) -> Peer:
        """SO_PEERCRED."""
        return cls(
            *_CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        )


@dataclass(eq=False)
class _Client:
    connection: socket.socket
    peer: Peer
    since: float
    busy: bool = False


class Daemon:
    """Serves ``broker`` and ``calls`` on the Unix socket ``path`` (mode 0600).

    ``users``: whom it serves besides the user that it runs as and root. ``tell`` is called with a line for each thing
    worth telling, from several threads. Raises :class:`EnvironmentProblem` when the socket cannot be had.
    """

    def __init__(
        self,
        path: Path,
        chip: Chip,
        broker: Broker,
        calls: Calls,
        *,
        limits: Limits | None = None,
        users: frozenset[int] = frozenset(),
        tell: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._path, self._chip, self._broker, self._calls = path, chip, broker, calls
        self._limits, self._tell, self._clock = limits or Limits(), tell, clock
        self._users = users | {0, os.geteuid()}
        self._listener = _listen(path, shared=bool(users))
        self._stop_receiver, self._stop_sender = socket.socketpair()
        self._clients: dict[_Client, threading.Thread] = {}
        self._lock = threading.Lock()

    def serve(self) -> None:
        """Until :meth:`stop`; then requests under way are answered, and what clients had on the chip is removed."""
        try:
            while True:
                readable, _, _ = select.select([self._listener, self._stop_receiver], [], [])
                if self._stop_receiver in readable:
                    return
                connection, _ = self._listener.accept()
                self._admit(connection)
        finally:
            with contextlib.suppress(OSError):
                self._path.unlink()
            self._listener.close()
            self._end_all()

    def stop(self) -> None:
        """End :meth:`serve`, from any thread or a signal handler."""
        with contextlib.suppress(OSError):
            self._stop_sender.send(b"\0")

    def _admit(self, connection: socket.socket) -> None:
        frames = Frames(connection, self._limits.patience)
        peer = Peer.of(connection)
        problem = None
        if peer.uid not in self._users:
            problem = PlatformError(PlatformCode.NOT_ALLOWED, f"this daemon does not serve user {peer.uid}")
        elif not self._has_place():
            problem = PlatformError(
                PlatformCode.BUSY, f"{self._limits.connections} clients are connected", hint="try again later"
            )
        if problem is not None:
            self._tell(f"process {peer.pid}: {problem}")
            with contextlib.suppress(PlatformError):
                frames.send(1, error_to_wire(problem))
            connection.close()
            return
        client = _Client(connection, peer, self._clock())
        thread = threading.Thread(target=self._run, args=(client, frames), daemon=True)
        with self._lock:
            self._clients[client] = thread
        thread.start()

    def _has_place(self) -> bool:
        with self._lock:
            if len(self._clients) < self._limits.connections:
                return True
            idle = [client for client in self._clients if not client.busy]
            longest = min(idle, key=lambda client: client.since, default=None)
            if longest is None or self._clock() - longest.since < self._limits.lease:
                return False
            del self._clients[longest]
        with contextlib.suppress(OSError):
            longest.connection.shutdown(socket.SHUT_RDWR)
        return True

    def _run(self, client: _Client, frames: Frames) -> None:
        holdings = self._broker.join()
        try:
            while (request := frames.receive(REQUEST_LIMIT)) is not None:
                client.busy = True
                frames.send(*self._answer(holdings, client.peer, *request))
                client.busy, client.since = False, self._clock()
        except PlatformError as error:
            # A frame that is none: nothing that follows can be understood.
            self._tell(f"process {client.peer.pid}: {error}")
            with contextlib.suppress(PlatformError):
                frames.send(1, error_to_wire(error))
        finally:
            self._broker.leave(holdings)
            with self._lock:
                self._clients.pop(client, None)
            client.connection.close()

    def _answer(self, holdings: Holdings, peer: Peer, call: int, payload: bytes) -> tuple[int, bytes]:
        try:
            return 0, self._call(holdings, call, payload)
        except FusequoteError as error:
            self._tell(f"process {peer.pid}: {error.kind}: {error}")
            return 1, error_to_wire(error)
        except Exception as error:  # a bug must end neither the daemon nor in silence
            self._tell(f"process {peer.pid}: internal error: {type(error).__name__}: {error}")
            return 1, error_to_wire(PlatformError(PlatformCode.CLOSED, "the platform daemon has a bug; see its log"))

    def _call(self, holdings: Holdings, call: int, payload: bytes) -> bytes:
        if call == Call.CHIP and payload:
            status, body, _ = self._broker.run(holdings, [Command(payload[0], payload[1:])])
            return status.to_bytes(2, "little") + body
        if call == Call.STREAM:
            status, _, done = self._broker.run(holdings, list(_stream(payload)))
            return status.to_bytes(2, "little") + bytes((done,))
        if call == Call.GET_QUOTE:
            quote, report = self._calls.get_quote(QuoteRequest.from_bytes(payload))
            return len(quote).to_bytes(4, "little") + quote + report
        if call == Call.REPORT_ATTESTATION_STATUS and payload[:4] in (bytes(4), b"\1\0\0\0"):
            return self._calls.report_attestation_status(payload[4:], any(payload[:4])).to_bytes()
        if call == Call.CHECK_UPDATE_STATUS:
            return self._calls.check_update_status(payload).to_bytes()
        if call == Call.GET_LAUNCH_TOKEN:
            return self._calls.get_launch_token(payload)
        if not payload and call == Call.HELLO:
            return json.dumps(self._hello()).encode()
        if not payload and call == Call.GET_EXTENDED_EPID_GROUP_ID:
            return self._calls.get_extended_epid_group_id().to_bytes(4, "little")
        if not payload and call == Call.INIT_QUOTE:
            target, gid = self._calls.init_quote()
            return target.to_bytes() + gid
        raise PlatformError(PlatformCode.PARAMETER, f"there is no call {call:#04x} of {len(payload)} bytes")

    def _hello(self) -> dict[str, object]:
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "device_id": self._chip.identity.device_id.hex(),
            "clients": len(self._clients),
            "quotes": self._calls.quotes,
            "emulated": True,
        }

    def _end_all(self) -> None:
        with self._lock:
            clients = dict(self._clients)
        for client in clients:
            with contextlib.suppress(OSError):
                client.connection.shutdown(socket.SHUT_RD)
        for thread in clients.values():
            thread.join()
        self._stop_receiver.close()
        self._stop_sender.close()


def _stream(payload: bytes) -> Iterator[Command]:
    at = count = 0
    while at < len(payload):
        count += 1
        if at + 3 > len(payload) or count > STREAM_LIMIT:
            raise PlatformError(PlatformCode.PARAMETER, f"a stream is 1 to {STREAM_LIMIT} whole commands")
        end = at + 3 + int.from_bytes(payload[at + 1 : at + 3], "little")
        if end > len(payload):
            raise PlatformError(PlatformCode.PARAMETER, "a stream ends within a command")
        yield Command(payload[at], payload[at + 3 : end])
        at = end


def _listen(path: Path, *, shared: bool) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            _clear_stale(path)
        mask = os.umask(0o000 if shared else 0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        listener.listen(64)
        return listener
    except FusequoteError:
        listener.close()
        raise
    except (OSError, FormatError) as error:
        listener.close()
        reason = "the path is too long for a Unix socket" if "too long" in str(error) else str(error)
        raise EnvironmentProblem(f"cannot listen on {path}: {reason}", hint="give another --socket") from error


def _clear_stale(path: Path) -> None:
    """Remove the socket of a daemon that was killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        pid = Peer.of(probe).pid
    raise EnvironmentProblem(f"{path}: another platform daemon listens there (process {pid})", hint="give --socket")
