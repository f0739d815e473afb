"""The signature identity of SIGSTRUCT, over the integers: RSA with e = 3 and the signer's quotients Q1 and Q2.

With R = 2^width, the modulus is kept as N' = R - N, so that there is nothing to subtract::

    S*S  + Q1*N'  =  Q1*R + t1    where  t1 = S*S  - Q1*N
    t1*S + Q2*N'  =  Q2*R + t2    where  t2 = t1*S - Q2*N

Each left side is summed in full, column by column from the lowest: 0 <= t < R if and only if its upper half *is*
the quotient, word for word; then the lower half is t. And x < N if and only if x + N' < R: it gives no carry.
"""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .blockram import BlockRAM

__all__ = ["RsaCheck"]

_WORD = 16  # bits: the multipliers of both families, and a block RAM of 256 words


class _State(data.Struct):
    """One bit of these is set."""

    wipe: 1    #: zeros to all memories
    flush: 1   #: a zero to the memories' outputs
    still: 1   #: and through the multipliers
    load: 1    #: takes the operands; idle before the first byte

    check: 1   #: adds N' to S, t1 or t2, a word a cycle
    settle: 1  #: the last of these words
    judge: 1   #: looks at the carry

    start: 1   #: of a column
    run: 1     #: reads a pair of words for each multiplier, or ends a row of pairs
    drain: 1   #: the last product is added; reads a word of the quotient
    store: 1   #: a word of the lower half is written, of the upper half compared; the sum moves down by a word

    fetch: 1   #: reads a word of t2
    give: 1    #: gives its bytes


