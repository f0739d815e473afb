"""AES-128 encryption, one byte a cycle, with S-box, state and round key in block RAM (FIPS 197)."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .blockram import BlockRAM

__all__ = ["AES128", "SBOX"]

_POLY = 0x11B  # FIPS 197 section 4.2: x^8 + x^4 + x^3 + x + 1
_RCON = (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1B, 0x36)  # FIPS 197 section 5.2


def _sbox() -> tuple[int, ...]:
    """The 256 bytes of the S-box (FIPS 197 section 5.1.1): inverse in GF(2^8), then the affine map."""
    exp, log, x = [0] * 255, [0] * 256, 1
    for i in range(255):  # powers of the generator x + 1
        exp[i], log[x] = x, i
        x ^= (x << 1) ^ (_POLY if x & 0x80 else 0)
    table = []
    for value in range(256):
        inverse = exp[-log[value] % 255] if value else 0
        circle = inverse * 0x101  # so that a rotation is a shift
        table.append(0x63 ^ inverse ^ (circle >> 4 ^ circle >> 5 ^ circle >> 6 ^ circle >> 7) & 0xFF)
    return tuple(table)


#: The S-box: ``SBOX[b]`` is SubBytes of the byte ``b``.
SBOX = _sbox()


class AES128(wiring.Component):
    """AES-128 block encryption on an 8-bit data path, round keys made on the fly.

    A block is 16 beats on ``i``, each one byte of the key and one of the plaintext, first byte first. A beat
    with ``chain`` set encrypts its data byte XOR the same byte of the previous result, which is CBC and CMAC
    chaining; after reset and ``clear`` the previous result is 16 zero bytes. The key is not kept: each block
    brings its own.

    Then ``o`` offers the 16 bytes of the result. It need not be read: the first beat of the next block
    withdraws an offer of which no byte was taken, and wins when both come in one cycle. (That is the only
    case where ``o.valid`` falls without a transfer; who wants the result leaves ``i`` alone until its first
    byte is taken.) A result begun is finished first: ``i`` is not ready in between. Read or not, it stays for
    ``chain``.

    **Time.** 218 cycles from the first beat of a block to the first byte of its result, or to the first beat
    of the next block, plus the cycles for which ``i`` was made to wait; reading a result takes 20. It depends
    on nothing but the handshakes.

    **Memory.** Three block RAMs: S-box, state (two halves used in turn), round key. A reset clears no memory,
    so the engine wipes itself after a reset as after ``clear``. On an iCE40 block RAM reads as zero for some
    microseconds after configuration, so the reset of the clock domain must last 15 us then (Amaranth's own
    default clock does that; a domain of one's own must do the same).

    How it works: the counter ``m`` repeats 0..19, once while loading, then once per round. At ``m = i`` byte
    i of the round key is read, at i + 1 it becomes the next round key's (or the loaded key's) byte, at i + 2
    byte i of the new state is written. State bytes of round r are read in ShiftRows order from ``m = 16`` of
    the turn before on, one a cycle, so that the S-box has four cycles left, which it gives to the key
    schedule (``m = 13..16``). When a stream makes the engine wait, everything stands still (``step`` low).

    Members
    -------
    i : In(stream of {key: 8, data: 8, chain: 1})
        Sixteen beats start a block.
    o : Out(stream of 8)
        Sixteen beats give the ciphertext.
    clear : In(1)
        Drops everything and wipes state and key: memories, their output registers, every register on the data
        path. It begins in the cycle after ``clear`` and ends, ``idle`` high, 42 cycles after ``clear`` falls.
    idle : Out(1)
        Wiped, and no block in work: the engine waits for the first beat of a block, or for its result to be
        read or dropped.
    """

    i: In(stream.Signature(data.StructLayout({"key": 8, "data": 8, "chain": 1})))
    o: Out(stream.Signature(8))
    clear: In(1)
    idle: Out(1)

    def __init__(self):
        super().__init__()
        # Attributes, for a test to see that no secret stays.
        self.state = BlockRAM(width=8, depth=32)
        self.round_key = BlockRAM(width=8, depth=32)  # words 16..31 are never written: zeros

    def elaborate(self, platform):
        m = Module()

        m.submodules.sbox = sbox = Memory(shape=8, depth=256, init=SBOX, attrs={"ram_style": "block"})
        m.submodules.state = state = self.state
        m.submodules.round_key = round_key = self.round_key

        # ---- Control -------------------------------------------------------------------------------------
        step = Signal()  # everything moves on
        wipe = Signal(init=1)
        load = Signal()  # one beat of a block has come, the last not yet been followed by m = 19
        read = Signal()  # one byte of the result is taken
        fresh = Signal()  # there is a result of which no byte is taken
        turn = Signal(range(11))  # 0: idle, loading, reading; 1..10: round
        count, count1, count2 = Signal(5), Signal(5, init=16), Signal(5, init=16)  # m now, 1 and 2 steps ago
        still = Signal()
        window = Signal()  # m = 1..16 while loading or reading, or idle at m = 1
        m.d.comb += [
            still.eq(turn == 0),
            self.idle.eq(window & ~load & ~read),
            self.i.ready.eq(window & ~read),
            self.o.valid.eq(window & (read | (fresh & ~self.i.valid))),
            step.eq(~window | (self.o.ready & (read | fresh)) | (self.i.valid & ~read)),
        ]
        last, end = Signal(), Signal()
        m.d.comb += [
            last.eq(turn[3] & turn[1]),  # round 10
            end.eq(count[4] & count[0] & (count[1] | last)),  # nothing to do after m = 17 of the last round
        ]
        with m.If(step):
            m.d.sync += [count.eq(count + 1), count1.eq(count), count2.eq(count1)]
            m.d.sync += window.eq(still & ~wipe & ~count[4])
            with m.If(window):
                m.d.sync += [load.eq(self.i.valid & ~read), read.eq(read | ~self.i.valid), fresh.eq(0)]
            with m.If(end):
                m.d.sync += [count.eq(0), turn.eq(turn + 1), load.eq(0), read.eq(0)]
                with m.If(last | read | (wipe & turn[0])):
                    m.d.sync += [turn.eq(0), fresh.eq(last), wipe.eq(0)]
        with m.If(self.clear):
            m.d.sync += [count.eq(0), count1.eq(16), count2.eq(16), turn.eq(0)]
            m.d.sync += [window.eq(0), load.eq(0), read.eq(0), fresh.eq(0), wipe.eq(1)]

        # ---- Memories ------------------------------------------------------------------------------------
        # State is read in order while loading and reading, from the half that the result is in (0, because
        # round 10 is even). In a round: from the half that the round before wrote, column by column of the
        # round's output, ShiftRows on the address. Writes are to the other half, but for m = 16, 17 with
        # bytes 0, 5 read and 14, 15 written, and for loading with byte m read and m - 2 written.
        ordered, column = Signal(), Signal(2)
        m.d.comb += [
            ordered.eq(still & ~count[4]),
            column.eq(Mux(count[4], 0, count[2:4] + 1)),
        ]
        byte, new_byte = state.read_data, Signal(8)
        m.d.comb += [
            state.read_en.eq(step),
            state.read_addr.eq(Cat(
                count[0:2],
                Mux(ordered, count[2:4], (column + count[0:2])[0:2]),
                ~ordered & (turn[0] ^ ~count[4]),
            )),
            state.write_en.eq(step & ~count2[4] & ~read),
            state.write_addr.eq(Cat(count2[0:4], turn[0])),
            state.write_data.eq(new_byte),
        ]
        # The round key's byte m is read while byte m - 1 is written; m = 16..19 reads zero, as does a wipe.
        old_key, new_key = round_key.read_data, Signal(8)
        m.d.comb += [
            round_key.read_en.eq(step),
            round_key.read_addr.eq(Cat(count[0:4], count[4] | wipe)),
            round_key.write_en.eq(step & ~count1[4]),
            round_key.write_addr.eq(count1[0:4]),
            round_key.write_data.eq(new_key),
        ]
        sbox_r = sbox.read_port()
        key_turn, key_turn1 = Signal(), Signal()  # the S-box looks up, has looked up, a key byte
        with m.If(step):
            m.d.sync += [key_turn.eq(count[2] & count[3]), key_turn1.eq(key_turn)]
        m.d.comb += [sbox_r.en.eq(step), sbox_r.addr.eq(Mux(key_turn, new_key, byte))]
        sub = sbox_r.data

        # ---- Key schedule --------------------------------------------------------------------------------
        # words: the last four bytes, so words[0] is the byte above in the previous word. SubWord enters at
        # words[2] one byte behind, while words[3] takes the first of them from words[0]: that is RotWord.
        words = [Signal(8, name=f"word{n}", reset_less=True) for n in range(4)]
        hold, rcon = Signal(), Signal(8, reset_less=True)
        m.d.comb += new_key.eq(Mux(window, self.i.payload.key, words[0] ^ old_key))
        with m.If(step):
            m.d.sync += hold.eq(count[4] & (count[0] | count[1]))
            with m.Switch(turn):
                for n, value in enumerate(_RCON):
                    with m.Case(n):
                        m.d.sync += rcon.eq(value)
                with m.Default():
                    m.d.sync += rcon.eq(0)
            with m.If(count[0:4] != 14):  # after that, SubWord's byte for the first byte of the word comes
                m.d.sync += rcon.eq(0)
            with m.If(~hold):
                m.d.sync += [
                    words[3].eq(new_key), words[2].eq(Mux(key_turn1, sub, words[3]) ^ rcon),
                    words[1].eq(words[2]), words[0].eq(words[1]),
                ]
                with m.If(wipe):
                    m.d.sync += [register.eq(0) for register in words]

        # ---- SubBytes, MixColumns, AddRoundKey -----------------------------------------------------------
        # Each byte of a column adds its share to four sums that move on by one place (the matrix of
        # MixColumns is circulant); a complete column then leaves byte by byte through out. Round 10 has no
        # MixColumns: the bytes then pass through the sums unchanged.
        sums = [Signal(8, name=f"sum{n}", reset_less=True) for n in range(4)]
        out = [Signal(8, name=f"out{n}", reset_less=True) for n in range(3)]
        plain, start, leave = Signal(), Signal(), Signal()
        twice, given = Signal(8), Signal(8)
        m.d.comb += [
            start.eq(count[0:2] == 2),
            leave.eq(start & ~still),
            twice.eq(Mux(plain, sub, Cat(sub[7], sub[0:7]) ^ Mux(sub[7], 0x1A, 0))),
            given.eq(Mux(window, self.i.payload.data, 0) ^ Mux(window & self.i.payload.chain, byte, 0)),
            new_byte.eq(Mux(leave, sums[0], out[0]) ^ words[3]),
        ]
        with m.If(step):
            with m.If(count[4]):
                m.d.sync += plain.eq(turn[3] & turn[0])  # before the first byte of round 10
            kept = [Mux(start, 0, sums[(n + 1) % 4]) for n in range(4)]
            m.d.sync += [
                sums[0].eq(kept[0] ^ Mux(plain, 0, sub)),
                sums[1].eq(kept[1] ^ Mux(plain, 0, sub)),
                sums[2].eq(kept[2] ^ twice ^ sub),
                sums[3].eq(kept[3] ^ twice),
                out[0].eq(Mux(leave, sums[1], out[1]) ^ given),
                out[1].eq(Mux(leave, sums[2], out[2])),
                out[2].eq(Mux(leave, sums[3], 0)),
            ]
            with m.If(wipe):
                m.d.sync += [register.eq(0) for register in (*sums, *out)]

        m.d.comb += self.o.payload.eq(byte)
        return m
