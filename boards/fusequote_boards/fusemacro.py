"""The fuses of a board: look-up tables for the root keys, a block RAM for the rest and for what is burnt.

An FPGA has no fuses for its user. What stands for them is in the bitstream: the root keys are the contents of sixteen
look-up tables, as Tillitis keeps its device secret, and not block RAM, which survives a warm boot into another
bitstream that could read it. All other fuses, which anybody may read, are the initial contents of a block RAM. Both are
changed in a finished bitstream (:mod:`fusequote_boards.fusebits`) without placing and routing anew.

Bits that the block burns go into the block RAM, and are lost at power-off.

The tables give the provisioning key away for as many passes as one boot makes (sixteen chains and the maker's key), and
then not before the next boot. This repeats what the block's own fuse controller enforces (FUSE.RPK_BOOT_ONLY), with
logic of its own. A bit a word that allows one read, as Tillitis has it, does not suit a block that reads these words
seventeen times at each boot, and the sealing key in each derivation.
"""

from __future__ import annotations

import hashlib
import itertools
from functools import cache
from typing import Any

from amaranth.hdl import Array, Cat, Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from fusequote_hdl.engines.blockram import BlockRAM
from fusequote_hdl.fuses import FUSE_BYTES, FuseMacroSignature

__all__ = ["KEYS", "KEY_BYTES", "RAM_BYTES", "FuseMacro", "key_bits", "marker", "reordered"]

#: Fuse row of each root key, by the name of its look-up tables.
KEYS = {"rpk": 0x100, "rsk": 0x110}
KEY_BYTES = 16
#: Bytes of the block RAM; the fuses are its first.
RAM_BYTES = 512
#: Passes over the provisioning key in one boot: the maker's key, and one for each chain of the ratchet (docs/chip.md,
#: section 2).
RPK_PASSES = 17


@cache
def marker() -> bytes:
    """The fuses that a design is placed with: bytes without any pattern, the same everywhere.

    They make every fuse bit findable in the finished bitstream, whatever order nextpnr gives a look-up table's inputs:
    no table looks the same in two of the 24 orders. No chip ever runs with them: the builder writes blank fuses over
    them.
    """
    contents = bytearray(hashlib.shake_256(b"fusequote fuse marker").digest(RAM_BYTES))
    stream = iter(hashlib.shake_256(b"fusequote key marker").digest(4096))
    for row in KEYS.values():
        tables = []
        while len(tables) < 8:
            table = next(stream) | next(stream) << 8
            if len({reordered(table, inputs) for inputs in itertools.permutations(range(4))}) == 24:
                tables.append(table)
        contents[row : row + KEY_BYTES] = bytes(
            sum((table >> i & 1) << bit for bit, table in enumerate(tables)) for i in range(KEY_BYTES))
    return bytes(contents)


def reordered(contents: int, inputs: tuple[int, ...]) -> int:
    """The contents of a table of four inputs when address bit i arrives at input ``inputs[i]``."""
    return sum((contents >> i & 1) << sum((i >> bit & 1) << pin for bit, pin in enumerate(inputs)) for i in range(16))


def key_bits(key: bytes, bit: int) -> int:
    """Contents of the table that holds this bit of each of the key's 16 bytes."""
    return sum((byte >> bit & 1) << i for i, byte in enumerate(key))


class FuseMacro(wiring.Component):
    """Fuses behind :class:`fusequote_hdl.fuses.FuseMacroSignature`. A burnt byte may be read two cycles later.

    On an iCE40 and an ECP5 (``platform.fusequote_lut`` names the cell) the tables are cells that the tools keep;
    elsewhere, in simulation, plain logic.

    Parameters
    ----------
    fuses : bytes
        What they hold at power-on, at most 384 bytes; default :func:`marker`, to be written over in the bitstream.

    Members
    -------
    fuse : In(FuseMacroSignature())
        The block's side.
    booting : In(1)
        A boot starts in this cycle.
    """

    def __init__(self, fuses: bytes | None = None):
        contents = marker() if fuses is None else fuses.ljust(RAM_BYTES, b"\0")
        if len(contents) != RAM_BYTES or fuses is not None and len(fuses) > FUSE_BYTES:
            raise ValueError(f"{FUSE_BYTES} bytes of fuses are wanted, not {len(contents)}")
        self._keys = {name: contents[row : row + KEY_BYTES] for name, row in KEYS.items()}
        self.ram = BlockRAM(width=8, depth=RAM_BYTES)
        in_tables = range(min(KEYS.values()), max(KEYS.values()) + KEY_BYTES)
        for i, byte in enumerate(contents):
            self.ram.memory.data.init[i] = 0 if fuses is not None and i in in_tables else byte
        #: Passes over the provisioning key since the boot began, for tests to look at.
        self.passes = Signal(range(RPK_PASSES + 1))
        super().__init__({"fuse": In(FuseMacroSignature()), "booting": In(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.ram = ram = self.ram
        addr = self.fuse.addr

        # Burning is a read and, one cycle later, a write of what was read with more ones in it.
        burning, burnt_addr, burnt = Signal(), Signal.like(addr), Signal(8)
        m.d.sync += [burning.eq(self.fuse.pgm), burnt_addr.eq(addr), burnt.eq(self.fuse.wdata)]
        m.d.comb += [
            ram.read_en.eq(1),
            ram.read_addr.eq(addr),
            ram.write_en.eq(burning),
            ram.write_addr.eq(burnt_addr),
            ram.write_data.eq(ram.read_data | burnt),
        ]

        row = {name: addr[4:] == at >> 4 for name, at in KEYS.items()}
        passes = self.passes
        last = Signal()
        m.d.sync += last.eq(row["rpk"] & (addr[:4] == KEY_BYTES - 1))
        with m.If(self.booting):
            m.d.sync += passes.eq(0)
        with m.Elif(last & (addr[:4] != KEY_BYTES - 1) & (passes != RPK_PASSES)):
            m.d.sync += passes.eq(passes + 1)

        # The row of the cycle before chooses, so that nothing but a look-up table is before these flip-flops.
        tables = {name: Signal(8, name=f"{name}_byte") for name in KEYS}
        for name, byte in tables.items():
            m.d.sync += byte.eq(self._tables(m, platform, name, addr[:4]))
        shown = {name: Signal(name=f"{name}_shown") for name in KEYS}
        m.d.sync += [
            shown["rpk"].eq(row["rpk"] & (passes != RPK_PASSES)),
            shown["rsk"].eq(row["rsk"]),
        ]
        m.d.comb += self.fuse.rdata.eq(
            ram.read_data | tables["rpk"] & shown["rpk"].replicate(8) | tables["rsk"] & shown["rsk"].replicate(8))
        return m

    def _tables(self, m: Module, platform: Any, name: str, addr: Any) -> Any:
        key = self._keys[name]
        cell = getattr(platform, "fusequote_lut", None)
        if cell is None:
            return Array(Const(byte, 8) for byte in key)[addr]
        out = Signal(8, name=f"{name}_tables")
        for bit in range(8):
            contents = Const(key_bits(key, bit), 16)
            if cell == "SB_LUT4":
                ports = {"p_LUT_INIT": contents, "o_O": out[bit], **{f"i_I{i}": addr[i] for i in range(4)}}
            else:
                ports = {"p_INIT": contents, "o_Z": out[bit],
                         **{f"i_{port}": addr[i] for i, port in enumerate("ABCD")}}
            # Neither folded into the logic around it nor shared.
            m.submodules[f"{name}{bit}"] = Instance(cell, a_keep=1, **ports)
        return Cat(out)
