"""AnswerBuffer: what comes out is what went in, what has left is wiped, and pieces leave while others are made."""

import random

import pytest
from amaranth.hdl import Signal
from fusequote_hdl.link import AnswerBuffer
from streams import Pauses, cells_of, get, no_collisions, put, simulate


def beats(contents: bytes) -> list[dict]:
    return [{"data": byte, "last": i == len(contents) - 1} for i, byte in enumerate(contents)]


def contents_of(payloads: list) -> list[bytes]:
    answers, current = [], bytearray()
    for payload in payloads:
        current.append(payload.data)
        if payload.last:
            answers.append(bytes(current))
            current.clear()
    assert not current
    return answers


@pytest.mark.parametrize("seed", range(4))
def test_answers_pass_whole_and_are_wiped(seed):
    """Also those that are longer than the memory; after the last byte nothing of them is left."""
    dut = AnswerBuffer()
    rng = random.Random(seed)
    answers = [rng.randbytes(size) for size in (4, 436, 1, 68, 1400, 511, 512, 2)]
    slow_out = seed & 1

    async def sender(ctx):
        for answer in answers:
            await put(ctx, dut.i, beats(answer), Pauses(seed, 20) if seed & 2 else None)

    async def taker(ctx):
        payloads, _ = await get(ctx, dut.o, sum(map(len, answers)), Pauses(seed, 30) if slow_out else None)
        assert contents_of(payloads) == answers
        while ctx.get(dut.active):
            await ctx.tick()
        assert not any(cells_of(ctx, dut.ram))

    simulate(dut, sender, taker, watch=no_collisions(dut.ram))


def test_pieces_leave_before_the_rest_has_come():
    dut = AnswerBuffer()
    first, second = bytes(range(1, 101)), bytes(range(101, 111))
    came = []

    async def testbench(ctx):
        await put(ctx, dut.i, [{"data": byte, "last": 0} for byte in first])
        payloads, _ = await get(ctx, dut.o, len(first))
        came.extend(payload.data for payload in payloads)
        assert not any(payload.last for payload in payloads)
        for _ in range(50):  # nothing is made up meanwhile
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            assert not valid
        await put(ctx, dut.i, beats(second))
        payloads, _ = await get(ctx, dut.o, len(second))
        came.extend(payload.data for payload in payloads)
        assert payloads[-1].last

    simulate(dut, testbench, watch=no_collisions(dut.ram))
    assert bytes(came) == first + second


def test_the_next_answer_waits_until_the_one_before_has_left():
    dut = AnswerBuffer()

    async def testbench(ctx):
        await put(ctx, dut.i, beats(b"one"))
        ctx.set(dut.i.payload, {"data": 0xEE, "last": 1})
        ctx.set(dut.i.valid, 1)
        for _ in range(50):
            _, _, ready = await ctx.tick().sample(dut.i.ready)
            assert not ready
        payloads, _ = await get(ctx, dut.o, 3)
        assert contents_of(payloads) == [b"one"]
        await ctx.tick().until(dut.i.ready)

    simulate(dut, testbench)


def test_a_reset_in_the_middle_wipes_the_rest():
    """The watchdog's: the answer may have been a key, and nothing of it may open the next one."""
    reset = Signal()
    dut = AnswerBuffer()

    async def testbench(ctx):
        await put(ctx, dut.i, [{"data": 0xA5, "last": 0} for _ in range(300)])
        await get(ctx, dut.o, 20)
        assert sum(cell == 0xA5 for cell in cells_of(ctx, dut.ram)) >= 280
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        await put(ctx, dut.i, beats(b"next"))
        payloads, _ = await get(ctx, dut.o, 4)
        assert contents_of(payloads) == [b"next"]
        while ctx.get(dut.active):
            await ctx.tick()
        assert not any(cells_of(ctx, dut.ram))

    simulate(dut, testbench, reset=reset)
