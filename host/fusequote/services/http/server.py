"""One server: its context, and the shell around a protocol's routes (see the package for the contract)."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response

from fusequote.errors import EnvironmentProblem, FusequoteError
from fusequote.home import Home
from fusequote.services.http.health import add_health
from fusequote.services.http.limits import ALWAYS, Limits, error_body
from fusequote.services.http.logging import describe
from fusequote.services.http.metrics import Metrics
from fusequote.services.http.settings import ServerSettings
from fusequote.services.http.workers import WorkerPool, open_worker_services
from fusequote.services.services import Services
from fusequote.services.store import Conflict, StoreDamaged

__all__ = ["ServiceContext", "dress", "new_application", "open_context"]

#: Seconds after which a client should try again what this machine or its store prevented.
RETRY_AFTER = 5
_log = logging.getLogger("fusequote.server")


@dataclass(frozen=True)
class ServiceContext:
    """Everything that a protocol's routes work with. Close it in the end."""

    home: Home
    services: Services
    settings: ServerSettings
    workers: WorkerPool
    metrics: Metrics = field(default_factory=Metrics)

    def close(self) -> None:
        """End the workers and close the store."""
        self.workers.close()
        self.services.close()


def open_context(home: Home, settings: ServerSettings, services: Services | None = None) -> ServiceContext:
    """The context of a server: opens store and keys of the home folder, and starts the workers.

    Raises what :class:`fusequote.services.services.Services` raises.
    """
    metrics = Metrics()

    def jumped(seconds: float) -> None:
        metrics.clock_jumps.inc()
        _log.warning("the clock was set", extra={"by_seconds": round(seconds, 3)})

    services = services or Services(home, settings.store_url)
    if hasattr(services.store.clock, "jumped"):
        services.store.clock.jumped = jumped

    def lost() -> None:
        metrics.workers_lost.inc()
        _log.error("a worker process died or hung, and was replaced")

    workers = WorkerPool(
        settings.workers,
        open_worker_services,
        (str(home.root), settings.store_url),
        waiting=settings.requests_at_once,
        timeout=settings.request_seconds,
        lost=lost,
    )
    return ServiceContext(home, services, settings, workers, metrics)


def new_application(title: str, version: str, description: str) -> FastAPI:
    """An application with its OpenAPI description at ``/openapi.json``, and no pages that load scripts from elsewhere.

    ``version`` is that of the protocol.
    """
    # No redirects: a client that does not follow them would get neither an answer nor an error of the API.
    return FastAPI(
        title=title, version=version, description=description, docs_url=None, redoc_url=None, redirect_slashes=False
    )


def dress(app: FastAPI, context: ServiceContext) -> Callable[..., Awaitable[None]]:
    """The application with the shell around it, as an ASGI application."""
    add_health(app, context)

    def fault(request: Request, error: Exception) -> Response:
        status, kind, message, hint = _answer(error)
        headers = {}
        if status == 503:
            context.metrics.failures.labels(kind).inc()
            headers = {"Retry-After": str(RETRY_AFTER)}
            _log.error("failed", extra={"request_id": request.state.request_id, "error": describe(error)})
        return Response(error_body(kind, message, hint), status, headers, "application/json")

    # What none of them is for is raised again after it was answered, and then counted and logged by the observer.
    for kind in (EnvironmentProblem, StoreDamaged, FusequoteError, Exception):
        if kind not in app.exception_handlers:
            app.add_exception_handler(kind, fault)
    return _Observer(Limits(app, context.settings, context.metrics), context.metrics)


def _answer(error: Exception) -> tuple[int, str, str, str | None]:
    if isinstance(error, (EnvironmentProblem, StoreDamaged)):
        return 503, error.kind, str(error), error.hint
    if isinstance(error, Conflict):
        return 409, error.kind, str(error), error.hint
    if isinstance(error, FusequoteError):
        return 400, error.kind, str(error), error.hint
    return 500, "internal", "this is a bug in the server; its log has the request's id", None


class _Observer:
    """The outermost layer: ids, counters, the line of log, and the answer to what nobody expected."""

    def __init__(self, application: Callable[..., Awaitable[None]], metrics: Metrics):
        self._application, self._metrics = application, metrics

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        request_id = secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id
        began, status = time.perf_counter(), 0

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"Request-ID", request_id.encode())]
            await send(message)

        try:
            await self._application(scope, receive, answer)
        except Exception as error:
            self._metrics.failures.labels("internal").inc()
            _log.error("failed", extra={"request_id": request_id, "error": describe(error)})
            if not status:
                await _internal(answer)
        self._seen(scope, request_id, status, time.perf_counter() - began)

    def _seen(self, scope: MutableMapping[str, Any], request_id: str, status: int, seconds: float) -> None:
        # The path's pattern, never the path: a client may have put anything into that.
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in ("GET", "POST", "PUT", "DELETE", "PATCH") else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if route in ALWAYS and status < 500:
            return
        client = scope.get("client")
        _log.info(
            "request",
            extra={
                "request_id": request_id,
                "method": method,
                "route": route,
                "status": status,
                "ms": round(1000 * seconds, 2),
                "client": client[0] if client else None,
            },
        )


async def _internal(send: Callable[[MutableMapping[str, Any]], Awaitable[None]]) -> None:
    body = error_body(*_answer(Exception())[1:])
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})
