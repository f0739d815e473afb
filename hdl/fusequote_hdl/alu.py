"""The byte ALU of the sequencer."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .isa import Fn

__all__ = ["Alu"]


class Alu(wiring.Component):
    """``result, carry_out := a fn b``, with the carry of the byte before; combinational. See :class:`~.isa.Fn`."""

    fn: In(Fn)
    a: In(8)
    b: In(8)
    carry: In(1)
    result: Out(8)
    #: ``carry`` where ``fn`` makes none
    carry_out: Out(1)

    def elaborate(self, platform):
        m = Module()
        a, b, carry = self.a, self.b, self.carry
        difference = Signal(signed(10))
        m.d.comb += self.carry_out.eq(carry)
        with m.Switch(self.fn):
            with m.Case(Fn.PASSB):
                m.d.comb += self.result.eq(b)
            with m.Case(Fn.AND):
                m.d.comb += self.result.eq(a & b)
            with m.Case(Fn.ANDN):
                m.d.comb += self.result.eq(a & ~b)
            with m.Case(Fn.OR):
                m.d.comb += self.result.eq(a | b)
            with m.Case(Fn.XOR):
                m.d.comb += self.result.eq(a ^ b)
            with m.Case(Fn.ADD):
                m.d.comb += Cat(self.result, self.carry_out).eq(a + b + carry)
            with m.Case(Fn.SUB):
                m.d.comb += [difference.eq(a - b - carry), Cat(self.result, self.carry_out).eq(difference[:9])]
            with m.Case(Fn.GT):
                m.d.comb += self.carry_out.eq(carry | (a > b))
        return m
