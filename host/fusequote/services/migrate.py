"""Brings a store's tables to the version of this program, one process at a time."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from fusequote.errors import UsageError

__all__ = ["bring_up_to_date", "known_versions", "version_of"]

_FOLDER = Path(__file__).with_name("migrations")
#: What ``meta`` says in a store that was made before Alembic.
_BEFORE_ALEMBIC = "1"
#: PostgreSQL's advisory lock of those who migrate: "fq-store" as a number.
_ADVISORY_LOCK = int.from_bytes(b"fq-store")


@cache
def known_versions() -> tuple[str, ...]:
    """All versions that this program can bring a store to, oldest first: four digits each."""
    return tuple(sorted(path.name[:4] for path in _FOLDER.glob("versions/[0-9][0-9][0-9][0-9]_*.py")))


def version_of(connection: Connection) -> str | None:
    """The version of the tables there; None for a store from before Alembic, and for an empty database.

    Raises :class:`UsageError` for a version of which this program knows nothing.
    """
    tables = inspect(connection)
    if tables.has_table("alembic_version"):
        found = connection.scalar(text("SELECT version_num FROM alembic_version"))
        known = found is None or found in known_versions()
    else:
        meta = tables.has_table("meta")
        found = connection.scalar(text("SELECT value FROM meta WHERE key = 'version'")) if meta else None
        known, found = found in (None, _BEFORE_ALEMBIC), None if found == _BEFORE_ALEMBIC else found
    if not known:
        raise UsageError(
            f"the store's tables are of version {found}; this version of fusequote knows {known_versions()[-1]}",
            hint="use the version of fusequote that wrote the store, or a newer one",
        )
    return found


def bring_up_to_date(engine: Engine) -> None:
    """Make missing tables and change older ones, in one transaction; others who want the same wait for it.

    Raises :class:`UsageError` for a store of a newer version, which is left as it is.
    """
    latest = known_versions()[-1]
    with engine.execution_options(reading=True).connect() as connection:
        if version_of(connection) == latest:
            return
    # SQLite's transactions begin as writers (BEGIN IMMEDIATE), which is the lock.
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        if version_of(connection) != latest:
            _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    # Alembic is loaded when there is something to do only: a quarter of a second.
    from alembic import command
    from alembic.config import Config

    config = Config()
    # The value is a format string to Alembic.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
