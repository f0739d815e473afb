"""Received bytes into the contents of frames (docs/link.md, section 1)."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .crc import RESIDUE, Crc32
from .wire import ESCAPE, ESCAPE_XOR, FCS_SIZE, FLAG, MAX_CONTENTS, MIN_CONTENTS, FrameError

__all__ = ["Deframer", "FrameLayout"]

#: What is said of a frame: bytes of contents, and a :class:`FrameError`, with which ``length`` means nothing.
FrameLayout = data.StructLayout({"length": 13, "error": 2})


class Deframer(wiring.Component):
    """Takes the stuffing out of frames, checks them, and writes their contents into a memory.

    Contents byte ``n`` is written to address ``n`` as it arrives, nothing from ``max_contents`` on ever is.
    The bytes of the FCS are written too where there is room, for only the closing flag tells what they were;
    they are not counted in ``length``. What a damaged frame wrote stays in the memory until the next one
    overwrites it.

    Protocol
    --------
    Every frame that is not empty ends in one beat of ``frame``. No byte is taken while that beat waits, so
    that the taker may switch to another memory in the cycle in which it accepts. A byte of contents or FCS
    takes 9 cycles, a flag or an escape one: a UART at 3 Mbaud, 80 cycles a byte at 24 MHz, never waits.

    Area
    ----
    87 LUT4 and 53 flip-flops on an iCE40 (Yosys 0.70).

    Parameters
    ----------
    max_contents : int
        Longest contents accepted, 2 .. 8187 bytes.

    Raises
    ------
    ValueError
        If ``max_contents`` is out of range.
    """

    def __init__(self, max_contents: int = MAX_CONTENTS):
        limit = (1 << FrameLayout["length"].width) - FCS_SIZE - 1
        if not MIN_CONTENTS <= max_contents <= limit:
            raise ValueError(f"max_contents is {max_contents!r}, expected {MIN_CONTENTS} to {limit}")
        self._max_contents = max_contents
        super().__init__({
            # Bytes as they come from the wire.
            "i": In(stream.Signature(8)),
            # The memory that contents are written to: `w_data` to `w_addr` at the end of a cycle with `w_en`.
            "w_addr": Out(13),
            "w_data": Out(8),
            "w_en": Out(1),
            # One beat for each frame, good or bad.
            "frame": Out(stream.Signature(FrameLayout)),
            # A frame has begun, and its beat has not been taken yet.
            "active": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.crc = crc = Crc32()

        too_long = self._max_contents + FCS_SIZE + 1
        count = Signal(13)   # bytes with the FCS; stops at `too_long`
        escape = Signal()    # the byte before was 7D
        begun = Signal()     # something other than a flag came since the last frame
        pending = Signal()   # the closing flag came

        byte = self.i.payload
        m.d.comb += [
            self.active.eq(begun),
            self.i.ready.eq(~pending & ~crc.busy),
            self.w_addr.eq(count),
            self.w_data.eq(byte ^ Mux(escape, ESCAPE_XOR, 0)),
            crc.data.eq(self.w_data),
            crc.feed.eq(1),
        ]

        with m.If(self.i.valid & self.i.ready):
            with m.If(byte == FLAG):
                m.d.sync += pending.eq(begun)  # two flags in a row are no frame
            with m.Elif((byte == ESCAPE) & ~escape):
                m.d.sync += [begun.eq(1), escape.eq(1)]
            with m.Else():
                m.d.sync += [begun.eq(1), escape.eq(0)]
                m.d.sync += count.eq(count + (count != too_long))
                m.d.comb += [crc.start.eq(1), self.w_en.eq(count < self._max_contents)]

        # The CRC is at rest here: a flag is taken only when the byte before it has gone through.
        bad = (crc.value != RESIDUE) | (count < MIN_CONTENTS + FCS_SIZE) | escape
        m.d.comb += [
            self.frame.valid.eq(pending),
            self.frame.payload.length.eq(count - FCS_SIZE),
            self.frame.payload.error.eq(Mux(count == too_long, FrameError.TOO_LONG, bad)),
        ]
        with m.If(self.frame.valid & self.frame.ready):
            m.d.comb += crc.clear.eq(1)
            m.d.sync += [pending.eq(0), begun.eq(0), escape.eq(0), count.eq(0)]

        return m
