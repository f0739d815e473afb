"""A chip behind its own UART, simulated at the pins: what is at ``uart://``.

The process (harness_uart.cpp) has one socket and runs only while a command is under way, so cycles are counted as for a
host that needs no time at all, and a session repeats to the cycle.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import tempfile
import threading
from pathlib import Path

from fusequote.errors import DeviceError, EnvironmentProblem, UsageError

from .design import Design
from .toolchain import Recipe

__all__ = ["UART", "PinChip", "board_design"]

_HERE = Path(__file__).parent
#: A design with the ports ``rx`` and ``tx`` (and clock and reset) as a process (harness_uart.cpp).
UART = Recipe(
    clocked=True,
    verilator=("--prefix", "Vchip"),
    cxx=("-DVL_TIME_CONTEXT", "-DVM_TRACE=0"),
    harness=(_HERE / "harness_uart.cpp",),
)
_LEAST_DIVISOR, _MOST_DIVISOR = 4, 99_999
#: Seconds that the process gets to end.
_PATIENCE = 10.0


def board_design(divisor: int) -> Design:
    """What boards are configured with, at ``divisor`` cycles per bit, without the ring oscillators.

    Raises :class:`UsageError` for a divisor below 4.
    """
    if not _LEAST_DIVISOR <= divisor <= _MOST_DIVISOR:
        raise UsageError(f"{divisor} clock cycles per bit; {_LEAST_DIVISOR} at least, {_MOST_DIVISOR} at most")
    parts = ("simulated", "top", "clocking", "fusemacro", "linebreak")
    return Design(f"fusequote_boards.simulated:Divided{divisor}",
                  ("fusequote_hdl", *(f"fusequote_boards.{part}" for part in parts)))


class PinChip:
    """A chip that is powered on: ``program``, made of a design by the recipe :data:`UART`.

    ``divisor``: cycles per bit, as the design's. One command at a time; several threads may give them. Raises
    :class:`EnvironmentProblem` when the program cannot be started; all methods raise :class:`DeviceError` when it has
    ended by itself.
    """

    def __init__(self, program: Path, divisor: int):
        self._lock = threading.Lock()
        #: Clock cycles since power-on.
        self.cycles = 0
        with contextlib.ExitStack() as stack:
            self._complaints = stack.enter_context(tempfile.TemporaryFile())
            self._port, port = (stack.enter_context(end) for end in socket.socketpair())
            command = [os.path.abspath(program), "--port", str(port.fileno()), "--divisor", str(divisor)]
            try:
                self._process = subprocess.Popen(
                    command, pass_fds=(port.fileno(),), start_new_session=True, cwd="/", stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=self._complaints,
                )  # fmt: skip
            except OSError as error:
                raise EnvironmentProblem(
                    f"cannot start the simulated chip {program}: {error.strerror}",
                    hint="may programs be run from that file system? give another folder with cache=",
                ) from error
            port.close()
            stack.callback(self._end)
            self._resources = stack.pop_all()

    def write(self, data: bytes) -> None:
        """``data`` waits to be sent, behind what waits already; it is sent while :meth:`run` runs."""
        for at in range(0, len(data), 1 << 16):
            piece = data[at : at + (1 << 16)]
            self._ask(b"W" + struct.pack("<I", len(piece)) + piece)

    def run(self, most: int) -> bytes:
        """Run until a byte has come, to the end of its stop bit, or for ``most`` cycles: the byte, or b""."""
        with self._lock:
            self._command(b"R" + struct.pack("<Q", most))
            return self._receive(self._receive(1)[0])

    def send_break(self, bits: int) -> None:
        """The line is low for ``bits`` bit times from now on; what is being sent is damaged."""
        self._ask(b"B" + struct.pack("<I", bits))

    def power_cycle(self) -> None:
        """Power off and on again."""
        self._ask(b"P")

    def close(self) -> None:
        """Power off. Twice is allowed."""
        self._resources.close()

    def _ask(self, command: bytes) -> None:
        with self._lock:
            self._command(command)

    def _command(self, command: bytes) -> None:
        try:
            self._port.sendall(command)
        except OSError:
            raise self._failure() from None
        self.cycles = int.from_bytes(self._receive(8), "little")

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                piece = self._port.recv(size - len(data))
            except OSError:
                piece = b""
            if not piece:
                raise self._failure()
            data += piece
        return data

    def _failure(self) -> DeviceError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        self._complaints.seek(0)
        said = self._complaints.read(2000).decode(errors="replace").strip()
        return DeviceError(f"the simulated chip has ended ({self._process.returncode})" + (f": {said}" if said else ""))

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self._port.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
