"""A computer of the story: a chip, the daemon that owns it, and somebody who may sit on the wire between the two.

The daemon is the platform's (docs/platform.md), with a real Unix socket; here it runs in a thread. What is on the
computer besides clients' enclaves (a Quoting Enclave) is launched next to it, as the daemon's own.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from fusequote.chip import Chip
from fusequote.chip.handles import Entry, Ticket
from fusequote.chip.ops import Op
from fusequote.enclave.entrykey import EntryKey
from fusequote.enclave.image import Image
from fusequote.enclave.load import launch
from fusequote.errors import DeviceError
from fusequote.ladder.rung import Level
from fusequote.platform.application import ApplicationEnclave
from fusequote.platform.client import PlatformClient
from fusequote.platform.daemon import Daemon
from fusequote.platform.daemon_slots import Broker
from fusequote.platform.daemon_turns import SharedChip, Turns
from fusequote.platform.daemon_wire import PlatformCode, PlatformError
from fusequote.platform.entry import Enclave
from fusequote.platform.images import KeyedImage
from fusequote.platform.refusals import chip_refusals

__all__ = ["Computer", "Program", "Wire", "run_in", "ticket_of"]

#: Seconds for which the daemon's thread may take to end.
_PATIENCE = 60.0


class Wire:
    """The chip as the daemon has it, and a place to listen: who owns the wire sees every command and answer."""

    def __init__(self, chip: Chip):
        self._chip = chip
        self._listener: Callable[[int, bytes, bytes], None] | None = None

    def raw(self, op: int, body: bytes = b"") -> tuple[int, bytes]:
        """A command of the daemon's, and what the listener makes of it before the daemon has the answer."""
        status, answer = self._chip.raw(op, body)
        if self._listener is not None and not status:
            self._listener(op, body, answer)
        return status, answer

    @contextlib.contextmanager
    def tapped(self, listener: Callable[[int, bytes, bytes], None]) -> Iterator[None]:
        """Within it ``listener`` is called with op, body and answer of each command that was done."""
        self._listener = listener
        try:
            yield
        finally:
            self._listener = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chip, name)


class _NoQuotes:
    """The quote calls of a daemon on a computer whose Quoting Enclave is reached otherwise."""

    quotes = 0

    def __getattr__(self, name: str) -> Any:
        def refuse(*_: object) -> None:
            raise PlatformError(PlatformCode.NOT_ALLOWED, f"this platform has no {name}")

        return refuse


class Program:
    """A program on a computer, with an application enclave that it launched, and the key to it if it has one."""

    def __init__(self, computer: Computer, client: PlatformClient, image: Image, key: EntryKey | None):
        self.computer, self.client = computer, client
        with chip_refusals():
            self.application = ApplicationEnclave(Enclave(launch(client.chip, image), key))

    @property
    def enclave(self) -> Enclave:
        """The enclave, to be entered."""
        return self.application.enclave

    def use_key(self, key: EntryKey) -> None:
        """Enter by this key from now on, be it the right one or not."""
        self.application = ApplicationEnclave(Enclave(self.enclave.launched, key))


class Computer:
    """The open chip ``device``; :meth:`serve` starts the daemon on the Unix socket ``path``. Close it in the end."""

    def __init__(self, name: str, device: Chip, path: Path):
        self.name, self.path, self.device = name, path, device
        self.wire = Wire(self.device)
        self.turns = Turns()
        #: For what the computer itself has on the chip.
        self.shared = SharedChip(self.device, self.turns)
        self._daemon: Daemon | None = None
        self._thread: threading.Thread | None = None
        self._clients: list[PlatformClient] = []
        self._programs: dict[Level, Program] = {}

    def serve(self, calls: Any = None, *, own: int = 1) -> None:
        """Start the daemon. ``calls`` answers its quote calls, ``own`` slots are the computer's."""
        broker = Broker(self.wire, self.turns, own=own, lease=600.0)  # type: ignore[arg-type]
        self._daemon = Daemon(self.path, self.device, broker, _NoQuotes() if calls is None else calls)
        # A thread that is left behind must not keep the process: it ends with the daemon, below.
        self._thread = threading.Thread(target=self._daemon.serve, name=f"daemon of {self.name}", daemon=True)
        self._thread.start()

    def client(self) -> PlatformClient:
        """A client of the daemon: another process of this computer, as far as the daemon can see."""
        client = PlatformClient(self.path)
        self._clients.append(client)
        return client

    def launch(self, image: KeyedImage) -> Enclave:
        """An enclave of the computer itself, entered by its key."""
        with chip_refusals():
            return Enclave(launch(self.shared, image), image.entry_key)  # type: ignore[arg-type]

    def program(self, level: Level, image: Image) -> Program:
        """The honest application at a level, launched when it is first asked for."""
        if level not in self._programs:
            key = image.entry_key if isinstance(image, KeyedImage) else None
            self._programs[level] = Program(self, self.client(), image, key)
        return self._programs[level]

    def end_clients(self) -> None:
        """Every program ends, and the daemon with them; enclaves of clients are removed."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._programs.clear()
        if self._daemon is not None and self._thread is not None:
            self._daemon.stop()
            self._thread.join(_PATIENCE)
        self._daemon = self._thread = None

    def close(self) -> None:
        """End everything on the computer, and power the chip off."""
        try:
            self.end_clients()
        finally:
            self.device.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


@contextlib.contextmanager
def run_in(computer: Computer, image: Image, key: EntryKey | None = None) -> Iterator[Program]:
    """A program of a client of its own, which is gone in the end and its enclave with it.

    Raises :class:`~fusequote.errors.Refused` (launch.*) when the chip does not take the image.
    """
    with computer.client() as client:
        program = Program(computer, client, image, key)
        try:
            yield program
        finally:
            # Not left to the daemon, which notices in its own time that a client is gone: the slot is free now.
            with contextlib.suppress(DeviceError, PlatformError):
                program.enclave.remove()


def ticket_of(op: int, answer: bytes) -> Ticket | None:
    """The ticket in an answer, if it is one to EENTER or ERESUME."""
    return Entry.from_bytes(answer).ticket if op in (Op.EENTER, Op.ERESUME) else None
