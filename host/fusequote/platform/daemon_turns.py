"""Whose turn it is: a lock that is handed on in the order of asking, and a chip that is shared by it."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

__all__ = ["SharedChip", "Turns"]


class Turns:
    """A lock for many threads, first come, first served: nobody who waits is overtaken. A context manager."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Event] = deque()

    def __enter__(self) -> None:
        with self._mutex:
            if not self._taken:
                self._taken = True
                return
            turn = threading.Event()
            self._waiting.append(turn)
        turn.wait()

    def __exit__(self, *exc: object) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().set()  # handed on: it stays taken
            else:
                self._taken = False


class SharedChip:
    """A :class:`~fusequote.chip.Chip` for many threads: each method waits for its turn.

    The programs of the Quoting and Provisioning Enclave use it like the chip, between the clients' commands.
    """

    def __init__(self, chip: Any, turns: Turns):
        self._chip, self._turns = chip, turns
        self._lepubkeyhash: bytes | None = None

    def set_lepubkeyhash(self, value: bytes) -> None:
        """Remembered for the next EINIT: meanwhile somebody else may write the register."""
        self._lepubkeyhash = value

    def einit(self, *args: Any, **options: Any) -> None:
        """EINIT, with LEPUBKEYHASH as it was set here."""
        with self._turns:
            if self._lepubkeyhash is not None:
                self._chip.set_lepubkeyhash(self._lepubkeyhash)
            self._chip.einit(*args, **options)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._chip, name)
        if not callable(value):
            return value

        def in_turn(*args: Any, **options: Any) -> Any:
            with self._turns:
                return value(*args, **options)

        return in_turn
