"""A UART, 8N1: eight data bits least significant first, no parity, one stop bit; both ways as streams."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["UartReceiver", "UartTransmitter"]


def _checked(divisor: int) -> int:
    if not isinstance(divisor, int) or divisor < 4:
        raise ValueError(f"divisor is {divisor!r}, expected an integer of at least 4 cycles per bit")
    return divisor


class UartReceiver(wiring.Component):
    """Serial line to bytes, each bit sampled once, in its middle.

    Protocol
    --------
    A byte appears on ``o`` in the middle of its stop bit, and must be taken before the middle of the next
    byte's first data bit, two bit times later at the earliest. A byte that comes while the one before still
    waits is lost, as is one without a stop bit; both are for the frame check sequence to find. After a
    missing stop bit (a break, or noise) the receiver waits for the line to go idle.

    Parameters
    ----------
    divisor : int
        Cycles per bit, at least 4.

    Raises
    ------
    ValueError
        If ``divisor`` is no integer or too small.
    """

    def __init__(self, divisor: int):
        self._divisor = _checked(divisor)
        super().__init__({
            # The line, asynchronous to the clock; high when idle.
            "rx": In(1, init=1),
            "o": Out(stream.Signature(8)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)

        timer = Signal(range(self._divisor))
        bit = Signal(3)
        lost = Signal()
        shift = self.o.payload

        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        with m.If(timer == 0):
            m.d.sync += timer.eq(self._divisor - 1)
        with m.Else():
            m.d.sync += timer.eq(timer - 1)

        with m.FSM():
            with m.State("idle"):
                m.d.sync += timer.eq(self._divisor // 2 - 1)
                with m.If(~line):
                    m.next = "start"
            with m.State("start"), m.If(timer == 0):
                with m.If(line):  # a glitch
                    m.next = "idle"
                with m.Else():
                    m.next = "data"
            with m.State("data"), m.If(timer == 0):
                # The first bit would push the waiting byte out: then it is this one that has to go.
                with m.If(bit == 0):
                    m.d.sync += lost.eq(self.o.valid)
                with m.If(~self.o.valid & ~((bit != 0) & lost)):
                    m.d.sync += shift.eq((shift >> 1) | (line << 7))
                m.d.sync += bit.eq(bit + 1)
                with m.If(bit == 7):
                    m.next = "stop"
            with m.State("stop"), m.If(timer == 0):
                with m.If(line):
                    with m.If(~lost):
                        m.d.sync += self.o.valid.eq(1)
                    m.next = "idle"
                with m.Else():
                    m.next = "break"
            with m.State("break"), m.If(line):
                m.next = "idle"

        return m


class UartTransmitter(wiring.Component):
    """Bytes to a serial line. A byte takes ten bit times, and bytes follow each other without a pause.

    Parameters
    ----------
    divisor : int
        Cycles per bit, at least 4.

    Raises
    ------
    ValueError
        If ``divisor`` is no integer or too small.
    """

    def __init__(self, divisor: int):
        self._divisor = _checked(divisor)
        super().__init__({
            "i": In(stream.Signature(8)),
            # The line; high when idle.
            "tx": Out(1, init=1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()

        timer = Signal(range(self._divisor))
        # What is still to be sent, the bit on the line in bit 0. Ones move in behind it.
        shift = Signal(9, init=0x1FF)
        left = Signal(range(11))  # bits still to be sent, with the one on the line

        m.d.comb += [self.tx.eq(shift[0]), self.i.ready.eq((left == 0) | ((left == 1) & (timer == 0)))]
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += [shift.eq(self.i.payload << 1), left.eq(10), timer.eq(self._divisor - 1)]
        with m.Elif(left != 0):
            with m.If(timer == 0):
                m.d.sync += [shift.eq((shift >> 1) | 0x100), left.eq(left - 1), timer.eq(self._divisor - 1)]
            with m.Else():
                m.d.sync += timer.eq(timer - 1)

        return m
