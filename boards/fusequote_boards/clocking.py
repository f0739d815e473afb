"""From a board's oscillator to the block's clock and reset.

:func:`ice40_pll` and :func:`ecp5_pll` find settings that give a clock exactly; :class:`ClockReset` makes the domain
``sync`` of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Const, Elaboratable, Instance, Module, ResetSignal, Signal
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer
from fusequote.errors import UsageError

__all__ = ["ClockReset", "Ecp5Pll", "Ice40Pll", "ecp5_pll", "ice40_pll"]

#: Seconds from the first clock to the end of reset. Block RAM of an iCE40 reads as zero for about 3 microseconds after
#: configuration (icestorm issue 76); five times that, as Amaranth has it, and some more.
RESET_SECONDS = 20e-6


@dataclass(frozen=True)
class Ice40Pll:
    """SB_PLL40 in feedback path SIMPLE: out = in * (DIVF + 1) / (2^DIVQ * (DIVR + 1)). Lattice TN1251."""

    divr: int
    divf: int
    divq: int
    filter_range: int

    def output(self, hz: int) -> Fraction:
        """Hz out of ``hz`` in."""
        return Fraction(hz * (self.divf + 1), (1 << self.divq) * (self.divr + 1))


@dataclass(frozen=True)
class Ecp5Pll:
    """EHXPLLL with feedback from CLKOP: out = in * CLKFB_DIV / CLKI_DIV. Lattice TN1263."""

    clki_div: int
    clkfb_div: int
    clkop_div: int

    def output(self, hz: int) -> Fraction:
        """Hz out of ``hz`` in."""
        return Fraction(hz * self.clkfb_div, self.clki_div)


def ice40_pll(hz_in: int, hz_out: int) -> Ice40Pll:
    """Settings that turn ``hz_in`` into exactly ``hz_out``: phase detector at 10 to 133 MHz, oscillator at 533 to
    1066 MHz, output at 16 to 275 MHz. Raises :class:`UsageError` when there are none.
    """
    return _first(_ice40_settings(hz_in), hz_in, hz_out)


def ecp5_pll(hz_in: int, hz_out: int) -> Ecp5Pll:
    """Settings that turn ``hz_in`` into exactly ``hz_out``: phase detector at 3.125 to 400 MHz, oscillator at 400 to
    800 MHz. Raises :class:`UsageError` when there are none.
    """
    return _first(_ecp5_settings(hz_in), hz_in, hz_out)


def _first(settings: Iterator[Any], hz_in: int, hz_out: int) -> Any:
    near = None
    for setting in settings:
        got = setting.output(hz_in)
        if got == hz_out:
            return setting
        if near is None or abs(got - hz_out) < abs(near - hz_out):
            near = got
    raise UsageError(f"no PLL setting makes {hz_out / 1e6:g} MHz of {hz_in / 1e6:g} MHz",
                     hint=None if near is None else f"the nearest is {float(near) / 1e6:g} MHz")


def _ice40_settings(hz: int) -> Iterator[Ice40Pll]:
    for divr in range(16):
        detector = hz / (divr + 1)
        if not 10e6 <= detector <= 133e6:
            continue
        limits = (17e6, 26e6, 44e6, 66e6, 101e6)
        filter_range = 1 + sum(detector >= limit for limit in limits)
        for divf in range(64):
            if 533e6 <= detector * (divf + 1) <= 1066e6:
                yield from (setting for divq in range(1, 7)
                            if 16e6 <= (setting := Ice40Pll(divr, divf, divq, filter_range)).output(hz) <= 275e6)


def _ecp5_settings(hz: int) -> Iterator[Ecp5Pll]:
    for clki_div in range(1, 129):
        detector = hz / clki_div
        if not 3.125e6 <= detector <= 400e6:
            continue
        for clkfb_div in range(1, 81):
            out = detector * clkfb_div
            # Of the oscillator rates that fit, the one next to the middle of the range.
            fits = [div for div in range(1, 129) if 400e6 <= out * div <= 800e6]
            if 10e6 <= out <= 400e6 and fits:
                yield Ecp5Pll(clki_div, clkfb_div, min(fits, key=lambda div: abs(out * div - 600e6)))


class ClockReset(Elaboratable):
    """The domain ``sync`` at ``hz``, held in reset until the clock is good, and again when the PLL loses its lock.

    A domain of one's own turns Amaranth's start-up timer off, so there is one here: :data:`RESET_SECONDS`.

    Parameters
    ----------
    resource : str
        The board's clock, a resource of its platform.
    hz_in : int
        Its frequency, Hz.
    hz : int
        The block's clock, Hz. Equal to ``hz_in``: no PLL.
    pad : bool
        iCE40: whether the clock comes in at the PLL's own pad. (Then it must be SB_PLL40_PAD, else SB_PLL40_CORE.)

    Raises
    ------
    UsageError
        When no PLL setting makes ``hz`` of ``hz_in``.
    """

    def __init__(self, resource: str, hz_in: int, hz: int, *, family: str, pad: bool = False):
        self.resource, self.hz_in, self.hz, self.pad = resource, hz_in, hz, pad
        self.pll = None
        if hz != hz_in:
            find: Callable[[int, int], Any] = ice40_pll if family == "up5k" else ecp5_pll
            self.pll = find(hz_in, hz)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        port = platform.request(self.resource, dir="-")
        clock, locked_now = Signal(), Signal()
        if isinstance(self.pll, Ice40Pll) and self.pad:
            m.submodules.pll = self._ice40(Instance, "SB_PLL40_PAD", {"i_PACKAGEPIN": port.io}, clock, locked_now)
        else:
            m.submodules.buffer = buffer = io.Buffer("i", port)
            if self.pll is None:
                m.d.comb += [clock.eq(buffer.i), locked_now.eq(1)]
            elif isinstance(self.pll, Ice40Pll):
                m.submodules.pll = self._ice40(
                    Instance, "SB_PLL40_CORE", {"i_REFERENCECLK": buffer.i}, clock, locked_now)
            else:
                m.submodules.pll = self._ecp5(buffer.i, clock, locked_now)

        # Neither domain below can have a reset: this is what resets are made of.
        m.domains.start = ClockDomain(reset_less=True, local=True)
        m.domains.sync = ClockDomain()
        m.d.comb += [ClockSignal("start").eq(clock), ClockSignal("sync").eq(clock)]
        locked = Signal()
        m.submodules.locked = FFSynchronizer(locked_now, locked, o_domain="start", init=0)
        cycles = int(RESET_SECONDS * self.hz)
        timer = Signal(range(cycles + 1))
        ready = Signal()
        with m.If(~locked):
            m.d.start += [timer.eq(0), ready.eq(0)]
        with m.Elif(timer == cycles):
            m.d.start += ready.eq(1)
        with m.Else():
            m.d.start += timer.eq(timer + 1)
        m.d.comb += ResetSignal("sync").eq(~ready)
        return m

    def _ice40(self, make: Any, kind: str, reference: dict[str, Any], clock: Signal, locked: Signal) -> Instance:
        return make(kind, p_FEEDBACK_PATH="SIMPLE", p_PLLOUT_SELECT="GENCLK",
                    p_DIVR=Const(self.pll.divr, 4), p_DIVF=Const(self.pll.divf, 7), p_DIVQ=Const(self.pll.divq, 3),
                    p_FILTER_RANGE=Const(self.pll.filter_range, 3), i_RESETB=Const(1), i_BYPASS=Const(0),
                    o_PLLOUTGLOBAL=clock, o_LOCK=locked, **reference)

    def _ecp5(self, reference: Signal, clock: Signal, locked: Signal) -> Instance:
        # The phase of CLKOP's edge is in whole periods of the oscillator, as ecppll sets it.
        return Instance(
            "EHXPLLL",
            a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1", a_MFG_GMCREF_SEL="2",
            p_PLLRST_ENA="DISABLED", p_INTFB_WAKE="DISABLED", p_STDBY_ENABLE="DISABLED", p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA", p_OUTDIVIDER_MUXB="DIVB", p_OUTDIVIDER_MUXC="DIVC", p_OUTDIVIDER_MUXD="DIVD",
            p_CLKI_DIV=self.pll.clki_div, p_CLKFB_DIV=self.pll.clkfb_div, p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=self.pll.clkop_div, p_CLKOP_CPHASE=self.pll.clkop_div - 1,
            p_CLKOP_FPHASE=0,
            i_RST=Const(0), i_STDBY=Const(0), i_CLKI=reference, i_CLKFB=clock, i_ENCLKOP=Const(0),
            i_PHASESEL0=Const(0), i_PHASESEL1=Const(0), i_PHASEDIR=Const(1), i_PHASESTEP=Const(1),
            i_PHASELOADREG=Const(1), i_PLLWAKESYNC=Const(0),
            o_CLKOP=clock, o_LOCK=locked,
        )
