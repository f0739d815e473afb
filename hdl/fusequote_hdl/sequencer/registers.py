"""The registers of the sequencer."""

from amaranth.hdl import Signal

from ..isa import Control, Fn, Src
from .ports import ADDRESS_BITS, CALL_DEPTH, LENGTH_BITS, PC_BITS, SLOT_INDEX_BITS

__all__ = ["Registers"]


class Registers:
    """What programs see (pointers, X, Y, S, N, flags, fuse pointer), and what an instruction keeps while it runs."""

    def __init__(self):
        self.pc = Signal(PC_BITS)
        #: address of the word of the next cycle, and the one after ``pc``; combinational
        self.next_pc = Signal(PC_BITS)
        self.after = Signal(PC_BITS)
        self.calls = [Signal(PC_BITS, name=f"call{i}") for i in range(CALL_DEPTH)]

        self.pointer_a = Signal(ADDRESS_BITS)
        self.pointer_b = Signal(ADDRESS_BITS)
        self.pointer_d = Signal(ADDRESS_BITS)
        self.x = Signal(8)
        self.y = Signal(8)
        self.slot = Signal(SLOT_INDEX_BITS)
        self.n = Signal(LENGTH_BITS)
        self.zero = Signal(init=1)
        self.carry = Signal()
        self.fuse_pointer = Signal(9)

        #: of the request
        self.length = Signal(LENGTH_BITS)
        self.frame_error = Signal(2)
        #: cycles of the command under way, and of the last one
        self.counter = Signal(32)
        self.cycles = Signal(32)
        self.counting = Signal()
        #: the signature engine has something to wipe
        self.rsa_used = Signal()

        #: of the instruction under way
        self.fn = Signal(Fn)
        self.src = Signal(Src)
        self.control = Signal(Control)
        self.immediate = Signal(8)
