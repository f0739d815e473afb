"""A session of the exchange goes one way: each message comes once and in its turn, and any error ends it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import Enum
from typing import ClassVar

from fusequote.exchange.errors import ExchangeError, Fault
from fusequote.exchange.keys import SessionKeys

__all__ = ["Progress"]


class Progress:
    """What both sides' sessions share. ``ended`` is the state after which nothing comes."""

    ended: ClassVar[Enum]

    def __init__(self, start: Enum):
        self._state = start
        self._keys: SessionKeys | None = None

    def _step(self, wanted: Enum, following: Enum) -> None:
        """To the next state. Raises :class:`ExchangeError` (out-of-order) at any other place."""
        if self._state is not wanted:
            state = self._state.name.lower().replace("_", " ")
            with self._ending_on_error():
                raise ExchangeError(Fault.ORDER, f"the session is at: {state}")
        self._state = following

    @contextlib.contextmanager
    def _ending_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._state = self.ended
            self._forget()
            raise

    def _forget(self) -> None:
        """Drop what only a session that goes well may have."""
        self._keys = None
