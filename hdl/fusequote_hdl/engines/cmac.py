"""AES-128-CMAC (RFC 4493, NIST SP 800-38B) on the byte-wide AES engine."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .aes import AES128
from .blockram import BlockRAM

__all__ = ["CMAC"]


class _State(data.Struct):
    """One bit of these is set: the logic is a good deal smaller than with a coded state."""

    wipe: 1    #: zeros to all of the memory
    fill: 1    #: takes message bytes; idle when none has come
    key: 1     #: takes a key
    load: 1    #: gives a block to AES: the pending one, or zeros for L
    subkey: 1  #: takes L = AES(key, 0) from AES
    double: 1  #: K1 from L, then K2 from K1
    pad: 1     #: fills the last block up
    tag: 1     #: AES gives the tag


class CMAC(wiring.Component):
    """AES-128-CMAC: one key, any number of messages, 16-byte tags.

    Sixteen beats on ``key`` load a key, first byte first; a key begun must be finished or cleared. It stays,
    with the subkeys K1 and K2 made from it, until the next one or ``clear``. Without a key, ``data`` is not
    ready. When idle with a key and a message both waiting, the key goes first.

    A message is the beats on ``data`` up to one with ``last``. A beat with ``empty`` carries no byte (its
    ``data`` is ignored): with ``last`` it ends the message, alone it is the empty message, and without
    ``last`` it does nothing. Then ``tag`` gives 16 bytes; the engine is idle again after them, key kept.

    **Time.** It depends on the handshakes and the length of the message only. With no stream waiting, a
    message of n = max(1, ceil(length / 16)) blocks takes **n * 218 + 33** cycles from its first beat to the
    first byte of the tag (one more if n is 1 and an ``empty`` beat ends it), and the next message may begin
    16 cycles after that. Bytes of the next block are taken while AES works on one. A key takes 316 cycles
    from when its first beat is offered until ``data`` is ready.

    **Memory.** One block RAM of 64 words of two bytes beside the three of AES. See there for why the engine
    wipes itself after reset, and for what a clock domain of one's own owes to an iCE40.

    Members
    -------
    key : In(stream of 8)
        Sixteen beats, taken only when idle.
    data : In(stream of {data: 8, last: 1, empty: 1})
        The message.
    tag : Out(stream of 8)
        Sixteen beats after each message.
    clear : In(1)
        Drops everything and wipes key, subkeys, pending block, chaining value and everything else derived
        from them, memories and registers, here and in AES. It begins in the cycle after ``clear`` and ends
        66 cycles after ``clear`` falls, ``idle`` high.
    idle : Out(1)
        No key, message or tag in work, and not wiping.
    """

    key: In(stream.Signature(8))
    data: In(stream.Signature(data.StructLayout({"data": 8, "last": 1, "empty": 1})))
    tag: Out(stream.Signature(8))
    clear: In(1)
    idle: Out(1)

    def __init__(self):
        super().__init__()
        self.aes = AES128()
        # Words 0..15: the key (low bytes) and the pending block (high). High bytes of 16..31: L, of 48..63: K1,
        # of 32..47: K2. Never read and written in one cycle.
        self.memory = BlockRAM(width=16, depth=64, granularity=8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.aes = aes = self.aes
        m.submodules.memory = memory = self.memory
        got = data.View(data.StructLayout({"key": 8, "block": 8}), memory.read_data)

        at = Signal(_State, init={"wipe": 1})
        count, region = Signal(4), Signal(2)  # byte of a block; WIPE: block of the memory, DOUBLE: K1 or K2
        keyed = Signal()    # key and subkeys stand
        full = Signal()     # the pending block is complete; whether it is the last is not known yet
        final = Signal()    # LOAD: it is the last one
        padded = Signal()   # LOAD: and was padded, so K2 is due, not K1
        chain = Signal()    # not the first block of its message
        halfway = Signal()  # LOAD: the subkey's byte is read; DOUBLE: the byte to double is; PAD: 0x80 is written
        ready = Signal()    # LOAD: the byte for AES is read
        mask, carry = Signal(8), Signal()
        first, last = Signal(), Signal()
        m.d.comb += [first.eq(count == 0), last.eq(count == 15)]

        # ---- Streams -------------------------------------------------------------------------------------
        beat = self.data.payload
        quiet, open_, offered, take = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            quiet.eq(at.fill & first & ~full & ~chain),
            self.idle.eq(quiet),
            self.key.ready.eq(at.key),
            open_.eq(at.fill & keyed & ~(quiet & self.key.valid)),
            # A full block and one more byte: the block goes first, the byte waits.
            self.data.ready.eq(open_ & (~full | beat.empty)),
            offered.eq(open_ & self.data.valid),
            take.eq(offered & ~beat.empty & ~full),
            aes.clear.eq(self.clear),
            aes.i.valid.eq(at.load & ready),
            aes.i.payload.key.eq(got.key),
            aes.i.payload.data.eq(got.block ^ mask),
            aes.i.payload.chain.eq(chain),
            aes.o.ready.eq(at.subkey | (at.tag & self.tag.ready)),
            self.tag.valid.eq(at.tag & aes.o.valid),
            self.tag.payload.eq(Mux(self.tag.valid, aes.o.payload, 0)),  # what AES has in work stays inside
        ]

        # What moves in this cycle.
        key_byte, subkey_byte, double_byte, tag_byte = Signal(), Signal(), Signal(), Signal()
        all_doubled = Signal()
        m.d.comb += [
            key_byte.eq(at.key & self.key.valid),
            subkey_byte.eq(at.subkey & aes.o.valid),
            double_byte.eq(at.double & halfway),
            all_doubled.eq(double_byte & first & region[0]),
            tag_byte.eq(self.tag.valid & self.tag.ready),
        ]

        # ---- Memory --------------------------------------------------------------------------------------
        # Doubling in GF(2^128), last byte first (SP 800-38B section 6.1): shift left by one bit, and if a one
        # falls out add x^7 + x^2 + x + 1, of which the 1 is the first carry.
        doubled, block = Signal(8), Signal(8)
        step, loaded, masking = Signal(), Signal(), Signal()
        m.d.comb += [
            doubled.eq(Cat(carry, got.block[0:7]) ^ Mux(last & carry, 0x86, 0)),
            block.eq(
                Mux(at.fill, beat.data, 0) | Mux(at.subkey, aes.o.payload, 0) | Mux(at.double, doubled, 0)
                | ((at.pad & ~halfway) << 7)),
            # A key comes with a block of zeros, to make L from.
            memory.write_data.eq(Cat(Mux(at.key, self.key.payload, 0), block)),
            memory.write_en.eq(Cat(
                at.wipe | key_byte,
                at.wipe | key_byte | take | at.pad | subkey_byte | double_byte)),
            memory.write_addr.eq(Cat(
                count, (at.wipe & region[0]) | at.subkey | (at.double & ~region[0]),
                (at.wipe & region[1]) | at.double)),
            # In the last block a byte of the subkey is read before each of the block.
            step.eq(at.load & (~ready | aes.i.ready)),
            loaded.eq(at.load & ready & aes.i.ready & first),
            masking.eq(final & ~halfway),
            memory.read_en.eq(step | (at.double & ~halfway) | (at.fill & ~take)),
            memory.read_addr.eq(Cat(
                count, at.double | (at.load & masking & ~padded),
                (at.double & region[0]) | (at.load & masking))),
        ]

        # ---- Registers -----------------------------------------------------------------------------------
        with m.If(at.wipe | key_byte | take | at.pad | (step & ~masking & ~loaded)
                  | (subkey_byte & ~last) | (double_byte & ~all_doubled) | tag_byte):
            m.d.sync += count.eq(count + Mux(at.double, 15, 1))
        with m.If((at.wipe & last) | (double_byte & first)):
            m.d.sync += region.eq(region + Mux(at.double & region[0], 3, 1))
        with m.If(all_doubled):
            m.d.sync += keyed.eq(1)
        with m.If(at.fill):
            m.d.sync += [
                full.eq((take & last & ~beat.last) | (full & ~(offered & (~beat.empty | beat.last)))),
                final.eq(open_ & (~full | beat.empty)),
                padded.eq(~full & (beat.empty | ~last)),
            ]
            with m.If(quiet & self.key.valid):
                m.d.sync += keyed.eq(0)
        with m.If(step | at.double | at.pad):
            m.d.sync += halfway.eq((at.pad & ~last) | (~halfway & (at.double | (at.load & final & ~loaded))))
        with m.If(step):
            m.d.sync += [ready.eq(~masking & ~loaded), mask.eq(got.block)]
            with m.If(~final):
                m.d.sync += mask.eq(0)
        with m.If(loaded | at.tag):
            m.d.sync += chain.eq(at.load & keyed)
        with m.If((at.subkey & first) | double_byte):
            m.d.sync += carry.eq(Mux(first, block[7], got.block[7]))
        with m.If(at.wipe):
            m.d.sync += [mask.eq(0), carry.eq(0)]

        # ---- States --------------------------------------------------------------------------------------
        enter = Signal(_State)
        m.d.comb += [
            enter.fill.eq((at.wipe & last & region.all()) | (loaded & keyed & ~final) | all_doubled
                | (tag_byte & last)),
            enter.key.eq(quiet & self.key.valid),
            enter.load.eq(
                (key_byte & last) | (at.pad & last)
                | (offered & Mux(full, ~beat.empty | beat.last, ~beat.empty & beat.last & last))),
            enter.subkey.eq(loaded & ~keyed),
            enter.double.eq(subkey_byte & last),
            enter.pad.eq(offered & ~full & beat.last & (beat.empty | ~last)),
            enter.tag.eq(loaded & keyed & final),
        ]
        with m.If(enter.as_value().any()):
            m.d.sync += at.eq(enter)
        with m.If(self.clear):
            m.d.sync += [at.eq(_State.const({"wipe": 1})), count.eq(0), region.eq(0)]
            m.d.sync += [flag.eq(0) for flag in (keyed, full, chain, halfway, ready)]
        return m
