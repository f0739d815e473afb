"""Serial SHA-256 compression (FIPS 180-4): one adder, two small block RAMs.

Nothing is ever moved. The schedule W is a ring of 16 words, and the working variables are two rings of four,
a..d and e..h, whose origin turns with the round: in round t, variable j of its ring (a or e is 0) sits at
(t - j - 1) mod 4, so the new `a` is written over `d` and the new `e` over `h`.

The memories are P (K, a..d, half of H, IV) and Q (W, e..h, the other half of H). A sum is written in the
cycle in which its last term arrives, and the terms are in such order that the *other* memory is read in that
cycle: a word is read in every cycle, yet no memory is ever read and written in the same one, which is what
block RAM without collision logic asks for. A round (rounds 0 to 15 leave out the first three cycles)::

    read    W[t-7] W[t-2] W[t-15] W[t-16]  K     h   e   f    g   d   a    b      c
    from      Q      Q      Q       Q      P     Q   Q   Q    Q   P   P    P      P
    adds      W     s1(W)  s0(W)    W      K     h  S1  e&f ~e&g  d  S0   a&b  (a^b)&c
    writes  new a to P                   W[t] to Q                 new e to Q
"""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SHA256"]


def _root_fractions(count: int, degree: int) -> list[int]:
    """Fractions, 32 bits, of square or cube roots of the first primes (FIPS 180-4 sections 4.2.2, 5.3.3)."""
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


class _At(data.Struct):
    """The step, one bit each: a LUT decodes any four of them. What is read now is used in the next cycle."""
    wipe: 1         #: reads nothing; writes the sum, which reset has cleared, all over
    zero: 1         #: reads a zero from P, on which `idle` and `load` rest
    idle: 1         #: the same; takes bytes of a message
    load: 1         #: the same; takes bytes of H
    fetch: 1        #: the first word of H
    dump: 1         #: this or the next word of H; gives bytes

    w7: 1           #: W[t-7], the first of four terms of W[t]
    w2: 1
    w15: 1
    w16: 1          #: W[t-16], or W[t] itself in rounds 0 to 15
    k: 1            #: and writes W[t]
    h: 1
    e: 1
    f: 1
    g: 1
    d: 1
    a: 1            #: and writes the new e
    b: 1
    c: 1

    sum_q: 1        #: of variable i and H[i], the one in Q
    sum_p: 1        #: the one in P, or an IV
    sum_write: 1    #: reads nothing; writes the sum to both


class _Use(data.Struct):
    """What becomes of the word read in the previous cycle. All zero: it is ignored, and the sum is held."""
    from_q: 1       #: it comes from Q, not from P
    invert: 1       #: add word AND NOT x instead of word AND x
    schedule0: 1    #: add sigma0(word), from Q
    schedule1: 1    #: add sigma1(word), from Q
    round1: 1       #: add Sigma1(word), from Q
    round0: 1       #: add Sigma0(word), from P
    x_flip: 1       #: x := x XOR word
    x_clear: 1      #: x := 0
    add: 1          #: keep the sum
    clear: 1        #: sum := 0 (what is written in this cycle is the sum before)


