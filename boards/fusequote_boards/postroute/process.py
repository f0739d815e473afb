"""A placed chip that is powered on: the process that simulates it, and what it is told."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fusequote.errors import DeviceError, EnvironmentProblem, UsageError

from .model import Model

__all__ = ["SILENCE", "PlacedChip"]

#: Cycles without a bit on either wire after which simulated time stands still: more than the block is ever silent for
#: while it works (a boot with ring oscillators takes under six million).
SILENCE = 12_000_000
#: Seconds that the process gets to answer on the control channel, or to end.
_PATIENCE = 10.0


@contextlib.contextmanager
def _handed_over(contents: bytes) -> Iterator[IO[bytes]]:
    """The reading end of a pipe that holds ``contents`` (shorter than a pipe's buffer): they are keys."""
    reading, writing = os.pipe()
    with open(reading, "rb") as reader:
        with open(writing, "wb") as writer:
            writer.write(contents)
        yield reader


class PlacedChip:
    """A chip that has just been configured with a bitstream, and a serial adapter at its pins.

    ``seed`` makes the noise of its ring oscillators repeatable. ``baud`` is the adapter's rate, by default the build's.
    ``pty``: the adapter is a pseudo-terminal, at :attr:`address`; otherwise it is :attr:`port`, a socket.

    What the chip burns is gone when it is closed, as on the board.

    Raises :class:`UsageError` for a rate that is none, :class:`EnvironmentProblem` when the program cannot be started,
    and :class:`DeviceError` when it ends at once.
    """

    def __init__(self, model: Model, *, seed: str | None = None, baud: int | None = None, pty: bool = False):
        rate = model.baud if baud is None else baud
        if not 0 < rate <= model.hz // 3:
            raise UsageError(f"a serial line of {rate:,} baud cannot be simulated at {model.hz:,} Hz")
        secret = secrets.token_hex(32) if seed is None else hashlib.sha256(f"postroute {seed}".encode()).hexdigest()
        fuses = model.contents.tables.to_bytes(32, "little") + model.contents.ram.to_bytes(model.ram_bytes, "little")
        self._lock = threading.Lock()
        self._closed = False
        with contextlib.ExitStack() as stack:
            given = stack.enter_context(_handed_over(fuses))
            noise = stack.enter_context(_handed_over(secret.encode()))
            self._complaints = stack.enter_context(tempfile.TemporaryFile())
            self._control, control = (stack.enter_context(end) for end in socket.socketpair())
            self._control.settimeout(_PATIENCE)
            #: The adapter, a stream socket; None when it is a pseudo-terminal.
            self.port: socket.socket | None = None
            descriptors = {"--contents": given.fileno(), "--secret": noise.fileno(), "--control": control.fileno()}
            port = None
            if not pty:
                self.port, port = (stack.enter_context(end) for end in socket.socketpair())
                descriptors["--bytes"] = port.fileno()
            command = [str(model.program.absolute()), "--hz", str(model.hz), "--baud", str(model.baud),
                       "--host-baud", str(rate), "--silence", str(SILENCE), *(["--pty"] if pty else [])]
            for option, descriptor in descriptors.items():
                command += [option, str(descriptor)]
            self._process = self._start(command, tuple(descriptors.values()))
            stack.callback(self._end)
            control.close()
            if port is not None:
                port.close()
            self._replies = stack.enter_context(self._control.makefile("rb"))
            #: Path of the pseudo-terminal; empty when there is none.
            self.address = self._process.stdout.readline().decode().strip().removeprefix("pty ") if pty else ""
            self.cycles()  # it runs
            self._resources = stack.pop_all()

    def _start(self, command: list[str], descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
        try:
            # A session of its own: an interrupt at the keyboard is for this process, which then powers the chip off.
            return subprocess.Popen(command, pass_fds=descriptors, start_new_session=True, cwd="/",
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._complaints)
        except OSError as error:
            raise EnvironmentProblem(f"cannot start the simulation {command[0]}: {error.strerror}") from error

    def _end(self) -> None:
        for end in (self.port, self._control):
            if end is not None:
                with contextlib.suppress(OSError):  # it may be closed at the other end already
                    end.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def cycles(self) -> int:
        """Cycles of the block's clock since it was configured."""
        return int(self._ask("cycles").removeprefix("cycles "))

    def clock(self) -> float:
        """Seconds to measure a host's patience by: those that the simulation had a processor for, and few of those that
        it had none.
        """
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        except OSError:  # no such file system
            return time.monotonic()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") + time.monotonic() / 20

    def hold_break(self, on: bool) -> None:
        """Hold the line to the chip low whenever no byte is being sent, or no longer."""
        self._ask(f"break {'on' if on else 'off'}")

    @property
    def pid(self) -> int:
        """Of the process that simulates it."""
        return self._process.pid

    def wait(self) -> None:
        """Until the process has ended. Raises :class:`DeviceError` when it ended by itself in another way than well."""
        if self._process.wait():
            raise self.failure()

    def close(self) -> None:
        """Power off. Twice is allowed."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._resources.close()

    def failure(self, patience: float | None = _PATIENCE) -> DeviceError:
        """Why the process does not answer: waits ``patience`` seconds for its end, and repeats what it said."""
        try:
            status = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return DeviceError("the post-route simulation does not answer", hint="close it and open it again")
        self._complaints.seek(0)
        said = self._complaints.read(2000).decode(errors="replace").strip()
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return DeviceError(f"the post-route simulation {how}" + (f": {said}" if said else ""))

    def __enter__(self) -> PlacedChip:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"PlacedChip(pid {self.pid})"

    def _ask(self, command: str) -> str:
        with self._lock:
            if self._closed:
                raise UsageError("this chip is powered off")
            try:
                self._control.sendall(command.encode() + b"\n")
                reply = self._replies.readline().decode().strip()
            except OSError:
                reply = ""
        if not reply or reply.startswith("error "):
            raise self.failure()
        return reply
