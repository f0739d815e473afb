"""What a relying party does with sessions, whatever carries them: whom it tells, what it answers."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass

from fusequote.errors import FusequoteError
from fusequote.exchange.errors import ExchangeError, Fault
from fusequote.exchange.provider import ProviderSession, ServiceProvider
from fusequote.verdict import Verdict

__all__ = ["Hosting", "HostedSession", "receipt"]


def receipt(message: bytes) -> bytes:
    """The answer to a message when there is nothing else to say: its SHA-256, 32 bytes."""
    return hashlib.sha256(message).digest()


@dataclass(frozen=True)
class Hosting:
    """A service provider that is open for sessions.

    ``answer`` makes the answer to each message of a trusted enclave. ``on_verdict`` is told each verdict and
    ``on_trouble`` each error, with the peer's address; both are called from several threads.
    ``most`` sessions at once, each alive for ``lifetime`` seconds at most; ``patience`` seconds for one message.
    """

    provider: ServiceProvider
    answer: Callable[[bytes], bytes] = receipt
    on_verdict: Callable[[str, Verdict], None] = lambda peer, verdict: None
    on_trouble: Callable[[str, FusequoteError], None] = lambda peer, error: None
    most: int = 64
    lifetime: float = 600.0
    patience: float = 30.0

    def open(self, peer: str) -> HostedSession:
        """A new session with ``peer``, which is an address for messages."""
        return HostedSession(self, self.provider.session(), peer)


class HostedSession:
    """One session, one message at a time, from whatever thread."""

    def __init__(self, hosting: Hosting, session: ProviderSession, peer: str):
        self._hosting, self._session, self._peer = hosting, session, peer
        self._lock = threading.Lock()

    @property
    def trusted(self) -> bool:
        """Whether there is a channel."""
        return self._session.channel is not None

    @property
    def decided(self) -> bool:
        """Whether there is a verdict."""
        return self._session.verdict is not None

    def msg2(self, msg01: bytes) -> bytes:
        """See :meth:`ProviderSession.msg2`."""
        return self._tell(self._session.msg2, msg01)

    def msg4(self, msg3: bytes) -> tuple[bytes, bytes]:
        """msg4 and its MAC under MK; tells the verdict. See :meth:`ProviderSession.msg4`."""
        msg4 = self._tell(self._session.msg4, msg3)
        assert self._session.verdict is not None and self._session.msg4_mac is not None
        self._hosting.on_verdict(self._peer, self._session.verdict)
        return msg4, self._session.msg4_mac

    def message(self, sealed: bytes) -> bytes:
        """The sealed answer to a sealed message. Raises :class:`ExchangeError` as the channel does, and not-trusted."""
        return self._tell(self._exchange, sealed)

    def _exchange(self, sealed: bytes) -> bytes:
        channel = self._session.channel
        if channel is None:
            fault = Fault.ORDER if self._session.verdict is None else Fault.NOT_TRUSTED
            raise ExchangeError(fault)
        return channel.seal(self._hosting.answer(channel.open(sealed)))

    def _tell(self, step: Callable[[bytes], bytes], data: bytes) -> bytes:
        with self._lock:
            try:
                return step(data)
            except FusequoteError as error:
                self._hosting.on_trouble(self._peer, error)
                raise
