"""``python -m fusequote_sim.elaborate MODULE:CLASS [--clocked]``: a design as RTLIL on standard output.

A process of its own, so that what is built is what lies on the disk now, and not what a long-running interpreter
imported an hour ago.
"""

from __future__ import annotations

import importlib
import sys

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

__all__ = ["Clocked"]


class Clocked(wiring.Component):
    """``component`` with a flip-flop before each of its inputs, reset included.

    What is given to a port before a clock edge is what the component sees after it; the harness, which knows all that
    happens at an edge, gives the inputs of the next cycle. No logic then hangs on the ports, and Verilator, which
    computes all that does anew for each change of the clock, computes everything just once a cycle: half the time.

    The ports are those of ``component``, besides ``clk`` and ``rst``.
    """

    def __init__(self, component: wiring.Component):
        self._component = component
        super().__init__({**component.signature.members, "clk": In(1), "rst": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.domains.sync = clock = ClockDomain()
        m.submodules.chip = component = self._component

        reset = Signal(init=1, reset_less=True)
        m.d.comb += [clock.clk.eq(self.clk), clock.rst.eq(reset)]
        m.d.sync += reset.eq(self.rst)
        members = component.signature.flatten(component)
        for (_, member, inside), (path, _, port) in zip(members, component.signature.flatten(self), strict=True):
            if member.flow == wiring.In:
                register = Signal(member.shape, name="__".join(map(str, path)) + "_q", reset_less=True)
                m.d.sync += register.eq(port)
                m.d.comb += inside.eq(register)
            else:
                m.d.comb += port.eq(inside)
        return m


def main() -> None:
    """Write the RTLIL of the component named by the first argument; its module is called ``chip``."""
    module, _, name = sys.argv[1].partition(":")
    top = getattr(importlib.import_module(module), name)()
    if sys.argv[2:] == ["--clocked"]:
        top = Clocked(top)
    sys.stdout.write(rtlil.convert(top, name="chip", emit_src=False))


if __name__ == "__main__":
    main()
