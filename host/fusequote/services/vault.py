"""Encryption at rest: AES-256-GCM with a fresh nonce, bound to the place where the secret is kept."""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fusequote.services.database import StoreDamaged

__all__ = ["Vault"]

_NONCE = 12


class Vault:
    """Seals secrets under one 32-byte key, which has no representation."""

    def __init__(self, key: bytes):
        self._aead = AESGCM(key)

    def seal(self, secret: bytes, place: bytes) -> bytes:
        """``secret`` encrypted for ``place``: 28 bytes longer."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._aead.encrypt(nonce, secret, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """The secret. Raises :class:`StoreDamaged` when it was altered, moved, or sealed under another key."""
        try:
            return self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], place)
        except (InvalidTag, ValueError) as error:
            raise StoreDamaged(
                "a secret in the services' store does not decrypt",
                hint="the store belongs to another keys/store.key, or was altered: restore both from one backup",
            ) from error
