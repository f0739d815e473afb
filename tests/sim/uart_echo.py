"""A design with the pins of a board: what comes in at ``rx`` goes out at ``tx``, 10 cycles per bit."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from fusequote_hdl.link.uart import UartReceiver, UartTransmitter

DIVISOR = 10


class UartEcho(wiring.Component):
    rx: In(1, init=1)
    tx: Out(1, init=1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(DIVISOR)
        m.submodules.transmitter = transmitter = UartTransmitter(DIVISOR)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        wiring.connect(m, receiver.o, transmitter.i)
        return m
