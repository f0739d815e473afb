"""The key box: the MAC engine, the key slots, and the only path between them and the root keys.

The sequencer feeds message bytes in and takes MACs out. Keys move inside, sixteen bytes at a time, on its orders: it
never sees one (KEY.SW_UNREADABLE), except that a MAC *is* the derived key when the program takes it as such, which only
EGETKEY does (tests/hdl/test_microcode.py reads the program and says so).
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .engines.cmac import CMAC
from .fuses import RootKey
from .isa import KeyOp
from .ram import Ram

__all__ = ["KEY_BYTES", "KEY_SLOTS", "KeyBox", "KeyOrder"]

#: Bytes in a key and in a MAC.
KEY_BYTES = 16
#: Key slots of the box.
KEY_SLOTS = 64


class KeyOrder(data.Struct):
    """One order to the key box: what, and with which slots."""

    op: KeyOp
    src: range(KEY_SLOTS)
    dst: range(KEY_SLOTS)


class KeyBox(wiring.Component):
    """AES-CMAC with key slots. An order is acknowledged (``order.ready``) in the cycle in which it is done.

    The time of an order depends on its kind alone: 2 cycles a byte and 2 more, plus what the MAC engine makes it wait.
    Between an END and the order or the VEC that takes the MAC nothing else may be sent to the engine.
    """

    #: Orders, see :class:`KeyOrder`.
    order: In(stream.Signature(KeyOrder))
    #: Message bytes from the sequencer.
    message: In(stream.Signature(8))
    #: The MAC, 16 bytes, after END, unless an order takes it.
    tag: Out(stream.Signature(8))
    #: Wipe the MAC engine (not the slots).
    clear: In(1)
    #: No MAC under way.
    idle: Out(1)
    #: Key port of the fuse controller.
    fuse_en: Out(1)
    fuse_key: Out(RootKey)
    fuse_byte: Out(4)
    fuse_rdata: In(8)
    fuse_pgm: Out(1)
    fuse_wdata: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.cmac = cmac = CMAC()
        m.submodules.slots = slots = Ram(KEY_SLOTS * KEY_BYTES)
        order = self.order.payload
        byte = Signal(range(KEY_BYTES))
        moving = Signal()

        m.d.comb += [
            cmac.clear.eq(self.clear),
            self.idle.eq(cmac.idle & ~moving),
        ]

        from_tag = Signal()
        m.d.comb += from_tag.eq((order.op == KeyOp.TAG_SLOT) | (order.op == KeyOp.TAG_RSK))
        with m.If(self.order.valid & from_tag):
            m.d.comb += cmac.tag.ready.eq(moving)
        with m.Else():
            m.d.comb += [
                self.tag.payload.eq(cmac.tag.payload),
                self.tag.valid.eq(cmac.tag.valid),
                cmac.tag.ready.eq(self.tag.ready),
            ]

        # The message has three writers: the sequencer, a mover order, END.
        with m.If(~self.order.valid):
            m.d.comb += [
                cmac.data.payload.data.eq(self.message.payload),
                cmac.data.valid.eq(self.message.valid),
                self.message.ready.eq(cmac.data.ready),
            ]

        source = Signal(8)
        source_valid = Signal()
        sink_ready = Signal()
        m.d.comb += [
            self.fuse_key.eq(Mux(order.op == KeyOp.RPK_KEY, RootKey.PROVISIONING, RootKey.SEALING)),
            self.fuse_byte.eq(byte),
        ]
        with m.Switch(order.op):
            with m.Case(KeyOp.TAG_SLOT, KeyOp.TAG_RSK):
                m.d.comb += [source.eq(cmac.tag.payload), source_valid.eq(cmac.tag.valid)]
            with m.Case(KeyOp.RPK_KEY, KeyOp.RSK_DATA):
                m.d.comb += [source.eq(self.fuse_rdata), source_valid.eq(1)]
            with m.Case(KeyOp.ZERO_KEY, KeyOp.ZERO_SLOT):
                m.d.comb += source_valid.eq(1)
            with m.Default():
                m.d.comb += [source.eq(slots.r_data), source_valid.eq(1)]
        m.d.comb += [
            cmac.key.payload.eq(source),
            slots.w_data.eq(source),
            self.fuse_wdata.eq(source),
        ]

        with m.If(self.order.valid & ~moving):
            with m.If(order.op == KeyOp.END):
                m.d.comb += [
                    cmac.data.payload.last.eq(1),
                    cmac.data.payload.empty.eq(1),
                    cmac.data.valid.eq(1),
                    self.order.ready.eq(cmac.data.ready),
                ]
            with m.Else():
                # Ask the source for byte 0; sources without an address do not mind.
                m.d.comb += [
                    slots.en.eq(1),
                    slots.addr.eq((order.src << 4) | byte),
                    self.fuse_en.eq(~from_tag),
                ]
                m.d.sync += moving.eq(1)

        with m.If(self.order.valid & moving):
            # Keep asking while the engine makes us wait: a fuse shows itself for one cycle at a time.
            m.d.comb += self.fuse_en.eq((order.op == KeyOp.RPK_KEY) | (order.op == KeyOp.RSK_DATA))
            with m.Switch(order.op):
                with m.Case(KeyOp.ZERO_KEY, KeyOp.RPK_KEY, KeyOp.SLOT_KEY):
                    m.d.comb += [cmac.key.valid.eq(source_valid), sink_ready.eq(cmac.key.ready)]
                with m.Case(KeyOp.SLOT_DATA, KeyOp.RSK_DATA):
                    m.d.comb += [
                        cmac.data.payload.data.eq(source),
                        cmac.data.valid.eq(source_valid),
                        sink_ready.eq(cmac.data.ready),
                    ]
                with m.Case(KeyOp.TAG_RSK):
                    m.d.comb += [
                        self.fuse_en.eq(1),
                        self.fuse_pgm.eq(source_valid),
                        sink_ready.eq(1),
                    ]
                with m.Default():
                    m.d.comb += [
                        slots.en.eq(source_valid),
                        slots.w_en.eq(1),
                        slots.addr.eq((order.dst << 4) | byte),
                        sink_ready.eq(1),
                    ]
            with m.If(source_valid & sink_ready):
                # Back to asking, for the next byte.
                m.d.sync += [byte.eq(byte + 1), moving.eq(0)]
                m.d.comb += self.order.ready.eq(byte == KEY_BYTES - 1)
        return m
