"""Contents of answers into frames (docs/link.md, section 1)."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .crc import Crc32
from .wire import ESCAPE, ESCAPE_XOR, FCS_SIZE, FLAG

__all__ = ["ContentsLayout", "Framer"]

#: One byte of contents; ``last`` marks the last byte of an answer.
ContentsLayout = data.StructLayout({"data": 8, "last": 1})


class Framer(wiring.Component):
    """Puts flags, stuffing and frame check sequence around contents.

    Protocol
    --------
    A frame starts when the first byte of contents is offered and ends with the flag after its FCS; contents
    are at least one byte. A byte takes 9 cycles, a stuffed one 10, and what surrounds the contents about 40,
    when the receiver is always ready. Contents may come with pauses: nothing is sent meanwhile.

    Area
    ----
    78 LUT4 and 43 flip-flops on an iCE40 (Yosys 0.70).
    """

    i: In(stream.Signature(ContentsLayout))
    #: Bytes for the wire.
    o: Out(stream.Signature(8))
    #: A frame is on its way: from the first offer of its contents until its closing flag was taken.
    active: Out(1)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.crc = crc = Crc32()

        escaped = Signal()              # the escape of the byte in hand has been sent
        sent = Signal(range(FCS_SIZE))  # bytes of the FCS
        in_fcs = Signal()

        byte = Mux(in_fcs, ~crc.value[:8], self.i.payload.data)
        special = (byte == FLAG) | (byte == ESCAPE)
        done = Signal()                 # the byte in hand leaves in this cycle
        m.d.comb += [crc.data.eq(self.i.payload.data), crc.feed.eq(~in_fcs), crc.start.eq(done)]

        with m.FSM() as fsm:
            m.d.comb += self.active.eq(self.i.valid | ~fsm.ongoing("open"))
            with m.State("open"):
                m.d.comb += [crc.clear.eq(1), self.o.payload.eq(FLAG), self.o.valid.eq(self.i.valid)]
                with m.If(self.o.valid & self.o.ready):
                    m.next = "byte"

            with m.State("byte"):
                m.d.comb += self.o.valid.eq(~crc.busy & (self.i.valid | in_fcs))
                with m.If(special & ~escaped):
                    m.d.comb += self.o.payload.eq(ESCAPE)
                    with m.If(self.o.valid & self.o.ready):
                        m.d.sync += escaped.eq(1)
                with m.Else():
                    m.d.comb += self.o.payload.eq(byte ^ Mux(escaped, ESCAPE_XOR, 0))
                    m.d.comb += done.eq(self.o.valid & self.o.ready)
                    m.d.comb += self.i.ready.eq(done & ~in_fcs)
                with m.If(done):
                    m.d.sync += escaped.eq(0)
                    with m.If(in_fcs):
                        m.d.sync += sent.eq(sent + 1)
                        with m.If(sent == FCS_SIZE - 1):
                            m.next = "close"
                    with m.Else():
                        m.d.sync += in_fcs.eq(self.i.payload.last)

            with m.State("close"):
                m.d.comb += [self.o.payload.eq(FLAG), self.o.valid.eq(~crc.busy)]
                with m.If(self.o.valid & self.o.ready):
                    m.d.sync += in_fcs.eq(0)
                    m.next = "open"

        return m
