"""An SQLAlchemy engine as the store wants it, and what its errors mean to a caller."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from fusequote.errors import EnvironmentProblem, FormatError, FusequoteError, UsageError

__all__ = ["Conflict", "StoreDamaged", "StoreUnavailable", "explain", "make_engine"]

#: How long a writer waits for other writers, and a statement may take, in milliseconds.
LOCK_WAIT_MS = 15_000
STATEMENT_MS = 30_000
#: Connections of one process: kept, more for a short time, and how long to wait for one, in seconds.
POOL = {"pool_size": 8, "max_overflow": 32, "pool_timeout": 15}


class StoreUnavailable(EnvironmentProblem):
    """The database cannot be reached or cannot write now. Nothing was changed; the same call may succeed later."""

    kind = "store-unavailable"


class StoreDamaged(FormatError):
    """The database is not the one that was written: damaged, altered, or under another key."""

    kind = "store-damaged"


class Conflict(FusequoteError):
    """What must be there once is there already: somebody else was first, or a number was drawn twice."""

    kind = "conflict"


def make_engine(url: str | URL) -> Engine:
    """The engine for an SQLAlchemy URL; ``postgresql://`` is PostgreSQL by psycopg.

    Transactions are writers from their beginning in SQLite; with the execution option ``reading`` they are snapshots
    that wait for nobody. Raises :class:`UsageError` for a URL that is none, or of a database whose driver is missing.
    """
    try:
        address = make_url(url)
        if address.drivername == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        options: dict[str, Any] = {"hide_parameters": True}  # values in an error's text would reach the log
        if address.get_backend_name() == "postgresql":
            # A database that went away is noticed before a connection is used, and while it is.
            options |= POOL | {"pool_pre_ping": True}
            options["connect_args"] = {"connect_timeout": 5, "tcp_user_timeout": STATEMENT_MS}
        elif address.get_backend_name() == "sqlite" and address.database not in (None, "", ":memory:"):
            options |= POOL
        engine = create_engine(address, **options)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        # ImportError: the database's driver. The part before the @ holds a password.
        raise UsageError(f"cannot use the database {str(url).split('@')[-1]}: {error}") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_settings)
        event.listen(engine, "begin", _sqlite_begin)
    elif engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _postgresql_settings)
    return engine


def _sqlite_begin(connection) -> None:
    # Python's driver would begin with the first write, and what was read before it could be out of date by then.
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _sqlite_settings(connection, _record) -> None:
    # Writers of other processes are waited for, foreign keys are looked at, and what is said to be written is on the
    # disk. The wait comes first: the journal's mode is a write, too, when it is changed.
    connection.isolation_level = None
    cursor = connection.cursor()
    for setting in (f"busy_timeout={LOCK_WAIT_MS}", "journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _postgresql_settings(connection, _record) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = {STATEMENT_MS}")
        cursor.execute(f"SET lock_timeout = {LOCK_WAIT_MS}")
        cursor.execute("SET idle_in_transaction_session_timeout = '5min'")
    connection.commit()


#: What SQLite says of a file that is no database, or not the one that was written.
_DAMAGE = ("not a database", "malformed", "unsupported file format", "no such column", "no such table", "decode")
#: SQLSTATE classes of PostgreSQL that mean the same: undefined column, undefined table; data and index corrupted.
_DAMAGE_STATES = frozenset({"42703", "42P01", "XX001", "XX002"})


def explain(error: SQLAlchemyError) -> FusequoteError:
    """The error of ours for one of SQLAlchemy's; its text names no value and no password."""
    cause = getattr(error, "orig", None) or error
    said = " ".join(str(cause).split())
    if isinstance(error, IntegrityError):
        return Conflict("this is in the services' store already, or stands on something that is not")
    if any(text in said for text in _DAMAGE) or getattr(cause, "sqlstate", None) in _DAMAGE_STATES:
        return StoreDamaged(
            f"the services' store is damaged: {said}", hint="restore it from a backup, or remove it to start afresh"
        )
    return StoreUnavailable(f"the services' store: {said}", hint="check the disk, or the database's address")
