"""Noise: ring oscillators, the health tests of NIST SP 800-90B, and the two as one source of bytes.

The bytes are raw noise, not random bytes: the boot program takes :data:`ENTROPY_BYTES` of them and conditions them with
AES-CMAC (docs/chip.md, section 2).

**The claim.** Each sample has at least :data:`MIN_ENTROPY` bits of min-entropy, given all samples before it. It is a
claim, not a measurement: nobody has measured these rings on silicon. What stands behind it: a ring of n look-up tables
has a period of some 4n ns on an iCE40UP5K and a jitter of some 0.1 % of a period (independent from one period to the
next), which in the 43 microseconds between two samples at 24 MHz grows to 4 to 6 % of a period. A sample that falls
that close to an edge is unknown, whatever is known of the phase before: some 0.1 bit a ring, and six of them are added.
"""

from fractions import Fraction
from math import ceil, comb

from amaranth.hdl import Cat, Const, Instance, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["ALPHA_BITS", "ENTROPY_BYTES", "LAG", "MIN_ENTROPY", "WINDOW", "Entropy", "Health", "RingEntropy", "Rings",
           "proportion_cutoff", "repetition_cutoff"]

#: Min-entropy claimed for a sample, bits.
MIN_ENTROPY = 0.25
#: A source that keeps the claim fails a test with a probability of at most 2^-ALPHA_BITS a sample or a window.
ALPHA_BITS = 30
#: Samples in a window of the adaptive proportion test; SP 800-90B section 4.4.2 has 1,024 for a binary source.
WINDOW = 1024
#: The third test looks for what repeats with a period that divides this many samples.
LAG = 24
#: Noise that the boot program takes: 2,048 samples, 512 bits of min-entropy claimed. 192 would do for 128 bits of full
#: entropy (SP 800-90C: 64 more than come out), so the claim may be too high by a factor of 2.6.
ENTROPY_BYTES = 256


def repetition_cutoff(min_entropy: float = MIN_ENTROPY, alpha_bits: int = ALPHA_BITS) -> int:
    """C of the repetition count test, SP 800-90B section 4.4.1: 1 + ceil(-log2(alpha) / H)."""
    return 1 + ceil(alpha_bits / Fraction(min_entropy))


def proportion_cutoff(min_entropy: float = MIN_ENTROPY, alpha_bits: int = ALPHA_BITS, window: int = WINDOW) -> int:
    """C of the adaptive proportion test, SP 800-90B section 4.4.2: 1 + CRITBINOM(W, 2^-H, 1 - alpha), exactly."""
    p, scale = round(2 ** (64 - min_entropy)), 1 << 64
    total, tail, above = scale**window, 0, window
    # P(X > k) for k downward, until it is more than alpha.
    while True:
        tail += comb(window, above) * p**above * (scale - p) ** (window - above)
        if tail << alpha_bits > total:
            return 1 + above
        above -= 1


