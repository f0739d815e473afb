"""A server whose protocol is the store itself, behind the real shell: what faults are tried on.

Run as a program it is `fusequote serve provisioning` with these routes in the place of the protocol's.
"""

from __future__ import annotations

import datetime
import os
import secrets
import sys
import time

from fastapi import Body, FastAPI, Request
from fusequote.arch import Psvn
from fusequote.epid import PrivRl
from fusequote.errors import UsageError
from fusequote.services.http.server import ServiceContext, new_application
from fusequote.services.http.workers import worker_services
from fusequote.services.registry import Registry
from fusequote.services.store import Conflict, NonceBook
from fusequote.services.tables import CredentialRow
from sqlalchemy import select

#: How large x is drawn: small enough to be drawn twice now and then.
X_BITS = 12
#: Of its nonces: longer than any test.
LIFETIME = datetime.timedelta(hours=10)


def groups_of_worker() -> int:
    return len(worker_services().registry.levels())


def die_once(marker: str) -> int:
    """Kill the worker the first time, answer the second."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return os.getpid()
    os.kill(os.getpid(), 9)
    return 0


def create_app(context: ServiceContext) -> FastAPI:
    app = new_application("store", "1", "The store over HTTP.")
    store, registry = context.services.store, context.services.registry
    nonces = NonceBook(store, "test", LIFETIME)

    @app.post("/group")
    def group() -> dict[str, str]:
        return {"gid": registry.create_group(Psvn()).hex()}

    @app.post("/nonce")
    def nonce() -> dict[str, str]:
        value = secrets.token_bytes(8)
        nonces.remember(value)
        return {"nonce": value.hex()}

    @app.post("/consume/{value}")
    def consume(value: str) -> dict[str, str]:
        return {"state": nonces.consume(bytes.fromhex(value))[0].value}

    @app.post("/issue/{gid}/{ppid}")
    def issue(gid: str, ppid: str) -> dict[str, str]:
        """One x for each PPID, drawn again when it is taken; who asks again gets the same."""
        return {"x": _issue(registry, bytes.fromhex(gid), bytes.fromhex(ppid)).hex()}

    @app.post("/device/{device_id}")
    def device(device_id: str) -> dict[str, str]:
        key = (device_id * 16).encode()[:16]
        return {"ppid": registry.register(bytes.fromhex(device_id), key, bytes(16)).hex()}

    @app.post("/revoke/{gid}")
    def revoke(gid: str) -> dict[str, int]:
        entry = 1 + secrets.randbits(248)
        return {"version": registry._next(bytes.fromhex(gid), PrivRl, lambda now: now.adding(entry)).version}

    @app.post("/slow/{seconds}")
    def slow(seconds: float) -> dict[str, bool]:
        time.sleep(min(seconds, 5))
        return {"done": True}

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, int]:
        return {"size": len(await request.body())}

    @app.post("/worker")
    async def worker(marker: str | None = Body(None, embed=True)) -> dict[str, int]:
        if marker is not None:
            return {"pid": await context.workers.run(die_once, marker)}
        return {"groups": await context.workers.run(groups_of_worker)}

    @app.post("/bug")
    def bug(secret: str = Body(embed=True)) -> None:
        raise KeyError(secret)

    @app.post("/wrong")
    def wrong() -> None:
        raise UsageError("this is not how it is done", hint="do it otherwise")

    return app


def _issue(registry: Registry, gid: bytes, ppid: bytes) -> bytes:
    while True:
        x = secrets.randbits(X_BITS).to_bytes(32, "big")
        try:
            with registry.store.session() as session:
                registry.lock_group(session, gid)
                issued = session.scalar(
                    select(CredentialRow.x).where(CredentialRow.gid == gid, CredentialRow.ppid == ppid)
                )
                if issued is not None:
                    return issued
                row = CredentialRow(gid=gid, ppid=ppid, psvn=bytes(18), x=x, point=bytes(64), escrow=bytes(64))
                row.issued = registry.store.clock()
                session.add(row)
            return x
        except Conflict:
            continue


if __name__ == "__main__":
    from fusequote.cli import main

    this = sys.modules["__main__"]
    sys.modules["fusequote.services.http.provisioning"] = this
    # Workers know this module by its file's name, not as the program.
    import store_app

    create_app = store_app.create_app  # noqa: F811
    sys.exit(main())
