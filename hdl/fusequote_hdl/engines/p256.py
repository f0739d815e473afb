"""ECDSA signatures on P-256: a small program (``p256_program.py``) on one 16 by 16 multiplier (``p256_alu.py``)."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .p256_alu import FieldAlu, Operation
from .p256_numbers import table_words
from .p256_program import HASH, KEY, NONCE, REGISTERS, Control, Instruction, Kind, Word, sign

__all__ = ["P256Sign"]

_WORD, _SIZE = 16, 32  # bits of a word; bytes of a number
_KEPT = REGISTERS["r"]  # r and s are the two highest registers


class _State(data.Struct):
    """One bit of these is set."""

    wipe: 1    #: zeros to a word of all registers, or of all but r and s
    flush: 1   #: a zero to the memories' outputs
    still: 1   #: and through the multiplier
    load: 1    #: takes bytes; idle before the first

    fetch: 1   #: an instruction
    decode: 1  #: starts it
    busy: 1    #: waits for its end
    look: 1    #: a bit for the digit

    read: 1    #: a word of r or s
    give: 1    #: its bytes


class P256Sign(wiring.Component):
    """Signs a 32-byte hash with ECDSA on P-256 (FIPS 186-5, section 6.4.1).

    ``key`` takes the private key d, ``nonce`` a number k, ``load`` the hash, 32 bytes each, big-endian, in this order:
    a port is ready in its turn only, and all three are for one signature. After the last byte of the hash the engine
    works by itself; ``done`` rises at the end. Then ``result`` gives r and s, 32 bytes each, big-endian, unless
    ``failed`` is high: d or k is not within 1 to n - 1, or r or s is 0. Then it gives nothing.

    **Nonce.** The engine makes none. k must be uniformly random, secret, and never used again: whoever learns or
    guesses some bits of a few of them has d. 32 bytes of a cryptographic generator for each signature, and another 32
    when it ``failed``, are the method of FIPS 186-5 A.3.2, and are refused once in 2^32. That a number is never
    reduced here is so that none is favoured. RFC 6979 can be had by computing k outside. A k that was taken is gone
    with its signature.

    **Time.** Which instructions run and how long they take depends on no number that came in: from the last byte of
    the hash to ``done`` it is always ``P256Sign.CYCLES`` cycles, ``failed`` or not. Against the probing of power or
    radiation there is no countermeasure but that each k multiplies once: coordinates are not blinded.

    **Wiping.** Before ``done`` rises all but r and s is zero, and these too before ``idle`` does.

    **Memory.** Two block RAMs with 32 registers, one with the program, one with the comb's table and constants.

    Parameters
    ----------
    program : Sequence[Instruction]
        Another program, for tests; at most 256 instructions.

    Members
    -------
    key, nonce, load : In(stream of 8)
        d, k and the hash. The first byte ends ``done`` and ``failed``.
    result : Out(stream of 8)
        r and s. The payload is zero whenever there is none.
    done, failed : Out(1)
        It is signed, or cannot be. Both stay until the next first byte, or ``clear``.
    clear : In(1)
        Drops everything, and wipes all memories and registers. It begins in the cycle after ``clear`` and ends 514
        cycles after ``clear`` falls, ``idle`` high.
    idle : Out(1)
        No byte is taken, nothing under way, and not wiping.

    Raises
    ------
    ValueError
        For a program of more than 256 instructions, or of none.
    """

    #: From the last byte of the hash to ``done``.
    CYCLES = 1_792_440

    key: In(stream.Signature(8))
    nonce: In(stream.Signature(8))
    load: In(stream.Signature(8))
    result: Out(stream.Signature(8))
    done: Out(1)
    failed: Out(1)
    clear: In(1)
    idle: Out(1)

    def __init__(self, program: Sequence[Instruction] | None = None):
        super().__init__()
        instructions = sign() if program is None else program
        if not 1 <= len(instructions) <= 256:
            raise ValueError(f"{len(instructions)} instructions: 1 to 256")
        self.alu = FieldAlu()
        self._program = Memory(shape=Word.as_shape().size, depth=256, init=[each.encode() for each in instructions],
                               attrs={"ram_style": "block"})
        self._table = Memory(shape=_WORD, depth=1024, init=table_words(), attrs={"ram_style": "block"})

    def elaborate(self, platform):
        m = Module()
        m.submodules.alu = alu = self.alu
        m.submodules.program, m.submodules.table = self._program, self._table
        instruction, table = self._program.read_port(), self._table.read_port()
        at = Signal(_State, init={"wipe": 1})
        pc, counter, digit = Signal(8), Signal(8), Signal(4)
        bad, signed = Signal(), Signal()  # fails; the program is done

        # ---- Bytes ------------------------------------------------------------------------------------------
        # Big-endian: byte 0 is the upper one of word 15. ``number`` counts key, nonce, hash, or r, s.
        position, number = Signal(range(_SIZE)), Signal(2)
        lane, first, last = position[0], Signal(), position.all()
        word = ~position[1:]
        taken, byte, given, loaded = Signal(), Signal(8), Signal(), Signal()
        for turn, port in enumerate((self.key, self.nonce, self.load)):
            with m.If(at.load & (number == turn)):
                m.d.comb += [port.ready.eq(1), taken.eq(port.valid), byte.eq(port.payload)]
        m.d.comb += [
            first.eq(~position.any() & ~number.any()),
            given.eq(at.give & self.result.ready),
            loaded.eq(taken & last & (number == 2)),
            self.idle.eq(at.load & first),
            self.result.valid.eq(at.give),
            self.result.payload.eq(Mux(at.give, alu.read_data.word_select(~lane, 8), 0)),
        ]
        with m.If(taken | given):
            m.d.sync += position.eq(position + 1)
            with m.If(last):
                m.d.sync += number.eq(Mux(loaded | (at.give & number[0]), 0, number + 1))
        with m.If(taken & first):
            m.d.sync += [self.done.eq(0), self.failed.eq(0), bad.eq(0)]

        # ---- The ALU's instructions ---------------------------------------------------------------------------
        now = Word(instruction.data)
        computes, checks, looks, controls = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            controls.eq(now.kind == Kind.CONTROL),
            checks.eq((now.kind == Kind.LOOK) & now.d[0]),
            looks.eq((now.kind == Kind.LOOK) & ~now.d[0]),
            computes.eq(~(controls | looks)),
            alu.start.eq(at.decode & computes),
            alu.d.eq(now.d), alu.a.eq(now.a), alu.b.eq(now.b),
            alu.table.eq(table.data),
        ]
        with m.Switch(now.kind):
            for kind, operation, by_n in ((Kind.MUL_P, Operation.MUL, 0), (Kind.MUL_N, Operation.MUL, 1),
                                          (Kind.ADD_P, Operation.ADD, 0), (Kind.ADD_N, Operation.ADD, 1),
                                          (Kind.SUB_P, Operation.SUB, 0), (Kind.LOAD, Operation.LOAD, 0),
                                          (Kind.LOOK, Operation.CHECK, 1)):
                with m.Case(kind):
                    m.d.comb += [alu.operation.eq(operation), alu.by_n.eq(by_n)]
        constant = now.a[2]
        m.d.comb += [
            instruction.en.eq(at.fetch | at.flush),
            instruction.addr.eq(Mux(at.flush, 0, pc)),
            table.en.eq(at.busy | at.flush),
            table.addr.eq(Mux(at.flush, 0, Cat(alu.word, now.a[:2], Mux(constant, now.b[:4], digit)))),
        ]
        with m.If(at.busy & checks & alu.done & alu.outside):
            m.d.sync += bad.eq(1)

        # ---- Memory of the ALU, while it rests: wipe, bytes in and out, bits ----------------------------------
        cell, wiped = Signal(9), Signal()
        m.d.comb += wiped.eq(at.wipe & (cell.all() | (signed & ~self.done & (cell == 16 * _KEPT - 1))))
        with m.If(at.wipe):
            m.d.sync += cell.eq(Mux(wiped, 0, cell + 1))
        source = Mux(number[1], HASH, Mux(number[0], NONCE, KEY))
        m.d.comb += [
            alu.write_en.eq(Mux(at.wipe, 0b11, Mux(taken, Cat(lane, ~lane), 0))),
            alu.write_addr.eq(Mux(at.wipe, cell, Cat(word, source))),
            alu.write_data.eq(Mux(at.wipe, 0, byte.replicate(2))),
            alu.read_en.eq(at.flush | at.read | (at.decode & looks)),
        ]
        with m.If(at.read):
            m.d.comb += alu.read_addr.eq(Cat(word, number[0], Const(_KEPT >> 1, 4)))
        with m.Elif(at.decode):
            m.d.comb += alu.read_addr.eq(Cat(counter[4:6], counter[6:] | now.b[:2], now.a))
        with m.If(at.look):
            m.d.sync += digit.eq(Cat(alu.read_data.bit_select(counter[:4], 1), digit))

        # ---- Control ------------------------------------------------------------------------------------------
        ended, goes = Signal(), Signal()
        target = Cat(now.a, now.b)[:8]
        with m.If(at.decode & controls):
            m.d.comb += [
                ended.eq(now.d == Control.END),
                goes.eq(((now.d == Control.NEXT) & counter.any()) | ((now.d == Control.ZERO) & ~digit[0])),
            ]
            with m.If(now.d == Control.SET):
                m.d.sync += counter.eq(target)
            with m.If((now.d == Control.NEXT) & counter.any()):
                m.d.sync += counter.eq(counter - 1)
        with m.If(at.decode):
            m.d.sync += pc.eq(Mux(goes, target, pc + 1))
        with m.If(at.flush):
            m.d.sync += [pc.eq(0), counter.eq(0), digit.eq(0)]

        # ---- States -------------------------------------------------------------------------------------------
        shown, emptied = Signal(), Signal()
        m.d.comb += [
            shown.eq(at.still & signed & ~self.done),              # the wipe was of all but r and s
            emptied.eq((given & last & number[0]) | (shown & bad)),  # nothing more to give
        ]
        with m.If(ended):
            m.d.sync += signed.eq(1)
        with m.If(shown):
            m.d.sync += [self.done.eq(1), self.failed.eq(bad)]
        with m.If(emptied):
            m.d.sync += [signed.eq(0), bad.eq(0)]
        m.d.sync += [
            at.wipe.eq(ended | emptied | (at.wipe & ~wiped)),
            at.flush.eq(wiped),
            at.still.eq(at.flush),
            at.load.eq((at.still & ~shown) | (at.load & ~loaded)),
            at.fetch.eq(loaded | (at.decode & controls & ~ended) | (at.busy & alu.done) | at.look),
            at.decode.eq(at.fetch),
            at.busy.eq((at.decode & computes) | (at.busy & ~alu.done)),
            at.look.eq(at.decode & looks),
            at.read.eq((shown & ~bad) | (given & lane & ~(last & number[0]))),
            at.give.eq(at.read | (at.give & ~(given & lane))),
        ]
        return ResetInserter(self.clear)(m)
