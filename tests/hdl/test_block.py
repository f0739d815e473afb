"""The block at its ports: two requests in flight, and rest."""

import pytest
from block_bench import BlockBench, locked_fuses

pytestmark = pytest.mark.timeout(600)


def test_window_of_two():
    """INPUT.COPIED_BEFORE_CHECK: a request that arrives while another is executed changes nothing of that one."""
    async def scenario(bench):
        ctx, block = bench.ctx, bench.block
        # SET_OWNEREPOCH twice: the second is refused. Sent back to back, before any answer is taken.
        first, second = bytes([0x15, 1]) + b"A" * 16, bytes([0x15, 2]) + b"B" * 16
        await bench.send(first)
        await bench.send(second)
        assert not ctx.get(block.idle)
        assert await bench.receive() == bytes([0x95, 1, 0, 0])
        assert await bench.receive() == bytes([0x95, 2, 0x0D, 0x80])
        await ctx.tick().until(block.idle)
        epoch = bytes(ctx.get(block.workspace.data[0x2020 + i]) for i in range(16))
        assert epoch == b"A" * 16
        # At rest nothing moves, whatever the host does but send.
        ctx.set(block.tx.ready, 1)
        for _ in range(200):
            await ctx.tick()
            assert ctx.get(block.idle) and not ctx.get(block.tx.valid)

    BlockBench(bytes(locked_fuses())).run(scenario)


def test_half_a_frame_lets_the_clock_rest():
    """A partial frame is no work: the clock may stop until its next byte."""
    async def scenario(bench):
        ctx, rx = bench.ctx, bench.block.rx
        ctx.set(rx.valid, 1)
        for byte in b"\x7e\x01":
            ctx.set(rx.payload, byte)
            await ctx.tick().until(rx.ready)
        ctx.set(rx.valid, 0)
        await ctx.tick().until(bench.block.idle)
        # The rest never comes; the next flag starts afresh, with a NAK for what was cut off.
        await bench.send(bytes([0x01, 7]))
        assert await bench.receive() == bytes([0x80, 0, 0x03, 0x40])
        assert (await bench.receive())[:4] == bytes([0x81, 7, 0, 0])

    BlockBench(bytes(locked_fuses())).run(scenario)
