"""Several server processes share one store, in SQLite and in PostgreSQL."""

from __future__ import annotations

import multiprocessing

import pytest
import store_race
from fusequote.errors import UsageError
from fusequote.services.migrate import known_versions
from fusequote.services.store import Conflict, NonceBook, Store, StoreUnavailable
from pg import cluster, store_url  # noqa: F401
from sqlalchemy import create_engine, text
from test_migrations import assert_tables_are_the_models

PROCESSES = 3
_SPAWN = multiprocessing.get_context("spawn")


def together(name: str, url: str, *arguments: object) -> list:
    """What ``name`` of store_race gives in each of several processes that begin at once."""
    go, out = _SPAWN.Barrier(PROCESSES), _SPAWN.Queue()
    children = [
        _SPAWN.Process(target=store_race.child, args=(out, name, url, go, *arguments), daemon=True)
        for _ in range(PROCESSES)
    ]
    for process in children:
        process.start()
    results = [out.get(timeout=300) for _ in children]
    for process in children:
        process.join()
    assert all(good for good, _ in results), results
    return [value for _, value in results]


def test_those_who_open_a_new_store_at_once_make_it_once(store_url):  # noqa: F811
    assert together("arrive", store_url) == ["0 levels"] * PROCESSES
    store = Store(store_url, bytes(32))
    with store.reading() as session:
        assert session.scalars(text("SELECT version_num FROM alembic_version")).all() == [known_versions()[-1]]
    store.close()
    assert_tables_are_the_models(create_engine(store_url.replace("postgresql:", "postgresql+psycopg:")))


def test_nothing_is_accepted_or_issued_twice_and_lists_have_no_gaps(store_url):  # noqa: F811
    gid, ppids = store_race.prepare(store_url, 30)
    results = together("race", store_url, gid, ppids)
    accepted = [nonce for result in results for nonce in result["accepted"]]
    assert sorted(accepted) == sorted(store_race.NONCES), "each nonce was accepted by exactly one"
    issued = results[0]["issued"]
    assert all(result["issued"] == issued for result in results), "who asked again got the same"
    assert len(set(issued.values())) == len(ppids), "no x was issued twice"
    versions = sorted(version for result in results for version in result["versions"])
    assert versions == list(range(1, PROCESSES * store_race.REVOCATIONS + 1))
    registry = store_race.open_store(store_url)
    final = registry.privrl(gid)
    assert (final.version, len(final)) == (versions[-1], len(versions)), "no entry was lost"
    registry.store.close()


def test_a_newer_store_is_refused_in_both(store_url):  # noqa: F811
    store = Store(store_url, bytes(32))
    with store.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(UsageError, match="9999"):
        Store(store_url, bytes(32))


def test_what_is_there_already_is_a_conflict(store_url):  # noqa: F811
    store = Store(store_url, bytes(32))
    book = NonceBook(store, "p", store_race.LIFETIME)
    book.remember(b"n", b"secret context")
    with pytest.raises(Conflict) as caught:
        book.remember(b"n", b"secret context")
    assert "secret" not in str(caught.value)
    with pytest.raises(StoreUnavailable), store.reading() as session:
        session.execute(text("DELETE FROM nonces"))
        session.connection().exec_driver_sql("SELECT nonsense(")
    store.close()


def test_a_database_that_is_not_there(tmp_path):
    with pytest.raises(StoreUnavailable):
        Store(f"sqlite:///{tmp_path}/none/store.db", bytes(32))
    with pytest.raises(StoreUnavailable) as caught:
        Store(f"postgresql://u:hunter2@/none?host={tmp_path}", bytes(32))
    assert "hunter2" not in str(caught.value)
