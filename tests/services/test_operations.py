"""What goes wrong around a server: disk, database, clock, workers. Clear answers, and no restart when it is over."""

from __future__ import annotations

import asyncio
import datetime
import os
import resource
import signal
import sqlite3
import threading

import httpx
import pytest
import store_app
from fusequote.errors import UsageError
from fusequote.services import database
from fusequote.services.clock import ClockProblem, SystemClock
from fusequote.services.http import workers
from fusequote.services.http.server import dress, open_context
from fusequote.services.http.settings import ServerSettings
from fusequote.services.http.workers import WorkerLost, WorkerPool, WorkersBusy, WorkerTimeout
from fusequote.services.services import Services
from fusequote.services.store import NonceBook, NonceState, Store
from fusequote.verdict import Reason, refuse
from pg import cluster, store_url  # noqa: F401
from serving import serving

NOW = datetime.datetime(2030, 1, 1)
MINUTES = datetime.timedelta(minutes=1)


def unavailable(answer: httpx.Response) -> bool:
    return (
        answer.status_code == 503
        and answer.json()["error"]["kind"] == "store-unavailable"
        and int(answer.headers["retry-after"]) > 0
    )


def test_a_full_disk(home, tmp_path):
    """No file may grow any more for a while: a server's log and SQLite's files are all refused by the system."""
    with serving(home, log=tmp_path / "log") as server, server.client() as client:
        kept = client.post("/nonce").json()["nonce"]
        before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
        answers = [client.post("/nonce") for _ in range(3)]
        health = client.get("/healthz")
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)
        assert all(map(unavailable, answers)), [answer.text for answer in answers]
        assert health.status_code == 503 and health.json()["kind"] == "store-unavailable"
        assert client.post(f"/consume/{kept}").json() == {"state": "fresh"}, "what was acknowledged is there"
        assert client.post("/nonce").status_code == 200
        assert 'kind="store-unavailable"' in client.get("/metrics").text


def test_a_full_disk_under_postgresql(home, tmp_path, cluster):  # noqa: F811
    """Its write-ahead log cannot be written: it gives up all connections and recovers, and the server goes along."""
    url = cluster.new_database()
    environment = {"FUSEQUOTE_SERVE_STORE": url}
    with serving(home, log=tmp_path / "log", environment=environment) as server, server.client() as client:
        kept = client.post("/nonce").json()["nonce"]
        cluster.fill_disk(url)
        answer = client.post("/nonce")
        assert unavailable(answer), answer.text
        while (answer := client.post(f"/consume/{kept}")).status_code != 200:
            assert unavailable(answer), answer.text
        assert answer.json() == {"state": "fresh"}, "what was acknowledged is there"
        assert client.post("/nonce").status_code == 200
        assert 'kind="store-unavailable"' in client.get("/metrics").text


def test_a_store_that_another_process_holds(home, monkeypatch):
    """SQLite has no connection to lose, but somebody may sit on the file."""
    monkeypatch.setattr(database, "LOCK_WAIT_MS", 50)
    context = open_context(home, ServerSettings(workers=0))
    app = dress(store_app.create_app(context), context)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
    other = sqlite3.connect(home.services_db, isolation_level=None)

    async def ask() -> list[httpx.Response]:
        kept = (await client.post("/nonce")).json()["nonce"]
        other.execute("BEGIN EXCLUSIVE")
        held = [await client.post(path) for path in ("/nonce", f"/consume/{kept}")]
        other.execute("ROLLBACK")
        return [*held, await client.post(f"/consume/{kept}")]

    *held, last = asyncio.run(ask())
    context.close()
    other.close()
    assert all(map(unavailable, held)), [answer.text for answer in held]
    assert last.json() == {"state": "fresh"}


