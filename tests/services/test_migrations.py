"""The store's tables, version by version: every way to the newest version ends with the same tables."""

from __future__ import annotations

import importlib
import pkgutil
import sqlite3

import fusequote.services
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from fusequote.arch import Psvn
from fusequote.errors import UsageError
from fusequote.services.derivation import ProvisioningIdentity
from fusequote.services.migrate import known_versions
from fusequote.services.registry import Registry
from fusequote.services.store import Store
from fusequote.services.tables import Base
from sqlalchemy import create_engine

IDENTITY = ProvisioningIdentity(b"s" * 32, 1)
#: The tables of version 0001 as SQLAlchemy made them before there were migrations.
BEFORE_ALEMBIC = """
CREATE TABLE meta ("key" VARCHAR(32) NOT NULL, value VARCHAR(64) NOT NULL, PRIMARY KEY ("key"));
CREATE TABLE devices (ppid BLOB NOT NULL, device_id BLOB NOT NULL, rpk_sealed BLOB NOT NULL, cpusvn BLOB NOT NULL,
    revoked BOOLEAN NOT NULL, PRIMARY KEY (ppid), UNIQUE (device_id));
CREATE TABLE groups (gid BLOB NOT NULL, public_key BLOB NOT NULL, issuer_sealed BLOB NOT NULL,
    revocation_reason INTEGER, PRIMARY KEY (gid));
CREATE TABLE nonces (purpose VARCHAR(16) NOT NULL, value BLOB NOT NULL, context BLOB NOT NULL,
    expires DATETIME NOT NULL, used BOOLEAN NOT NULL, PRIMARY KEY (purpose, value));
CREATE TABLE tcb_records (gid BLOB NOT NULL, cpusvn BLOB NOT NULL, isvsvn INTEGER NOT NULL, pce_svn INTEGER NOT NULL,
    joins BOOLEAN NOT NULL, out_of_date BOOLEAN NOT NULL, configuration_needed BOOLEAN NOT NULL,
    sw_hardening_needed BOOLEAN NOT NULL, advisory_ids JSON NOT NULL, PRIMARY KEY (gid),
    FOREIGN KEY(gid) REFERENCES groups (gid));
CREATE TABLE credentials (id INTEGER NOT NULL, gid BLOB NOT NULL, ppid BLOB NOT NULL, psvn BLOB NOT NULL,
    x BLOB NOT NULL, point BLOB NOT NULL, escrow BLOB NOT NULL, issued DATETIME NOT NULL, PRIMARY KEY (id),
    UNIQUE (gid, x), FOREIGN KEY(gid) REFERENCES groups (gid), FOREIGN KEY(ppid) REFERENCES devices (ppid));
CREATE TABLE revocation_lists (gid BLOB NOT NULL, kind VARCHAR(4) NOT NULL, version INTEGER NOT NULL,
    payload BLOB NOT NULL, PRIMARY KEY (gid, kind), FOREIGN KEY(gid) REFERENCES groups (gid));
INSERT INTO meta VALUES ('version', '1');
"""


def old_store(home, version: str = "1") -> None:
    database = sqlite3.connect(home.services_db)
    database.executescript(BEFORE_ALEMBIC)
    database.execute("UPDATE meta SET value = ?", (version,))
    database.commit()
    database.close()


def all_tables() -> None:
    """Import every module that adds tables to the base."""
    for module in pkgutil.iter_modules(fusequote.services.__path__):
        if "tables" in module.name:
            importlib.import_module(f"fusequote.services.{module.name}")


def versions_in(path) -> list[tuple[str]]:
    database = sqlite3.connect(path)
    rows = database.execute("SELECT version_num FROM alembic_version").fetchall()
    database.close()
    return rows


def test_the_versions_are_one_line_and_their_names_say_it():
    config = Config()
    config.set_main_option("script_location", "fusequote.services:migrations")
    scripts = ScriptDirectory.from_config(config)
    line = [script.revision for script in scripts.walk_revisions()]
    assert line == sorted(line, reverse=True) and tuple(reversed(line)) == known_versions()
    assert scripts.get_heads() == [known_versions()[-1]]


def assert_tables_are_the_models(engine) -> None:
    all_tables()
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, Base.metadata)
    engine.dispose()
    assert differences == []


@pytest.mark.parametrize("old", [False, True], ids=["new", "from before Alembic"])
def test_the_tables_are_those_of_the_models(home, old):
    if old:
        old_store(home)
    Store.of(home).close()
    assert versions_in(home.services_db) == [(known_versions()[-1],)]
    assert_tables_are_the_models(create_engine(f"sqlite:///{home.services_db}"))


def test_what_is_in_an_older_store_stays(home):
    old_store(home)
    database = sqlite3.connect(home.services_db)
    database.execute("INSERT INTO nonces VALUES ('p', x'6e', x'', '2030-01-01 00:00:00.000000', 1)")
    database.commit()
    database.close()
    store = Store.of(home)
    registry = Registry(store, IDENTITY)
    assert registry.levels() == []
    gid = registry.create_group(Psvn())
    store.close()
    with Store.of(home).session() as session:
        assert session.connection().exec_driver_sql("SELECT used FROM nonces").scalar() == 1
    assert Registry(Store.of(home), IDENTITY).group_key(gid) is not None


def test_a_newer_store_is_refused_and_left_alone(home):
    Store.of(home).close()
    database = sqlite3.connect(home.services_db)
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.commit()
    database.close()
    with pytest.raises(UsageError, match=f"version 9999.*knows {known_versions()[-1]}") as caught:
        Store.of(home)
    assert "newer" in caught.value.hint
    assert versions_in(home.services_db) == [("9999",)]


def test_another_old_store_is_refused_and_left_alone(home):
    old_store(home, "99")
    with pytest.raises(UsageError, match="99"):
        Store.of(home)
    database = sqlite3.connect(home.services_db)
    assert not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchall()
    database.close()


def test_a_migration_that_fails_changes_nothing(home):
    """A table that is in the way, as after a restore by hand: what was changed before it is taken back."""
    old_store(home)
    database = sqlite3.connect(home.services_db)
    database.execute("CREATE INDEX nonces_by_expiry ON nonces (expires)")
    database.commit()
    before = database.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
    with pytest.raises(Exception, match="nonces_by_expiry"):
        Store.of(home)
    assert database.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall() == before
    database.close()


def test_what_older_versions_of_the_program_see(home):
    """They looked into ``meta``, and refuse what is not version 1."""
    Store.of(home).close()
    database = sqlite3.connect(home.services_db)
    assert database.execute("SELECT value FROM meta WHERE key = 'version'").fetchone() == ("alembic",)
    database.close()
