"""Boards that are plugged in: by USB ids and product strings, as pyserial lists ports."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusequote.chip.ports import KnownPort
from fusequote.errors import DeviceError

from .board import Board, boards

__all__ = ["Found", "find", "known", "one", "udev_rules"]


@dataclass(frozen=True)
class Found:
    """A board on USB. ``port``: its serial line; ``usb_device``: the file of its USB device, None where unknown."""

    board: Board
    port: str
    serial_number: str | None
    product: str
    usb_device: str | None = None


def _comports() -> Iterable[Any]:
    from serial.tools.list_ports import comports

    return comports()


def find(ports: Callable[[], Iterable[Any]] = _comports) -> list[Found]:
    """All boards that are plugged in and say so, each once."""
    found = []
    for port in sorted(ports(), key=lambda port: port.device):
        for board in boards().values():
            for usb in board.usb:
                if (port.vid, port.pid) != (usb.vid, usb.pid) or usb.product not in (port.product or ""):
                    continue
                if _interface(port) in (None, usb.interface):
                    found.append(Found(board, port.device, port.serial_number, port.product or "", _usb_device(port)))
    return found


def known() -> list[KnownPort]:
    """The same for ``serial://``: an entry point of the group ``fusequote.ports``."""
    return [KnownPort(each.port, each.board.name, each.board.title, each.board.baud, each.board.max_baud)
            for each in find()]


def one(board: Board, found: Iterable[Found]) -> Found:
    """The board of this kind that is plugged in. Raises :class:`DeviceError` when there is none, another one, or more
    than one.
    """
    found = list(found)
    same = [each for each in found if each.board.name == board.name]
    if len(same) == 1:
        return same[0]
    if len(same) > 1:
        raise DeviceError(f"there are {len(same)} boards {board.name}: {', '.join(each.port for each in same)}",
                          hint="unplug all but one, or name one with --port")
    if found:
        others = ", ".join(f"{each.board.name} at {each.port}" for each in found)
        raise DeviceError(f"there is no {board.name} here, but {others}",
                          hint=f"plug in {board.title}, or give the name of the board that is there")
    raise DeviceError(f"there is no {board.name} on USB",
                      hint="plug it in; `fusequote doctor` says which boards it sees, and what keeps it from them")


def udev_rules() -> str:
    """A udev rule for all boards: who sits at this machine may use them."""
    ids = sorted({(usb.vid, usb.pid) for board in boards().values() for usb in board.usb})
    return "".join(f'ATTRS{{idVendor}}=="{vid:04x}", ATTRS{{idProduct}}=="{pid:04x}", MODE="0660", TAG+="uaccess"\n'
                   for vid, pid in ids)


def _interface(port: Any) -> int | None:
    # "1-2:1.1" is interface 1 of the device at 1-2.
    match = re.search(r":\d+\.(\d+)$", port.location or "")
    return int(match[1]) if match else None


def _usb_device(port: Any) -> str | None:
    """The file below /dev/bus/usb that openFPGALoader opens."""
    base = (port.location or "").partition(":")[0]
    folder = Path("/sys/bus/usb/devices") / base
    try:
        bus, device = (int((folder / name).read_text()) for name in ("busnum", "devnum"))
    except (OSError, ValueError):
        return None
    return f"/dev/bus/usb/{bus:03d}/{device:03d}"


def latency_timer(port: str) -> int | None:
    """Milliseconds that an FTDI chip waits for more bytes before it sends what it has; None where there is no such."""
    for path in glob.glob(f"/sys/bus/usb-serial/devices/{os.path.basename(port)}/latency_timer"):
        try:
            return int(Path(path).read_text())
        except (OSError, ValueError):
            return None
    return None
