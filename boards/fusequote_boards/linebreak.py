"""A break on the serial line ends the frame under way.

A host that does not know what the chip has half received sends a break (line low for more than a byte): the receiver
drops what it was in, and this puts one frame separator into the stream of bytes. What was half received fails its frame
check sequence; between frames a separator means nothing (docs/link.md, section 1).
"""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["BREAK_BITS", "LineBreak"]

#: Bit times for which the line must be low: more than any byte has (a start bit and eight zeros), with room to spare.
BREAK_BITS = 12
SEPARATOR = 0x7E


class LineBreak(wiring.Component):
    """Passes bytes on, and puts a separator in when a break ends.

    A byte is passed on in the cycle in which it comes.

    Parameters
    ----------
    divisor : int
        Cycles per bit, as the receiver's.
    """

    def __init__(self, divisor: int):
        self._cycles = divisor * BREAK_BITS
        super().__init__({
            # The line, asynchronous to the clock; high when idle.
            "rx": In(1, init=1),
            "i": In(stream.Signature(8)),
            "o": Out(stream.Signature(8)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)
        low = Signal(range(self._cycles + 1))
        # A break has ended; its separator is on its way, which a byte that waits at the output must not see.
        pending = Signal()
        sending = Signal()

        with m.If(sending):
            m.d.comb += [self.o.payload.eq(SEPARATOR), self.o.valid.eq(1)]
            with m.If(self.o.ready):
                m.d.sync += sending.eq(0)
        with m.Else():
            m.d.comb += [
                self.o.payload.eq(self.i.payload),
                self.o.valid.eq(self.i.valid),
                self.i.ready.eq(self.o.ready),
            ]

        with m.If(pending & ~sending & ~(self.i.valid & ~self.o.ready)):
            m.d.sync += [pending.eq(0), sending.eq(1)]
        with m.If(line):
            m.d.sync += low.eq(0)
            with m.If(low == self._cycles):
                m.d.sync += pending.eq(1)
        with m.Elif(low != self._cycles):
            m.d.sync += low.eq(low + 1)
        return m
