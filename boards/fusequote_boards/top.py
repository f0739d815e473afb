"""What a board is configured with: the block, its UART, clock and reset, fuses, and a source of noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import io, wiring
from fusequote_hdl.block import Block
from fusequote_hdl.engines.entropy import RingEntropy
from fusequote_hdl.link.uart import UartReceiver, UartTransmitter

from fusequote_boards.clocking import ClockReset
from fusequote_boards.fusemacro import FuseMacro
from fusequote_boards.linebreak import LineBreak

if TYPE_CHECKING:
    from fusequote_boards.board import Target

__all__ = ["Chip", "Top"]


class Chip(wiring.Component):
    """All that is not clock and pins: serial line in and out, at a number of cycles per bit.

    Parameters
    ----------
    divisor : int
        Cycles per bit, at least 4.
    fuses : bytes
        As of :class:`FuseMacro`.
    noise : Component
        Source of noise with the ports of :class:`RingEntropy`, which is the default.
    """

    def __init__(self, divisor: int, *, fuses: bytes | None = None, noise: wiring.Component | None = None):
        self._divisor, self._fuses = divisor, fuses
        self._noise, self._hardware_entropy = noise or RingEntropy(), noise is None
        super().__init__({"rx": wiring.In(1, init=1), "tx": wiring.Out(1, init=1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.block = block = Block(hardware_entropy=self._hardware_entropy)
        m.submodules.fuses = fuses = FuseMacro(self._fuses)
        m.submodules.noise = noise = self._noise
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.linebreak = linebreak = LineBreak(self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            linebreak.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            fuses.booting.eq(block.booting),
            noise.restart.eq(block.booting),
            block.entropy_failed.eq(noise.failed),
        ]
        wiring.connect(m, receiver.o, linebreak.i)
        wiring.connect(m, linebreak.o, block.rx)
        wiring.connect(m, block.tx, transmitter.i)
        wiring.connect(m, block.fuse, fuses.fuse)
        wiring.connect(m, noise.o, block.entropy)
        return m


class Top(Elaboratable):
    """A :class:`Chip` on a board, at a clock and a baud rate (:class:`fusequote_boards.board.Target`)."""

    def __init__(self, target: Target, *, fuses: bytes | None = None):
        self.target, self.fuses = target, fuses

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        board = self.target.board
        m.submodules.clock = ClockReset(board.oscillator, board.oscillator_hz, self.target.hz, family=board.family,
                                        pad=board.pll_pad)
        m.submodules.chip = chip = Chip(self.target.divisor, fuses=self.fuses)
        uart = platform.request("uart", 0, dir={"rx": "-", "tx": "-"})
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.FFBuffer("o", uart.tx)
        m.d.comb += [chip.rx.eq(rx.i), tx.o.eq(chip.tx)]
        # Pins that have to have a level for the board to work, such as the select of a flash on the same wires.
        for name, level in board.levels.items():
            pin = platform.request(name, 0, dir="-")
            m.submodules[f"level_{name}"] = buffer = io.Buffer("o", pin)
            m.d.comb += buffer.o.eq(level)
        return m
