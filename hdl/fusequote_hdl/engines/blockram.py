"""Block RAM with a read and a write in every cycle, without the logic that tools would build around it."""

from amaranth.back.rtlil import Undef
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["BlockRAM"]


class BlockRAM(wiring.Component):
    """A memory of zeros with one read and one write port, for one block RAM of any family.

    What is read comes in the next cycle and stays until the next read. Unlike Amaranth's own ports, this one
    **must not read a cell in the cycle in which it is written**: the result is undefined on an iCE40. That
    saves the bypass, 28 look-up tables and 42 flip-flops there. Likewise ``read_data`` is undefined until the
    first read: the output register of an iCE40 block RAM has no initial value, and a defined one costs a gate
    a bit. (Amaranth's simulator starts it at 0, and reads the old value of a cell that is written.)

    A reset clears neither cells nor ``read_data``.

    Parameters
    ----------
    width, depth : int
        Bits of a word, number of words (a power of two).
    granularity : int
        Bits for each bit of ``write_en``; all of the word by default.

    Members
    -------
    read_en, read_addr : In
        Read this word in this cycle.
    read_data : Out(width)
        The word read last.
    write_en, write_addr, write_data : In
        Write these parts of this word in this cycle.

    Attributes
    ----------
    memory : amaranth.lib.memory.Memory
        The cells, for tests to look into.
    """

    def __init__(self, *, width: int, depth: int, granularity: int | None = None):
        # no_rw_check is what keeps yosys from building the bypass. It heeds that only for a register that it
        # finds behind an asynchronous port, not for Amaranth's synchronous ports.
        attrs = {"ram_style": "block", "no_rw_check": 1}
        self.memory = Memory(shape=width, depth=depth, init=[], attrs=attrs)
        self._write = self.memory.write_port(granularity=granularity)
        self._read = self.memory.read_port(domain="comb")
        super().__init__({
            "read_en": In(1),
            "read_addr": In(len(self._read.addr)),
            "read_data": Out(width),
            "write_en": In(len(self._write.en)),
            "write_addr": In(len(self._write.addr)),
            "write_data": In(width),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = self.memory
        width = len(self.read_data)
        output = Signal(width, reset_less=True, attrs={"init": Undef(width)})
        m.d.comb += [
            self._read.addr.eq(self.read_addr),
            self._write.en.eq(self.write_en),
            self._write.addr.eq(self.write_addr),
            self._write.data.eq(self.write_data),
            self.read_data.eq(output),
        ]
        with m.If(self.read_en):
            m.d.sync += output.eq(self._read.data)
        return m
