"""``/healthz`` and ``/metrics``."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from fusequote.errors import FusequoteError
from fusequote.services.http.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from fusequote.services.http.server import ServiceContext

__all__ = ["add_health"]

#: For how many seconds an answer about health is given again.
_FRESH = 1.0
_LOCAL = ("127.", "::1", "::ffff:127.")


class _Health:
    """What was found the last time, and when. Asking often costs nothing."""

    def __init__(self, context: ServiceContext):
        self._context = context
        self._lock = threading.Lock()
        self._found: tuple[float, int, dict[str, object]] | None = None

    def look(self) -> tuple[int, dict[str, object]]:
        with self._lock:
            if self._found is None or time.monotonic() - self._found[0] > _FRESH:
                self._found = (time.monotonic(), *self._look())
            return self._found[1:]

    def _look(self) -> tuple[int, dict[str, object]]:
        context = self._context
        answer: dict[str, object] = {"status": "ok", "workers": context.workers.count}
        try:
            context.services.store.clock()
            context.services.store.check()
        except FusequoteError as error:
            answer |= {"status": "unavailable", "kind": error.kind, "message": str(error)}
            return 503, answer
        return 200, answer


def add_health(app: FastAPI, context: ServiceContext) -> None:
    """Add both paths to a server's application."""
    health = _Health(context)

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> Response:
        status, answer = health.look()
        return JSONResponse(answer, status, headers={"Retry-After": "5"} if status == 503 else None)

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        client = request.client.host if request.client else ""
        who = context.settings.metrics
        if who == "off" or (who == "local" and not client.startswith(_LOCAL)):
            return JSONResponse({"detail": "Not Found"}, 404)
        context.metrics.jobs_waiting.set(context.workers.waiting)
        return Response(context.metrics.text(), media_type=CONTENT_TYPE)
