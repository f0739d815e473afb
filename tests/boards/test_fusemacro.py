"""The fuse macro in simulation, against the contract of the block's fuse controller."""

import os

from amaranth.sim import Simulator
from fusequote_boards.fusemacro import KEYS, RPK_PASSES, FuseMacro, key_bits, marker, reordered

FUSES = bytes(range(1, 256)) + bytes(range(1, 130))


def run(macro, testbench):
    simulator = Simulator(macro)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


async def read(ctx, macro, addr):
    ctx.set(macro.fuse.addr, addr)
    await ctx.tick()
    return ctx.get(macro.fuse.rdata)


async def burn(ctx, macro, addr, data):
    ctx.set(macro.fuse.addr, addr)
    for i, byte in enumerate(data):
        ctx.set(macro.fuse.addr, addr + i)
        ctx.set(macro.fuse.pgm, 1)
        ctx.set(macro.fuse.wdata, byte)
        await ctx.tick()
    ctx.set(macro.fuse.pgm, 0)
    ctx.set(macro.fuse.addr, 0x180)
    await ctx.tick().repeat(2)


def test_every_fuse_reads_as_written():
    macro = FuseMacro(FUSES)

    async def testbench(ctx):
        # A byte one cycle after its address, one address in each cycle.
        assert bytes([await read(ctx, macro, addr) for addr in range(384)]) == FUSES

    run(macro, testbench)


def test_root_keys_are_not_in_block_ram():
    macro = FuseMacro(FUSES)
    rows = range(0x100, 0x120)
    assert not any(macro.ram.memory.data.init[i] for i in rows)
    assert all(macro.ram.memory.data.init[i] == FUSES[i] for i in range(384) if i not in rows)


def test_bits_are_burnt_one_after_the_other_and_never_back():
    macro = FuseMacro(bytes(384))

    async def testbench(ctx):
        await burn(ctx, macro, 0x20, [0x01, 0x80, 0xFF])
        await burn(ctx, macro, 0x20, [0x10, 0x00, 0x00])
        await burn(ctx, macro, 0x110, range(1, 17))
        assert [await read(ctx, macro, addr) for addr in (0x1F, 0x20, 0x21, 0x22, 0x23)] == [0, 0x11, 0x80, 0xFF, 0]
        assert [await read(ctx, macro, 0x110 + i) for i in range(16)] == list(range(1, 17))

    run(macro, testbench)


def test_burning_over_a_key_adds_ones_to_it():
    macro = FuseMacro(FUSES)

    async def testbench(ctx):
        await burn(ctx, macro, 0x110, [0xFF] * 16)  # FUSE_SCRAP makes keys useless
        assert [await read(ctx, macro, 0x110 + i) for i in range(16)] == [0xFF] * 16

    run(macro, testbench)


def test_the_provisioning_key_is_given_for_as_many_passes_as_a_boot_makes():
    macro = FuseMacro(FUSES)
    key, nothing = list(FUSES[0x100:0x110]), [0] * 16

    async def testbench(ctx):
        async def one_pass():
            got = [await read(ctx, macro, 0x100 + i) for i in range(16)]
            await read(ctx, macro, 0x000)
            return got

        for _boot in range(2):
            for _ in range(RPK_PASSES):
                assert await one_pass() == key
            for _ in range(3):
                assert await one_pass() == nothing
            # The sealing key and all others stay.
            assert [await read(ctx, macro, 0x110 + i) for i in range(16)] == list(FUSES[0x110:0x120])
            assert await read(ctx, macro, 0x010) == FUSES[0x010]
            ctx.set(macro.booting, 1)
            await ctx.tick()
            ctx.set(macro.booting, 0)

    run(macro, testbench)


def test_waiting_at_an_address_is_one_pass():
    macro = FuseMacro(FUSES)

    async def testbench(ctx):
        for _ in range(5 * RPK_PASSES):
            assert await read(ctx, macro, 0x10F) == FUSES[0x10F]

    run(macro, testbench)


def test_no_table_of_the_marker_looks_the_same_in_two_orders():
    from itertools import permutations

    for row in KEYS.values():
        for bit in range(8):
            table = key_bits(marker()[row : row + 16], bit)
            assert len({reordered(table, inputs) for inputs in permutations(range(4))}) == 24


def test_key_bits_are_the_key():
    key = os.urandom(16)
    bits = [key_bits(key, bit) for bit in range(8)]
    assert bytes(sum((bits[bit] >> i & 1) << bit for bit in range(8)) for i in range(16)) == key
