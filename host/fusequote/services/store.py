"""The services' store: what the provisioning server and the attestation service remember."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from enum import Enum

from sqlalchemy import URL, create_engine, delete, event, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from fusequote.errors import EnvironmentProblem, FormatError, UsageError
from fusequote.home import Home
from fusequote.services.tables import Base, Meta, Nonce
from fusequote.services.vault import Vault

__all__ = ["STORE_VERSION", "NonceBook", "NonceState", "Store", "utc_now"]

STORE_VERSION = "1"


def utc_now() -> datetime.datetime:
    """Now, UTC, without a zone, as the tables have it."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


class Store:
    """A database by SQLAlchemy URL (text, or a URL object), and the vault for its secret columns.

    Raises :class:`EnvironmentProblem` when it cannot be opened, :class:`FormatError` when the file is no
    database, :class:`UsageError` when its tables are of another version.
    """

    def __init__(self, url: str | URL, vault_key: bytes):
        self.vault = Vault(vault_key)
        try:
            self._engine = create_engine(url)
        except (SQLAlchemyError, ImportError, ValueError) as error:
            # ImportError: the database's driver. The part before the @ holds a password.
            raise UsageError(f"cannot use the database {str(url).split('@')[-1]}: {error}") from error
        if self._engine.dialect.name == "sqlite":
            # Writers of other processes are waited for (30 s), foreign keys are looked at, and what is said
            # to be written is on the disk.
            event.listen(self._engine, "connect", _sqlite_settings)
            event.listen(self._engine, "begin", _sqlite_begin)
        self._prepare()

    @classmethod
    def of(cls, home: Home, url: str | None = None) -> Store:
        """The store of a home folder, or the one at ``url`` with the vault key of that folder."""
        key = home.secret("store")
        if url is not None:
            return cls(url, key)
        with home.lock("store"):
            new = not home.services_db.exists()
            # Not as text: a folder's name may hold what means something in a URL.
            store = cls(URL.create("sqlite", database=str(home.services_db)), key)
            if new:
                home.services_db.chmod(0o600)
            return store

    def __repr__(self) -> str:
        return f"Store({self._engine.url.render_as_string(hide_password=True)!r})"

    def _prepare(self) -> None:
        try:
            Base.metadata.create_all(self._engine)
        except SQLAlchemyError as error:
            raise _problem(error) from error
        with self.session() as session:
            row = session.get(Meta, "version")
            if row is None:
                session.add(Meta(key="version", value=STORE_VERSION))
            elif row.value != STORE_VERSION:
                raise UsageError(f"the store's tables are of version {row.value}; this version knows {STORE_VERSION}")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back by an exception."""
        try:
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                yield session
        except SQLAlchemyError as error:
            raise _problem(error) from error


def _sqlite_begin(connection) -> None:
    # Python's driver would begin with the first write, and what was read before it could be out of date by
    # then.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _sqlite_settings(connection, _record) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "foreign_keys=ON", "busy_timeout=30000", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


#: What SQLite says of a file that is no database, or not the one that was written.
_DAMAGE = ("not a database", "malformed", "unsupported file format", "no such column", "no such table", "decode")


def _problem(error: SQLAlchemyError) -> Exception:
    cause = getattr(error, "orig", None) or error
    if any(text in str(cause) for text in _DAMAGE):
        return FormatError(
            f"the services' store is damaged: {cause}", hint="restore it from a backup, or remove it to start afresh"
        )
    return EnvironmentProblem(f"the services' store: {cause}", hint="check the disk, or the database's address")


class NonceState(Enum):
    """What :meth:`NonceBook.consume` found."""

    FRESH = "fresh"
    USED = "used"
    UNKNOWN = "unknown"


class NonceBook:
    """Nonces of one purpose, each good once among all processes that share the store, for ``lifetime``."""

    def __init__(self, store: Store, purpose: str, lifetime: datetime.timedelta):
        self._store, self._purpose, self._lifetime = store, purpose, lifetime

    def remember(self, nonce: bytes, context: bytes = b"") -> None:
        """Note a fresh nonce and what it stands for; forgets those that have been expired for a lifetime."""
        now = utc_now()
        with self._store.session() as session:
            old = now - self._lifetime
            session.execute(delete(Nonce).where(Nonce.purpose == self._purpose, Nonce.expires < old))
            session.add(Nonce(purpose=self._purpose, value=nonce, context=context, expires=now + self._lifetime))

    def consume(self, nonce: bytes) -> tuple[NonceState, bytes]:
        """Use a nonce up: FRESH once, and its context. One UPDATE decides, so no two processes can both win."""
        mine = (Nonce.purpose == self._purpose, Nonce.value == nonce)
        with self._store.session() as session:
            won = session.execute(
                update(Nonce).where(*mine, Nonce.used.is_(False), Nonce.expires >= utc_now()).values(used=True)
            ).rowcount
            row = session.execute(select(Nonce.context, Nonce.used).where(*mine)).one_or_none()
        if won and row is not None:
            return NonceState.FRESH, row.context
        return (NonceState.USED if row is not None and row.used else NonceState.UNKNOWN), b""
