"""Nonces of the relying party: each is given out once and accepted once."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Protocol

from fusequote.errors import EnvironmentProblem

__all__ = ["LIFETIME", "NonceFolder", "Nonces"]

#: Seconds for which a nonce is accepted.
LIFETIME = 3600


class Nonces(Protocol):
    """Where nonces are kept between challenge and verdict."""

    def issue(self) -> str:
        """A fresh nonce, 32 characters."""

    def consume(self, nonce: str) -> bool:
        """True once for a nonce that was given out and has not expired."""


class NonceFolder:
    """Nonces as empty files of one folder: removing the file is accepting the nonce, and succeeds once only.

    Several processes may share the folder.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    def issue(self) -> str:
        """A fresh nonce: 32 hexadecimal digits. Raises :class:`EnvironmentProblem` when it cannot be kept."""
        nonce = secrets.token_hex(16)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._forget_expired()
            (self._folder / nonce).touch(mode=0o600, exist_ok=False)
        except OSError as error:
            raise EnvironmentProblem(f"cannot keep a nonce in {self._folder}: {error.strerror}") from error
        return nonce

    def consume(self, nonce: str) -> bool:
        """True once. Anything that is no nonce of ours is False."""
        if len(nonce) != 32 or not set(nonce) <= set("0123456789abcdef"):
            return False
        path = self._folder / nonce
        try:
            fresh = time.time() - path.stat().st_mtime <= LIFETIME
            path.unlink()
        except FileNotFoundError:
            return False
        return fresh

    def _forget_expired(self) -> None:
        horizon = time.time() - LIFETIME
        for path in self._folder.iterdir():
            try:
                if path.stat().st_mtime < horizon:
                    path.unlink()
            except FileNotFoundError:
                continue  # another process was faster