def test_a_database_that_goes_away_and_comes_back(home, tmp_path, cluster):  # noqa: F811
    url = cluster.new_database()
    environment = {"FUSEQUOTE_SERVE_STORE": url}
    with serving(home, log=tmp_path / "log", environment=environment) as server, server.client() as client:
        kept = client.post("/nonce").json()["nonce"]
        cluster.stop()
        try:
            answers = [client.post("/nonce") for _ in range(3)]
        finally:
            cluster.start()
        assert all(map(unavailable, answers)), [answer.text for answer in answers]
        assert client.post(f"/consume/{kept}").json() == {"state": "fresh"}
        assert client.get("/metrics").status_code == 200


def test_a_store_that_is_damaged_is_not_the_clients_fault(home, tmp_path):
    with serving(home, log=tmp_path / "log") as server, server.client() as client:
        store = Store.of(home)
        with store.session() as session:
            session.connection().exec_driver_sql("ALTER TABLE nonces RENAME TO gone")
        answer = client.post("/nonce")
        assert answer.status_code == 503 and answer.json()["error"]["kind"] == "store-damaged"
        with store.session() as session:
            session.connection().exec_driver_sql("ALTER TABLE gone RENAME TO nonces")
        store.close()
        assert client.post("/nonce").status_code == 200


# the clock


@pytest.mark.parametrize("jump", [60 * 24 * 365, 11, -60, -60 * 24 * 365 * 20], ids=lambda jump: f"{jump} minutes")
def test_nonces_of_before_a_jump_are_unknown_and_new_ones_good(store_url, jump):  # noqa: F811
    now = [NOW]
    store = Store(store_url, bytes(32), lambda: now[0])
    book = NonceBook(store, "p", 10 * MINUTES)
    book.remember(b"before")
    now[0] += jump * MINUTES
    assert book.consume(b"before")[0] is NonceState.UNKNOWN
    book.remember(b"after")
    assert book.consume(b"after")[0] is NonceState.FRESH and book.consume(b"after")[0] is NonceState.USED
    now[0] = NOW + MINUTES
    assert book.consume(b"after")[0] is not NonceState.FRESH
    store.close()


def test_a_clock_that_is_a_little_behind_is_borne(store_url):  # noqa: F811
    now = [NOW]
    store = Store(store_url, bytes(32), lambda: now[0])
    book = NonceBook(store, "p", 10 * MINUTES)
    book.remember(b"n")
    now[0] -= 4 * MINUTES
    assert book.consume(b"n")[0] is NonceState.FRESH
    store.close()


def test_the_clock_notices_that_it_was_set():
    wall, steady, jumps = [1.9e9], [100.0], []
    clock = SystemClock(jumps.append, lambda: wall[0], lambda: steady[0])
    for step in (1, 3600):
        wall[0], steady[0] = wall[0] + step, steady[0] + step
        clock()
    assert jumps == []
    wall[0] += 500
    assert clock() == datetime.datetime.fromtimestamp(1.9e9 + 4101, datetime.UTC).replace(tzinfo=None)
    assert jumps == [500]
    for wrong in (0, -1e30, 4e9, 1e18):
        wall[0] = wrong
        with pytest.raises(ClockProblem):
            clock()
    wall[0] = 1.9e9
    clock()


def test_a_server_whose_clock_is_wrong_says_so_until_it_is_right(home, store_url):  # noqa: F811
    wall = [1.9e9]
    services = Services(home, store_url, clock=SystemClock(wall=lambda: wall[0]))
    context = open_context(home, ServerSettings(workers=0), services)
    app = dress(store_app.create_app(context), context)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")

    async def ask() -> list[httpx.Response]:
        first = await client.post("/nonce")
        wall[0] = 0
        wrong = await client.post("/nonce")
        wall[0] = 1.9e9
        return [first, wrong, await client.post("/nonce")]

    first, wrong, last = asyncio.run(ask())
    context.close()
    assert (first.status_code, last.status_code) == (200, 200)
    assert wrong.status_code == 503 and wrong.json()["error"]["kind"] == "clock" and "retry-after" in wrong.headers
    assert b"fusequote_clock_jumps_total 2.0" in context.metrics.text()


