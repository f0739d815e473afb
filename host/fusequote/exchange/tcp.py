"""The exchange as Intel's remote attestation sample transports it: lines of hexadecimal over TCP.

msg0 and msg1 are one line, msg2 and its SigRL one, msg3 one, msg4 one (105 bytes, without a MAC: the sample has none).
After a msg4 that trusts, each line from the enclave is a sealed message and is answered by one. The sample has no line
for errors: whoever refuses a message closes the connection.
"""

from __future__ import annotations

import contextlib
import socket

from fusequote.errors import EnvironmentProblem, FusequoteError
from fusequote.exchange.channel import MESSAGE_LIMIT
from fusequote.exchange.enclave import EnclaveSession, Outcome
from fusequote.exchange.errors import ExchangeError, Fault
from fusequote.exchange.hosting import Hosting
from fusequote.exchange.lines import HexLines
from fusequote.exchange.provider import MSG01_SIZE
from fusequote.listening import ThreadedListener

__all__ = ["TcpClient", "TcpServer"]


class TcpServer:
    """Accepts connections on ``host``:``port`` (0: any free one), one thread and one session each.

    ``once``: stop after the first session that came as far as a verdict. Raises :class:`EnvironmentProblem` when the
    address cannot be had.
    """

    def __init__(self, hosting: Hosting, host: str, port: int, *, once: bool = False):
        self._hosting, self._once = hosting, once
        self._listener = ThreadedListener(
            host,
            port,
            self._run,
            most=hosting.most,
            patience=hosting.patience,
            too_many=lambda peer: hosting.on_trouble(peer, ExchangeError(Fault.BUSY)),
        )

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._listener.port

    def serve(self) -> None:
        """Serve until :meth:`stop`, then wait for the sessions that are under way, the longest ``patience`` seconds."""
        self._listener.serve()

    def stop(self) -> None:
        """End :meth:`serve`, from any thread or a signal handler."""
        self._listener.stop()

    def _run(self, connection: socket.socket, peer: str) -> None:
        # Each session has told its troubles itself; what the lines themselves raise is told here.
        with contextlib.suppress(FusequoteError):
            self._converse(HexLines(connection, self._hosting.patience), peer)

    def _converse(self, lines: HexLines, peer: str) -> None:
        session = self._hosting.open(peer)
        msg01 = self._receive(lines, peer, MSG01_SIZE)
        if msg01 is None:
            return
        lines.send(session.msg2(msg01))
        msg3 = self._receive(lines, peer)
        if msg3 is None:
            return
        msg4, _ = session.msg4(msg3)
        lines.send(msg4)
        while session.trusted and (message := self._receive(lines, peer, MESSAGE_LIMIT + 32)) is not None:
            lines.send(session.message(message))
        if self._once:
            self.stop()

    def _receive(self, lines: HexLines, peer: str, limit: int | None = None) -> bytes | None:
        try:
            return lines.receive() if limit is None else lines.receive(limit=limit)
        except ExchangeError as error:
            self._hosting.on_trouble(peer, error)
            raise


class TcpClient:
    """The enclave's side: connects, runs the exchange, and then talks. Close it in the end.

    Raises :class:`EnvironmentProblem` when nobody listens, and what the session raises.
    """

    def __init__(self, session: EnclaveSession, host: str, port: int, *, patience: float = 60.0):
        try:
            connection = socket.create_connection((host, port), timeout=patience)
        except OSError as error:
            hint = "is the relying party running there?"
            raise EnvironmentProblem(
                f"cannot connect to {host}:{port}: {error.strerror or error}", hint=hint
            ) from error
        self._lines = HexLines(connection, patience)
        try:
            msg2 = self._ask(session.msg01())
            #: What the relying party decided.
            self.outcome: Outcome = session.finish(self._ask(session.msg3(msg2)))
        except BaseException:
            self._lines.close()
            raise

    def ask(self, message: bytes) -> bytes:
        """Send a message in secret and return the answer. Raises :class:`ExchangeError` (not-trusted, closed, ...)."""
        channel = self.outcome.channel
        if channel is None:
            raise ExchangeError(Fault.NOT_TRUSTED)
        return channel.open(self._ask(channel.seal(message)))

    def _ask(self, message: bytes) -> bytes:
        self._lines.send(message)
        answer = self._lines.receive()
        if answer is None:
            raise ExchangeError(Fault.CLOSED, "without a word", hint="its log says why; the sample's transport cannot")
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._lines.close()
