"""``postroute://?board=NAME&bitstream=FILE&builds=FOLDER&seed=TEXT&baud=RATE``: what would be flashed, as a port.

Opening it turns the bitstream back into a netlist, makes a program of it when there is none yet (minutes; told through
:attr:`Serial.on_progress`), powers the chip on and waits until it has had the time to boot; closing it powers it off,
and what the chip has burnt is gone, as on the board. ``board`` is ``icebreaker`` by default. ``bitstream`` is a file
that `fusequote build` or `fusequote manufacture --board` made; without it the board's last build is taken, with blank
fuses. ``builds`` is where builds are kept, by default the home folder's cache. ``seed`` makes the noise repeatable,
``baud`` is the host's rate, by default the build's.

The rate that pyserial is given means nothing here; a break does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fusequote.chip.urlhandler.options import chip_options
from fusequote.errors import UsageError
from fusequote.home import Home
from fusequote_sim.urlhandler import protocol_sim
from serial.serialutil import SerialException

from ...board import board
from ..model import prepare
from ..process import PlacedChip

__all__ = ["BOOT_CYCLES", "Serial"]

#: More than a boot takes: wiping, the noise's start-up test, and the chains of the ratchet.
BOOT_CYCLES = 6_000_000


class Serial(protocol_sim.Serial):
    """A pyserial port with a placed chip at the other end.

    ``open`` raises what :func:`fusequote_boards.postroute.model.prepare` and
    :class:`fusequote_boards.postroute.process.PlacedChip` raise, and :class:`UsageError` for a wrong URL.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        self._chip: PlacedChip | None = None
        super().__init__(*args, **kwargs)

    def clock(self) -> float:
        """Seconds for whoever waits for the chip: :meth:`PlacedChip.clock`."""
        return self.chip.clock()

    def open(self) -> None:
        """Prepare the simulation if need be, and power the chip on."""
        if self._port is None:
            raise SerialException("Port must be configured before it can be used.")
        if self.is_open:
            raise SerialException("Port is already open.")
        options = chip_options(self._port, "postroute", ("board", "bitstream", "builds", "seed", "baud"))
        baud = options.get("baud")
        if baud is not None and not (baud.isascii() and baud.isdecimal()):
            raise UsageError(f"postroute://: {baud!r} is no baud rate", hint="write a number of bits a second")
        bitstream = options.get("bitstream")
        model = prepare(
            board(options.get("board", "icebreaker")),
            Path(options["builds"]) if "builds" in options else Home().cache / "boards",
            None if bitstream is None else Path(bitstream),
            on_progress=self.on_progress,
        )
        self._chip = PlacedChip(model, seed=options.get("seed"), baud=None if baud is None else int(baud))
        self._chip.port.setblocking(False)
        self._received.clear()
        self.is_open = True
        # A host's patience is for chips that boot in a third of a second.
        while self._chip.cycles() < BOOT_CYCLES:
            self._collect(0.1)

    def _update_break_state(self) -> None:
        self.chip.hold_break(self._break_state)

    def __repr__(self) -> str:
        return f"Serial<open={self.is_open}>(postroute://)"  # the URL may hold a seed
