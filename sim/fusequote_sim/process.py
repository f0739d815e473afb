"""A simulated chip: the process that runs the block, and what powering it on and off takes.

The process gets the byte port and the control channel as sockets, the fuse file as the descriptor that holds its lock,
and its entropy through a pipe; nothing secret is on its command line or in its environment. It ends when either socket
is closed, so it cannot outlive this one, and the fuse file stays locked until it has ended.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fusequote.chip.entropy import SimulatedEntropy
from fusequote.chip.fusefile import FuseFile
from fusequote.errors import DeviceError, EnvironmentProblem, UsageError

__all__ = ["SimulatedChip"]

#: Seconds that the process gets to answer on the control channel, or to end.
_PATIENCE = 10.0


class _SharedFuseFile(FuseFile):
    """A fuse file whose lock another process can share: it is released when the last of both has closed it."""

    def fileno(self) -> int:
        return self._fd


@contextlib.contextmanager
def _pipe_with(text: str) -> Iterator[IO[bytes]]:
    """The reading end of a pipe that holds ``text`` (shorter than a pipe's buffer)."""
    reading, writing = os.pipe()
    with open(reading, "rb") as reader:
        with open(writing, "wb") as writer:
            writer.write(text.encode())
        yield reader


def _check_writable(waves: str | os.PathLike[str]) -> None:
    try:
        open(waves, "wb").close()
    except OSError as error:
        raise EnvironmentProblem(f"cannot write waveforms to {waves}: {error.strerror}") from error


class SimulatedChip:
    """A chip that is powered on: ``program`` (from :func:`fusequote_sim.build.build`) with fuses and entropy.

    ``fuses`` is the fuse file, made blank when it is not there; None is a blank chip that is gone afterwards. ``seed``
    makes the entropy repeatable (docs/link.md, section 4). ``waves`` is a VCD file to write, for a program built with
    waves. ``serve`` is ``--listen`` or ``--pty`` to have the byte port there, and its place in :attr:`address`;
    otherwise it is :attr:`port`, a socket.

    Raises what :meth:`FuseFile.power_on` raises, :class:`EnvironmentProblem` when the program cannot be started, and
    :class:`DeviceError` when it ends at once.
    """

    def __init__(
        self,
        program: Path,
        *,
        fuses: str | os.PathLike[str] | None = None,
        seed: str | None = None,
        waves: str | os.PathLike[str] | None = None,
        serve: str | None = None,
    ):
        if serve not in (None, "--listen", "--pty"):
            raise UsageError(f"a byte port is served with --listen or --pty, not {serve!r}")
        self._lock = threading.Lock()
        self._closed = False
        with contextlib.ExitStack() as stack:
            if waves is not None:
                _check_writable(waves)
            if fuses is None:
                fuses = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fusequote-")), "fuses")
            bank = stack.enter_context(_SharedFuseFile.power_on(fuses, create=True))
            secret = stack.enter_context(_pipe_with(SimulatedEntropy(seed, bank.boot_counter).block(0).hex()))
            self._complaints = stack.enter_context(tempfile.TemporaryFile())
            self._control, control = (stack.enter_context(end) for end in socket.socketpair())
            self._control.settimeout(_PATIENCE)
            #: The byte port, a stream socket; None when it is served elsewhere.
            self.port: socket.socket | None = None
            descriptors = {"--fuses": bank.fileno(), "--secret": secret.fileno(), "--control": control.fileno()}
            if serve is None:
                self.port, port = (stack.enter_context(end) for end in socket.socketpair())
                descriptors["--bytes"] = port.fileno()
            self._process = self._start(program, descriptors, serve, waves)
            stack.callback(self._end)
            secret.close()
            control.close()
            if serve is None:
                port.close()
            self._replies = stack.enter_context(self._control.makefile("rb"))
            #: Where the byte port is served: ``listening PORT`` or ``pty PATH``; empty otherwise.
            self.address = self._process.stdout.readline().decode().strip() if serve is not None else ""
            self.cycles()  # it runs
            self._resources = stack.pop_all()

    def _start(
        self, program: Path, descriptors: dict[str, int], serve: str | None, waves: str | os.PathLike[str] | None
    ) -> subprocess.Popen[bytes]:
        command = [os.path.abspath(program)]
        for option, descriptor in descriptors.items():
            command += [option, str(descriptor)]
        if serve is not None:
            command.append(serve)
        if waves is not None:
            command += ["--waves", os.path.abspath(waves)]
        try:
            # A session of its own: an interrupt at the keyboard is for this process, which then powers the chip off.
            return subprocess.Popen(
                command, pass_fds=tuple(descriptors.values()), start_new_session=True, cwd="/",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._complaints,
            )  # fmt: skip
        except OSError as error:
            raise EnvironmentProblem(
                f"cannot start the simulated chip {program}: {error.strerror}",
                hint="is the cache on a file system that programs may not run from? give another folder with cache=",
            ) from error

    def _end(self) -> None:
        """Hang up and see the process off."""
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
        """Clock cycles since power-on, those spent waiting for input not counted."""
        return int(self._ask("cycles").removeprefix("cycles "))

    def reset(self) -> None:
        """Pull the reset line: the chip boots again, with new entropy. Fuses stay."""
        self._ask("reset")

    def waves(self, on: bool) -> None:
        """Switch waveform writing on or off. Raises :class:`UsageError` when there is no waveform file."""
        self._ask(f"waves {'on' if on else 'off'}")

    @property
    def pid(self) -> int:
        """Of the process that runs the block."""
        return self._process.pid

    def close(self) -> None:
        """Power off: the process has ended and the fuse file is free when this returns. Twice is allowed."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._resources.close()

    def failure(self, patience: float | None = _PATIENCE) -> DeviceError:
        """Why the process does not answer: waits ``patience`` seconds for its end (None: for ever), and repeats what it
        said."""
        try:
            status = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return DeviceError("the simulated chip does not answer", hint="close it and open it again")
        self._complaints.seek(0)
        said = self._complaints.read(2000).decode(errors="replace").strip()
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return DeviceError(f"the simulated chip {how}" + (f": {said}" if said else ""))

    def __enter__(self) -> SimulatedChip:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SimulatedChip(pid {self.pid})"

    def _ask(self, command: str) -> str:
        with self._lock:
            if self._closed:
                raise UsageError("this simulated chip is powered off")
            try:
                self._control.sendall(command.encode() + b"\n")
                reply = self._replies.readline().decode().strip()
            except OSError:
                reply = ""
        if not reply:
            raise self.failure()
        if reply.startswith("error "):
            raise UsageError(f"the simulated chip cannot do {command!r}: {reply.removeprefix('error ')}")
        return reply
