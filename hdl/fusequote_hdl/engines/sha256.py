"""Serial SHA-256 compression (FIPS 180-4): one adder, two small block RAMs.

Nothing is ever moved. The schedule W is a ring of 16 words, and the working variables are two rings of four,
a..d and e..h, whose origin turns with the round: in round t, variable j of its ring (a or e is 0) sits at
(t - j - 1) mod 4, so the new `a` is written over `d` and the new `e` over `h`.

The memories are P (K, a..d, half of H, IV) and Q (W, e..h, the other half of H). A sum is written in the
cycle in which its last term arrives, and the terms are in such order that the *other* memory is read in that
cycle: a word is read in every cycle, yet no memory is ever read and written in the same one, which is what
block RAM without collision logic asks for. A round, of which rounds 0 to 15 leave out the first three cycles::

    read    W[t-7] W[t-2] W[t-15] W[t-16]  K     h   e   f    g   d   a    b      c
    from      Q      Q      Q       Q      P     Q   Q   Q    Q   P   P    P      P
    adds      W     s1(W)  s0(W)    W      K     h  S1  e&f ~e&g  d  S0   a&b  (a^b)&c
    writes  new a to P                   W[t] to Q                 new e to Q
"""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal, unsigned
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SHA256"]


def _root_fractions(count: int, degree: int) -> list[int]:
    """Fractions (32 bits) of square or cube roots of the first primes, FIPS 180-4 sections 4.2.2 and 5.3.3."""
    primes = [n for n in range(2, 312) if all(n % d for d in range(2, n))][:count]
    words = []
    for prime in primes:
        root, target = 0, prime << (32 * degree)
        for bit in reversed(range(36)):
            if (root | 1 << bit) ** degree <= target:
                root |= 1 << bit
        words.append(root & 0xFFFF_FFFF)
    return words


_K = _root_fractions(64, 3)
_IV = _root_fractions(8, 2)

# Maps. Of each group of four, the first is at the highest address, where the rings have a and e in round 0.
#   P: 0..63 K; 64..67 a..d; 68..71 H[4..7]; 80..87 IV; 96..127 zeros, never written
#   Q: 0..15 W; 16..19 H[0..3]; 20..23 e..h
_P_INIT = _K + [0] * 16 + [_IV[i ^ 3] for i in range(8)]
_P_DEPTH, _P_ZERO, _Q_DEPTH = 128, 96, 32


class _Step(enum.Enum, shape=5):
    """What is read in this cycle; the word arrives and is used in the next one (`_Use`)."""
    WIPE = 0            #: nothing: writes the sum, which reset has cleared, all over
    ZERO = 1            #: a zero from P, on which IDLE and LOAD rest
    IDLE = 2            #: nothing: takes bytes of a message
    LOAD = 3            #: nothing: takes bytes of H
    FETCH = 4           #: first word of H
    DUMP = 5            #: this or the next word of H: gives bytes

    W7 = 8              #: W[t-7], the first of four terms of W[t]
    W2 = 9
    W15 = 10
    W16 = 11            #: W[t-16], or W[t] itself in rounds 0 to 15
    K = 12
    H = 13
    E = 14
    F = 15
    G = 16
    D = 17
    A = 18
    B = 19
    C = 20

    SUM_Q = 21          #: the word of Q of H[i] += variable i
    SUM_P = 22          #: the word of P (of H := IV as well)
    SUM_WRITE = 23      #: nothing: writes H[i] and variable i


class _Use(data.Struct):
    """What becomes of the word read in the previous cycle. All zero: it is ignored, and the sum is held."""
    from_q: 1           #: the word comes from Q, not from P
    schedule0: 1        #: add sigma0(word), from Q
    schedule1: 1        #: add sigma1(word), from Q
    round1: 1           #: add Sigma1(word), from Q
    round0: 1           #: add Sigma0(word), from P
    invert: 1           #: add word AND NOT x instead of word AND x
    x_flip: 1           #: x := x XOR word
    x_clear: 1          #: x := 0
    add: 1              #: keep the sum
    clear: 1            #: sum := 0 (what is written in this cycle is the sum before)


