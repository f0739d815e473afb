"""The answer on its way out: between the sequencer, which is fast, and the wire, which is not."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..engines.blockram import BlockRAM
from .framer import ContentsLayout

__all__ = ["AnswerBuffer"]

#: Bytes; more than the longest answer (436), and one block RAM of an iCE40.
DEPTH = 512


class AnswerBuffer(wiring.Component):
    """Keeps the contents of one answer until the framer has taken them.

    An answer may come in pieces: what has come leaves while the rest is being made, which is how a REPORT crosses the
    wire while it is MACed. The next answer waits until the one before has left.

    A byte is wiped when it has left, and all of the memory after a reset: an answer may be a key.

    Protocol
    --------
    A byte can be taken in every cycle but those after one was given, and given in every third; 512 cycles pass after a
    reset before the first is taken. Answers of more than 511 bytes pass too, but then at the pace of the receiver.

    Attributes
    ----------
    ram : BlockRAM
        The bytes, for tests to look into.
    """

    i: In(stream.Signature(ContentsLayout))
    o: Out(stream.Signature(ContentsLayout))
    #: Something has still to leave, or to be wiped.
    active: Out(1)

    def __init__(self):
        self.ram = BlockRAM(width=8, depth=DEPTH)
        super().__init__()

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.ram = ram = self.ram
        head = Signal(range(DEPTH))   # where the next byte goes
        tail = Signal(range(DEPTH))   # the byte on offer
        wiped = Signal(range(DEPTH))  # the byte to wipe
        ended = Signal()              # the last byte is in
        read = Signal()               # ``ram.read_data`` is the byte at ``tail``
        wiping = Signal()
        sweeping = Signal(init=1)
        after_head, after_tail = Signal(range(DEPTH)), Signal(range(DEPTH))
        empty = head == tail

        m.d.comb += [
            after_head.eq(head + 1),
            after_tail.eq(tail + 1),
            self.i.ready.eq(~ended & ~wiping & ~sweeping & (after_head != tail)),
            self.active.eq(~empty | wiping | sweeping),
            self.o.valid.eq(read),
            self.o.payload.data.eq(ram.read_data),
            self.o.payload.last.eq(ended & (after_tail == head)),
            ram.read_en.eq(~read & ~empty & ~sweeping),
            ram.read_addr.eq(tail),
        ]
        with m.If(wiping | sweeping):
            m.d.comb += [ram.write_en.eq(1), ram.write_addr.eq(Mux(sweeping, head, wiped))]
        with m.Else():
            m.d.comb += [
                ram.write_en.eq(self.i.valid & self.i.ready),
                ram.write_addr.eq(head),
                ram.write_data.eq(self.i.payload.data),
            ]

        m.d.sync += wiping.eq(0)
        with m.If(ram.read_en):
            m.d.sync += read.eq(1)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [head.eq(after_head), ended.eq(self.i.payload.last)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [read.eq(0), tail.eq(after_tail), wiped.eq(tail), wiping.eq(1)]
            with m.If(self.o.payload.last):
                m.d.sync += ended.eq(0)
        with m.If(sweeping):
            m.d.sync += [head.eq(after_head), sweeping.eq(head != DEPTH - 1)]
        return m
