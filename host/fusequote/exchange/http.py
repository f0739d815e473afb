"""The exchange over HTTP, bodies in bytes (``application/octet-stream``).

====================================  =====================  ===============================================
POST /exchange/v1/sessions            msg0 ‖ msg1            201, msg2 with its SigRL; ``Location``: the session
POST {session}/msg3                   msg3                   200, msg4 (105 bytes) ‖ CMAC(MK, msg4)
POST {session}/messages               sealed message         200, sealed answer
DELETE {session}                      -                      204
====================================  =====================  ===============================================

An error is JSON: ``{"error": code, "message": ..., "hint": ...}`` with the codes of
:class:`~fusequote.exchange.errors.Fault`.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from fusequote.errors import EnvironmentProblem, FusequoteError, Refused
from fusequote.exchange.channel import MESSAGE_LIMIT
from fusequote.exchange.errors import ExchangeError, Fault
from fusequote.exchange.hosting import HostedSession, Hosting
from fusequote.exchange.lines import LINE_LIMIT
from fusequote.exchange.provider import MSG01_SIZE

__all__ = ["BINARY", "ROOT", "SessionTable", "make_app"]

ROOT = "/exchange/v1/sessions"
BINARY = "application/octet-stream"
_STATUS = {Fault.ORDER: 409, Fault.CLOSED: 404, Fault.LIMIT: 413, Fault.BUSY: 503, Fault.MALFORMED: 400}


class SessionTable:
    """The open sessions by name. The oldest ends when its lifetime is over; above ``most`` none is opened.

    ``on_end`` is called with each session that its peer or a verdict ended.
    """

    def __init__(
        self,
        hosting: Hosting,
        clock: Callable[[], float] = time.monotonic,
        on_end: Callable[[HostedSession], None] = lambda session: None,
    ):
        self._hosting, self._clock, self._on_end = hosting, clock, on_end
        self._sessions: OrderedDict[str, tuple[float, HostedSession]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, peer: str) -> tuple[str, HostedSession]:
        """A new session and its name, which nobody can guess. Raises :class:`ExchangeError` (busy)."""
        with self._lock:
            self._forget_expired()
            if len(self._sessions) >= self._hosting.most:
                raise ExchangeError(Fault.BUSY)
            name, session = secrets.token_urlsafe(24), self._hosting.open(peer)
            self._sessions[name] = (self._clock() + self._hosting.lifetime, session)
            return name, session

    def find(self, name: str) -> HostedSession:
        """The session of this name. Raises :class:`ExchangeError` (closed)."""
        with self._lock:
            self._forget_expired()
            found = self._sessions.get(name)
        if found is None:
            raise ExchangeError(Fault.CLOSED, "there is no such session, or its time is over")
        return found[1]

    def end(self, name: str) -> None:
        """Forget a session; one that is not there is fine."""
        with self._lock:
            ended = self._sessions.pop(name, None)
        if ended is not None:
            self._on_end(ended[1])

    def _forget_expired(self) -> None:
        # Lifetimes are all the same, so the first opened is the first to go.
        while self._sessions and next(iter(self._sessions.values()))[0] <= self._clock():
            self._sessions.popitem(last=False)


def make_app(hosting: Hosting, table: SessionTable | None = None) -> FastAPI:
    """The service as an ASGI application."""
    sessions = SessionTable(hosting) if table is None else table
    app = FastAPI(title="fusequote relying party (emulated)", docs_url=None, redoc_url=None)

    @app.exception_handler(FusequoteError)
    async def problem(request: Request, error: FusequoteError) -> JSONResponse:
        return _problem(error)

    @app.post(ROOT, status_code=201, **_described("msg0 and msg1", "msg2 and its SigRL"))
    async def msg1(request: Request) -> Response:
        """msg0 and msg1: opens a session."""
        body = await _body(request, MSG01_SIZE, hosting)
        name, session = sessions.open(_peer(request))
        try:
            msg2 = await run_in_threadpool(session.msg2, body)
        except BaseException:
            sessions.end(name)
            raise
        return Response(msg2, 201, {"Location": f"{ROOT}/{name}"}, BINARY)

    @app.post(ROOT + "/{name}/msg3", **_described("msg3", "msg4 and its MAC"))
    async def msg3(name: str, request: Request) -> Response:
        """msg3: the quote, and the verdict."""
        session, body = sessions.find(name), await _body(request, LINE_LIMIT, hosting)
        try:
            msg4, mac = await run_in_threadpool(session.msg4, body)
        except BaseException:
            sessions.end(name)
            raise
        if not session.trusted:
            sessions.end(name)
        return Response(msg4 + mac, media_type=BINARY)

    @app.post(ROOT + "/{name}/messages", **_described("a sealed message", "its sealed answer"))
    async def message(name: str, request: Request) -> Response:
        """A sealed message of a trusted enclave."""
        session, body = sessions.find(name), await _body(request, MESSAGE_LIMIT + 32, hosting)
        return Response(await run_in_threadpool(session.message, body), media_type=BINARY)

    @app.delete(ROOT + "/{name}", status_code=204)
    async def end(name: str) -> None:
        """Ends a session."""
        sessions.end(name)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the service runs."""
        return {"status": "ok"}

    return app


def _described(request: str, answer: str) -> dict[str, Any]:
    binary = {BINARY: {"schema": {"type": "string", "format": "binary"}}}
    problem = {"description": "refused: the error's code, a message, a hint"}
    return {
        "response_class": Response,
        "responses": {
            200: {"description": answer, "content": binary},
            **dict.fromkeys((400, 403, 404, 409, 413, 502, 503), problem),
        },
        "openapi_extra": {"requestBody": {"description": request, "required": True, "content": binary}},
    }


async def _body(request: Request, limit: int, hosting: Hosting) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(hosting.patience):
            async for piece in request.stream():
                body += piece
                if len(body) > limit:
                    raise ExchangeError(Fault.LIMIT, f"more than {limit:,} bytes")
    except (TimeoutError, ClientDisconnect) as error:
        raise ExchangeError(Fault.CLOSED, f"no whole message within {hosting.patience:g} s") from error
    return bytes(body)


def _peer(request: Request) -> str:
    return f"{request.client.host}:{request.client.port}" if request.client else "?"


def _problem(error: FusequoteError) -> JSONResponse:
    if isinstance(error, ExchangeError):
        status = _STATUS.get(error.fault, 403)
    else:
        status = 502 if isinstance(error, EnvironmentProblem) else 403
    code = str(error.reason) if isinstance(error, Refused) else error.kind
    return JSONResponse({"error": code, "message": str(error), "hint": error.hint}, status)
