"""A design that is small and has the fuses of the real one, for real tools."""

import pytest
from amaranth.hdl import Cat, Elaboratable, Module
from amaranth.lib import io, wiring
from fusequote_boards.clocking import ClockReset
from fusequote_boards.fusemacro import FuseMacro
from fusequote_boards.linebreak import LineBreak
from fusequote_hdl.link.uart import UartReceiver, UartTransmitter


class Small(wiring.Component):
    """Each byte that comes in is a fuse address, or 0x80 less than one from 0x100 on; the fuse goes out."""

    rx: wiring.In(1, init=1)
    tx: wiring.Out(1, init=1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.fuses = fuses = FuseMacro()
        m.submodules.receiver = receiver = UartReceiver(8)
        m.submodules.linebreak = linebreak = LineBreak(8)
        m.submodules.transmitter = transmitter = UartTransmitter(8)
        wiring.connect(m, receiver.o, linebreak.i)
        asked = linebreak.o.payload
        m.d.comb += [
            receiver.rx.eq(self.rx),
            linebreak.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            linebreak.o.ready.eq(1),
            fuses.fuse.addr.eq(Cat(asked[:7], 0, asked[7])),
            transmitter.i.payload.eq(fuses.fuse.rdata),
        ]
        m.d.sync += transmitter.i.valid.eq(linebreak.o.valid)
        return m


class SmallTop(Elaboratable):
    """As :class:`fusequote_boards.top.Top`, without the block."""

    def __init__(self, target):
        self.target = target

    def elaborate(self, platform):
        m = Module()
        board = self.target.board
        m.submodules.clock = ClockReset(board.oscillator, board.oscillator_hz, self.target.hz, family=board.family,
                                        pad=board.pll_pad)
        m.submodules.chip = small = Small()
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.FFBuffer("o", uart.tx)
        m.d.comb += [small.rx.eq(rx.i), tx.o.eq(small.tx)]
        return m


@pytest.fixture(scope="session")
def small_top():
    return SmallTop


@pytest.fixture(scope="session")
def small_builds(tmp_path_factory):
    """Where builds of the small design are kept for all tests."""
    return tmp_path_factory.mktemp("builds")
