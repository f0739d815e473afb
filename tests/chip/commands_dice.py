"""The dice of :class:`commands_build.Builder`: chances, spoilt bytes, and handles, TCSs and tickets to aim at."""

from __future__ import annotations

import random
from collections.abc import Iterable

from commands_make import le, patched
from commands_shadow import Enclave, Shadow, Thread

NOWHERE = bytes(9)


class Dice:
    """Makes parts of commands out of what ``shadow`` knows, with the dice of ``rng``."""

    def __init__(self, rng: random.Random, shadow: Shadow):
        self.rng = rng
        self.shadow = shadow

    # -- dice --

    def _chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def _patch(self, data: bytes, *spoils: tuple[int, bytes]) -> bytes:
        """``data`` with one of the (offset, bytes) pairs put in."""
        return patched(data, *self.rng.choice(spoils))

    def _flip(self, data: bytes, start: int = 0, end: int | None = None) -> bytes:
        """``data`` with one bit of the given range flipped."""
        where = self.rng.randrange(start, len(data) if end is None else end)
        return patched(data, where, bytes([data[where] ^ 1 << self.rng.randrange(8)]))

    def _length(self, data: bytes) -> bytes:
        """``data``, a little too short or too long; sometimes."""
        if not self._chance(0.02):
            return data
        return data[: -self.rng.choice((1, 16))] if self._chance(0.5) else data + bytes(self.rng.choice((1, 9)))

    # -- names --

    def _enclave(self, preferred: Iterable[Enclave] = ()) -> Enclave | None:
        preferred, everyone = list(preferred), list(self.shadow.enclaves.values())
        if preferred and self._chance(0.93):
            return self.rng.choice(preferred)
        return self.rng.choice(everyone) if everyone else None

    def _handle(self, enclave: Enclave | None) -> bytes:
        handle = enclave.handle if enclave else NOWHERE
        if not self._chance(0.055):
            return handle
        dead = self.shadow.dead_handles or [NOWHERE]
        return self.rng.choice(
            (self.rng.choice(dead), self._flip(handle), bytes([self.rng.randrange(256)]) + handle[1:])
        )

    def _thread(self, wanted: Iterable[tuple[Enclave, Thread]]) -> tuple[Enclave | None, bytes]:
        """Body of EENTER, AEX, ERESUME: handle || LINADDR."""
        wanted = list(wanted)
        everyone = [(e, t) for e in self.shadow.enclaves.values() for t in e.threads]
        if not (wanted or everyone):
            return None, self._handle(self._enclave()) + le(0x1000, 8)
        enclave, thread = self.rng.choice(wanted if wanted and self._chance(0.88) else everyone or wanted)
        linaddr = thread.linaddr
        if self._chance(0.05):
            linaddr = self.rng.choice((linaddr ^ 0x1000, linaddr + 1, 0, enclave.base - 0x1000)) % 2**64
        return enclave, self._handle(enclave) + le(linaddr, 8)

    def _ticket(self) -> tuple[Enclave | None, bytes]:
        """An entry, mostly one that is bound to no plan."""
        entries = [(e, t.ticket) for e in self.shadow.enclaves.values() for t in e.active]
        plain = [(e, ticket) for e, ticket in entries if not e.signed]
        entries = plain if plain and self._chance(0.9) else entries
        dead = self.shadow.dead_tickets
        if not entries or self._chance(0.06):
            choices = [bytes(16), *dead, *(self._flip(ticket) for _, ticket in entries)]
            return None, self.rng.choice(choices)
        return self.rng.choice(entries)

    def _threads(self) -> list[tuple[Enclave, Thread]]:
        return [(e, t) for e in self.shadow.enclaves.values() if e.initialised for t in e.threads]

    def _building(self) -> list[Enclave]:
        return [e for e in self.shadow.enclaves.values() if not e.initialised]
