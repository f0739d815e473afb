"""A 256-bit modular unit on one 16 by 16 multiplier: Montgomery products, sums and differences modulo p or n of P-256.

A product is summed column by column, as in ``rsa.py``: with R = 2^256 and 16 words of 16 bits,

    T = (A*B + q*M) / R,    q[k] = (column k so far) * M' mod 2^16,    M' = -1/M mod 2^16

where column k of the lower half has the pairs A[i]*B[k-i] and q[i]*M[k-i], the last of which makes its word zero.
Sums and differences are single passes over the words. All end in the same two passes: T - M for its carry, and then
T less (or, after a difference, plus) M or 0. Every operation takes the same number of cycles whatever the numbers.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from .blockram import BlockRAM
from .p256_numbers import N, P

__all__ = ["PRODUCT_CYCLES", "SUM_CYCLES", "FieldAlu", "Operation", "Register"]

_WORD = 16
#: From ``start`` to ``done``, both included.
SUM_CYCLES, PRODUCT_CYCLES = 61, 622


class Operation(enum.Enum, shape=3):
    """What :class:`FieldAlu` does."""

    MUL = 0    #: d = a * b / 2^256 mod M
    ADD = 1    #: d = a + b mod M
    SUB = 2    #: d = a - b mod M
    LOAD = 3   #: d = the number that comes in by ``table``
    CHECK = 4  #: whether 0 < a < M


class Register(enum.IntEnum):
    """The numbers of the registers that have a meaning to the unit itself, of 32."""

    Q = 26
    T = 27
    P = 28
    N = 29


class _State(data.Struct):
    """One bit of these is set."""

    rest: 1     #: waits for ``start``
    run: 1      #: reads a pair of a column
    wait: 1     #: for the last product of a column
    reduce: 1   #: multiplies the column by M'
    keep: 1     #: writes that as a word of q
    last: 1     #: reads it again, with the lowest word of M
    ahead: 1    #: moves the sum down, to the column that has no pairs
    line: 1     #: reads a word of both operands
    tail: 1     #: moves the sum down for the last time
    settle: 1   #: two cycles in which that arrives
    settled: 1
    judge: 1    #: looks at the carry


class FieldAlu(wiring.Component):
    """Computes with 32 registers of 256 bits, modulo the p or the n of P-256 (FIPS 186-4 D.1.2.3).

    Register ``P`` must hold p and register ``N`` n before anything but ``LOAD``; ``Q`` and ``T`` are overwritten.
    ``MUL`` wants one factor below M and the other below 2^256, ``ADD`` a sum below 2 M, ``SUB`` both below M; then
    results are below M.

    Takes ``SUM_CYCLES`` for ``ADD`` and ``SUB``, ``PRODUCT_CYCLES`` for ``MUL``, 21 cycles for ``LOAD`` and
    ``CHECK``, from ``start`` to ``done``, both included. Two block RAMs with the same 512 words.

    Members
    -------
    start : In(1)
        Begins what ``operation``, ``by_n`` (modulus n, not p), ``d``, ``a`` and ``b`` say, which must then stay until
        ``done``. Only after ``done``.
    done : Out(1)
        The last cycle of an operation.
    outside : Out(1)
        In that cycle of a ``CHECK``: a is 0, or not below M.
    word, table : Out(4), In(16)
        ``LOAD`` wants this word of the number; it comes in the next cycle.
    read_en, read_addr, read_data : In, In, Out
        Look at a word (16 times the register, plus the word counted from the lowest) while no operation is under way.
    write_en, write_addr, write_data : In
        The same, for writing; a bit of ``write_en`` for each byte.

    After a read of a zero and one more cycle, nothing is left of earlier operands outside the memories.
    """

    start: In(1)
    operation: In(Operation)
    by_n: In(1)
    d: In(5)
    a: In(5)
    b: In(5)
    done: Out(1)
    outside: Out(1)
    word: Out(4)
    table: In(_WORD)
    read_en: In(1)
    read_addr: In(9)
    read_data: Out(_WORD)
    write_en: In(2)
    write_addr: In(9)
    write_data: In(_WORD)

    def __init__(self):
        super().__init__()
        # Both hold the same: two words are read in a cycle.
        self.left, self.right = (BlockRAM(width=_WORD, depth=512, granularity=8) for _ in range(2))

    def elaborate(self, platform):
        m = Module()
        m.submodules.left, m.submodules.right = self.left, self.right
        at = Signal(_State, init={"rest": 1})
        start_mul, start_sub, start_check = (self.operation == operation for operation in (
            Operation.MUL, Operation.SUB, Operation.CHECK))
        # What it is, from registers: a program's memory is too slow to be at the multiplier's door in the same cycle.
        is_sub, is_load, is_check, by_n = Signal(), Signal(), Signal(), Signal()
        with m.If(at.rest):
            m.d.sync += [
                is_sub.eq(start_sub), is_load.eq(self.operation == Operation.LOAD), is_check.eq(start_check),
                by_n.eq(self.by_n),
            ]
        compare, correct = Signal(), Signal()  # which of the passes; neither: the operation itself
        multiplying = Signal()
        carried, remedy = Signal(), Signal()   # out of the operation itself; the last pass has M, not 0
        total = Signal(2 * _WORD + 6)          # 32 products and what is left of the column before

        # ---- Words: i + j = column in products, i = j in passes ----------------------------------------------
        column, i, side, opening = Signal(5), Signal(4), Signal(), Signal()
        upper, row_end, hold, column_end = column[4], Signal(), Signal(), Signal()
        m.d.comb += [
            row_end.eq(i == (column[:4] | upper.replicate(4))),
            hold.eq(at.run & side & row_end & ~upper),  # the word of q is not there yet
            column_end.eq((at.run & side & row_end & upper) | at.last),
        ]
        with m.If(at.rest | at.judge):
            m.d.sync += [i.eq(0), column.eq(0), side.eq(0), opening.eq(1)]
        with m.Elif(column_end):
            m.d.sync += [
                column.eq(column + 1), side.eq(0), opening.eq(1),
                i.eq(Mux(upper | column[:4].all(), (column + 2)[:4], 0)),
            ]
        with m.Elif(at.run & ~hold):
            m.d.sync += [i.eq(i + 1), opening.eq(0)]
            with m.If(row_end):
                m.d.sync += [side.eq(1), i.eq(Mux(upper, (column + 1)[:4], 0))]
        with m.Elif(at.line):
            m.d.sync += i.eq(i + 1)

        # ---- States ------------------------------------------------------------------------------------------
        over, products_end, again = Signal(), Signal(), Signal()
        m.d.comb += [
            over.eq(correct | is_load | is_check),
            again.eq(at.judge & ~over),
            products_end.eq(column_end & (column == 30)),
            self.done.eq(at.judge & over),
        ]
        m.d.sync += [
            at.rest.eq((at.rest & ~self.start) | self.done),
            at.run.eq((at.rest & self.start & start_mul) | (at.run & ~hold & ~products_end) | at.last),
            at.wait.eq(hold),
            at.reduce.eq(at.wait),
            at.keep.eq(at.reduce),
            at.last.eq(at.keep),
            at.ahead.eq(products_end),
            at.line.eq((at.rest & self.start & ~start_mul) | (at.line & ~i.all()) | again),
            at.tail.eq((at.line & i.all()) | at.ahead),
            at.settle.eq(at.tail),
            at.settled.eq(at.settle),
            at.judge.eq(at.settled),
        ]
        with m.If(at.rest):
            m.d.sync += [compare.eq(start_check), correct.eq(0), multiplying.eq(start_mul), carried.eq(0), remedy.eq(0)]
        with m.If(at.judge):
            m.d.sync += [compare.eq(~compare & ~over), correct.eq(compare & ~over), multiplying.eq(0)]
            with m.If(compare):
                m.d.sync += remedy.eq(Mux(is_sub, ~carried, carried | total[0]))
            with m.Else():
                m.d.sync += carried.eq(total[0])

        # ---- What is read, and what becomes of it -------------------------------------------------------------
        reading, move, store = Signal(), Signal(), Signal()
        reading_1, reading_2, move_1, move_2, store_1, store_2 = (Signal() for _ in range(6))
        m.d.comb += [
            reading.eq((at.run & ~hold) | at.last | at.line),
            move.eq((at.run & opening) | at.line | at.ahead | at.tail),
            # Not what the sum was before the first word, nor the lower half of a product, which is zero.
            store.eq(((at.run & opening & upper & column[:4].any()) | (at.line & i.any()) | at.ahead | at.tail)
                     & ~compare),
        ]
        m.d.sync += [reading_1.eq(reading), reading_2.eq(reading_1), move_1.eq(move), move_2.eq(move_1),
                     store_1.eq(store), store_2.eq(store_1)]
        own, modulus = Signal(), Signal(5)
        m.d.comb += [
            own.eq(~(side | compare | correct)),
            modulus.eq(Mux(by_n, Const(Register.N, 5), Const(Register.P, 5))),
            self.word.eq(i),
            self.read_data.eq(self.left.read_data),
            self.left.read_en.eq(reading | self.read_en),
            self.right.read_en.eq(reading | self.read_en),
        ]
        left, right = Signal(9), Signal(9)
        m.d.comb += [
            left.eq(Cat(i, Mux(own | is_check, self.a, Mux(multiplying, Const(Register.Q, 5), Const(Register.T, 5))))),
            right.eq(Cat(Mux(multiplying, column[:4] - i, i)[:4], Mux(own, self.b, modulus))),
            self.left.read_addr.eq(Mux(at.rest, self.read_addr, left)),
            self.right.read_addr.eq(Mux(at.rest, self.read_addr, right)),
        ]

        # ---- Multiplier, adder, sum ---------------------------------------------------------------------------
        product, pair = Signal(2 * _WORD, reset_less=True), Signal(_WORD + 1, reset_less=True)
        invert, mask, term = Signal(), Signal(), Signal(_WORD)
        factor = Mux(by_n, -pow(N, -1, 1 << _WORD) % (1 << _WORD), -pow(P, -1, 1 << _WORD) % (1 << _WORD))
        m.d.comb += [
            invert.eq(compare | (is_sub ^ correct)),
            mask.eq(Mux(correct, remedy, ~is_load)),
            term.eq((self.right.read_data & mask.replicate(_WORD)) ^ invert.replicate(_WORD)),
        ]
        m.d.sync += [
            product.eq(Mux(at.reduce, total[:_WORD], self.left.read_data) * Mux(at.reduce, factor,
                                                                                self.right.read_data)),
            pair.eq(Mux(is_load, self.table, self.left.read_data) + term),
        ]
        seen, out = Signal(), Signal(4)
        addend = Signal.like(product)
        m.d.comb += addend.eq(Mux(reading_2, Mux(multiplying, product, pair), 0))
        with m.If(at.rest | at.judge):
            # The carry into the next pass: 1 where it subtracts.
            subtracts = Mux(at.rest, start_sub | start_check, Mux(compare, ~is_sub, 1))
            m.d.sync += total.eq(subtracts << _WORD)
        with m.Else():
            m.d.sync += total.eq(Mux(move_2, total >> _WORD, total) + addend)
        with m.If(at.rest):
            m.d.sync += seen.eq(0)
        with m.Elif(reading_1):
            m.d.sync += seen.eq(seen | self.left.read_data.any())
        m.d.comb += self.outside.eq(total[0] | ~seen)

        # ---- What is written: words of q and of results, or whatever comes from outside ------------------------
        with m.If(at.rest | at.judge):
            m.d.sync += out.eq(0)
        with m.Elif(store_2):
            m.d.sync += out.eq(out + 1)
        target, value = Signal(9), Signal(_WORD)
        with m.If(at.keep):
            m.d.comb += [target.eq(Cat(column[:4], Const(Register.Q, 5))), value.eq(product[:_WORD])]
        with m.Elif(at.rest):
            m.d.comb += [target.eq(self.write_addr), value.eq(self.write_data)]
        with m.Else():
            m.d.comb += [
                target.eq(Cat(out, Mux(correct | is_load, self.d, Const(Register.T, 5)))),
                value.eq(total[:_WORD]),
            ]
        for ram in (self.left, self.right):
            m.d.comb += [
                ram.write_addr.eq(target),
                ram.write_data.eq(value),
                ram.write_en.eq(Mux(at.rest, self.write_en, (at.keep | store_2).replicate(2))),
            ]
        return m
