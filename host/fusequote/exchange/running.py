"""A relying party as a process: listen, say so, serve until a signal or the one verdict that was wanted."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

from fusequote.exchange.hosting import HostedSession, Hosting
from fusequote.exchange.tcp import TcpServer
from fusequote.listening import listen

__all__ = ["run_http", "run_tcp"]

Ready = Callable[[str], None]


@contextlib.contextmanager
def _stopping(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT call ``stop`` within."""
    signals = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stop()) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def run_tcp(hosting: Hosting, host: str, port: int, *, once: bool, ready: Ready) -> None:
    """Serve the transport of Intel's sample. ``ready`` is called with the URL once it listens."""
    server = TcpServer(hosting, host, port, once=once)
    with _stopping(server.stop):
        ready(f"tcp://{_shown(host)}:{server.port}")
        server.serve()


def run_http(hosting: Hosting, host: str, port: int, *, once: bool, ready: Ready) -> None:
    """Serve HTTP. ``ready`` is called with the URL once it listens."""
    import uvicorn

    from fusequote.exchange.http import SessionTable, make_app

    class Server(uvicorn.Server):
        """uvicorn's, but a signal is an orderly end with exit code 0."""

        def capture_signals(self) -> contextlib.AbstractContextManager[None]:
            return _stopping(self.end)

        def end(self) -> None:
            self.should_exit = True

    def ended(session: HostedSession) -> None:
        if once and session.decided:
            server.end()

    listener = listen(host, port, hosting.most)
    config = uvicorn.Config(
        make_app(hosting, SessionTable(hosting, on_end=ended)),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=int(hosting.patience),
        timeout_graceful_shutdown=int(hosting.patience),
        h11_max_incomplete_event_size=1 << 16,
        limit_concurrency=4 * hosting.most,
    )
    server = Server(config)
    with listener:
        ready(f"http://{_shown(host)}:{listener.getsockname()[1]}")
        server.run(sockets=[listener])


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
