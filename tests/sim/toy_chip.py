"""A toy behind the ports of the block: small enough to build in seconds, and it answers to everything the harness does.

Requests and answers are frames; an answer is the op with bit 7 set and what follows:

====  ==========================================================================================
op    answer
====  ==========================================================================================
01    the request's other bytes
02    the fuse byte at the address in bytes 2 (low) and 3 (high)
03    burns byte 4 into that fuse; the fuse byte afterwards
04    the 32 bytes of entropy taken at boot
05    a zero; then it boots again, with 32 more bytes of entropy
06    never: the toy hangs until it is reset
====  ==========================================================================================
"""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from fusequote_hdl.fuses import FuseMacroSignature
from fusequote_hdl.link import Deframer, Framer

SIZE = 64


class ToyChip(wiring.Component):
    """See the module's text."""

    rx: In(stream.Signature(8))
    tx: Out(stream.Signature(8))
    entropy: In(stream.Signature(8))
    fuse: Out(FuseMacroSignature())
    idle: Out(1)
    booting: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.deframer = deframer = Deframer(SIZE)
        m.submodules.framer = framer = Framer()
        m.submodules.memory = memory = Memory(shape=8, depth=SIZE, init=[])
        write, read = memory.write_port(), memory.read_port()
        wiring.connect(m, wiring.flipped(self.rx), deframer.i)
        wiring.connect(m, framer.o, wiring.flipped(self.tx))

        noise = Array(Signal(8, name=f"noise{n}") for n in range(32))
        taken = Signal(6)
        head = Array(Signal(8, name=f"head{n}") for n in range(5))
        length = Signal(7)
        n = Signal(7)
        out = framer.i.payload

        m.d.comb += [
            write.addr.eq(deframer.w_addr),
            write.data.eq(deframer.w_data),
            write.en.eq(deframer.w_en),
            read.addr.eq(n),
            self.fuse.addr.eq(Cat(head[2], head[3][0])),
            self.fuse.wdata.eq(head[4]),
        ]
        with m.If(deframer.w_en & (deframer.w_addr < 5)):
            m.d.sync += head[deframer.w_addr[:3]].eq(deframer.w_data)

        with m.FSM() as fsm:
            m.d.comb += self.idle.eq(
                fsm.ongoing("wait") & ~deframer.frame.valid & deframer.i.ready & ~framer.active)
            with m.State("boot"):
                m.d.comb += [self.booting.eq(taken == 0), self.entropy.ready.eq(~taken[5])]
                with m.If(self.entropy.valid & self.entropy.ready):
                    m.d.sync += [noise[taken[:5]].eq(self.entropy.payload), taken.eq(taken + 1)]
                with m.If(taken[5]):
                    m.next = "wait"
            with m.State("wait"), m.If(deframer.frame.valid):
                m.d.sync += length.eq(deframer.frame.payload.length)
                with m.If(deframer.frame.payload.error != 0):
                    m.d.comb += deframer.frame.ready.eq(1)
                with m.Else():
                    m.next = "op"
            with m.State("op"):
                m.d.comb += [out.data.eq(head[0] | 0x80), framer.i.valid.eq(head[0] != 6)]
                with m.If(framer.i.valid & framer.i.ready):
                    m.d.comb += self.fuse.pgm.eq(head[0] == 3)
                    m.d.sync += n.eq(Mux(head[0] == 4, 0, 2))
                    m.next = "fetch"
            with m.State("fetch"):
                m.next = "body"
            with m.State("body"):
                m.d.comb += [framer.i.valid.eq(1), out.last.eq(1)]
                with m.Switch(head[0]):
                    with m.Case(1):
                        m.d.comb += [out.data.eq(read.data), out.last.eq(n == length - 1)]
                    with m.Case(2, 3):
                        m.d.comb += out.data.eq(self.fuse.rdata)
                    with m.Case(4):
                        m.d.comb += [out.data.eq(noise[n[:5]]), out.last.eq(n == 31)]
                with m.If(framer.i.ready):
                    m.d.sync += n.eq(n + 1)
                    m.next = "fetch"
                    with m.If(out.last):
                        m.d.comb += deframer.frame.ready.eq(1)
                        m.next = "wait"
                        with m.If(head[0] == 5):
                            m.d.sync += taken.eq(0)
                            m.next = "boot"

        return m