_Q, _INVERT, _ADD = {"from_q": 1}, {"invert": 1}, {"add": 1}
#: Uses by step; a word is added plainly where x is 0 and inverted.
_USES = {
    _Step.ZERO: _INVERT,
    _Step.IDLE: _INVERT,
    _Step.LOAD: _INVERT,
    _Step.W7: _Q | _ADD | _INVERT,
    _Step.W2: _Q | _ADD | {"schedule1": 1},
    _Step.W15: _Q | _ADD | {"schedule0": 1},
    _Step.W16: _Q | _ADD | _INVERT,
    _Step.K: _ADD | _INVERT,
    _Step.H: _Q | _ADD | _INVERT,
    _Step.E: _Q | _ADD | {"round1": 1, "x_flip": 1},
    _Step.F: _Q | _ADD,
    _Step.G: _Q | _ADD | _INVERT | {"x_clear": 1},
    _Step.D: _INVERT,                               # the sum is written as e; T1 stays for a
    _Step.A: _ADD | {"round0": 1, "x_flip": 1},
    _Step.B: _ADD | {"x_flip": 1},
    _Step.C: {"x_clear": 1, "clear": 1},
    _Step.SUM_Q: _Q | _ADD,                         # inverted too, but for H := IV
    _Step.SUM_P: _INVERT | {"clear": 1},
}
#: Distance from t of what a step reads, modulo 16 in W and modulo 4 in a..d and e..h.
_DISTANCE = {
    _Step.W7: 9, _Step.W2: 14, _Step.W15: 1, _Step.E: 3, _Step.F: 2, _Step.G: 1,
    _Step.A: 3, _Step.B: 2, _Step.C: 1,
}
#: Steps of a round in order; rounds 0 to 15 leave out the first three.
_ROUND = [_Step.W7, _Step.W2, _Step.W15, _Step.W16, _Step.K, _Step.H, _Step.E, _Step.F, _Step.G, _Step.D,
          _Step.A, _Step.B, _Step.C]


