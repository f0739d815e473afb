"""The fuse controller's three rules, against everything that its ports can be made to do."""

import random

import pytest
from amaranth.sim import Simulator
from fusequote_hdl.fuses import FUSE_BYTES, Fuses, RootKey

RPK, RSK, P256 = range(0x100, 0x110), range(0x110, 0x120), range(0x120, 0x140)


class Bench:
    """The controller with a fuse macro in Python; one call of :meth:`cycle` is one clock."""

    def __init__(self, cells):
        self.dut = Fuses()
        self.cells = bytearray(cells)
        self.sim = Simulator(self.dut)
        self.sim.add_clock(1e-6)

    def run(self, scenario):
        async def process(ctx):
            self.ctx = ctx
            await scenario(self)

        self.sim.add_testbench(process)
        self.sim.run()

    async def cycle(self, **inputs):
        """Drives inputs for one cycle; returns (public data, key data) of the access, one cycle later."""
        ctx, macro = self.ctx, self.dut.macro
        for name, value in inputs.items():
            ctx.set(getattr(self.dut, name), value)
        address, burn, bits = ctx.get(macro.addr), ctx.get(macro.pgm), ctx.get(macro.wdata)
        if burn:
            self.cells[address] |= bits
        await ctx.tick()
        ctx.set(macro.rdata, self.cells[address] if address < FUSE_BYTES else 0)
        for name in inputs:
            ctx.set(getattr(self.dut, name), 0)
        return ctx.get(self.dut.rdata), ctx.get(self.dut.key_rdata)


#: what can be burnt until the end: the life cycle, the bits and the rows of the CPUSVN generations
OPEN = {0, 1, *range(0x80, 0x100)}
CELLS = bytes(random.Random(1).randrange(1, 256) for _ in range(FUSE_BYTES))


def test_public_port_shows_public_fuses_and_no_others():
    """FUSE.SW_UNREADABLE"""
    async def scenario(bench):
        for address in range(1 << 9):
            public, key = await bench.cycle(addr=address)
            assert public == (CELLS[address] if address < 0x100 else 0), hex(address)
            assert key == 0

    Bench(CELLS).run(scenario)


def test_key_port_shows_the_two_root_keys_until_the_one_is_closed():
    """FUSE.RPK_BOOT_ONLY: closing is for good, until a boot."""
    async def scenario(bench):
        async def read(key):
            out = []
            for byte in range(16):
                public, value = await bench.cycle(key_en=1, key=key, key_byte=byte, addr=byte)
                assert public == 0
                out.append(value)
            return bytes(out)

        rpk, rsk = CELLS[0x100:0x110], CELLS[0x110:0x120]
        assert await read(RootKey.PROVISIONING) == rpk
        assert await read(RootKey.SEALING) == rsk
        await bench.cycle(close_rpk=1)
        for _ in range(2):
            assert await read(RootKey.PROVISIONING) == bytes(16)
            assert await read(RootKey.SEALING) == rsk
            await bench.cycle()
        await bench.cycle(reopen=1)
        assert await read(RootKey.PROVISIONING) == rpk

    Bench(CELLS).run(scenario)


@pytest.mark.parametrize("closed", [False, True])
def test_burning(closed):
    """FUSE.BURN_ONCE: bits only rise; closed, life cycle and CPUSVN alone; by the key port, the sealing key alone."""
    async def scenario(bench):
        if closed:
            await bench.cycle(close_burn=1)
        for address in range(FUSE_BYTES):
            before = bench.cells[address]
            await bench.cycle(addr=address, pgm=1, wdata=0x41)
            allowed = not closed or address in OPEN
            assert bench.cells[address] == (before | 0x41 if allowed else before), hex(address)
        for key, row in ((RootKey.PROVISIONING, RPK), (RootKey.SEALING, RSK)):
            for byte in range(16):
                before = bench.cells[row[byte]]
                await bench.cycle(key_en=1, key=key, key_byte=byte, key_pgm=1, key_wdata=0x18)
                allowed = key is RootKey.SEALING and not closed
                assert bench.cells[row[byte]] == (before | 0x18 if allowed else before)

    Bench(bytes(FUSE_BYTES)).run(scenario)


def test_a_scrapped_chip_loses_its_keys_and_no_other_does():
    """FUSE.BURN_ONCE: once the life cycle is burnt as scrapped, the secret half can be burnt over, until the boot."""
    async def scenario(bench):
        await bench.cycle(close_burn=1)
        for address, wdata in ((0, 0x7F), (1, 0x80), (0x80, 0x80)):
            await bench.cycle(addr=address, pgm=1, wdata=wdata)
            await bench.cycle(addr=0x100, pgm=1, wdata=0xFF)
            assert bench.cells[0x100] == CELLS[0x100]
        await bench.cycle(addr=0, pgm=1, wdata=0x80)
        for address in range(FUSE_BYTES):
            await bench.cycle(addr=address, pgm=1, wdata=0xFF)
        assert bench.cells[0x100:] == b"\xff" * 0x80
        assert bench.cells[2:0x80] == CELLS[2:0x80]
        await bench.cycle(reopen=1)
        await bench.cycle(close_burn=1)
        bench.cells[0x100] = 0
        await bench.cycle(addr=0x100, pgm=1, wdata=0xFF)
        assert bench.cells[0x100] == 0

    Bench(CELLS).run(scenario)


def test_no_sequence_of_accesses_leaks_a_closed_key():
    """10,000 random cycles after closing: the public port never shows a secret byte, the key port never the RPK."""
    rng = random.Random(2)
    # Each secret byte has bit 7, no public one has.
    cells = bytes((byte & 0x7F) | (0x80 if i >= 0x100 else 0) for i, byte in enumerate(CELLS))
    cells = cells[:0x110] + bytes(byte & 0x7F for byte in cells[0x110:0x120]) + cells[0x120:]

    async def scenario(bench):
        await bench.cycle(close_rpk=1, close_burn=1)
        for _ in range(10_000):
            public, key = await bench.cycle(
                addr=rng.randrange(1 << 9), pgm=rng.randrange(2), wdata=rng.randrange(128), key_en=rng.randrange(2),
                key=rng.choice(list(RootKey)), key_byte=rng.randrange(16), key_pgm=rng.randrange(2),
                key_wdata=rng.randrange(128), close_rpk=rng.randrange(2), close_burn=rng.randrange(2))
            assert not (public | key) & 0x80
        for address in range(FUSE_BYTES):
            assert bench.cells[address] == cells[address] or address in OPEN, hex(address)

    Bench(cells).run(scenario)
