"""What a board is, and which ones there are: each is a :class:`Board` in a module of :mod:`fusequote_boards.boards`."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from fusequote.errors import UsageError

__all__ = ["BAUD_TOLERANCE", "Board", "Loader", "Target", "UsbId", "board", "boards"]

#: How far the UART's rate may be off the host's. Half a bit over ten is 5 %; a bridge and edges need the rest.
BAUD_TOLERANCE = 0.015
#: The UART samples in the middle of a bit, of at least this many cycles.
LEAST_DIVISOR = 4


@dataclass(frozen=True)
class UsbId:
    """How a board shows itself on USB: ids, what its product string contains ("" for boards that all say the same), and
    which of the chip's interfaces is the serial line.
    """

    vid: int
    pid: int
    product: str = ""
    interface: int = 0


@dataclass(frozen=True)
class Loader:
    """openFPGALoader's arguments for a board. ``volatile`` is None where its memory cannot be loaded through USB.
    ``idcode`` is what answers on JTAG, None where there is no JTAG.
    """

    board: tuple[str, ...]
    flash: tuple[str, ...] | None = ("--write-flash", "--verify")
    volatile: tuple[str, ...] | None = ("--write-sram",)
    idcode: int | None = None
    #: What has to be plugged or pressed first.
    first: str | None = None


@dataclass(frozen=True)
class Board:
    """One board.

    ``core_hz``: the block's clock; ``baud``: the link's rate; both may be chosen otherwise when it is built.
    ``bauds``: the rate that the bridge does at most; ``bridge`` names it. ``oscillator``: resource of the platform,
    ``pll_pad``: whether it comes in at the pad of an iCE40's PLL. ``usb`` is empty for a board without a bridge of its
    own. ``levels``: resources that need a level. ``seed``: of the placement. ``price``: in euros, a class.
    """

    name: str
    title: str
    family: str                     #: "up5k" or "ecp5"
    device: str                     #: as the bitstream names it
    price: str
    platform: Callable[[], Any]
    oscillator: str
    oscillator_hz: int
    core_hz: int
    bridge: str
    baud: int
    max_baud: int
    loader: Loader
    secret: str                     #: what a root key in this board's bitstream is worth, in a line
    usb: tuple[UsbId, ...] = ()
    pll_pad: bool = False
    seed: int = 1
    wiring: str | None = None       #: what has to be soldered or connected
    levels: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def target(self, *, hz: int | None = None, baud: int | None = None, seed: int | None = None) -> Target:
        """The board at its clock and rate, or at others. Raises :class:`UsageError` for what it cannot do."""
        target = Target(self, hz or self.core_hz, baud or self.baud, self.seed if seed is None else seed)
        if target.baud > self.max_baud:
            raise UsageError(f"{self.name}: {target.baud:,} baud, but its bridge ({self.bridge}) does "
                             f"{self.max_baud:,} at most", hint="give a lower --baud")
        if target.divisor < LEAST_DIVISOR or abs(target.baud_error) > BAUD_TOLERANCE:
            raise UsageError(
                f"{self.name}: no {target.baud:,} baud from a clock of {target.hz / 1e6:g} MHz",
                hint=f"the clock must be a whole multiple of the rate, to {BAUD_TOLERANCE:.1%}, and at least "
                     f"{LEAST_DIVISOR} times it: {', '.join(f'{rate:,}' for rate in target.rates()[:4])}")
        return target


@dataclass(frozen=True)
class Target:
    """A board at a clock (Hz) and a baud rate, placed with a seed."""

    board: Board
    hz: int
    baud: int
    seed: int

    @property
    def divisor(self) -> int:
        """Cycles per bit."""
        return max(1, round(self.hz / self.baud))

    @property
    def baud_error(self) -> float:
        """The UART's rate over the host's, less 1."""
        return self.hz / self.divisor / self.baud - 1

    def rates(self) -> list[int]:
        """Rates that this clock gives exactly and the bridge does, highest first."""
        return [self.hz // divisor for divisor in range(LEAST_DIVISOR, 1000)
                if self.hz % divisor == 0 and self.hz // divisor <= self.board.max_baud]


@cache
def boards() -> dict[str, Board]:
    """All boards by name."""
    from fusequote_boards import boards as package

    found = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        found |= {board.name: board for board in module.BOARDS}
    return found


def board(name: str) -> Board:
    """The board of this name. Raises :class:`UsageError` for an unknown one."""
    known = boards()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    raise UsageError(f"there is no board {name!r}",
                     hint=f"{f'did you mean {near[0]}? ' if near else ''}one of {', '.join(known)}")
