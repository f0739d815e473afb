"""kill -9 of a server at any moment under load: nothing acknowledged is lost, nothing is issued twice, and a client
that tries again ends well.
"""

from __future__ import annotations

import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import store_race
from fusequote.epid import PrivRl
from fusequote.home import Home
from fusequote.services.registry import Registry
from fusequote.services.store import NonceBook, NonceState, Store
from fusequote.services.tables import CredentialRow
from pg import cluster  # noqa: F401
from serving import Server, Siblings, compiled_once
from sqlalchemy import select

CLIENTS = 4


class Clients:
    """They ask for nonces, credentials and revocations until they are told to stop, and note what was acknowledged."""

    def __init__(self, url: str, gid: bytes):
        self._url, self._gid = url, gid.hex()
        self.stop, self.go = threading.Event(), threading.Event()
        self.go.set()
        self.nonces: list[str] = []
        self.spent: list[str] = []
        self.issued: dict[str, str] = {}
        self.versions: list[int] = []
        self.refused: list[str] = []
        self.answers = self.lost = 0
        self._client = threading.local()

    def run(self) -> None:
        # Plain HTTP: no time for a TLS context.
        with httpx.Client(timeout=60, verify=False) as client:
            self._client.http = client
            self._run()

    def _run(self) -> None:
        while not self.stop.is_set():
            nonce = self._ask("/nonce")["nonce"]
            self.nonces.append(nonce)
            if secrets.randbits(1):
                # Sent again after a crash it may have been used up by the first time, whose answer was lost.
                state = self._ask(f"/consume/{nonce}")["state"]
                (self.spent if state == "fresh" else self.refused).append(nonce)
            ppid = self._ask(f"/device/{secrets.token_hex(16)}")["ppid"]
            self.issued[ppid] = self._ask(f"/issue/{self._gid}/{ppid}")["x"]
            self.versions.append(self._ask(f"/revoke/{self._gid}")["version"])

    def _ask(self, path: str) -> dict:
        """Ask until there is an answer, whichever process gives it."""
        while True:
            self.go.wait()
            try:
                answer = self._client.http.post(self._url + path)
            except httpx.TransportError:
                self.lost += 1
                self.stop.wait(0.02)
                continue
            self.answers += 1
            if answer.status_code == 200:
                return answer.json()
            assert answer.status_code == 503, answer.text


def kill_again_and_again(home: Home, url: str | None, folder: Path, times: int, count: int) -> None:
    store = Store.of(home, url)
    registry = Registry(store, store_race.IDENTITY)
    gid = registry.create_group(store_race.Psvn())
    began = time.monotonic()
    environment = (compiled_once(folder) if count > 1 else {}) | ({} if url is None else {"FUSEQUOTE_SERVE_STORE": url})

    def make(options: tuple[str, ...], wait: bool) -> Server:
        # No limit on these clients.
        options = ("--workers", "0", "--set", "rate=0", *options)
        return Server(home, *options, log=folder / "log", environment=environment, wait=wait)

    family = Siblings(make, count)
    clients = Clients(family.url, gid)
    try:
        with ThreadPoolExecutor(CLIENTS) as threads:
            running = [threads.submit(clients.run) for _ in range(CLIENTS)]
            try:
                while family.killed < times:
                    # Somewhere in the next few answers' work.
                    until = clients.answers + 1 + secrets.randbelow(20)
                    while clients.answers < until:
                        for future in running:
                            if future.done():
                                future.result()
                        # Where nobody serves, those that start have the processor for themselves.
                        (clients.go.set if family.serving() else clients.go.clear)()
                        clients.stop.wait(0.002)
                    family.kill_one()
            finally:
                while not family.serving():
                    clients.go.clear()
                    clients.stop.wait(0.01)
                clients.stop.set()
                clients.go.set()
            for future in running:
                future.result()
        assert family.end() == [0] * count
    finally:
        family.kill_all()
    check(clients, registry, gid)
    store.close()
    print(
        f"{times} kills, {family.killed_early} more before they served: {clients.answers} operations acknowledged, "
        f"none lost or done twice, {clients.lost} attempts broken off, in {time.monotonic() - began:.0f} s"
    )


def check(clients: Clients, registry: Registry, gid: bytes) -> None:
    store = registry.store
    with store.reading() as session:
        rows = session.execute(select(CredentialRow.ppid, CredentialRow.x)).all()
    stored = {ppid.hex(): x.hex() for ppid, x in rows}
    assert len(rows) == len(stored) == len(set(stored.values())), "a credential for each device, an x for each"
    assert clients.issued.items() <= stored.items(), "what was acknowledged is there"
    assert len(set(clients.versions)) == len(clients.versions), "no version was given twice"
    final = registry._current(gid, PrivRl)
    assert final.version == len(final) >= max(clients.versions), "no version without its entry"
    assert set(clients.spent).isdisjoint(clients.refused)
    book = NonceBook(store, "test", store_race.LIFETIME)
    for nonce in clients.spent:
        assert book.consume(bytes.fromhex(nonce))[0] is NonceState.USED, "never good a second time"
    for nonce in set(clients.nonces) - set(clients.spent) - set(clients.refused):
        assert book.consume(bytes.fromhex(nonce))[0] is NonceState.FRESH, "remembered"


def test_kill_5_times(home, tmp_path):
    kill_again_and_again(home, None, tmp_path, 5, 1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_kill_100_times(home, tmp_path, request, database):
    url = request.getfixturevalue("cluster").new_database() if database == "postgresql" else None
    kill_again_and_again(home, url, tmp_path, 100, 3)
