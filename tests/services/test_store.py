"""The store: one use among many who ask, and damage that is noticed."""

from __future__ import annotations

import datetime
import sqlite3
import threading

import pytest
from fusequote.arch import Psvn
from fusequote.epid import SigRl
from fusequote.errors import FormatError, FusequoteError, UsageError
from fusequote.home import Home
from fusequote.services.derivation import ProvisioningIdentity
from fusequote.services.registry import Registry
from fusequote.services.store import NonceBook, NonceState, Store
from fusequote.services.tables import Device, Nonce
from sqlalchemy import update

IDENTITY = ProvisioningIdentity(b"s" * 32, 1)
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def store(home):
    store = Store.of(home)
    yield store
    store.close()


def test_a_nonce_is_good_once_among_all(store, home):
    NonceBook(store, "p", HOUR).remember(b"n", b"context")
    results = []

    def ask():
        other = Store.of(home)
        results.append(NonceBook(other, "p", HOUR).consume(b"n"))
        other.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(state.value for state, _ in results) == ["fresh"] + ["used"] * 5
    assert (NonceState.FRESH, b"context") in results


def test_nonces_of_another_purpose_expired_and_unknown(store):
    book = NonceBook(store, "p", HOUR)
    book.remember(b"n")
    assert NonceBook(store, "q", HOUR).consume(b"n")[0] is NonceState.UNKNOWN
    with store.session() as session:
        session.execute(update(Nonce).values(expires=datetime.datetime(2000, 1, 1)))
    assert book.consume(b"n")[0] is NonceState.UNKNOWN
    book.remember(b"m")  # forgets what expired long ago
    with store.session() as session:
        assert session.get(Nonce, ("p", b"n")) is None


def test_a_device_is_registered_once(store):
    registry = Registry(store, IDENTITY)
    name = registry.register(b"d" * 16, b"k" * 16, bytes(16))
    assert registry.register(b"d" * 16, b"k" * 16, bytes(16)) == name
    with pytest.raises(UsageError):
        registry.register(b"d" * 16, b"other key 16 byt", bytes(16))
    device = registry.device(name)
    assert device.rpk == b"k" * 16 and (b"k" * 16).hex() not in repr(device) and "kkkk" not in repr(device)
    assert registry.device(bytes(16)) is None


def test_secrets_are_sealed_to_their_place(store, home):
    registry = Registry(store, IDENTITY)
    names = [registry.register(bytes([i]) * 16, bytes([i + 100]) * 16, bytes(16)) for i in range(2)]
    gid = registry.create_group(Psvn())
    files = b"".join(path.read_bytes() for path in home.root.glob("services.db*"))
    exported = registry.issuer(gid, None).export()
    assert bytes([100]) * 16 not in files and exported[260:] not in files and exported[:260] in files
    with store.session() as session:  # one device's key under the other's name
        rows = [session.get(Device, name) for name in names]
        rows[0].rpk_sealed = rows[1].rpk_sealed
    with pytest.raises(FormatError):
        registry.device(names[0])
    (home.keys / "store.key").write_bytes(bytes(32))
    other = Store.of(home)
    with pytest.raises(FormatError):
        Registry(other, IDENTITY).device(names[1])
    other.close()


def test_lists_have_versions_without_gaps(store):
    registry = Registry(store, IDENTITY)
    gid = registry.create_group(Psvn())
    group = registry.group_key(gid)
    entries = [(group.h1, group.h2), (group.h2, group.h1), (group.h1, group.h1)]
    assert registry.sigrl(gid).version == 0
    for version, entry in enumerate(entries, start=1):
        registry._next(gid, SigRl, lambda now, entry=entry: now.adding(entry))
        assert (registry.sigrl(gid).version, len(registry.sigrl(gid))) == (version, version)


def test_two_who_revoke_at_once_lose_nothing(store, home):
    gid = Registry(store, IDENTITY).create_group(Psvn())
    group = Registry(store, IDENTITY).group_key(gid)
    entries = [(a, b) for a in (group.h1, group.h2) for b in (group.h1, group.h2)]
    together = threading.Barrier(len(entries))

    def add(entry):
        other = Store.of(home)
        together.wait()
        Registry(other, IDENTITY)._next(gid, SigRl, lambda now: now.adding(entry))
        other.close()

    threads = [threading.Thread(target=add, args=(entry,)) for entry in entries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    final = Registry(store, IDENTITY).sigrl(gid)
    assert final.version == 4 and set(final.entries) == set(entries)


def test_questions_about_what_is_not_there(store):
    registry = Registry(store, IDENTITY)
    for call in (registry.tcb, registry.revoke_group, registry.revocation_reason, lambda g: registry.issuer(g, None)):
        with pytest.raises(UsageError):
            call(b"none")
    with pytest.raises(UsageError):
        registry.revoke_device(bytes(16))
    gid = registry.create_group(Psvn())
    for name in ("gid", "nothing"):
        with pytest.raises(UsageError):
            registry.update_tcb(gid, **{name: 1})


@pytest.mark.parametrize(
    "content", [b"not a database, and long enough to be taken for one" * 40, b"SQLite format 3\0" * 99]
)
def test_a_damaged_store(home, content):
    home.services_db.write_bytes(content)
    with pytest.raises(FusequoteError) as caught:
        Store.of(home)
    assert caught.value.hint


def test_a_store_is_private(store, home):
    assert home.services_db.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError):
        Store("nonsense://x", bytes(32))


def test_a_folder_may_have_what_means_something_in_a_url(tmp_path):
    home = Home(tmp_path / "a b?c=d&e#f%41@g:h")
    Store.of(home).close()
    assert home.services_db.is_file()
    assert [path.name for path in tmp_path.iterdir()] == [home.root.name]


@pytest.mark.parametrize("url", ["nonsense", "nodialect://a", "sqlite://user:pass@host:port/x", "oracle://u:pass@h/x"])
def test_an_address_that_is_none_is_said_without_its_password(home, url):
    with pytest.raises(UsageError, match="cannot use the database") as caught:
        Store.of(home, url)
    assert "pass" not in str(caught.value)


def test_a_file_with_other_columns_is_damaged(home):
    Store.of(home).close()
    database = sqlite3.connect(home.services_db)
    database.execute("ALTER TABLE devices RENAME COLUMN revoked TO ravoked")
    database.commit()
    database.close()
    store = Store.of(home)
    with pytest.raises(FormatError, match="the services' store is damaged"):
        Registry(store, IDENTITY).device(b"p" * 16)
    store.close()
