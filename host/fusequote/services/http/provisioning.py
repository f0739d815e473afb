"""The provisioning server over HTTP: POST, text/plain, header in hexadecimal and body in base64 (notes 4.1).

There is one address for everything, endpoint selection included: the message says what it is. Whatever the protocol has
an answer to is HTTP 200; 400 is for what is no message at all.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
from typing import Any

from fastapi import FastAPI, Request, Response
from prometheus_client import Counter
from pydantic import Field, field_validator

from fusequote.arch.provmsg import RequestHeader, ResponseHeader, from_text, to_text
from fusequote.platform.endpoint import MAX_URL
from fusequote.services.http.server import ServiceContext, new_application
from fusequote.services.http.settings import ServerSettings
from fusequote.services.http.workers import worker_services

__all__ = ["Settings", "create_app"]

_log = logging.getLogger("fusequote.provisioning")

_MESSAGE = {"type": "string", "pattern": "^([0-9A-Fa-f]{2}){15}[A-Za-z0-9+/]*={0,2}$"}
_ANSWER = {"type": "string", "pattern": "^([0-9A-F]{2}){19}[A-Za-z0-9+/]*={0,2}$"}
_BODY = {"requestBody": {"required": True, "content": {"text/plain": {"schema": _MESSAGE}}}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The protocol's answer, a refusal too.", "content": {"text/plain": {"schema": _ANSWER}}},
    400: {"description": "Not a message of the protocol."},
    413: {"description": "Too long."},
    429: {"description": "Too many requests of one client."},
    503: {"description": "The server, its disk or its database has no time or no room now."},
}


class Settings(ServerSettings):
    """Settings of the provisioning server."""

    max_body: int = Field(4 << 20, ge=1024, le=1 << 28, description="Bytes of a request's body at most.")
    public_url: str | None = Field(
        None, description="Address that endpoint selection names. Default: the one that the server listens on."
    )

    @field_validator("public_url")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        good = value.isascii() and value.isprintable() and " " not in value and len(value) <= MAX_URL
        if not good or not value.startswith(("http://", "https://")):
            raise ValueError(f"an address is http://... or https://..., ASCII, {MAX_URL} characters at most")
        return value


def create_app(context: ServiceContext) -> FastAPI:
    """The application: one route, at ``/``."""
    app = new_application(
        "Provisioning server (emulated)",
        "2",
        "EPID provisioning as Intel's platform software speaks it: endpoint selection, ProvMsg1 to ProvMsg4. "
        "Emulated: keys, roots and groups are fusequote's own.",
    )
    outcomes = Counter(
        "fusequote_provisioning_answers", "Answers by message and status.", ["protocol", "message", "status"],
        registry=context.metrics.registry,
    )  # fmt: skip

    @app.post(
        "/",
        operation_id="provision",
        summary="Endpoint selection, ProvMsg1, ProvMsg3",
        response_class=Response,
        responses=_RESPONSES,
        openapi_extra=_BODY,
    )
    async def provision(request: Request) -> Response:
        body = await request.body()
        url = getattr(context.settings, "public_url", None) or _own_address(request)
        text, labels, why = await context.workers.run(work_on_message, body, url)
        outcomes.labels(*labels).inc()
        if why:
            _log.info("refused", extra={"request_id": request.state.request_id, "why": why})
        return Response(text, media_type="text/plain")

    return app


def work_on_message(body: bytes, url: str) -> tuple[bytes, tuple[str, str, str], str]:
    """A worker's part: the answer as text, its labels for the counter, and why it is a refusal.

    Raises :class:`FormatError` for what is no message.
    """
    message = from_text(body, RequestHeader)
    answer = worker_services().provisioning.answer(message, url)
    header = ResponseHeader.unpack_from(answer.message)
    # Only what is known becomes a label: a client may write any number into its header.
    names = (getattr(header.protocol, "name", "other"), getattr(header.type, "name", "other"), answer.status)
    return to_text(answer.message, ResponseHeader), names, answer.why


def _own_address(request: Request) -> str:
    """The address that the connection came in at: the socket's, for what a Host header says anybody can write."""
    host, port = request.scope.get("server") or ("127.0.0.1", None)
    with contextlib.suppress(ValueError):  # a name, as tests have it
        host = f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    return f"{request.scope['scheme']}://{host}:{port}/" if port else f"{request.scope['scheme']}://{host}/"
