"""What the chip hands out: handles of enclaves, tickets of entries."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

HANDLE_SIZE = 9
TICKET_SIZE = 16
ENTRY_SIZE = TICKET_SIZE + 4 + 8
#: Signed entry (docs/link.md 3.4): nonce of a challenge, link of a command, proof of an entry.
NONCE_SIZE, LINK_SIZE, PROOF_SIZE = 16, 32, 32 + 4 * 384


@dataclass(frozen=True)
class Handle:
    """An enclave in the chip: its slot, and its EID, which no other enclave ever gets."""

    slot: int
    eid: int

    @classmethod
    def from_bytes(cls, raw: bytes) -> Handle:
        """Parse 9 bytes."""
        return cls(raw[0], int.from_bytes(raw[1:HANDLE_SIZE], "little"))

    def to_bytes(self) -> bytes:
        """9 bytes: slot u8, EID u64."""
        return bytes((self.slot,)) + self.eid.to_bytes(8, "little")

    def __str__(self) -> str:
        return f"slot {self.slot}, EID {self.eid:016x}"


class Ticket:
    """16 secret bytes: whoever has them acts as the enclave for as long as the entry is active. Never
    shown."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes):
        self._raw = bytes(raw)

    def to_bytes(self) -> bytes:
        """The 16 bytes."""
        return self._raw

    def __eq__(self, other: object) -> bool:
        return hmac.compare_digest(self._raw, other._raw) if isinstance(other, Ticket) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # a table of tickets would compare them in variable time

    def __repr__(self) -> str:
        return "Ticket(hidden)"


@dataclass(frozen=True)
class Entry:
    """What EENTER and ERESUME answer: ``ticket``, CSSA, and the address at which the enclave begins to
    run."""

    ticket: Ticket
    cssa: int
    address: int

    @classmethod
    def from_bytes(cls, raw: bytes) -> Entry:
        """Parse 28 bytes."""
        ticket, rest = raw[:TICKET_SIZE], raw[TICKET_SIZE:]
        return cls(
            Ticket(ticket), int.from_bytes(rest[:4], "little"), int.from_bytes(rest[4:12], "little")
        )
