"""What was read from the store and still holds: kept until the store changes, whoever changes it.

SQLite tells by a counter, at a hundredth of the price of reading, whether anybody has committed anything. Other
databases have no such counter: there everything is read for each report.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from fusequote.services.database import explain
from fusequote.services.store import Store

__all__ = ["Recent"]

#: Values that are kept; when there are more, all are forgotten.
KEPT = 4096
Value = TypeVar("Value")


class Recent:
    """Values by key, of one state of the store. Threads may share one."""

    def __init__(self, store: Store):
        self._store = store
        self._lock = threading.Lock()
        self._connection: Any = None
        self._around: Any = None
        self._counts: bool | None = None
        self._state: int | None = None
        self._values: dict[Hashable, Any] = {}

    def get(self, key: Hashable, read: Callable[[], Value | None]) -> Value | None:
        """The value under ``key``: kept, or what ``read`` finds now. None is found anew each time."""
        with self._lock:
            # The counter first: what is read after it may be newer than it says, and is forgotten too early then,
            # never too late.
            state = self._counter()
            if state is not None:
                if state != self._state or len(self._values) > KEPT:
                    self._state, self._values = state, {}
                if key in self._values:
                    return self._values[key]
        value = read()
        if state is not None and value is not None:
            with self._lock:
                if state == self._state:
                    self._values[key] = value
        return value

    def _counter(self) -> int | None:
        """SQLite's count of others' commits, None in another database. Raises as the store does."""
        if self._counts is False:
            return None
        try:
            if self._connection is None:
                # A connection of its own: the counter does not count what its own connection commits.
                with self._store.reading() as session:
                    engine = session.get_bind()
                self._counts = engine.dialect.name == "sqlite" and engine.url.database not in (None, "", ":memory:")
                if not self._counts:
                    return None
                made = engine.raw_connection()
                # The driver's own object: SQLAlchemy's around it would cost more than the question.
                self._around, self._connection = made, made.driver_connection
                made.detach()
            return self._connection.execute("PRAGMA data_version").fetchone()[0]
        except SQLAlchemyError as error:
            raise explain(error) from error
        except sqlite3.Error as error:
            # The driver's own: the database went away under this connection.
            self._connection = None
            raise explain(SQLAlchemyError(str(error))) from error
