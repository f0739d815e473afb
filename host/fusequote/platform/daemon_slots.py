"""Whose slot it is: level L1 of instruction notes 8.4.

A slot belongs to the connection that did ECREATE, a ticket to the one that did EENTER; for every other connection they
do not exist (#PF, #GP, as for a handle or ticket that never was). What a connection leaves behind is removed.
"""

from __future__ import annotations

import contextlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fusequote.chip import Chip
from fusequote.chip.handles import HANDLE_SIZE, TICKET_SIZE
from fusequote.chip.ops import Command, Op, op_name
from fusequote.chip.status import Status
from fusequote.errors import DeviceError
from fusequote.platform.daemon_turns import Turns
from fusequote.platform.daemon_wire import PlatformCode, PlatformError

__all__ = ["Broker", "Holdings"]

_PUBLIC = {Op.IDENTIFY, Op.FUSE_STATUS}
_ECHALLENGE = 0x2B  # of signed entries (docs/link.md 3.4)
_BY_HANDLE = {Op.SLOT_INFO, Op.EADD, Op.EEXTEND, Op.EINIT, Op.EREMOVE, Op.EENTER, Op.AEX, Op.ERESUME, _ECHALLENGE}
_BY_TICKET = {Op.EEXIT, Op.EREPORT, Op.EGETKEY, Op.VERIFYREPORT}
_STREAMED = {Op.EADD, Op.EEXTEND}
_ENTRY_SIZE = HANDLE_SIZE + 8


@dataclass(eq=False)
class Holdings:
    """What one connection has on the chip: slots since when, tickets and where they entered, its LEPUBKEYHASH."""

    slots: dict[bytes, float] = field(default_factory=dict)
    tickets: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    lepubkeyhash: bytes | None = None