class RsaCheck(wiring.Component):
    """Checks a signature with the quotients that come with it; recovers the signed block (instruction notes 3.2).

    ``load`` takes N (MODULUS), S (SIGNATURE), Q1 and Q2, ``width / 8`` bytes each, little-endian as in a
    SIGSTRUCT; after the last byte the check runs by itself. ``done`` rises with the verdict in ``valid``::

        t1 = S*S  - Q1*N        valid iff  S < N  and  0 <= t1 < N  and  0 <= t2 < N
        t2 = t1*S - Q2*N

    over the integers, all bits of all products. N = 0 is not valid, for nothing is less. Then t2 = S^3 mod N,
    and Q1 and Q2 are what an honest signer would have sent: no others pass. S = 0 is valid with t2 = 0. An even
    N is not refused. Neither is a block with a PKCS#1 padding: the caller compares **all bytes** of t2.
    That t1 in [N, 2N) and S >= N are refused is stricter than need be (it is not known what Intel's chips do).

    If valid, ``result`` gives t2, ``width / 8`` bytes, little-endian; if not, it gives nothing. ``load`` is
    not ready before the last of these bytes is taken (or ``clear``).

    **Time.** It depends on handshakes only, though nothing here is secret. With n = width / 16 words, from the
    last byte of Q2 to ``done``: 4 n^2 + 23 n + 7 cycles with one multiplier (151,879 for 3072 bits, of which
    147,456 multiply), 2 n^2 + 19 n + 7 with two (77,383). Then three cycles for each two bytes of t2.

    **Memory.** Six block RAMs of 256 words at 3072 bits, however many multipliers. See ``BlockRAM`` for why
    the engine wipes itself after reset.

    Parameters
    ----------
    width : int
        Bits of an operand, a multiple of 16: 3072 for SIGSTRUCT, less in tests.
    multipliers : int
        Multipliers of 16 by 16 bits: 1, or 2 that work on S*S and Q1*N (t1*S and Q2*N) at once.

    Members
    -------
    load : In(stream of 8)
        N, S, Q1, Q2. The first byte ends the verdict before.
    result : Out(stream of 8)
        t2, only if valid. The payload is zero whenever there is none.
    done, valid : Out(1)
        The verdict stands; it is good. Both stay until the next ``load`` or ``clear``.
    clear : In(1)
        Drops everything, and wipes all memories and registers. It begins in the cycle after ``clear`` and ends
        4 n + 2 cycles (770 for 3072 bits) after ``clear`` falls, ``idle`` high.
    idle : Out(1)
        No operand is begun, no check or result under way, and not wiping.

    Raises
    ------
    ValueError
        For a width that is not a positive multiple of 16, or another number of multipliers.
    """

    load: In(stream.Signature(8))
    result: Out(stream.Signature(8))
    done: Out(1)
    valid: Out(1)
    clear: In(1)
    idle: Out(1)

    def __init__(self, *, width: int = 3072, multipliers: int = 1):
        if width <= 0 or width % _WORD:
            raise ValueError(f"width {width}: it must be a positive multiple of {_WORD}")
        if multipliers not in (1, 2):
            raise ValueError(f"{multipliers} multipliers: 1 or 2")
        super().__init__()
        self.words = width // _WORD
        self.multipliers = multipliers
        # Words are counted from 1: cell 0 is not used. A number is at the two bits (phase, side), the left factors
        # 00 S, later t2; 01 Q1; 10 t1; 11 Q2, the right factors by side: 0 S, 1 N'. With two multipliers there
        # is a pair of memories for each side.
        index = self.words.bit_length()
        self.left = [BlockRAM(width=_WORD, depth=(4 // multipliers) << index, granularity=8)
                     for _ in range(multipliers)]
        self.right = [BlockRAM(width=_WORD, depth=(2 // multipliers) << index, granularity=8)
                      for _ in range(multipliers)]

    def elaborate(self, platform):
        m = Module()
        at = Signal(_State, init={"wipe": 1})
        phase, side = Signal(init=1), Signal()
        k = Signal(self.words.bit_length(), init=1)  # word of a number; column of a half, from 1
        j = Signal.like(k, init=0)                   # right factor before the next
        upper = Signal()        # columns of the upper half
        lane = Signal()         # byte of a word
        begun = Signal()        # loading
        seen = Signal()         # N is not 0
        late = Signal()         # both products are done
        bad = Signal()
        total = Signal(2 * _WORD + (2 * self.words).bit_length())
        for kind in ("left", "right"):
            for number, ram in enumerate(getattr(self, kind)):
                m.submodules[f"{kind}_{number}"] = ram

        # ---- Streams -------------------------------------------------------------------------------------
        last, byte_in, byte_out, word_in, word_out = Signal(), Signal(), Signal(), Signal(), Signal()
        number = self.left[0].read_data
        m.d.comb += [
            last.eq(k == self.words),
            self.load.ready.eq(at.load),
            self.result.valid.eq(at.give),
            self.result.payload.eq(Mux(at.give, number.word_select(lane, 8), 0)),
            self.idle.eq(at.load & ~begun),
            byte_in.eq(at.load & self.load.valid),
            byte_out.eq(at.give & self.result.ready),
            word_in.eq(byte_in & lane),
            word_out.eq(byte_out & lane),
        ]

        # ---- N' = R - N, a byte at a time: zeros stay, the lowest other byte is negated, those above inverted --
        byte, modulus, seen_before = Signal(8), Signal(), Signal()
        m.d.comb += [
            modulus.eq(phase & ~side),
            seen_before.eq(seen & begun),
            byte.eq((self.load.payload ^ modulus.replicate(8)) + (modulus & ~seen_before)),
        ]
        with m.If(byte_in & modulus):
            m.d.sync += seen.eq(seen_before | self.load.payload.any())

        # ---- Pairs of a column: i + j = k + 1, in the upper half words + k + 1, with i, j from 1 to words -------
        row_end, column_end, begin, next_j, i = Signal(), Signal(), Signal(), Signal.like(k), Signal.like(k)
        m.d.comb += [
            row_end.eq(j == Mux(upper, self.words, k)),
            column_end.eq(at.run & row_end & (side if self.multipliers == 1 else 1)),
            begin.eq(at.start | (at.run & row_end)),
            next_j.eq(j + 1),
            # j is 0 unless in a column: then i is k.
            i.eq(Mux(at.run & upper, (k + self.words)[:len(k)], k) - j),
        ]
        with m.If(begin):
            m.d.sync += j.eq(Mux(upper & ~column_end, k, 0))
        with m.Elif(at.run):
            m.d.sync += j.eq(next_j)

        lanes = Mux(at.wipe, 0b11, Mux(byte_in, Cat(~lane, lane), 0))
        self._memories(m, at, phase, side, k, i, next_j, lanes, byte, at.store & ~upper, total)
        self._sum(m, at, at.run & ~row_end, total)

        # ---- Verdict -------------------------------------------------------------------------------------
        carry, adding, differs = Signal(), Signal(), Signal()
        m.d.sync += adding.eq(at.check)
        with m.If(adding):
            m.d.sync += carry.eq((number + self.right[-1].read_data + carry)[_WORD])
        with m.Elif(at.judge):
            m.d.sync += carry.eq(0)
        # There is no carry out of the upper half to look at: if S, t1 < N, then N*N + R*(R - N) < R*R.
        m.d.comb += differs.eq(total[:_WORD] != self.left[-1].read_data)
        with m.If((at.judge & (carry | ~seen)) | (at.store & upper & differs)):
            m.d.sync += bad.eq(1)
        with m.If(byte_in):
            m.d.sync += [begun.eq(1), self.done.eq(0), self.valid.eq(0), bad.eq(0)]
        good = Signal()
        m.d.comb += good.eq(~(bad | carry) & seen)
        with m.If(at.judge & late):
            m.d.sync += [self.done.eq(1), self.valid.eq(good)]

        # ---- Counters and states --------------------------------------------------------------------------
        number_end, loaded, ended = Signal(), Signal(), Signal()
        m.d.comb += [
            number_end.eq((word_in | at.wipe) & last),
            loaded.eq(word_in & last & phase & side),
            ended.eq((at.judge & late & ~good) | (word_out & last)),
        ]
        with m.If(word_in | word_out | at.wipe | at.check | at.store):
            m.d.sync += k.eq(Mux(last, 1, k + 1))
        with m.If(byte_in | byte_out):
            m.d.sync += lane.eq(~lane)
        # Numbers come in the order 10 (N, also right), 00 (S, also right), 01, 11; the wipe goes the same way.
        with m.If(loaded):
            m.d.sync += [begun.eq(0), phase.eq(0), side.eq(0)]
        with m.Elif(number_end):
            m.d.sync += [phase.eq(side), side.eq(~phase)]
        if self.multipliers == 1:
            with m.If(at.run & row_end):
                m.d.sync += side.eq(1)
            with m.If(at.store):
                m.d.sync += side.eq(0)
        with m.If(at.store & last):
            m.d.sync += [upper.eq(~upper), phase.eq(phase ^ upper), late.eq(upper & phase)]
        with m.If(ended):
            m.d.sync += [late.eq(0), phase.eq(1)]
        m.d.sync += [
            at.wipe.eq(at.wipe & ~(last & phase & side)),
            at.flush.eq(at.wipe & last & phase & side),
            at.still.eq(at.flush),
            at.load.eq(at.still | (at.load & ~loaded) | ended),
            at.check.eq(loaded | (at.store & last & upper) | (at.check & ~last)),
            at.settle.eq(at.check & last),
            at.judge.eq(at.settle),
            at.start.eq((at.judge & ~late) | (at.store & ~(last & upper))),
            at.run.eq(at.start | (at.run & ~column_end)),
            at.drain.eq(column_end),
            at.store.eq(at.drain),
            at.fetch.eq((at.judge & late & good) | (word_out & ~last)),
            at.give.eq(at.fetch | (at.give & ~word_out)),
        ]
        return ResetInserter(self.clear)(m)

    def _memories(self, m, at, phase, side, k, i, next_j, lanes, byte, store, total):
        """Reads at i and j, out of columns at k; writes at k: bytes come in, words of t, zeros in a wipe."""
        one = self.multipliers == 1
        word, reading = Signal(_WORD), Signal()
        m.d.comb += [
            word.eq(Mux(at.load, byte.replicate(2), total[:_WORD])),  # a wipe finds the sum at 0
            reading.eq(~(at.wipe | at.load)),
        ]
        for number, ram in enumerate(self.left):
            m.d.comb += [
                ram.read_en.eq(reading),
                ram.read_addr.eq(Cat(i, side, phase) if one else Cat(i, phase)),
                ram.write_en.eq(lanes & (one | (side == number)).replicate(2)),
                # t1 replaces what came here with N, t2 replaces S.
                ram.write_addr.eq(Cat(k, side & ~at.store, phase ^ at.store) if one else Cat(k, phase ^ at.store)),
                ram.write_data.eq(word),
            ]
            if number == 0:
                with m.If(store):
                    m.d.comb += ram.write_en.eq(0b11)
        for number, ram in enumerate(self.right):
            j = Mux(at.run, next_j, k)
            m.d.comb += [
                ram.read_en.eq(reading),
                ram.read_addr.eq(Cat(j, side | at.check) if one else j),
                ram.write_en.eq(lanes & (~side & (one | (phase == number))).replicate(2)),
                ram.write_addr.eq(Cat(k, phase) if one else k),
                ram.write_data.eq(word),
            ]

    def _sum(self, m, at, reading, total):
        """Adds the products of what has been read; after each column, and for long in a check, moves down."""
        read, multiplied = Signal(), Signal()
        m.d.sync += [read.eq(reading), multiplied.eq(read)]
        products = []
        for number, (left, right) in enumerate(zip(self.left, self.right, strict=True)):
            # Neither enable nor reset: it goes into the multiplier's own register where there is one.
            product = Signal(2 * _WORD, name=f"product_{number}", reset_less=True)
            m.d.sync += product.eq(left.read_data * right.read_data)
            products.append(product)
        with m.If(at.store | at.check):
            m.d.sync += total.eq(total >> _WORD)
        with m.Elif(multiplied):
            m.d.sync += total.eq(total + sum(products[1:], products[0]))
