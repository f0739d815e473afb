"""Messages after msg4: AES-128-GCM under SK, in the form of the SDK sample's ``sp_aes_gcm_data_t``.

===  =====  ====================================================================================
0    4      bytes of payload, little-endian
4    12     IV: number of the message (u64, little-endian), direction (u32: 0 provider, 1 enclave)
16   16     GCM tag, no AAD
32   n      payload, encrypted
===  =====  ====================================================================================

The sample sends one message, from the service provider, with the twelve bytes (reserved there) zero as its IV: that is
message 0 here, byte for byte. Numbers count up by one in each direction; a receiver takes the next one and no other, so
what is replayed, left out, reordered or turned back at its sender is refused, and no IV is used twice.
"""

from __future__ import annotations

import hmac
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fusequote.arch.layout import U32, Bytes, Struct, Tail
from fusequote.errors import FormatError, UsageError
from fusequote.exchange.errors import ExchangeError, Fault

__all__ = ["MESSAGE_LIMIT", "Direction", "SealedMessage", "SecureChannel"]

#: The most bytes of one payload.
MESSAGE_LIMIT = 1 << 20
_LAST = (1 << 64) - 1


class Direction(IntEnum):
    """Who sends."""

    PROVIDER = 0
    ENCLAVE = 1


class SealedMessage(Struct, size=32, title="secure message"):
    """``sp_aes_gcm_data_t``."""

    payload_size = U32(0, "bytes of payload")
    iv = Bytes(4, 12, "number u64, direction u32")
    tag = Bytes(16, 16, "GCM tag")
    payload = Tail(32, "encrypted", length_field="payload_size")


class SecureChannel:
    """One side of the channel; ``side`` is who this is. Not for several threads at once."""

    def __init__(self, sk: bytes, side: Direction):
        self._cipher = AESGCM(sk)
        self._side = side
        self._sent = self._received = 0
        self._broken = False

    def __repr__(self) -> str:
        return f"SecureChannel({self._side.name.lower()}, {self._sent} sent, {self._received} received)"

    def seal(self, payload: bytes) -> bytes:
        """The next message, 32 bytes more than its payload.

        Raises :class:`UsageError` above :data:`MESSAGE_LIMIT`, :class:`ExchangeError` after a refused message.
        """
        if len(payload) > MESSAGE_LIMIT:
            raise UsageError(f"a message holds at most {MESSAGE_LIMIT:,} bytes, not {len(payload):,}")
        self._check_usable()
        iv = _iv(self._sent, self._side)
        self._sent += 1
        sealed = self._cipher.encrypt(iv, payload, None)
        return SealedMessage(iv=iv, tag=sealed[-16:], payload=sealed[:-16]).to_bytes()

    def open(self, data: bytes) -> bytes:
        """The payload of the next message.

        Raises :class:`ExchangeError`: malformed, too-large, message-replayed, message-invalid. What fails to
        authenticate ends the channel: somebody is in between. A replayed message does not.
        """
        self._check_usable()
        if len(data) > MESSAGE_LIMIT + SealedMessage.SIZE:
            raise ExchangeError(Fault.LIMIT, f"{len(data):,} bytes")
        try:
            message = SealedMessage.from_bytes(data)
        except FormatError as error:
            raise ExchangeError(Fault.MALFORMED, str(error)) from error
        try:
            payload = self._cipher.decrypt(message.iv, message.payload + message.tag, None)
        except InvalidTag as error:
            self._broken = True
            raise ExchangeError(Fault.MESSAGE) from error
        expected = _iv(self._received, Direction(1 - self._side))
        if not hmac.compare_digest(message.iv, expected):
            raise ExchangeError(Fault.REPLAYED, f"message {self._received} is the next")
        self._received += 1
        return payload

    def _check_usable(self) -> None:
        if self._broken or _LAST in (self._sent, self._received):
            raise ExchangeError(Fault.CLOSED, "a message was not authentic", hint="start a new exchange")


def _iv(number: int, direction: Direction) -> bytes:
    return number.to_bytes(8, "little") + int(direction).to_bytes(4, "little")