class Broker:
    """Runs the clients' commands on the chip, one at a time, in turns.

    ``chip`` is the chip itself, ``turns`` the lock that all its users share. ``own`` slots are the daemon's; a client
    holds at most all others but one. ``lease`` is in seconds: when every slot is taken, a client that has none is given
    one that another has held for longer; that enclave is lost, as when a machine sleeps.
    """

    def __init__(
        self, chip: Chip, turns: Turns, *, own: int, lease: float, clock: Callable[[], float] = time.monotonic
    ):
        self._chip, self._turns, self._lease, self._clock = chip, turns, lease, clock
        self._most = max(1, chip.identity.slots - own - 1)
        self._holders: set[Holdings] = set()

    def join(self) -> Holdings:
        """A new connection's."""
        holdings = Holdings()
        with self._turns:
            self._holders.add(holdings)
        return holdings

    def leave(self, holdings: Holdings) -> None:
        """The connection is gone: everything that it has is removed. Device errors are no longer anybody's."""
        with self._turns:
            self._holders.discard(holdings)
            for handle in list(holdings.slots):
                with contextlib.suppress(DeviceError):
                    self._remove(holdings, handle)

    def run(self, holdings: Holdings, commands: list[Command]) -> tuple[int, bytes, int]:
        """Run commands of one client, in one turn, until one fails: (status and body of the last one run, how many).

        More than one only of EADD and EEXTEND. Raises :class:`PlatformError` (not-allowed, busy) and
        :class:`DeviceError`.
        """
        for command in commands:
            if command.op not in _PUBLIC | _BY_HANDLE | _BY_TICKET | {Op.ECREATE, Op.SET_LEPUBKEYHASH}:
                raise PlatformError(
                    PlatformCode.NOT_ALLOWED, f"the platform daemon runs no {op_name(command.op)} for its clients"
                )
            if len(commands) > 1 and command.op not in _STREAMED:
                raise PlatformError(PlatformCode.PARAMETER, f"{command.name} cannot be part of a stream")
        status, body, done = 0, b"", 0
        with self._turns:
            for command in commands:
                status, body = self._one(holdings, command.op, command.body)
                done += 1
                if status:
                    break
        return status, body, done

    def make_room(self, slots: int) -> None:
        """See that ``slots`` slots are free: the daemon's own enclaves come before its clients'."""
        with self._turns:
            held = sum(len(holder.slots) for holder in self._holders)
            for _ in range(max(0, slots + held + 1 - self._chip.identity.slots)):
                self._evict(self._oldest(lambda holder: True))

    def _one(self, holdings: Holdings, op: int, body: bytes) -> tuple[int, bytes]:
        if op in _BY_HANDLE and body[:HANDLE_SIZE] not in holdings.slots:
            return Status.FAULT_PF, b""
        if op in _BY_TICKET and not _among(body[:TICKET_SIZE], holdings.tickets):
            return Status.FAULT_GP, b""
        if op == Op.SET_LEPUBKEYHASH:
            return self._set_lepubkeyhash(holdings, body)
        if op == Op.ECREATE:
            return self._create(holdings, body)
        if op == Op.EINIT and holdings.lepubkeyhash is not None:
            # The register is one for all; each client has its own, as under Linux.
            self._chip.set_lepubkeyhash(holdings.lepubkeyhash)
        status, answer = self._chip.raw(op, body)
        if not status:
            self._note(holdings, op, body, answer)
        return status, answer

    def _set_lepubkeyhash(self, holdings: Holdings, body: bytes) -> tuple[int, bytes]:
        status, answer = self._chip.raw(Op.SET_LEPUBKEYHASH, body)
        if not status:
            holdings.lepubkeyhash = body
        return status, answer

    def _create(self, holdings: Holdings, body: bytes) -> tuple[int, bytes]:
        if len(holdings.slots) >= self._most:
            raise PlatformError(
                PlatformCode.BUSY,
                f"one client may have {self._most} enclaves on this chip at a time",
                hint="remove one first",
            )
        status, answer = self._chip.raw(Op.ECREATE, body)
        if status == Status.BLOCK_NO_SLOT and not holdings.slots:
            now = self._clock()
            victim = self._oldest(lambda holder: now - min(holder.slots.values()) >= self._lease)
            if victim is not None:
                self._evict(victim)
                status, answer = self._chip.raw(Op.ECREATE, body)
        if not status:
            holdings.slots[answer] = self._clock()
        return status, answer

    def _note(self, holdings: Holdings, op: int, body: bytes, answer: bytes) -> None:
        if op in (Op.EENTER, Op.ERESUME):
            holdings.tickets[answer[:TICKET_SIZE]] = body[:_ENTRY_SIZE]
        elif op == Op.EEXIT:
            holdings.tickets.pop(body[:TICKET_SIZE], None)
        elif op == Op.AEX:
            entry = body[:_ENTRY_SIZE]
            holdings.tickets = {ticket: at for ticket, at in holdings.tickets.items() if at != entry}
        elif op == Op.EREMOVE:
            holdings.slots.pop(body[:HANDLE_SIZE], None)

    def _oldest(self, eligible: Callable[[Holdings], bool]) -> Holdings | None:
        held = [holder for holder in self._holders if holder.slots and eligible(holder)]
        return min(held, key=lambda holder: min(holder.slots.values()), default=None)

    def _evict(self, holder: Holdings | None) -> None:
        if holder is not None:
            self._remove(holder, min(holder.slots, key=holder.slots.__getitem__))

    def _remove(self, holdings: Holdings, handle: bytes) -> None:
        holdings.slots.pop(handle, None)
        for ticket, entry in list(holdings.tickets.items()):
            if entry.startswith(handle):
                del holdings.tickets[ticket]
                self._chip.raw(Op.AEX, entry)  # a signed entry takes no EEXIT but its holder's; AEX ends any
        self._chip.raw(Op.EREMOVE, handle)


def _among(ticket: bytes, tickets: dict[bytes, bytes]) -> bool:
    # All of them are looked at: how long this takes tells nothing about any.
    return sum(hmac.compare_digest(ticket, own) for own in tickets) > 0
