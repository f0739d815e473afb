"""The attestation service's REST API in this process, for verifiers that speak HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from fusequote.services.http import attestation
from fusequote.services.http.server import dress, open_context

if TYPE_CHECKING:
    from fusequote.testing.service import AttestationWorld

__all__ = ["in_process_client"]


class _InProcess(httpx.BaseTransport):
    """A synchronous client's requests to an ASGI application; each has a seeded operation of its own."""

    def __init__(self, application, world: AttestationWorld):
        self._transport, self._world = httpx.ASGITransport(application), world

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def send() -> httpx.Response:
            content = request.read()
            inner = httpx.Request(request.method, request.url, headers=request.headers, content=content)
            answer = await self._transport.handle_async_request(inner)
            body = await answer.aread()
            return httpx.Response(answer.status_code, headers=answer.headers, content=body, request=request)

        with self._world.seeding.operation("request"), pytest.MonkeyPatch.context() as patch:
            # The worker is this process, and its services are the world's.
            patch.setattr(attestation, "worker_services", lambda: self._world.services)
            return anyio.run(send)


@contextlib.contextmanager
def in_process_client(world: AttestationWorld, base_url: str, key: str) -> Iterator[httpx.Client]:
    """A client whose base is ``base_url`` and whose subscription key is ``key``."""
    settings = attestation.Settings(workers=0, rate=0, admin=False)
    context = open_context(world.home, settings, world.services)
    try:
        application = dress(attestation.create_app(context), context)
        headers = {"Ocp-Apim-Subscription-Key": key}
        with httpx.Client(transport=_InProcess(application, world), base_url=base_url, headers=headers) as client:
            yield client
    finally:
        context.workers.close()
