"""CRC-32 of RFC 1662, one bit a cycle: the wire is slower, and a byte-wide one takes 64 to 77 LUT4 more."""

from amaranth import C, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RESIDUE", "Crc32"]

#: What the register holds after any contents followed by their right FCS (PPPGOODFCS32 in RFC 1662,
#: appendix C.3).
RESIDUE = 0xDEBB20E3

#: The generator x^32 + x^26 + .. + 1 with the coefficient of x^31 in bit 0, for data that come least
#: significant bit first.
_POLYNOMIAL = 0xEDB88320


class Crc32(wiring.Component):
    """The register that both directions of the link compute their frame check sequence with.

    The FCS of RFC 1662 (the CRC of zlib and Ethernet) is the complement of ``value``, least significant byte
    first.

    A byte takes 9 cycles: one with ``start``, then eight in which ``busy`` is high. ``start`` must be low
    while ``busy`` is high. 32 + 5 flip-flops.
    """

    #: Back to the initial value, all ones. Not with ``start`` or ``busy``.
    clear: In(1)
    #: Take ``data`` in the cycle with this strobe and start shifting.
    start: In(1)
    data: In(8)
    #: With ``start``: 1 runs ``data`` through the CRC; 0 ignores ``data`` and shifts ``value`` down by eight
    #: bits, which brings the next byte of the FCS to its low end.
    feed: In(1)
    #: High for the eight cycles after ``start``.
    busy: Out(1)
    #: The register, not complemented.
    value: Out(32, init=0xFFFFFFFF)

    def elaborate(self, platform) -> Module:
        m = Module()

        # 0 at rest, 8 .. 15 while shifting: the overflow ends it.
        step = Signal(4)
        feedback = Signal()
        value = self.value
        m.d.comb += self.busy.eq(step[3])

        with m.If(self.start):
            m.d.sync += [step.eq(8), feedback.eq(self.feed)]
        with m.Elif(self.busy):
            m.d.sync += step.eq(step + 1)

        with m.If(self.busy):
            m.d.sync += value.eq((value >> 1) ^ Mux(value[0] & feedback, C(_POLYNOMIAL, 32), 0))
        with m.Elif(self.start):
            m.d.sync += value[:8].eq(value[:8] ^ Mux(self.feed, self.data, 0))
        # Last and on its own, so that it becomes the flip-flops' reset input and costs no logic.
        with m.If(self.clear):
            m.d.sync += value.eq(0xFFFFFFFF)

        return m
