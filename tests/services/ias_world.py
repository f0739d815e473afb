"""The attestation service with its real shell in this process, and a client that sees raw headers."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import anyio
import httpx
from chain_world import SPID, Ready
from fusequote.services.attestation_subscriptions import Subscriptions
from fusequote.services.http.attestation import Settings, create_app
from fusequote.services.http.server import ServiceContext, dress, open_context
from fusequote.services.http.workers import open_worker_services

SERVE = "import sys; from fusequote.cli import main; sys.argv[0] = 'fusequote'; main()"


@dataclass
class World:
    """A platform with quotes, the service, and the keys of a subscription for its SPID."""

    made: Ready
    context: ServiceContext
    application: Any
    primary: str
    secondary: str
    #: The world whose services this process's worker has.
    served: ClassVar[World | None] = None

    def ask(self, method: str, path: str, key: str | None = "", **options: Any) -> httpx.Response:
        """One request; ``key`` is the subscription key, by default the good one."""
        if World.served is not self:
            # The worker is this process, and a process is the worker of one home folder at a time.
            open_worker_services(str(self.made.platform.home.root), None)
            World.served = self
        headers = options.pop("headers", {})
        if key is not None:
            headers["Ocp-Apim-Subscription-Key"] = key or self.primary
        transport = httpx.ASGITransport(self.application)

        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await client.request(method, path, headers=headers, **options)

        return anyio.run(send)

    def report(self, quote: bytes | None = None, version: int = 4, key: str | None = "", **more: Any) -> httpx.Response:
        """POST report."""
        body = {"isvEnclaveQuote": base64.b64encode(quote or self.made.quote).decode()} | more
        return self.ask("POST", f"/sgx/dev/attestation/v{version}/report", key, json=body)

    def admin(self, method: str, path: str, admin_key: str, **options: Any) -> httpx.Response:
        """A request to the admin API."""
        headers = {"Authorization": f"Bearer {admin_key}"}
        return self.ask(method, f"/admin/v1{path}", None, headers=headers, **options)


def make_world(made: Ready, *, linkable: bool = False) -> World:
    """The world around a platform."""
    subscriptions = Subscriptions(made.services.store)
    _, primary, secondary = subscriptions.create("tests", linkable=linkable, spid=SPID)
    context = open_context(made.platform.home, Settings(workers=0, rate=0), made.services)
    World.served = None
    application = dress(create_app(context), context)
    return World(made, context, application, primary, secondary)


@contextlib.contextmanager
def serving(home, *options: str) -> Iterator[dict[str, Any]]:
    """`fusequote serve attestation` over this home folder: what its ready line says."""
    command = [sys.executable, "-c", SERVE, "--home", str(home.root), "serve", "attestation"]
    environment = os.environ | {"FUSEQUOTE_HOME": str(home.root)}
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(30)
