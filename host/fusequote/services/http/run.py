"""Runs one server until it is told to end: socket, TLS, uvicorn, ready line, graceful shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI

from fusequote.errors import EnvironmentProblem
from fusequote.services.http.server import ServiceContext, dress
from fusequote.services.http.settings import ServerSettings
from fusequote.services.http.tls import server_files, tls_context

__all__ = ["listen", "serve", "told_to_end"]

#: How long a connection that is being closed may take, in seconds: with an answer on its way, and without.
_LINGER = {"sending": 10.0, "closing": 1.0}
_log = logging.getLogger("fusequote.server")


def listen(settings: ServerSettings) -> socket.socket:
    """A listening socket. Raises :class:`EnvironmentProblem` when the address cannot be used."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # With the protocol's number: by it asyncio knows connections that want TCP_NODELAY.
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if settings.reuse_port:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(address)
            listener.listen(1024)
        except OSError:
            listener.close()
            raise
        return listener
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or "no such host"
        raise EnvironmentProblem(
            f"cannot listen on {settings.host} port {settings.port}: {said}",
            hint="is another server there? --port 0 takes a free port",
        ) from error


@contextlib.contextmanager
def told_to_end() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT came, for the time in which a server is made ready: it ends when it is whole, and
    leaves nothing behind.
    """
    came: list[int] = []
    with _signals(lambda number, _frame: came.append(number)):
        yield lambda: bool(came)


@contextlib.contextmanager
def _signals(handler: Callable[[int, Any], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def serve(
    app: FastAPI,
    context: ServiceContext,
    ready: Callable[[dict[str, Any]], None],
    ended: Callable[[], bool] = lambda: False,
) -> None:
    """Serve until SIGTERM or SIGINT, then let running requests end; a second SIGINT does not wait for them. Where
    ``ended`` says that one came before, this is never ready.

    ``ready`` is called once, when connections are accepted, with ``url``, ``host``, ``port``, ``tls`` and, for a
    certificate of our own, ``root`` (the file to trust). Closes the context.
    """
    settings = context.settings
    try:
        files = server_files(context.home, settings) if settings.tls else None
        secure = None if files is None else tls_context(files)
        with listen(settings) as listener:
            host, port = listener.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            facts: dict[str, Any] = {
                "url": f"{'https' if secure else 'http'}://{shown}:{port}",
                "host": host,
                "port": port,
                "tls": secure is not None,
            }
            if files is not None and files.root is not None:
                facts["root"] = str(files.root)
            config = uvicorn.Config(
                dress(app, context),
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                loop="auto",  # uvloop where it is installed, else asyncio
                http=_http(settings),
                ws="none",
                interface="asgi3",
                ssl_context_factory=None if secure is None else lambda _config, _default: secure,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=settings.trusted_proxies or None,
                limit_concurrency=settings.connections,
                timeout_keep_alive=settings.idle_seconds,
                timeout_graceful_shutdown=settings.shutdown_seconds,
                h11_max_incomplete_event_size=settings.max_headers,
            )
            server = _Server(config, settings.header_seconds, lambda: ready(facts))
            server.should_exit = ended()
            server.run(sockets=[listener])
    finally:
        context.close()


def _http(settings: ServerSettings) -> Any:
    """httptools where it is installed, for a tenth of the CPU, else h11."""
    try:
        from fusequote.services.http.wire import protocol
    except ImportError:
        return "h11"
    return protocol(settings.max_headers)


class _Server(uvicorn.Server):
    """uvicorn's, with a ready call, an orderly end, and no patience with connections that send or take nothing."""

    def __init__(self, config: uvicorn.Config, header_seconds: float, ready: Callable[[], None]):
        super().__init__(config)
        self._header_seconds, self._ready = header_seconds, ready
        self._since: dict[Any, tuple[str, float]] = {}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, then say so."""
        await super().startup(sockets)
        # A failure of the store is answered, not waited out: nothing else runs in these threads.
        if not self.should_exit:
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the process ends with exit code 0, not by the signal."""
        with _signals(self._told):
            yield

    def _told(self, number: int, _frame: Any) -> None:
        self.force_exit = self.should_exit and number == signal.SIGINT
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Every tenth of a second; once a second, connections are looked at."""
        if counter % 10 == 0:
            self._sweep(time.monotonic())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End, and go on looking at connections meanwhile."""
        _log.info("shutting down", extra={"connections": len(self.server_state.connections)})

        async def sweep() -> None:
            while True:
                self._sweep(time.monotonic())
                await asyncio.sleep(1)

        sweeper = asyncio.ensure_future(sweep())
        try:
            await super().shutdown(sockets)
        finally:
            sweeper.cancel()

    def _sweep(self, now: float) -> None:
        seen: dict[Any, tuple[str, float]] = {}
        for connection in self.server_state.connections:
            state = _state(connection)
            if state is None:
                continue
            before = self._since.get(connection)
            since = before[1] if before is not None and before[0] == state else now
            seen[connection] = (state, since)
            if now - since >= _LINGER.get(state, math.inf):
                connection.transport.abort()
            elif state == "headers" and now - since > self._header_seconds:
                connection.transport.close()
        self._since = seen


def _state(connection: Any) -> str | None:
    """What a connection of uvicorn's is waiting for: a request's headers, the client to read, or to be gone; None for
    anything else.
    """
    if connection.transport is None:
        return None
    if connection.transport.is_closing():
        return "sending" if connection.transport.get_write_buffer_size() else "closing"
    idle = connection.cycle is None or connection.cycle.response_complete
    return "headers" if idle and connection.timeout_keep_alive_task is None else None
