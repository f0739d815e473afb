"""What a board is configured with, as a design that can be simulated: everything of :class:`fusequote_boards.top.Chip`
but the ring oscillators, with blank fuses.

``uart://`` runs it (:mod:`fusequote_sim.uart`), and asks for it by name: ``Divided6`` is the chip at 6 cycles per bit.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fusequote_boards.top import Chip

__all__ = ["Noise", "chip"]

_DIVIDED = re.compile(r"Divided([1-9][0-9]{0,4})")


class Noise(wiring.Component):
    """Stands for a board's noise source: the same bytes after each power-on, others after each boot.

    Marsaglia's xorshift64 (shifts 13, 7, 17). Not random: a chip with it says so in IDENTIFY.
    """

    def __init__(self) -> None:
        super().__init__({"restart": In(1), "o": Out(stream.Signature(8)), "failed": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        state = Signal(64, init=0x9E3779B97F4A7C15)
        a, b, c = Signal(64), Signal(64), Signal(64)
        m.d.comb += [
            a.eq(state ^ (state << 13)),
            b.eq(a ^ (a >> 7)),
            c.eq(b ^ (b << 17)),
            self.o.payload.eq(state[56:]),
            self.o.valid.eq(1),
        ]
        with m.If(self.o.ready):
            m.d.sync += state.eq(c)
        return m


def chip(divisor: int) -> Chip:
    """The chip with a UART of ``divisor`` cycles per bit."""
    return Chip(divisor, fuses=b"", noise=Noise())


def __getattr__(name: str) -> Any:
    # What is simulated is named MODULE:CLASS and made without arguments: each divisor is a name of its own.
    match = _DIVIDED.fullmatch(name)
    if match is None:
        raise AttributeError(name)
    return partial(chip, int(match[1]))
