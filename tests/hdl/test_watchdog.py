"""WATCHDOG: a command that takes too long starts the chip anew, and nothing of before is left (docs/chip.md, 7)."""

import functools

import block_bench
import pytest
from block_bench import RPK, RSK, BlockBench, locked_fuses
from fusequote_hdl.block import Block
from fusequote_hdl.microcode import map as at
from test_hygiene import TICKET, assert_gone, base_key, chains, keyrequest, preload_enclave

pytestmark = pytest.mark.timeout(900)
#: A boot without steps of the ratchet fits in so many cycles, an EGETKEY eight steps back does not.
BITS = 16
IDENTIFY = 0x01
POWER_ON, WATCHDOG = 0, 2
OLD = 0xF0


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(block_bench, "Block", functools.partial(Block, watchdog_bits=BITS))


def report_keyid(bench):
    address = 0x2000 + (at.REPORT_KEYID & 0xFFF)
    return bytes(bench.ctx.get(bench.block.workspace.data[address + i]) for i in range(32))


def test_a_long_command_starts_the_chip_anew(impatient):
    async def scenario(bench):
        ctx, block = bench.ctx, bench.block
        preload_enclave(bench)
        answer = await bench.ask(bytes([IDENTIFY, 9]))
        assert answer[4 + 57] == POWER_ON
        keyid = report_keyid(bench)

        await bench.send(bytes([0x28, 1]) + TICKET + keyrequest(OLD))
        ctx.set(block.tx.ready, 1)
        cycles = 0
        while not ctx.get(block.booting):
            assert not ctx.get(block.tx.valid)  # not a byte of an answer
            await ctx.tick()
            cycles += 1
        assert cycles <= (1 << BITS) + 64
        ctx.set(block.tx.ready, 0)
        # It boots: new entropy.
        ctx.set(block.entropy.valid, 1)
        for byte in range(32):
            ctx.set(block.entropy.payload, byte)
            await ctx.tick().until(block.entropy.ready)
        ctx.set(block.entropy.valid, 0)
        await ctx.tick().until(block.idle)

        # The ticket, the request and where the walk had come to are gone; the generator and KEYID are new.
        assert_gone(bench, TICKET, RPK, RSK, base_key(OLD), *chains(0xFE))
        assert report_keyid(bench) != keyid
        workspace = next(memory for memory in bench.memories() if len(memory) == 0x4000)
        assert not any(workspace[:at.SLOTS * at.SLOT_BYTES])
        # The link lives, says why, and counts from 1 again; the entry is dead.
        answer = await bench.ask(bytes([IDENTIFY, 7]))
        assert answer[:4] == bytes([0x81, 7, 0, 0])
        assert answer[4 + 57] == WATCHDOG and answer[4 + 56] == 1 and answer[4 + 23] == 0
        assert await bench.ask(bytes([0x26, 1]) + TICKET) == bytes([0xA6, 1, 0x0D, 0x80])

    BlockBench(bytes(locked_fuses())).run(scenario)


def test_a_host_that_reads_slowly_is_waited_for(impatient):
    """Answers that nobody takes are no work: the chip waits for ever, and then sends them. Two of them: there may be
    room for one, and then it is the second that cannot leave.
    """
    async def scenario(bench):
        ctx, block = bench.ctx, bench.block
        for seq in (9, 10):
            await bench.send(bytes([IDENTIFY, seq]))
        for _ in range((1 << BITS) + 5000):
            await ctx.tick()
            assert not ctx.get(block.booting)
        for seq in (9, 10):
            answer = await bench.receive()
            assert answer[:4] == bytes([0x81, seq, 0, 0]) and answer[4 + 57] == POWER_ON

    BlockBench(bytes(locked_fuses())).run(scenario)