class Health(wiring.Component):
    """The continuous health tests, on one bit a sample.

    * Repetition count (SP 800-90B section 4.4.1): ``repetitions`` samples in a row are the same.
    * Adaptive proportion (4.4.2): of a window of ``window`` samples, the first included, ``proportion`` are as the
      first.
    * Ours (4.5 asks for tests of a source's own ways to fail; a ring's is to lock to the clock, and then neither of the
      above sees it): ``repetitions`` samples in a row are each the same as ``LAG`` samples before. If the claim holds
      this is as improbable as a repetition. It finds all periods that divide 24: 2 to 4, 6, 8, 12 and 24 samples.

    One cycle a sample; ``failed`` and ``started`` follow their sample by one cycle.

    Parameters
    ----------
    repetitions, proportion : int
        The cutoffs; by default computed for :data:`MIN_ENTROPY` and :data:`ALPHA_BITS`.
    window : int
        Samples, a power of two.

    Members
    -------
    strobe, sample : In(1)
        A sample, in the cycles with ``strobe``.
    restart : In(1)
        Forget everything.
    started : Out(1)
        The start-up test is done: the first window is full.
    failed : Out(1)
        A test failed, now or before.
    last : Out(8)
        The last eight samples, the newest on top.
    """

    def __init__(self, *, repetitions: int | None = None, proportion: int | None = None, window: int = WINDOW):
        self.repetitions = repetition_cutoff() if repetitions is None else repetitions
        self.proportion = proportion_cutoff() if proportion is None else proportion
        self.window = window
        if window < 2 or window & (window - 1):
            raise ValueError(f"a window has a power of two of samples, not {window!r}")
        if not 2 <= self.proportion <= window:
            raise ValueError(f"the proportion test's cutoff is 2 to {window}, not {self.proportion!r}")
        if not 2 <= self.repetitions <= window - LAG:
            raise ValueError(f"the repetition test's cutoff is 2 to {window - LAG}, not {self.repetitions!r}")
        super().__init__({
            "strobe": In(1), "sample": In(1), "restart": In(1),
            "started": Out(1), "failed": Out(1), "last": Out(8),
        })

    def elaborate(self, platform):
        m = Module()
        history = Signal(LAG)
        m.d.comb += self.last.eq(history[-8:])
        # Runs and counts are of what went before the sample, and the sample itself makes one more. The history starts
        # as zeros, which can only make a run begin early: after LAG samples it is the source's own.
        same, periodic = Signal(range(self.repetitions)), Signal(range(self.repetitions))
        alike, position = Signal(range(self.proportion)), Signal(range(self.window))
        first = Signal()
        with m.If(self.strobe):
            m.d.sync += [history.eq(Cat(history[1:], self.sample)), position.eq(position + 1)]
            with m.If((same == 0) | (self.sample != history[-1])):
                m.d.sync += same.eq(1)
            with m.Elif(same == self.repetitions - 1):
                m.d.sync += self.failed.eq(1)
            with m.Else():
                m.d.sync += same.eq(same + 1)

            with m.If(self.sample != history[0]):
                m.d.sync += periodic.eq(0)
            with m.Elif(periodic == self.repetitions - 1):
                m.d.sync += self.failed.eq(1)
            with m.Else():
                m.d.sync += periodic.eq(periodic + 1)

            with m.If(position == 0):
                m.d.sync += [first.eq(self.sample), alike.eq(1)]
            with m.Elif(self.sample == first):
                with m.If(alike == self.proportion - 1):
                    m.d.sync += self.failed.eq(1)
                with m.Else():
                    m.d.sync += alike.eq(alike + 1)
            with m.If(position == self.window - 1):
                m.d.sync += self.started.eq(1)
        with m.If(self.restart):
            m.d.sync += [
                history.eq(0), same.eq(0), periodic.eq(0), alike.eq(0), position.eq(0), self.started.eq(0),
                self.failed.eq(0),
            ]
        return m


class Entropy(wiring.Component):
    """Noise to bytes, under the health tests.

    A sample of ``noise`` is taken every ``decimation`` cycles. The first ``window`` samples are the start-up test and
    are thrown away; eight samples make a byte, the first one lowest. When a test fails, ``failed`` rises and no byte
    comes any more, until ``restart`` or a reset.

    **Time.** It does not depend on the noise, except that a failure ends it: the first byte comes
    (``window`` + 8) x ``decimation`` + 2 cycles after reset or ``restart``, each one after it 8 x ``decimation`` + 1
    cycles later, or ``failed`` is high by then. Noise that never changes has failed after ``repetitions`` samples.

    Nothing runs while two bytes wait for the consumer: ``enable`` is low, and the rings rest.

    Parameters
    ----------
    decimation : int
        Cycles between samples, at least 2.
    repetitions, proportion, window : int
        See :class:`Health`.

    Members
    -------
    noise : In(1)
        The noise, in the clock domain ``sync``.
    enable : Out(1)
        The noise is wanted.
    restart : In(1)
        Forget everything, ``failed`` too, and begin with the start-up test: the block's ``booting``.
    o : Out(stream of 8)
        Noise, a byte at a time.
    failed : Out(1)
        What comes in is not noise.
    """

    noise: In(1)
    enable: Out(1)
    restart: In(1)
    o: Out(stream.Signature(8))
    failed: Out(1)

    def __init__(self, *, decimation: int = 1024, repetitions: int | None = None, proportion: int | None = None,
                 window: int = WINDOW):
        if decimation < 2:
            raise ValueError(f"there are at least 2 cycles between samples, not {decimation!r}")
        self.decimation = decimation
        self.health = Health(repetitions=repetitions, proportion=proportion, window=window)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.health = health = self.health
        timer = Signal(range(self.decimation))
        # Samples since the last byte: with eight of them, a byte waits in the health tests' history.
        count = Signal(4)
        byte, byte_valid = Signal(8), Signal()
        m.d.comb += [
            health.restart.eq(self.restart),
            health.sample.eq(self.noise),
            health.strobe.eq(self.enable & (timer == self.decimation - 1)),
            self.failed.eq(health.failed),
            self.enable.eq(~health.failed & ~count[3]),
            self.o.payload.eq(byte),
            self.o.valid.eq(byte_valid & ~health.failed),
        ]
        with m.If(self.enable):
            m.d.sync += timer.eq(timer + 1)
            with m.If(health.strobe):
                m.d.sync += timer.eq(0)
                with m.If(health.started):
                    m.d.sync += count.eq(count + 1)
        with m.If(self.o.ready):
            m.d.sync += byte_valid.eq(0)
        with m.If(count[3] & (~byte_valid | self.o.ready)):
            m.d.sync += [byte.eq(health.last), byte_valid.eq(1), count.eq(0)]
        with m.If(self.restart | health.failed):
            m.d.sync += [timer.eq(0), count.eq(0), byte.eq(0), byte_valid.eq(0)]
        return m


