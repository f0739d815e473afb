"""What goes wrong around a server: disk, database, clock, workers. Clear answers, and no restart when it is over."""

from __future__ import annotations

import asyncio
import datetime
import os
import resource
import signal

import httpx
import pytest
import store_app
from fusequote.errors import UsageError
from fusequote.services.clock import ClockProblem, SystemClock
from fusequote.services.http.server import dress, open_context
from fusequote.services.http.settings import ServerSettings
from fusequote.services.http.workers import WorkerLost, WorkerPool, WorkersBusy, WorkerTimeout
from fusequote.services.services import Services
from fusequote.services.store import NonceBook, NonceState, Store
from fusequote.verdict import Reason, refuse
from pg import cluster  # noqa: F401
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
def test_nonces_of_before_a_jump_are_unknown_and_new_ones_good(home, jump):
    now = [NOW]
    store = Store.of(home, clock=lambda: now[0])
    book = NonceBook(store, "p", 10 * MINUTES)
    book.remember(b"before")
    now[0] += jump * MINUTES
    assert book.consume(b"before")[0] is NonceState.UNKNOWN
    book.remember(b"after")
    assert book.consume(b"after")[0] is NonceState.FRESH and book.consume(b"after")[0] is NonceState.USED
    now[0] = NOW + MINUTES
    assert book.consume(b"after")[0] is not NonceState.FRESH
    store.close()


def test_a_clock_that_is_a_little_behind_is_borne(home):
    now = [NOW]
    store = Store.of(home, clock=lambda: now[0])
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


def test_a_server_whose_clock_is_wrong_says_so_until_it_is_right(home):
    wall = [1.9e9]
    services = Services(home, clock=SystemClock(wall=lambda: wall[0]))
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


def double(number: int) -> int:
    return 2 * number


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
    import threading

    return threading.Lock()


def test_workers():
    lost = []
    pool = WorkerPool(1, timeout=20, lost=lambda: lost.append(1))
    try:
        assert pool.submit(double, 21).result(60) == 42
        with pytest.raises(WorkerLost):
            pool.submit(die).result(60)
        # The one thread of the pool reports a lost worker before it takes the next job.
        assert pool.submit(double, 1).result(60) == 2
        assert len(lost) == 2, "the job was tried twice"
        assert pool.submit(double, 1).result(60) == 2
        refused = pool.submit(complain, "refused").exception(60)
        assert refused.reason == Reason.QUOTE_FORMAT and "seen" in refused.detail
        wrong = pool.submit(complain, "usage").exception(60)
        assert (type(wrong), str(wrong), wrong.hint) == (UsageError, "wrong", "do it otherwise")
        assert "cannot be sent" in str(pool.submit(give_a_lock).exception(60))
        assert isinstance(pool.submit(lambda: 0).exception(60), Exception), "what cannot be sent is said"
        assert pool.submit(double, 2).result(60) == 4
        pool._timeout = 0.2
        with pytest.raises(WorkerTimeout):
            pool.submit(hang).result(60)
        pool._timeout = 20
        assert pool.submit(double, 3).result(60) == 6
    finally:
        pool.close()
    with pytest.raises(WorkersBusy):
        pool.submit(double, 1)


def test_too_many_jobs_are_refused_and_those_that_wait_when_it_closes():
    pool = WorkerPool(1, waiting=1, timeout=1)
    running = pool.submit(hang)
    while not running.running():
        pass
    waiting = pool.submit(double, 1)
    with pytest.raises(WorkersBusy):
        pool.submit(double, 1)
    pool.close()
    assert isinstance(waiting.exception(60), WorkersBusy) and isinstance(running.exception(60), WorkerTimeout)
