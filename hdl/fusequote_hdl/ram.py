"""Single-port byte memories of the block."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Ram"]

#: Bytes in one SB_SPRAM256KA of an iCE40UP5K.
SPRAM_BYTES = 32768


class Ram(wiring.Component):
    """A byte memory with one port: in a cycle with ``en``, a read or a write.

    ``r_data`` follows a read by one cycle and holds until the next read. Contents are arbitrary after power-on: the
    boot program wipes what it uses.

    On a platform that says so (``platform.fusequote_spram``), an iCE40UP5K single-port RAM holds it; elsewhere block
    RAM does.

    Parameters
    ----------
    size : int
        Bytes, a power of two, at most 32,768.

    Raises
    ------
    ValueError
        When ``size`` is not such a number.
    """

    def __init__(self, size: int):
        if size < 2 or size > SPRAM_BYTES or size & (size - 1):
            raise ValueError(f"size must be a power of two from 2 to {SPRAM_BYTES}, not {size!r}")
        self.size = size
        #: Contents, for simulations to look at.
        self.data = memory.MemoryData(shape=unsigned(8), depth=size, init=[])
        super().__init__({
            "en": In(1),
            "addr": In(range(size)),
            "w_en": In(1),
            "w_data": In(8),
            "r_data": Out(8),
        })

    def elaborate(self, platform):
        m = Module()
        if getattr(platform, "fusequote_spram", False):
            # Two bytes a word: the low address bit picks the half, by nibble mask on writes.
            half = Signal()
            word = Signal(16)
            # Its output is undefined once it has been written (the vendor's model says so): what was read is kept.
            kept, written = Signal(8), Signal()
            now = word.word_select(half, 8)
            m.d.comb += self.r_data.eq(Mux(written, kept, now))
            with m.If(self.en):
                m.d.sync += written.eq(self.w_en)
                with m.If(~self.w_en):
                    m.d.sync += half.eq(self.addr[0])
                with m.Elif(~written):
                    m.d.sync += kept.eq(now)
            address = Signal(14)
            m.d.comb += address.eq(self.addr[1:])
            mask = Signal(4)
            w_word = Signal(16)
            m.d.comb += [
                w_word.eq(Cat(self.w_data, self.w_data)),
                mask.eq(Cat(~self.addr[0], ~self.addr[0], self.addr[0], self.addr[0])),
            ]
            m.submodules.spram = Instance(
                "SB_SPRAM256KA",
                i_ADDRESS=address, i_DATAIN=w_word, i_MASKWREN=mask, i_WREN=self.w_en, i_CHIPSELECT=self.en,
                i_CLOCK=ClockSignal(), i_STANDBY=Const(0), i_SLEEP=Const(0), i_POWEROFF=Const(1), o_DATAOUT=word,
            )
            return m
        m.submodules.mem = mem = memory.Memory(self.data, attrs={"ram_style": "block"})
        read = mem.read_port()
        write = mem.write_port()
        m.d.comb += [
            read.addr.eq(self.addr),
            # Never in the same cycle as a write: no collision logic is needed.
            read.en.eq(self.en & ~self.w_en),
            self.r_data.eq(read.data),
            write.addr.eq(self.addr),
            write.data.eq(self.w_data),
            write.en.eq(self.en & self.w_en),
        ]
        return m