# workers


def double(value):
    return 2 * value


def hang() -> None:
    while True:
        signal.pause()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def complain(kind: str) -> None:
    if kind == "refused":
        raise refuse(Reason.QUOTE_FORMAT, "seen")
    raise UsageError("wrong", hint="do it otherwise")


def give_a_lock() -> object:
    return threading.Lock()


def failure(pool, *call):
    """What running this raises."""

    async def ask():
        with pytest.raises(Exception) as caught:
            await pool.run(*call)
        return caught.value

    return ask()


def test_workers():
    lost = []
    pool = WorkerPool(1, timeout=20, lost=lambda: lost.append(1))

    async def ask() -> None:
        assert await pool.run(double, 21) == 42
        assert isinstance(await failure(pool, die), WorkerLost)
        assert len(lost) == 2, "the job was tried twice"
        assert await pool.run(double, 1) == 2
        refused = await failure(pool, complain, "refused")
        assert refused.reason == Reason.QUOTE_FORMAT and "seen" in refused.detail
        wrong = await failure(pool, complain, "usage")
        assert (type(wrong), str(wrong), wrong.hint) == (UsageError, "wrong", "do it otherwise")
        assert "cannot be sent" in str(await failure(pool, give_a_lock))
        assert await failure(pool, lambda: 0), "what cannot be sent is said"
        assert await pool.run(double, 2) == 4
        pool._timeout = 0.2
        assert isinstance(await failure(pool, hang), WorkerTimeout)
        pool._timeout = 20
        assert await pool.run(double, 3) == 6
        large = "x" * (3 << 20)  # more than fits into a socket at once, both ways
        assert await pool.run(double, large) == 2 * large
        assert len(lost) == 3

    try:
        asyncio.run(ask())
    finally:
        pool.close()
    assert isinstance(asyncio.run(failure(pool, double, 1)), WorkersBusy)


def test_a_worker_that_dies_while_it_waits_is_replaced():
    lost = []
    pool = WorkerPool(1, timeout=20, lost=lambda: lost.append(1))

    async def ask() -> None:
        first = await pool.run(os.getpid)
        os.kill(first, signal.SIGKILL)
        while not lost:
            await asyncio.sleep(0)
        assert await pool.run(os.getpid) not in (first, os.getpid())

    try:
        asyncio.run(ask())
    finally:
        pool.close()


def test_a_job_that_was_given_up_ends_before_the_worker_takes_the_next():
    pool = WorkerPool(1, timeout=20)

    async def ask() -> None:
        given_up = asyncio.ensure_future(pool.run(double, 1))
        not_begun = asyncio.ensure_future(pool.run(die))
        await asyncio.sleep(0)
        given_up.cancel()
        not_begun.cancel()
        assert await pool.run(double, 5) == 10, "not the answer to another question"

    try:
        asyncio.run(ask())
    finally:
        pool.close()


@pytest.mark.parametrize("count", [0, 1])
def test_too_many_jobs_are_refused_and_those_that_wait_when_it_closes(count, monkeypatch):
    monkeypatch.setattr(workers, "_PATIENCE", 0.1)  # with the worker that hangs
    pool = WorkerPool(count, waiting=1, timeout=60)
    release = threading.Event()

    async def ask() -> None:
        running = asyncio.ensure_future(pool.run(hang) if count else pool.run(release.wait))
        await asyncio.sleep(0)
        while pool.waiting:
            await asyncio.sleep(0)
        waiting = asyncio.ensure_future(pool.run(double, 1))
        await asyncio.sleep(0)
        assert pool.waiting == 1 and isinstance(await failure(pool, double, 1), WorkersBusy)
        release.set()
        pool.close()
        found = await asyncio.gather(running, waiting, return_exceptions=True)
        if count:
            assert [type(error) for error in found] == [WorkersBusy] * 2
        else:
            assert found[0] is True, "what had begun came to its end"

    asyncio.run(ask())
