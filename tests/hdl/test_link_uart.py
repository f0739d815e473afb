# amaranth: UnusedElaboratable=no
"""The UART, each direction against bits written out by hand, and both against each other."""

from __future__ import annotations

import random

import pytest
from amaranth import Module
from amaranth.sim import Simulator
from fusequote_hdl.link import UartReceiver, UartTransmitter


def bits_of(byte: int, stop: int = 1) -> list[int]:
    return [0, *(byte >> n & 1 for n in range(8)), stop]


def simulate(dut, *testbenches) -> None:
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    for testbench in testbenches:
        sim.add_testbench(testbench)
    sim.run()


def receive(line: list[int], *, taken=lambda cycle: True, divisor: int = 8) -> list[int]:
    """The bytes that come out for ``line``, one entry per cycle; ``taken`` says when the taker is ready."""
    dut = UartReceiver(divisor)
    found = []

    async def testbench(ctx):
        for cycle, level in enumerate([*line, *[1] * 4 * divisor]):
            ctx.set(dut.rx, level)
            ready = bool(taken(cycle))
            ctx.set(dut.o.ready, ready)
            _, _, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and ready:
                found.append(payload)

    simulate(dut, testbench)
    return found


def at(period: float, bits: list[int]) -> list[int]:
    """``bits``, each ``period`` cycles long."""
    return [bits[int(cycle / period)] for cycle in range(int(len(bits) * period))]


@pytest.mark.parametrize("divisor", [4, 5, 8, 104])
def test_transmitter(divisor):
    dut = UartTransmitter(divisor)
    data = b"\x00\xff\x55\x7e"
    line = []

    async def source(ctx):
        for byte in data:
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        for _ in range(1 + 10 * divisor * len(data) + 5):
            _, _, level = await ctx.tick().sample(dut.tx)
            line.append(level)

    simulate(dut, source, sink)
    expected = [bit for byte in data for bit in bits_of(byte) for _ in range(divisor)]
    assert line == [1, *expected, *[1] * 5]


@pytest.mark.parametrize("divisor", [4, 8, 13])
@pytest.mark.parametrize("skew", [0.97, 1.0, 1.03])
def test_receiver_at_the_edge_of_the_baud_rate(divisor, skew):
    if divisor == 4 and skew != 1:
        skew = 1 + (skew - 1) / 3  # four samples a bit leave room for 1 %
    data = [0x00, 0xFF, 0x55, 0xAA, 0x7E, 0x01, 0x80]
    bits = [bit for byte in data for bit in bits_of(byte)]
    assert receive(at(divisor * skew, bits), divisor=divisor) == data


def test_receiver_ignores_a_glitch_and_survives_a_break():
    glitch = [1] * 20 + [0] * 3 + [1] * 20
    broken = at(8, [0] * 25) + [1] * 8
    noise = at(8, bits_of(0x55, stop=0)) + [1] * 8
    good = at(8, bits_of(0x42))
    assert receive(glitch + good) == [0x42]
    assert receive(broken + good) == [0x42]
    assert receive(noise + good) == [0x42]


def test_receiver_loses_the_byte_that_there_is_no_room_for():
    line = at(8, [bit for byte in (1, 2, 3, 4) for bit in bits_of(byte)])
    # Nobody takes the first byte until the second has passed; the payload must not move meanwhile.
    assert receive(line, taken=lambda cycle: cycle >= 165) == [1, 3, 4]
    # Taken while the second is half way in: that one is lost whole, not passed on damaged.
    assert receive(line, taken=lambda cycle: cycle >= 130) == [1, 3, 4]


def test_receiver_holds_a_byte_for_two_bit_times():
    line = at(8, [bit for byte in (1, 2, 3) for bit in bits_of(byte)])
    first = 8 * 9 + 4 + 3
    assert receive(line, taken=lambda cycle: cycle >= first + 8) == [1, 2, 3]


@pytest.mark.parametrize("divisor", [4, 7, 8])
def test_there_and_back(divisor):
    rng = random.Random(divisor)
    data = rng.randbytes(64)
    m = Module()
    m.submodules.tx = tx = UartTransmitter(divisor)
    m.submodules.rx = rx = UartReceiver(divisor)
    m.d.comb += rx.rx.eq(tx.tx)
    found = bytearray()

    async def source(ctx):
        for byte in data:
            for _ in range(rng.choice((0, 0, 3, 50))):
                await ctx.tick()
            ctx.set(tx.i.payload, byte)
            ctx.set(tx.i.valid, 1)
            await ctx.tick().until(tx.i.ready)
            ctx.set(tx.i.valid, 0)

    async def sink(ctx):
        ctx.set(rx.o.ready, 1)
        while len(found) < len(data):
            (byte,) = await ctx.tick().sample(rx.o.payload).until(rx.o.valid)
            found.append(byte)

    simulate(m, source, sink)
    assert bytes(found) == data


@pytest.mark.parametrize("divisor", [0, 3, -8, 8.0, None])
@pytest.mark.parametrize("part", [UartReceiver, UartTransmitter])
def test_wrong_divisor(part, divisor):
    with pytest.raises(ValueError, match="expected an integer of at least 4 cycles per bit"):
        part(divisor)


