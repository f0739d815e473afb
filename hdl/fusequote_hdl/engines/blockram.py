"""Block RAM that is read in every cycle in which another cell of it is written."""

from amaranth.back.rtlil import Undef
from amaranth.hdl import Module, Signal, ValueLike
from amaranth.lib import memory

__all__ = ["BLOCK_RAM", "registered"]

#: Attributes of such a memory. The designer answers for it that no cell is read in the cycle in which it is
#: written (the tests watch); no_rw_check then keeps yosys from building a bypass, 28 look-up tables and 42
#: flip-flops on an iCE40. It works for asynchronous read ports with a register behind only, see below.
BLOCK_RAM = {"ram_style": "block", "no_rw_check": 1}


def registered(m: Module, port: memory.ReadPort, *, en: ValueLike, name: str) -> Signal:
    """The output register, with enable ``en``, of ``port`` (``domain="comb"``), for yosys to put into the RAM.

    The register of a block RAM has no reset, and on an iCE40 no initial value. If ours had one (Amaranth's
    is 0), yosys would add a gate to each bit that holds it at 0 until the first read; so it is declared
    undefined. Simulators start it at 0 (Amaranth) or anything (Verilator): who uses it has read before.
    """
    width = len(port.data)
    output = Signal(width, name=name, reset_less=True, attrs={"init": Undef(width)})
    with m.If(en):
        m.d.sync += output.eq(port.data)
    return output