class SHA256(wiring.Component):
    """SHA-256 compression of a stream of bytes, with its chaining value H to save and load.

    No padding inside: the caller sends whole blocks of 64 bytes, the last of them padded (FIPS 180-4 section
    5.1.1). Time never depends on data. Cycles, from the one in which a request is taken:

    =============== ======= ==================================================================================
    message block   64+809  a byte a cycle, then `data.ready` and `idle` are low for 809
    `init`          1+25    H := IV
    `load`          1+32    one to begin, then a byte a cycle; idle in the cycle after the last
    `read`          2+32+1  two to the first byte, a byte a cycle, one before idle
    `clear`, reset  1+33    whatever was going on is given up
    =============== ======= ==================================================================================

    In a cycle with `idle` one request is taken: `init`, else `read`, else `load`, else a byte of `data`.
    `init` and `read` without `idle` are ignored. The first three begin a new block, and bytes of an unfinished
    one are dropped: save and load between blocks.

    Reset and `clear` overwrite H, the working variables, W, the sum and every other register; only the
    constants K and IV stay. H is then zero, not IV: `init` or `load` comes first. Without `digest.valid`,
    `digest.payload` shows words of the work under way; like any stream's payload it is to be ignored.

    Members
    -------
    init : In(1)
        A pulse sets H to the initial value.
    load : In(stream.Signature(8))
        32 bytes replace H, in the order of a digest's bytes.
    data : In(stream.Signature(8))
        Bytes of the message. Every 64th starts the compression by itself.
    read : In(1)
        A pulse makes `digest` give H, which is kept.
    digest : Out(stream.Signature(8))
        32 bytes of H for every `read`.
    clear : In(1)
        Wipes the engine, at any time.
    idle : Out(1)
        No operation is under way; bytes of an unfinished block may be waiting.
    """

    init: In(1)
    load: In(stream.Signature(8))
    data: In(stream.Signature(8))
    read: In(1)
    digest: Out(stream.Signature(8))
    clear: In(1)
    idle: Out(1)

    def __init__(self):
        super().__init__()
        block = {"ram_style": "block"}
        # All that holds data; attributes, for a test to see that a wipe reaches it.
        self.memory_p = memory.Memory(shape=unsigned(32), depth=_P_DEPTH, init=_P_INIT, attrs=block)
        self.memory_q = memory.Memory(shape=unsigned(32), depth=_Q_DEPTH, init=[], attrs=block)
        for mem in (self.memory_p, self.memory_q):
            mem.read_port()
            mem.write_port(granularity=8)
        self.held = Signal(32)      # the sum
        self.x = Signal(32)

    def elaborate(self, platform):
        m = Module()
        step = Signal(_Step)
        t = Signal(6)               # round; word of a block or of H
        lane = Signal(2)            # byte of a word
        initial = Signal()          # SUM_*: H := IV
        use = Signal(_Use)
        sum_c = Signal()            # the sum with c in it is there: a
        m.submodules.p, m.submodules.q = self.memory_p, self.memory_q
        p_read, p_write = self.memory_p.read_ports[0], self.memory_p.write_ports[0]
        q_read, q_write = self.memory_q.read_ports[0], self.memory_q.write_ports[0]

        data_beat = Signal()
        load_beat = Signal()
        digest_beat = Signal()
        word_end = Signal()         # a beat, the last of a word
        m.d.comb += [
            self.idle.eq(step == _Step.IDLE),
            self.data.ready.eq(self.idle & ~(self.init | self.read | self.load.valid)),
            self.load.ready.eq(step == _Step.LOAD),
            self.digest.valid.eq(step == _Step.DUMP),
            data_beat.eq(self.data.ready & self.data.valid),
            load_beat.eq(self.load.ready & self.load.valid),
            digest_beat.eq(self.digest.ready & self.digest.valid),
            word_end.eq((data_beat | load_beat | digest_beat) & lane.all()),
        ]
        self._next_step(m, step, t, lane, initial, word_end)
        with m.If(data_beat | load_beat | digest_beat):
            m.d.sync += lane.eq(lane + 1)

        # Bytes in: added, in all four lanes, to the zero which P shows in IDLE and LOAD; one lane is written.
        byte = Mux(data_beat, self.data.payload, 0) | Mux(load_beat, self.load.payload, 0)
        word = Signal(32)
        total = self._datapath(m, use, p_read.data, q_read.data, byte, word)
        m.d.comb += [
            p_write.data.eq(total),
            q_write.data.eq(total),
            self.digest.payload.eq(word.word_select(~lane, 8)),
        ]
        next_bank = self._read_addresses(m, step, t, initial, word_end, p_read.addr, q_read.addr)
        self._write_addresses(m, step, t, sum_c, p_write.addr, q_write.addr)
        m.d.sync += sum_c.eq(step == _Step.C)
        both = (step == _Step.SUM_WRITE) | (step == _Step.WIPE)
        e_or_w = (step == _Step.A) | ((step == _Step.K) & t[4:].any())
        self._enables(m, "p", both | sum_c, load_beat, lane, p_read, p_write)
        self._enables(m, "q", both | e_or_w, load_beat | data_beat, lane, q_read, q_write)

        m.d.sync += use.eq(0)
        with m.Switch(step):
            for value, fields in _USES.items():
                with m.Case(value):
                    m.d.sync += [use[name].eq(bit) for name, bit in fields.items()]
                    if value == _Step.SUM_Q:
                        m.d.sync += use.invert.eq(~initial)
            with m.Case(_Step.FETCH, _Step.DUMP):
                m.d.sync += use.from_q.eq(next_bank)
        return ResetInserter(self.clear)(m)

    @staticmethod
    def _enables(m, name, whole, beat, lane, read, write):
        """Write a word or a byte of it, and read whenever there is nothing to write."""
        writing = Signal(name=f"{name}_writing")
        m.d.comb += [writing.eq(whole | beat), read.en.eq(~writing)]
        m.d.comb += [write.en[3 - i].eq(whole | (beat & (lane == i))) for i in range(4)]

    def _datapath(self, m, use, p, q, byte, word):
        """Add to the sum what has been read; returns the new sum, not yet stored."""
        x, held = self.x, self.held
        total = Signal(32)

        def gate(enable, value):
            return value & enable.replicate(32)

        def rotations(value, i, j, k):
            return value.rotate_right(i) ^ value.rotate_right(j) ^ value.rotate_right(k)

        functions = Signal(32)
        m.d.comb += [
            functions.eq(
                gate(use.schedule0, q.rotate_right(7) ^ q.rotate_right(18) ^ (q >> 3))
                | gate(use.schedule1, q.rotate_right(17) ^ q.rotate_right(19) ^ (q >> 10))
                | gate(use.round0, rotations(p, 2, 13, 22))
                | gate(use.round1, rotations(q, 6, 11, 25))),
            word.eq(Mux(use.from_q, q, p) | byte.replicate(4)),
            total.eq(held + (functions | (word & (x ^ use.invert.replicate(32))))),
        ]
        with m.If(use.x_clear):
            m.d.sync += x.eq(0)
        with m.Elif(use.x_flip):
            m.d.sync += x.eq(x ^ word)
        with m.If(use.clear):
            m.d.sync += held.eq(0)
        with m.Elif(use.add):
            m.d.sync += held.eq(total)
        return total

    @staticmethod
    def _read_addresses(m, step, t, initial, word_end, p, q):
        """Returns the bank, 1 for Q, of the word of H that FETCH or DUMP reads."""
        distance = Signal(4)
        near = Signal(4)
        place = Signal(2)
        m.d.comb += [near.eq(t + distance), place.eq(near)]
        with m.Switch(step):
            for value, constant in _DISTANCE.items():
                with m.Case(value):
                    m.d.comb += distance.eq(constant)
            with m.Case(_Step.FETCH, _Step.DUMP):
                m.d.comb += [distance.eq(word_end), place.eq(~near[:2])]
        m.d.comb += [p.eq(_P_ZERO), q.eq(Cat(place, 1, 0, 1))]
        with m.Switch(step):
            with m.Case(_Step.W7, _Step.W2, _Step.W15, _Step.W16):
                m.d.comb += q.eq(near)
            with m.Case(_Step.K):
                m.d.comb += p.eq(t)
            with m.Case(_Step.D, _Step.A, _Step.B, _Step.C, _Step.FETCH, _Step.DUMP):
                m.d.comb += p.eq(Cat(place, 0, 0, 0, 0, 1))
            with m.Case(_Step.SUM_Q):
                m.d.comb += q.eq(Cat(t[:3], 0, 1))
            with m.Case(_Step.SUM_P):
                m.d.comb += p.eq(Cat(t[:3], 0, initial, 0, 1))
        return near[2]

    @staticmethod
    def _write_addresses(m, step, t, sum_c, p, q):
        m.d.comb += [p.eq(Cat(t[:3], 0, 0, 0, 1)), q.eq(Cat(t[:3], 0, 1))]
        with m.If(sum_c):
            m.d.comb += p.eq(Cat((t - 1)[:2], 0, 0, 0, 0, 1))       # t is that of the next round already
        with m.Switch(step):
            with m.Case(_Step.IDLE, _Step.K):
                m.d.comb += q.eq(t[:4])
            with m.Case(_Step.WIPE):
                m.d.comb += q.eq(t[:5])
            with m.Case(_Step.A):
                m.d.comb += q.eq(Cat(t[:2], 1, 0, 1))
            with m.Case(_Step.LOAD):
                m.d.comb += [p.eq(Cat(~t[:2], t[2], 0, 0, 0, 1)), q.eq(Cat(~t[:2], t[2], 0, 1))]

    def _next_step(self, m, step, t, lane, initial, word_end):
        first_term = Mux(t >= 15, _Step.W7, _Step.W16)      # of the next round
        with m.Switch(step):
            with m.Case(_Step.WIPE):
                m.d.sync += t.eq(t + 1)
                with m.If(t == _Q_DEPTH - 1):
                    m.d.sync += step.eq(_Step.ZERO)
            with m.Case(_Step.ZERO):
                m.d.sync += [step.eq(_Step.IDLE), t.eq(0)]
            with m.Case(_Step.IDLE):
                with m.If(word_end):
                    m.d.sync += t.eq(t + 1)
                    with m.If(t == 15):
                        m.d.sync += [step.eq(_Step.W16), t.eq(0)]
                with m.If(self.init | self.read | self.load.valid):
                    m.d.sync += [t.eq(0), lane.eq(0)]
                m.d.sync += initial.eq(self.init)
                with m.If(self.init):
                    m.d.sync += step.eq(_Step.SUM_Q)
                with m.Elif(self.read):
                    m.d.sync += step.eq(_Step.FETCH)
                with m.Elif(self.load.valid):
                    m.d.sync += step.eq(_Step.LOAD)
            with m.Case(_Step.LOAD), m.If(word_end):
                m.d.sync += t.eq(t + 1)
                with m.If(t == 7):
                    m.d.sync += [step.eq(_Step.IDLE), t.eq(0)]
            with m.Case(_Step.FETCH):
                m.d.sync += step.eq(_Step.DUMP)
            with m.Case(_Step.DUMP), m.If(word_end):
                m.d.sync += t.eq(t + 1)
                with m.If(t == 7):
                    m.d.sync += step.eq(_Step.ZERO)
            for before, after in zip(_ROUND, _ROUND[1:], strict=False):
                with m.Case(before):
                    m.d.sync += step.eq(after)
            with m.Case(_Step.C):
                m.d.sync += [t.eq(t + 1), step.eq(Mux(t == 63, _Step.SUM_Q, first_term))]
            with m.Case(_Step.SUM_Q):
                m.d.sync += step.eq(_Step.SUM_P)
            with m.Case(_Step.SUM_P):
                m.d.sync += step.eq(_Step.SUM_WRITE)
            with m.Case(_Step.SUM_WRITE):
                m.d.sync += [t.eq(t + 1), step.eq(Mux(t == 7, _Step.ZERO, _Step.SUM_Q))]
