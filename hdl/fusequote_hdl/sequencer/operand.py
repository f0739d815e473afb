"""Where the B bytes of a VEC come from."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..isa import WORD_BITS, Port, Src
from .ports import LENGTH_BITS, SLOT_INDEX_BITS

__all__ = ["Operand"]


class Operand(wiring.Component):
    """``b``, and whether it is there; in a cycle with ``take`` a byte of a stream is used up. Combinational but for the
    measurement engine's bytes, which wait in a register: there is a path from its data to its digest.
    """

    src: In(Src)
    port: In(Port)
    #: Number of the byte within the VEC.
    position: In(5)
    take: In(1)
    b: Out(8)
    valid: Out(1)

    #: Memory, the immediate, the word of the program.
    from_memory: In(8)
    immediate: In(8)
    literal: In(WORD_BITS)
    #: Registers.
    x: In(8)
    n: In(LENGTH_BITS)
    slot: In(SLOT_INDEX_BITS)
    cycles: In(32)
    cause: In(2)
    #: The fuse pointed at.
    fuse: In(8)
    fuse_valid: In(1)
    #: Streams.
    tag: In(stream.Signature(8))
    digest: In(stream.Signature(8))
    rsa: In(stream.Signature(8))
    entropy: In(stream.Signature(8))
    #: The noise source failed: it is waited for no more.
    entropy_failed: In(1)

    def elaborate(self, platform):
        m = Module()
        b, valid, position = self.b, self.valid, self.position

        def taking(port):
            return (self.src == Src.PORT) & (self.port == port) & self.take

        digest = Signal(8)
        digest_valid = Signal()
        m.d.comb += self.digest.ready.eq(~digest_valid | taking(Port.DIGEST))
        with m.If(self.digest.ready):
            m.d.sync += [digest.eq(self.digest.payload), digest_valid.eq(self.digest.valid)]
        m.d.comb += [
            self.tag.ready.eq(taking(Port.TAG)),
            self.entropy.ready.eq(taking(Port.ENTROPY)),
            self.rsa.ready.eq(taking(Port.RSA)),
            valid.eq(1),
        ]

        with m.Switch(self.src):
            with m.Case(Src.MEM):
                m.d.comb += b.eq(self.from_memory)
            with m.Case(Src.IMM):
                m.d.comb += b.eq(self.immediate)
            with m.Case(Src.LIT):
                m.d.comb += b.eq(self.literal.word_select(position[0], 8))
            with m.Case(Src.PORT):
                with m.Switch(self.port):
                    with m.Case(Port.TAG):
                        m.d.comb += [b.eq(self.tag.payload), valid.eq(self.tag.valid)]
                    with m.Case(Port.DIGEST):
                        m.d.comb += [b.eq(digest), valid.eq(digest_valid)]
                    with m.Case(Port.FUSE):
                        m.d.comb += [b.eq(self.fuse), valid.eq(self.fuse_valid)]
                    with m.Case(Port.ENTROPY):
                        m.d.comb += [b.eq(self.entropy.payload), valid.eq(self.entropy.valid | self.entropy_failed)]
                    with m.Case(Port.CYCLES):
                        m.d.comb += b.eq(self.cycles.word_select(position[:2], 8))
                    with m.Case(Port.X):
                        m.d.comb += b.eq(self.x)
                    with m.Case(Port.N):
                        m.d.comb += b.eq(Mux(position[0], self.n[8:], self.n[:8]))
                    with m.Case(Port.S):
                        m.d.comb += b.eq(self.slot)
                    with m.Case(Port.RSA):
                        m.d.comb += [b.eq(self.rsa.payload), valid.eq(self.rsa.valid)]
                    with m.Case(Port.CAUSE):
                        m.d.comb += b.eq(self.cause)
        return m
