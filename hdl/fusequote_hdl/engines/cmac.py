"""AES-128-CMAC (RFC 4493, NIST SP 800-38B) on the byte-wide AES engine."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from .aes import AES128
from .blockram import BlockRAM

__all__ = ["CMAC"]


class _State(enum.Enum, shape=3):
    WIPE = 0    #: zeros to all of the memory
    FILL = 1    #: takes message bytes; idle when none has come
    KEY = 2     #: takes a key
    LOAD = 3    #: gives a block to AES: the pending one, or zeros for L
    SUBKEY = 4  #: takes L = AES(key, 0) from AES
    DOUBLE = 5  #: K1 from L, then K2 from K1
    PAD = 6     #: fills the last block up
    TAG = 7     #: AES gives the tag


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
        # Words 0..15: the key (low bytes) and the pending block (high). High bytes of 16..31: L, 32..47: K1,
        # 48..63: K2. Never read and written in one cycle.
        self.memory = BlockRAM(width=16, depth=64, granularity=8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.aes = aes = self.aes
        m.submodules.memory = memory = self.memory
        got = data.View(data.StructLayout({"key": 8, "block": 8}), memory.read_data)

        state = Signal(_State)
        count, region = Signal(4), Signal(2)
        keyed = Signal()    # key and subkeys stand
        full = Signal()     # the pending block is complete; whether it is the last is not known yet
        final = Signal()    # it is the last one
        padded = Signal()   # and was padded, so K2 is due, not K1
        chain = Signal()    # not the first block of its message
        mask_due = Signal()  # LOAD: the subkey's byte has been read; DOUBLE: the byte to be doubled has
        ready = Signal()    # LOAD: the byte for AES has been read
        mask, carry = Signal(8), Signal()

        beat = self.data.payload
        waiting, take, advance = Signal(), Signal(), Signal()
        quiet, wrapped = Signal(), Signal()
        m.d.comb += [
            wrapped.eq(count == 15),
            quiet.eq((state == _State.FILL) & (count == 0) & ~full & ~chain),
            self.idle.eq(quiet),
            # A full block and one more byte: the block goes first, the byte waits.
            waiting.eq((state == _State.FILL) & keyed & ~(quiet & self.key.valid)),
            self.data.ready.eq(waiting & (~full | beat.empty)),
            take.eq(self.data.valid & self.data.ready & ~beat.empty),
            self.key.ready.eq(state == _State.KEY),
            aes.clear.eq(self.clear),
            aes.i.payload.key.eq(got.key),
            aes.i.payload.data.eq(got.block ^ mask),
            aes.i.payload.chain.eq(chain),
            aes.i.valid.eq((state == _State.LOAD) & ready),
            self.tag.payload.eq(Mux(self.tag.valid, aes.o.payload, 0)),  # what AES has in work stays inside
            self.tag.valid.eq((state == _State.TAG) & aes.o.valid),
            aes.o.ready.eq((state == _State.SUBKEY) | ((state == _State.TAG) & self.tag.ready)),
        ]

        # Doubling in GF(2^128), last byte first (SP 800-38B section 6.1): shift left by one bit, and if a one
        # falls out add x^7 + x^2 + x + 1, of which the 1 is the first carry.
        reduce, doubled = Signal(), Signal(8)
        m.d.comb += [
            reduce.eq(wrapped & carry),
            doubled.eq(Cat(carry, got.block[0:7]) ^ Mux(reduce, 0x86, 0)),
        ]

        fresh_key, fresh_block = Signal(8), Signal(8)
        m.d.comb += [
            memory.write_data.eq(Cat(fresh_key, fresh_block)),
            memory.write_addr.eq(Cat(count, region)),
            memory.read_addr.eq(Cat(count, region)),
        ]
        with m.If(advance):
            m.d.sync += count.eq(count + Mux(state == _State.DOUBLE, 15, 1))

        m.d.comb += memory.read_en.eq(~memory.write_en.any())
        with m.Switch(state):
            with m.Case(_State.WIPE):
                m.d.comb += [memory.write_en.eq(0b11), advance.eq(1)]
                m.d.sync += [region.eq(region + wrapped), mask.eq(0), carry.eq(0)]
                with m.If(wrapped & (region == 3)):
                    m.d.sync += state.eq(_State.FILL)

            with m.Case(_State.KEY):
                m.d.comb += [
                    fresh_key.eq(self.key.payload),  # and a block of zeros, to make L from
                    memory.write_en.eq(self.key.valid.replicate(2)),
                    advance.eq(self.key.valid),
                ]
                with m.If(self.key.valid & wrapped):
                    m.d.sync += state.eq(_State.LOAD)

            with m.Case(_State.FILL):
                m.d.comb += [fresh_block.eq(beat.data), memory.write_en.eq(take << 1), advance.eq(take)]
                with m.If(quiet & self.key.valid):
                    m.d.sync += [state.eq(_State.KEY), keyed.eq(0)]
                with m.Elif(waiting & self.data.valid):
                    with m.If(full & beat.empty & ~beat.last):
                        pass
                    with m.Elif(full):
                        m.d.sync += [state.eq(_State.LOAD), final.eq(beat.empty), full.eq(0)]
                    with m.Elif(take & wrapped):
                        m.d.sync += [full.eq(~beat.last), final.eq(beat.last)]
                        with m.If(beat.last):
                            m.d.sync += state.eq(_State.LOAD)
                    with m.Elif(beat.last):
                        m.d.sync += [state.eq(_State.PAD), padded.eq(1), final.eq(1)]

            with m.Case(_State.PAD):
                # The first byte written is 0x80, the rest are zeros; carry is free to tell them apart.
                m.d.comb += [fresh_block[7].eq(~carry), memory.write_en.eq(0b10), advance.eq(1)]
                m.d.sync += carry.eq(~wrapped)
                with m.If(wrapped):
                    m.d.sync += state.eq(_State.LOAD)

            with m.Case(_State.LOAD):
                accepted = aes.i.ready & ready
                m.d.comb += memory.read_en.eq(~ready | accepted)
                with m.If(accepted & (count == 0)):
                    m.d.sync += [ready.eq(0), mask.eq(0), chain.eq(keyed)]
                    with m.If(~keyed):
                        m.d.sync += [state.eq(_State.SUBKEY), region.eq(1)]
                    with m.Elif(final):
                        m.d.sync += state.eq(_State.TAG)
                    with m.Else():
                        m.d.sync += state.eq(_State.FILL)
                with m.Elif(memory.read_en):
                    with m.If(final & ~mask_due):
                        m.d.comb += memory.read_addr[4:6].eq(Cat(padded, 1))
                        m.d.sync += [mask_due.eq(1), ready.eq(0)]
                    with m.Else():
                        m.d.comb += advance.eq(1)
                        m.d.sync += [mask_due.eq(0), ready.eq(1), mask.eq(Mux(final, got.block, 0))]

            with m.Case(_State.SUBKEY):
                m.d.comb += [
                    fresh_block.eq(aes.o.payload),
                    memory.write_en.eq(aes.o.valid << 1),
                    advance.eq(aes.o.valid & ~wrapped),
                ]
                with m.If(aes.o.valid):
                    with m.If(count == 0):
                        m.d.sync += carry.eq(aes.o.payload[7])
                    with m.If(wrapped):
                        m.d.sync += state.eq(_State.DOUBLE)

            with m.Case(_State.DOUBLE):
                m.d.sync += mask_due.eq(~mask_due)
                with m.If(mask_due):
                    m.d.comb += [
                        fresh_block.eq(doubled),
                        memory.write_en.eq(0b10),
                        memory.write_addr[4:6].eq(region + 1),
                        advance.eq(~((count == 0) & (region == 2))),
                    ]
                    m.d.sync += carry.eq(got.block[7])
                    with m.If(count == 0):
                        m.d.sync += [carry.eq(doubled[7]), region.eq(2)]
                        with m.If(region == 2):
                            m.d.sync += [state.eq(_State.FILL), region.eq(0), keyed.eq(1), carry.eq(0)]

            with m.Case(_State.TAG):
                m.d.comb += advance.eq(self.tag.valid & self.tag.ready)
                with m.If(advance & wrapped):
                    m.d.sync += [state.eq(_State.FILL), final.eq(0), padded.eq(0), chain.eq(0)]

        with m.If(self.clear):
            m.d.sync += [state.eq(_State.WIPE), count.eq(0), region.eq(0), mask_due.eq(0), ready.eq(0)]
            m.d.sync += [flag.eq(0) for flag in (keyed, full, final, padded, chain)]
        return m