#: Steps of a round in order; rounds 0 to 15 leave out the first three.
_ROUND = ("w7", "w2", "w15", "w16", "k", "h", "e", "f", "g", "d", "a", "b", "c")
#: Steps of which the word has a use. A word is added plainly where x is 0 and inverted. In d the sum is not
#: kept, only written: a needs it without d. For H := IV, `invert` is not set after `sum_q`.
_USES = {
    "from_q": ("w7", "w2", "w15", "w16", "h", "e", "f", "g", "sum_q"),
    "invert": ("zero", "idle", "load", "w7", "w16", "k", "h", "g", "d", "sum_p"),
    "schedule0": ("w15",),
    "schedule1": ("w2",),
    "round1": ("e",),
    "round0": ("a",),
    "x_flip": ("e", "a", "b"),
    "x_clear": ("g", "c"),
    "add": ("w7", "w2", "w15", "w16", "k", "h", "e", "f", "g", "a", "b", "sum_q"),
    "clear": ("c", "sum_p"),
}
#: Distance from t of what a step reads, modulo 16 in W and modulo 4 in a..d and e..h.
_DISTANCE = {"w7": 9, "w2": 14, "w15": 1, "e": 3, "f": 2, "g": 1, "a": 3, "b": 2, "c": 1}


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
    `init` and `read` without `idle` are ignored. The first three begin a new block, and bytes of an
    unfinished one are dropped: save and load between blocks.

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
        at = Signal(_At, init={"wipe": 1})
        t = Signal(6)               # round; word of a block or of H
        lane = Signal(2)            # byte of a word
        initial = Signal()          # sum_*: H := IV
        use = Signal(_Use)
        after_c = Signal()          # the sum is the new a, and t that of the next round
        m.submodules.p, m.submodules.q = self.memory_p, self.memory_q
        p_read, p_write = self.memory_p.read_ports[0], self.memory_p.write_ports[0]
        q_read, q_write = self.memory_q.read_ports[0], self.memory_q.write_ports[0]

        data_beat = Signal()
        load_beat = Signal()
        digest_beat = Signal()
        beat = Signal()
        word_end = Signal()         # a beat, the last of a word
        m.d.comb += [
            self.idle.eq(at.idle),
            self.data.ready.eq(at.idle & ~(self.init | self.read | self.load.valid)),
            self.load.ready.eq(at.load),
            self.digest.valid.eq(at.dump),
            data_beat.eq(self.data.ready & self.data.valid),
            load_beat.eq(self.load.ready & self.load.valid),
            digest_beat.eq(self.digest.ready & self.digest.valid),
            beat.eq(data_beat | load_beat | digest_beat),
            word_end.eq(beat & lane.all()),
        ]
        self._next_step(m, at, t, lane, beat, word_end)
        with m.If(at.idle):
            m.d.sync += initial.eq(self.init)

        # Bytes in: added, in all four lanes, to the zero which P shows in idle and load; one lane is written.
        byte = Mux(at.idle, self.data.payload, 0) | Mux(at.load, self.load.payload, 0)
        word = Signal(32)
        total = self._datapath(m, use, p_read.data, q_read.data, byte, word)
        m.d.comb += [
            p_write.data.eq(total),
            q_write.data.eq(total),
            self.digest.payload.eq(word.word_select(~lane, 8)),
        ]
        next_bank = self._read_addresses(m, at, t, initial, word_end, p_read.addr, q_read.addr)
        self._write_addresses(m, at, t, after_c, p_write.addr, q_write.addr)
        both = at.sum_write | at.wipe
        e_or_w = at.a | (at.k & t[4:].any())
        self._enables(m, "p", both | after_c, load_beat, lane, p_read, p_write)
        self._enables(m, "q", both | e_or_w, load_beat | data_beat, lane, q_read, q_write)

        m.d.sync += after_c.eq(at.c)
        m.d.sync += [use[name].eq(_any(at, *steps)) for name, steps in _USES.items()]
        m.d.sync += [
            use.from_q.eq(_any(at, *_USES["from_q"]) | (_any(at, "fetch", "dump") & next_bank)),
            use.invert.eq(_any(at, *_USES["invert"]) | (at.sum_q & ~initial)),
        ]
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
    def _read_addresses(m, at, t, initial, word_end, p, q):
        """Returns the bank, 1 for Q, of the word of H that fetch or dump reads."""
        turned = Signal()
        distance = Signal(4)
        near = Signal(4)
        place = Signal(2)
        schedule = Signal()
        m.d.comb += [
            turned.eq(_any(at, "fetch", "dump")),
            distance.eq(Cat(_any(at, *(step for step, value in _DISTANCE.items() if value >> bit & 1))
                            for bit in range(4)) | (at.dump & word_end)),
            near.eq(t + distance),
            place.eq(near[:2] ^ turned.replicate(2)),
            schedule.eq(_any(at, "w7", "w2", "w15", "w16")),
            p.eq(Cat(place,
                     _any(at, "k", "sum_p") & t[2],
                     at.k & t[3],
                     Mux(at.k, t[4], at.sum_p & initial),
                     Mux(at.k, t[5], _any(at, "zero", "idle", "load")),
                     ~at.k)),
            q.eq(Cat(place, near[2] | ~(schedule | at.sum_q), schedule & near[3], ~schedule)),
        ]
        return near[2]

    @staticmethod
    def _write_addresses(m, at, t, after_c, p, q):
        """H and a..h at t, in load at 3 - t; the new a at t - 1; W and the new e at t; all of Q in a wipe."""
        m.d.comb += [
            p.eq(Cat(t[0] ^ (at.load | after_c), t[1] ^ (at.load | (after_c & ~t[0])), t[2] & ~after_c,
                     0, 0, 0, 1)),
            q.eq(Cat(t[:2] ^ at.load.replicate(2), t[2] | at.a, t[3] & ~at.a,
                     ~_any(at, "idle", "k") & (t[4] | ~at.wipe))),
        ]

    def _next_step(self, m, at, t, lane, beat, word_end):
        request = Signal()
        full = Signal()             # of a block
        last = Signal()             # of eight words
        more = Signal()             # rounds
        scheduled = Signal()        # is the next round
        m.d.comb += [
            request.eq(at.idle & (self.init | self.read | self.load.valid)),
            full.eq(at.idle & word_end & t[:4].all()),
            last.eq(t[:3].all() & (word_end | at.sum_write)),
            more.eq(at.c & ~t.all()),
            scheduled.eq(t[4:].any() | t[:4].all()),
        ]
        m.d.sync += [at[after].eq(at[before]) for before, after in zip(_ROUND, _ROUND[1:], strict=False)]
        m.d.sync += [
            at.wipe.eq(at.wipe & ~t[:5].all()),
            at.zero.eq((at.wipe & t[:5].all()) | (_any(at, "dump", "sum_write") & last)),
            at.idle.eq(at.zero | (at.load & last) | (at.idle & ~request & ~full)),
            at.load.eq((at.idle & ~self.init & ~self.read & self.load.valid) | (at.load & ~last)),
            at.fetch.eq(at.idle & ~self.init & self.read),
            at.dump.eq(at.fetch | (at.dump & ~last)),
            at.w7.eq(more & scheduled),
            at.w16.eq(at.w15 | full | (more & ~scheduled)),
            at.sum_q.eq((at.idle & self.init) | (at.c & t.all()) | (at.sum_write & ~last)),
            at.sum_p.eq(at.sum_q),
            at.sum_write.eq(at.sum_p),
        ]
        with m.If(at.zero | request | full | (at.load & last)):
            m.d.sync += t.eq(0)
        with m.Elif(word_end | _any(at, "wipe", "c", "sum_write")):
            m.d.sync += t.eq(t + 1)
        with m.If(request):
            m.d.sync += lane.eq(0)
        with m.Elif(beat):
            m.d.sync += lane.eq(lane + 1)


def _any(at, *steps):
    return Cat(at[step] for step in steps).any()
