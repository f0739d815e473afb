"""The fuse controller: who may read and burn which fuse, and until when.

The fuse macro itself (a file in simulation, kept look-up tables on an FPGA) is outside, behind ``macro``. Whatever the
program of the block does, this controller keeps three rules:

* the public port never shows a byte of the secret half (FUSE.SW_UNREADABLE);
* the root provisioning key can be read, by the key port alone, only until ``close_rpk`` (FUSE.RPK_BOOT_ONLY);
* after ``close_burn`` nothing can be burnt but the life cycle, the CPUSVN generations and their bits, and, once the
  life cycle has been burnt as scrapped in this boot, the secret half, to be made useless (FUSE.BURN_ONCE).

Only ``reopen``, the start of a boot, lifts the latter two. docs/chip.md, section 1, has the fuse map.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["FUSE_BYTES", "FuseMacroSignature", "Fuses", "RootKey"]

#: Bytes of fuses; the upper 128 are the secret half.
FUSE_BYTES = 384
#: Width of a fuse address; bit 8 selects the secret half.
ADDRESS_BITS = 9
#: Addresses: the life cycle, the bits of the CPUSVN generations; and of their rows, 0x080-0x0FF, the upper two bits.
LIFE_CYCLE, GENERATIONS, CPUSVN_ROWS = 0x000, 0x001, 0b01


class RootKey(enum.Enum, shape=1):
    """The two root keys, by the low bit of their fuse row (0x100, 0x110)."""

    PROVISIONING = 0
    SEALING = 1


class FuseMacroSignature(wiring.Signature):
    """The fuse macro, seen from the block.

    Members
    -------
    addr : Out(9)
        Byte address.
    rdata : In(8)
        The byte at the address of the cycle before.
    pgm : Out(1)
        At the clock edge, the byte at ``addr`` becomes its old value OR ``wdata``.
    wdata : Out(8)
        Bits to burn.
    """

    def __init__(self):
        super().__init__({
            "addr": Out(ADDRESS_BITS),
            "rdata": In(8),
            "pgm": Out(1),
            "wdata": Out(8),
        })


class Fuses(wiring.Component):
    """Arbitrates the fuse macro between the public port and the key port; one access a cycle, data one cycle later.

    The key port goes first: the sequencer waits while the key box works, so the two never compete.
    """

    #: The macro, outside the block.
    macro: Out(FuseMacroSignature())
    #: Public port: byte address, data one cycle later, burn.
    addr: In(ADDRESS_BITS)
    rdata: Out(8)
    pgm: In(1)
    wdata: In(8)
    #: Key port: enable, which key, which byte, data one cycle later, burn (sealing key only).
    key_en: In(1)
    key: In(RootKey)
    key_byte: In(4)
    key_rdata: Out(8)
    key_pgm: In(1)
    key_wdata: In(8)
    #: See the module's text.
    close_rpk: In(1)
    close_burn: In(1)
    reopen: In(1)

    def elaborate(self, platform):
        m = Module()
        rpk_closed = Signal()
        burn_closed = Signal()
        scrapped = Signal()
        with m.If(self.reopen):
            m.d.sync += [rpk_closed.eq(0), burn_closed.eq(0), scrapped.eq(0)]
        with m.Else():
            m.d.sync += [
                rpk_closed.eq(rpk_closed | self.close_rpk),
                burn_closed.eq(burn_closed | self.close_burn),
                scrapped.eq(scrapped | (self.macro.pgm & (self.macro.addr == LIFE_CYCLE) & self.macro.wdata[7])),
            ]
        # What may be burnt until the end.
        open_end = Signal()
        m.d.comb += open_end.eq(
            (self.addr == LIFE_CYCLE) | (self.addr == GENERATIONS) | (self.addr[7:] == CPUSVN_ROWS)
            | (self.addr[8] & scrapped))

        # What the byte now at macro.rdata may be shown to.
        show_public = Signal()
        show_key = Signal()
        m.d.sync += [
            show_public.eq(~self.key_en & ~self.addr[8]),
            show_key.eq(self.key_en & ((self.key == RootKey.SEALING) | ~rpk_closed)),
        ]
        m.d.comb += [
            self.rdata.eq(Mux(show_public, self.macro.rdata, 0)),
            self.key_rdata.eq(Mux(show_key, self.macro.rdata, 0)),
        ]

        with m.If(self.key_en):
            m.d.comb += [
                # 0x100 and 0x110
                self.macro.addr.eq(0x100 | (self.key.as_value() << 4) | self.key_byte),
                self.macro.wdata.eq(self.key_wdata),
                self.macro.pgm.eq(self.key_pgm & (self.key == RootKey.SEALING) & ~burn_closed),
            ]
        with m.Else():
            m.d.comb += [
                self.macro.addr.eq(self.addr),
                self.macro.wdata.eq(self.wdata),
                self.macro.pgm.eq(self.pgm & (~burn_closed | open_end)),
            ]
        return m
