"""Serial lines of this machine: which one is meant, at what rate, and how it is set up.

What boards are plugged in, other packages know: entry points of the group ``fusequote.ports``, functions that give
:class:`KnownPort`.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import sys
import termios
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import unquote

from fusequote.chip.status import LinkError
from fusequote.chip.urlhandler.options import chip_options
from fusequote.errors import UsageError

__all__ = ["BAUDRATE", "GROUP", "KnownPort", "Line", "known_ports", "resolve", "set_up"]

GROUP = "fusequote.ports"
SCHEME = "serial://"
#: The rate of a line of which nothing is known.
BAUDRATE = 115_200
#: A break is low for longer than any byte; seconds at least, for bridges that time it coarsely.
_BREAK_BITS, _BREAK_SECONDS = 24, 0.002
#: How far a driver's rate may be off the one asked for: docs/boards.md, "Build".
_RATE_TOLERANCE = 0.015
#: Linux: struct termios2 and its ioctl, the same on x86, ARM and RISC-V.
_TCGETS2, _TERMIOS2_WORDS, _OSPEED = 0x802C542A, 11, 10
_DOCTOR = "`fusequote doctor` lists boards and ports, and what keeps them from being used"


@dataclass(frozen=True)
class KnownPort:
    """A board on USB: its serial line, the board's name and title, the link's rate, and the most its bridge does."""

    device: str
    board: str
    title: str
    baud: int
    max_baud: int


@dataclass(frozen=True)
class Line:
    """A serial line that was chosen: its device and its rate in baud."""

    device: str
    baud: int


def known_ports() -> list[KnownPort]:
    """All boards that are plugged in. A package that cannot be loaded knows of none."""
    found: list[KnownPort] = []
    for point in sorted(entry_points(group=GROUP)):
        with contextlib.suppress(ImportError):
            found += point.load()()
    return found


def resolve(url: str, baud: int | None, known: Iterable[KnownPort] | None = None) -> Line:
    """The line that ``url`` means: a device, or ``serial://[DEVICE][?baud=RATE&board=NAME]``.

    Without a device it is the one board that is plugged in (or the one of that name). The rate is ``baud``, the URL's,
    the board's, or 115,200, in this order. Raises :class:`UsageError` for a URL that cannot be read and a rate that the
    board's bridge does not do; :class:`LinkError` for no board, several, or another one.
    """
    device, options = url, {}
    if url.lower().startswith(SCHEME):
        place, _, query = url[len(SCHEME) :].partition("?")
        device, options = unquote(place), chip_options(f"{SCHEME}?{query}", "serial", ("baud", "board"))
    rate = _rate(options) if baud is None else baud
    found = list(known_ports() if known is None else known)
    board = options.get("board")
    if device:
        here = next((port for port in found if port.device == device), None)
        if board is not None:
            _check_board(device, board, here)
    else:
        here = _only_one(board, found)
        device = here.device
    if here is not None and rate is not None and rate > here.max_baud:
        raise UsageError(f"{device}: {rate:,} baud, but the bridge of this {here.title} does {here.max_baud:,} at most",
                         hint=f"its link runs at {here.baud:,} baud unless it was built otherwise")
    return Line(device, rate or (here.baud if here else BAUDRATE))


def _rate(options: dict[str, str]) -> int | None:
    text = options.get("baud")
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or not 50 <= int(text) <= 100_000_000:
        raise UsageError(f"serial://: baud is a rate of 50 to 100000000, not {text!r}",
                         hint="write serial://DEVICE?baud=3000000")
    return int(text)


def _check_board(device: str, board: str, here: KnownPort | None) -> None:
    if here is None:
        raise LinkError(f"{device}: this is not the serial line of a board that is known here, let alone of a {board}",
                        hint=_DOCTOR)
    if here.board != board:
        raise LinkError(f"{device}: this is the wrong board: {here.title} ({here.board}), not {board}",
                        hint=f"plug in the {board}, or give board={here.board}")


def _only_one(board: str | None, found: list[KnownPort]) -> KnownPort:
    fitting = [port for port in found if board in (None, port.board)]
    if len(fitting) == 1:
        return fitting[0]
    what = "board" if board is None else f"board {board}"
    if fitting:
        places = ", ".join(f"{port.board} at {port.device}" for port in fitting)
        raise LinkError(f"serial://: there is more than one {what}: {places}",
                        hint=f"name one of them: serial://{fitting[0].device}")
    others = ", ".join(f"{port.board} at {port.device}" for port in found)
    raise LinkError(f"serial://: there is no {what} on USB" + (f", but {others}" if others else ""), hint=_DOCTOR)


def set_up(port: Any, line: Line) -> None:
    """Make an open pyserial port fit for short questions and answers, and end what the chip may have half received.

    Gives the port ``reset_line``, which sends a break. Raises :class:`UsageError` when the driver runs the line at
    another rate than it was asked for.
    """
    with contextlib.suppress(AttributeError, NotImplementedError, ValueError, OSError):
        # ASYNC_LOW_LATENCY: an FTDI bridge then sends what it has after 1 ms, not after 16.
        port.set_low_latency_mode(True)
    actual = actual_rate(port)
    if actual is not None and abs(actual / line.baud - 1) > _RATE_TOLERANCE:
        raise UsageError(f"{line.device}: asked for {line.baud:,} baud, its bridge does {actual:,}",
                         hint="give a rate that it does, and build the board's bitstream for that: --baud")

    def reset_line() -> None:
        # Not every driver can: two flags in front of the next frame do the same, one damaged frame later.
        with contextlib.suppress(OSError, termios.error):
            port.break_condition = True
            time.sleep(max(_BREAK_SECONDS, _BREAK_BITS / line.baud))
            port.break_condition = False

    port.reset_line = reset_line
    reset_line()


def actual_rate(port: Any) -> int | None:
    """What the driver says that the line runs at; None where it does not say."""
    if not sys.platform.startswith("linux"):
        return None
    words = array.array("I", [0] * _TERMIOS2_WORDS)
    try:
        fcntl.ioctl(port.fileno(), _TCGETS2, words)
    except (OSError, AttributeError, ValueError, TypeError):
        return None
    return words[_OSPEED] or None
