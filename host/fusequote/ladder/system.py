"""What every rung's system has in common: a relying party that asks, a program that answers, and keys between them.

A session: the party sends g^x and a nonce; the program answers with g^y and evidence about 64 bytes of data that both
can compute; the party checks the evidence, and sends what is secret under keys from g^xy. What the data are, what the
evidence is and how it is checked is each rung's own.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from fusequote.errors import FusequoteError
from fusequote.exchange.channel import Direction, SecureChannel
from fusequote.exchange.keys import SessionKeys, new_ephemeral, read_point, write_point
from fusequote.ladder.computer import Computer, Program
from fusequote.ladder.rung import Level, NotAccepted
from fusequote.ladder.stage import Stage

__all__ = ["Answer", "Party", "System", "opens"]

SECRET_SIZE = 32


@dataclass(frozen=True)
class Answer:
    """What comes back to a challenge, and the answerer's y."""

    g_y: bytes
    evidence: bytes
    y: ec.EllipticCurvePrivateKey = field(repr=False)

    def channel(self, g_x: bytes) -> SecureChannel:
        """The answerer's end of the channel."""
        return SecureChannel(SessionKeys.agree(self.y, read_point(g_x)).sk, Direction.ENCLAVE)


class System:
    """The system of a rung. ``computer`` is Alice's."""

    def __init__(self, stage: Stage, computer: Computer):
        self.stage, self.computer = stage, computer

    # each rung's own

    def data(self, g_y: bytes, g_x: bytes, nonce: bytes) -> bytes:
        """What the evidence is about, 64 bytes."""
        return hashlib.sha256(g_y + g_x + nonce).digest() + bytes(32)

    def attest(self, program: Program, data: bytes) -> bytes:
        """Evidence that a program's enclave said ``data``. Raises what the chip refuses."""
        raise NotAccepted(f"{type(self).__name__} makes no evidence")

    def check(self, evidence: bytes, data: bytes, level: Level) -> None:
        """The relying party's check. Raises :class:`NotAccepted`, or Refused where a party of the chain decides."""
        raise NotAccepted(f"{type(self).__name__} accepts nothing")

    # the same on every rung

    def alice(self, level: Level) -> Program:
        """The honest application."""
        return self.stage.alice(self.computer, level)

    def answer(self, program: Program, g_x: bytes, nonce: bytes) -> Answer:
        """What a program answers to whoever sends it a challenge."""
        y = new_ephemeral()
        g_y = write_point(y.public_key())
        return Answer(g_y, self.attest(program, self.data(g_y, g_x, nonce)), y)

    def shares_a_secret_with(self, program: Program, level: Level) -> bool:
        """A whole session with ``program`` at the far end: whether it gets the party's secret, and can answer.

        Raises what :meth:`attest` and :meth:`check` raise.
        """
        party = Party(self, level)
        answer = self.answer(program, party.g_x, party.nonce)
        party.accept(answer.g_y, answer.evidence)
        end = answer.channel(party.g_x)
        received = end.open(party.send_secret())
        return received == party.secret and party.channel.open(end.seal(b"got it")) == b"got it"

    def close(self) -> None:
        """Let go of what the stage does not keep."""


class Party:
    """The relying party's side of one session: what it sends, what it accepts, and what it tells then."""

    def __init__(self, system: System, level: Level):
        self._system, self._level = system, level
        self._x = new_ephemeral()
        self._channel: SecureChannel | None = None
        self.g_x = write_point(self._x.public_key())
        self.nonce = secrets.token_bytes(16)
        self.secret = secrets.token_bytes(SECRET_SIZE)

    def accept(self, g_y: bytes, evidence: bytes) -> None:
        """Check the evidence, and agree keys with whoever has y. Raises what the rung's check raises."""
        self._system.check(evidence, self._system.data(g_y, self.g_x, self.nonce), self._level)
        self._channel = SecureChannel(SessionKeys.agree(self._x, read_point(g_y)).sk, Direction.PROVIDER)

    @property
    def channel(self) -> SecureChannel:
        """To whoever was accepted. Raises :class:`NotAccepted` before."""
        if self._channel is None:
            raise NotAccepted("nobody was accepted")
        return self._channel

    def send_secret(self) -> bytes:
        """The secret, sealed for whoever was accepted."""
        return self.channel.seal(self.secret)


def opens(y: ec.EllipticCurvePrivateKey, g_x: bytes, sealed: bytes) -> bytes | None:
    """The payload of a sealed message for whoever has ``y``, None when it does not open under those keys."""
    try:
        return SecureChannel(SessionKeys.agree(y, read_point(g_x)).sk, Direction.ENCLAVE).open(sealed)
    except FusequoteError:
        return None
