"""Where the result bytes of a VEC go when an engine, the link or memory takes them."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..isa import Dst
from .ports import TxByte

__all__ = ["Outlet"]


class Outlet(wiring.Component):
    """A result rests in a register on its way: what an engine or memory does with it in the cycle in which it takes it
    is long enough by itself. To memory it goes in the next cycle in which nothing is read there.
    """

    #: A result for ``dst``, which is no register of the sequencer, and whether it is taken in this cycle.
    offer: In(1)
    result: In(8)
    dst: In(Dst)
    #: It is the last one of its VEC.
    last: In(1)
    ready: Out(1)
    #: One is on its way, and leaves in this cycle.
    valid: Out(1)
    leaves: Out(1)

    data: Out(8)
    #: Memory can be written; it is.
    memory_free: In(1)
    write: Out(1)
    #: .. and the pointer then moves down.
    down: Out(1)

    message: Out(stream.Signature(8))
    sha_data: Out(stream.Signature(8))
    sha_load: Out(stream.Signature(8))
    rsa_load: Out(stream.Signature(8))
    tx: Out(stream.Signature(TxByte))

    def elaborate(self, platform):
        m = Module()
        last = Signal()
        to = Signal(Dst)
        engines = {Dst.CMAC: self.message, Dst.SHA: self.sha_data, Dst.SHA_STATE: self.sha_load,
                   Dst.RSA: self.rsa_load}
        m.d.comb += [
            self.ready.eq(~self.valid | self.leaves),
            self.tx.payload.data.eq(self.data),
            self.tx.payload.last.eq(last),
            self.down.eq(to == Dst.MEM_DOWN),
        ]
        m.d.comb += [engine.payload.eq(self.data) for engine in engines.values()]
        with m.Switch(to):
            for dst, engine in engines.items():
                with m.Case(dst):
                    m.d.comb += [engine.valid.eq(self.valid), self.leaves.eq(engine.ready)]
            with m.Case(Dst.MEM, Dst.MEM_DOWN):
                m.d.comb += [self.write.eq(self.valid & self.memory_free), self.leaves.eq(self.memory_free)]
            with m.Default():
                m.d.comb += [self.tx.valid.eq(self.valid), self.leaves.eq(self.tx.ready)]

        with m.If(self.offer & self.ready):
            m.d.sync += [
                self.data.eq(self.result),
                last.eq((self.dst == Dst.TX_LAST) & self.last),
                to.eq(self.dst),
                self.valid.eq(1),
            ]
        with m.Elif(self.leaves):
            m.d.sync += self.valid.eq(0)
        return m
