"""The services' store: what the provisioning server and the attestation service remember."""

from __future__ import annotations

import contextlib
import datetime
import secrets
from collections.abc import Callable, Iterator
from enum import Enum

from sqlalchemy import URL, delete, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from fusequote.home import Home
from fusequote.services.database import Conflict, StoreDamaged, StoreUnavailable, explain, make_engine
from fusequote.services.migrate import bring_up_to_date
from fusequote.services.tables import Meta, Nonce
from fusequote.services.vault import Vault

__all__ = ["Clock", "Conflict", "NonceBook", "NonceState", "Store", "StoreDamaged", "StoreUnavailable", "utc_now"]

#: Gives now: UTC, without a zone, as the tables have it.
Clock = Callable[[], datetime.datetime]


def utc_now() -> datetime.datetime:
    """Now, UTC, without a zone, as the tables have it."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


class Store:
    """A database by SQLAlchemy URL (text, or a URL object), and the vault for its secret columns.

    Tables of an older version are brought up to date. ``clock`` is what its nonces and rows take their time from.

    Raises :class:`StoreUnavailable` when it cannot be opened, :class:`StoreDamaged` when the file is no
    database, :class:`UsageError` when its tables are of a newer version or the URL is none.
    """

    def __init__(self, url: str | URL, vault_key: bytes, clock: Clock = utc_now):
        self.vault = Vault(vault_key)
        self.clock = clock
        self._engine = make_engine(url)
        options = {"reading": True}
        if self._engine.dialect.name == "postgresql":
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reader = self._engine.execution_options(**options)
        try:
            bring_up_to_date(self._engine)
        except SQLAlchemyError as error:
            raise explain(error) from error

    @classmethod
    def of(cls, home: Home, url: str | None = None, clock: Clock = utc_now) -> Store:
        """The store of a home folder, or the one at ``url`` with the vault key of that folder."""
        key = home.secret("store")
        if url is not None:
            return cls(url, key, clock)
        with home.lock("store"):
            new = not home.services_db.exists()
            # Not as text: a folder's name may hold what means something in a URL.
            store = cls(URL.create("sqlite", database=str(home.services_db)), key, clock)
            if new:
                home.services_db.chmod(0o600)
            return store

    def __repr__(self) -> str:
        return f"Store({self._engine.url.render_as_string(hide_password=True)!r})"

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def check(self) -> None:
        """Whether it can be read and written now. Raises what :meth:`session` raises."""
        # Another value each time: SQLite writes nothing when nothing changes.
        value = secrets.token_hex(8)
        # Of two that make the row at once, the other has shown that it can be written.
        with contextlib.suppress(Conflict), self.session() as session:
            if not session.execute(update(Meta).where(Meta.key == "checked").values(value=value)).rowcount:
                session.add(Meta(key="checked", value=value))

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back by an exception.

        Raises :class:`Conflict` when something unique is there already, :class:`StoreUnavailable`,
        :class:`StoreDamaged`; then nothing was changed.
        """
        try:
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                yield session
        except SQLAlchemyError as error:
            raise explain(error) from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that only reads, all from one state of the store. It waits for no writer."""
        try:
            with Session(self._reader, expire_on_commit=False) as session, session.begin():
                yield session
        except SQLAlchemyError as error:
            raise explain(error) from error


class NonceState(Enum):
    """What :meth:`NonceBook.consume` found."""

    FRESH = "fresh"
    USED = "used"
    UNKNOWN = "unknown"


#: How far apart the clocks of processes that share a store may be.
SKEW = datetime.timedelta(minutes=5)
#: How many nonces of the past one call clears away at most.
_SWEEP = 100


class NonceBook:
    """Nonces of one purpose, each good once among all processes that share the store, for ``lifetime``.

    A clock that jumps makes nonces of before the jump unknown, in either direction, and no nonce good for longer.
    """

    def __init__(self, store: Store, purpose: str, lifetime: datetime.timedelta):
        self._store, self._purpose, self._lifetime = store, purpose, lifetime

    def remember(self, nonce: bytes, context: bytes = b"") -> None:
        """Note a fresh nonce and what it stands for; forgets some of those that are of no use any more.

        Raises :class:`Conflict` when it was noted before.
        """
        now = self._store.clock()
        # Used ones are kept for another lifetime, to be told from unknown ones; both are refused.
        useless = (Nonce.expires < now - self._lifetime) | (Nonce.expires > now + self._lifetime + SKEW)
        some = select(Nonce.value).where(Nonce.purpose == self._purpose, useless).limit(_SWEEP)
        # Rows that another process is clearing away at this moment are left to it.
        some = some.with_for_update(skip_locked=True)
        with self._store.session() as session:
            old = session.scalars(some).all()
            if old:
                session.execute(delete(Nonce).where(Nonce.purpose == self._purpose, Nonce.value.in_(old)))
            session.add(Nonce(purpose=self._purpose, value=nonce, context=context, expires=now + self._lifetime))

    def consume(self, nonce: bytes) -> tuple[NonceState, bytes]:
        """Use a nonce up: FRESH once, and its context. One UPDATE decides, so no two processes can both win."""
        now = self._store.clock()
        mine = (Nonce.purpose == self._purpose, Nonce.value == nonce)
        good = (Nonce.used.is_(False), Nonce.expires >= now, Nonce.expires <= now + self._lifetime + SKEW)
        with self._store.session() as session:
            won = session.execute(update(Nonce).where(*mine, *good).values(used=True)).rowcount
            row = session.execute(select(Nonce.context, Nonce.used).where(*mine)).one_or_none()
        if won and row is not None:
            return NonceState.FRESH, row.context
        return (NonceState.USED if row is not None and row.used else NonceState.UNKNOWN), b""