class Rings(wiring.Component):
    """Ring oscillators, free-running, and one bit of all of them in each cycle.

    A ring of n look-up tables: one inverts while ``enable`` is high, the others only delay. The lengths differ, so that
    no two rings run at the same rate. Each is sampled by two flip-flops in a row, the second ones are added up; a bit
    is three cycles old when it comes out.

    The look-up tables are instances with the attribute ``keep``: what is in a loop, synthesis would otherwise reduce.

    Parameters
    ----------
    lengths : tuple of int
        Look-up tables in each ring, at least 2.
    lut : str
        ``SB_LUT4`` (iCE40) or ``LUT4`` (ECP5); by default what the platform says (``platform.fusequote_lut``).

    Raises
    ------
    ValueError
        For a ring too short, and, when it is elaborated, without a look-up table to make it of: rings cannot be
        simulated, give :class:`Entropy` a simulated source.
    """

    enable: In(1)
    noise: Out(1)

    def __init__(self, lengths: tuple[int, ...] = (3, 4, 5, 6, 7, 8), *, lut: str | None = None):
        if not lengths or min(lengths) < 2:
            raise ValueError(f"rings have at least 2 look-up tables, not {lengths!r}")
        if lut not in (None, *self._CELLS):
            raise ValueError(f"no rings of {lut!r}: {', '.join(self._CELLS)}")
        self.lengths, self.lut = tuple(lengths), lut
        super().__init__()

    #: Cell: names of the parameter, of the inputs, of the output.
    _CELLS = {"SB_LUT4": ("LUT_INIT", ("I0", "I1", "I2", "I3"), "O"), "LUT4": ("INIT", ("A", "B", "C", "D"), "Z")}

    def elaborate(self, platform):
        cell = self.lut or getattr(platform, "fusequote_lut", None)
        if cell not in self._CELLS:
            raise ValueError("ring oscillators need an FPGA: the platform names no look-up table (fusequote_lut)")
        table, inputs, output = self._CELLS[cell]
        m = Module()
        sampled = Signal(len(self.lengths))
        for number, length in enumerate(self.lengths):
            wires = Signal(length, name=f"ring{number}", attrs={"keep": 1})
            for stage in range(length):
                before = wires[stage - 1]
                # Of (I1, I0): not I0 and I1, or I0 alone. The other two inputs are 0.
                truth, pins = (0x4444, (before, self.enable)) if stage == 0 else (0xAAAA, (before,))
                pins += (Const(0, 1),) * (4 - len(pins))
                m.submodules[f"ring{number}_{stage}"] = Instance(
                    cell, ("a", "keep", 1), ("p", table, Const(truth, 16)), ("o", output, wires[stage]),
                    *(("i", name, pin) for name, pin in zip(inputs, pins, strict=True)))
            m.submodules[f"sample{number}"] = FFSynchronizer(wires[-1], sampled[number])
        m.d.sync += self.noise.eq(sampled.xor())
        return m


class RingEntropy(wiring.Component):
    """:class:`Rings` under :class:`Entropy`, whose parameters and ports it has: a board's noise source."""

    #: nextpnr refuses a design with loops unless it is told to ignore them (``--ignore-loops``).
    combinational_loops = True

    restart: In(1)
    o: Out(stream.Signature(8))
    failed: Out(1)

    def __init__(self, *, decimation: int = 1024, lengths: tuple[int, ...] = (3, 4, 5, 6, 7, 8),
                 lut: str | None = None):
        self.rings = Rings(lengths, lut=lut)
        self.entropy = Entropy(decimation=decimation)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.rings = rings = self.rings
        m.submodules.entropy = entropy = self.entropy
        m.d.comb += [
            rings.enable.eq(entropy.enable),
            entropy.noise.eq(rings.noise),
            entropy.restart.eq(self.restart),
            self.failed.eq(entropy.failed),
        ]
        wiring.connect(m, entropy.o, wiring.flipped(self.o))
        return m
