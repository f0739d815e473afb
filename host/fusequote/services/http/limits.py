"""Limits on what a client may ask for: size, time, requests at once, requests per second.

One ASGI layer around the application. When a limit is reached it answers itself, and what the application still says
about that request goes nowhere; a request counts as being worked on until the application is really done with it.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fusequote.services.http.metrics import Metrics
from fusequote.services.http.settings import ServerSettings

__all__ = ["ALWAYS", "Limits", "RateLimit", "error_body"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

#: Paths that are answered however busy the server is.
ALWAYS = frozenset({"/healthz", "/metrics"})
#: Client addresses that are kept in mind, those of the last requests.
_CLIENTS = 10_000
#: How much of a body that is too large is read, and for how long.
_DRAIN_BYTES, _DRAIN_SECONDS = 8 << 20, 5.0
_REASON = {
    413: ("too-large", "send less"),
    429: ("rate", "send fewer requests per second"),
    503: ("busy", "try again in a moment"),
}


def error_body(kind: str, message: str, hint: str | None = None) -> bytes:
    """The body of an error of the server's own."""
    return json.dumps({"error": {"kind": kind, "message": message, "hint": hint}}).encode()


class RateLimit:
    """A bucket of ``burst`` requests for each client, filled at ``rate`` per second; 0 is without limit."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic):
        self._rate, self._burst, self._clock = rate, float(burst), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Take one from the client's bucket: 0.0, or in how many seconds there will be one."""
        if not self._rate:
            return 0.0
        now = self._clock()
        left, then = self._buckets.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._rate)
        taken = left >= 1
        self._buckets[client] = (left - taken, now)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if taken else (1 - left) / self._rate


class Limits:
    """The layer; ``settings`` has the limits, ``metrics`` counts what they refused."""

    def __init__(self, application: Application, settings: ServerSettings, metrics: Metrics):
        self._application, self._metrics = application, metrics
        self._max_body, self._seconds = settings.max_body, settings.request_seconds
        self._at_once, self._running = settings.requests_at_once, 0
        self._rate = RateLimit(settings.rate, settings.burst)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ALWAYS:
            await self._application(scope, receive, send)
            return
        exchange = _Exchange(receive, send, self._max_body, self._refused)
        client = scope.get("client")
        wait = self._rate.wait(client[0] if client else "")
        if wait:
            await exchange.answer(429, "this client sends too many requests", retry=wait)
        elif self._running >= self._at_once:
            await exchange.answer(503, "too many requests are being worked on", retry=1)
        elif _declared(scope) > self._max_body:
            await exchange.too_large()
        else:
            await self._work(scope, exchange)

    async def _work(self, scope: MutableMapping[str, Any], exchange: _Exchange) -> None:
        self._running += 1
        self._metrics.running.inc()
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._application(scope, exchange.receive, exchange.send))
        self._tasks.add(task)
        # One future and one timer: asyncio.wait and asyncio.timeout make several of each.
        ended: asyncio.Future[bool] = loop.create_future()
        timer = loop.call_later(self._seconds, _settle, ended, False)
        task.add_done_callback(lambda task: self._ended(task, ended))
        try:
            done = await ended
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            timer.cancel()
        if done:
            # The application ends with an error when its request was cut off; that has been answered.
            if not exchange.answered:
                task.result()
            return
        # A thread goes on until it is done; what awaits ends here.
        task.cancel()
        await exchange.answer(503, f"the request took longer than {self._seconds:g} s", retry=5, kind="timeout")

    def _ended(self, task: asyncio.Task[None], ended: asyncio.Future[bool]) -> None:
        self._running -= 1
        self._metrics.running.dec()
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen; _work raises it when the client still waits
        _settle(ended, True)

    def _refused(self, kind: str) -> None:
        self._metrics.refused.labels(kind).inc()


def _settle(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)


class _Exchange:
    """One request and its answer, whoever gives it first: the application or a limit."""

    def __init__(self, receive: Receive, send: Send, max_body: int, refused: Callable[[str], None]):
        self._receive, self._send, self._refused = receive, send, refused
        self._max_body, self._size = max_body, 0
        self._started = self.answered = False

    async def receive(self) -> Message:
        if self.answered:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > self._max_body:
            await self.too_large()
            return {"type": "http.disconnect"}
        return message

    async def too_large(self) -> None:
        """Refuse the body. Some of the rest is read and dropped: a client that is still sending would see a
        connection that breaks, and not the answer.
        """
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                more = True
                while more and self._size < self._max_body + _DRAIN_BYTES:
                    message = await self._receive()
                    self._size += len(message.get("body", b""))
                    more = message.get("more_body", False)
        except TimeoutError:
            pass
        await self.answer(413, f"the request's body has more than {self._max_body} bytes")

    async def send(self, message: Message) -> None:
        if self.answered:
            return
        self._started = True
        await self._send(message)

    async def answer(self, status: int, message: str, *, retry: float | None = None, kind: str | None = None) -> None:
        """The limit's answer, unless one is on its way; the connection ends with it."""
        reason, hint = _REASON[status]
        self._refused(kind or reason)
        started, self.answered = self._started or self.answered, True
        if started:
            return
        body = error_body(kind or reason, message, hint)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        if retry is not None:
            headers.append((b"retry-after", b"%d" % math.ceil(retry)))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _declared(scope: MutableMapping[str, Any]) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < 20 else 0
    return 0
