"""A break ends the frame under way, and nothing else does."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator
from fusequote_boards.linebreak import BREAK_BITS, LineBreak
from fusequote_hdl.link.uart import UartReceiver

DIVISOR = 6


def received(line, *, ready=lambda cycle: 1):
    """The bytes that come out for a line, given as levels of a bit time each."""
    m = Module()
    m.submodules.receiver = receiver = UartReceiver(DIVISOR)
    m.submodules.linebreak = linebreak = LineBreak(DIVISOR)
    wiring.connect(m, receiver.o, linebreak.i)
    got = []

    async def testbench(ctx):
        cycle, before = 0, None
        for level in [1] * 3 + list(line) + [1] * 15:
            for _ in range(DIVISOR):
                for rx in (receiver.rx, linebreak.rx):
                    ctx.set(rx, level)
                takes = ready(cycle)
                ctx.set(linebreak.o.ready, takes)
                valid, byte = ctx.get(linebreak.o.valid), ctx.get(linebreak.o.payload)
                # A stream's rule: what was offered stays until it is taken.
                assert before is None or (valid and byte == before)
                before = byte if valid and not takes else None
                if valid and takes:
                    got.append(byte)
                await ctx.tick()
                cycle += 1

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return bytes(got)


def sent(*data):
    return [bit for byte in data for bit in (0, *(byte >> i & 1 for i in range(8)), 1)]


def test_bytes_pass():
    data = bytes([0x00, 0xFF, 0x7E, 0x55, 0x80])
    assert received(sent(*data)) == data


def test_a_break_puts_one_separator():
    assert received(sent(0x12, 0x34) + [0] * (BREAK_BITS + 3) + [1] * 3 + sent(0x56)) == b"\x12\x34\x7e\x56"


def test_a_long_break_puts_one_too():
    assert received([0] * 100 + [1] * 3 + sent(0x56)) == b"\x7e\x56"


def test_the_lowest_byte_is_no_break():
    assert received(sent(0x00, 0x00)) == b"\x00\x00"


def test_a_break_while_nobody_takes_bytes():
    held = received(sent(0x12) + [0] * 20 + [1] * 12 + sent(0x34), ready=lambda cycle: cycle > 44 * DIVISOR)
    assert held[:2] == b"\x12\x7e"
