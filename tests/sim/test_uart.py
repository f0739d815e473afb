"""``uart://``: bits in, bits out, cycles counted; with a toy at the pins that says what it hears."""

from __future__ import annotations

import os
import signal

import pytest
import serial
from fusequote.errors import DeviceError, UsageError
from fusequote_sim.build import build
from fusequote_sim.design import Design
from fusequote_sim.uart import UART, PinChip, board_design
from fusequote_sim.urlhandler import protocol_uart
from sim_toy import HERE
from uart_echo import DIVISOR

pytestmark = pytest.mark.rtl

ECHO = Design("uart_echo:UartEcho", modules=("uart_echo", "fusequote_hdl.link"), path=(HERE,))
BYTE = 10 * DIVISOR
#: From the end of a byte to the end of its echo: the receiver gives it in the middle of the stop bit, a few cycles on.
LATE = BYTE - DIVISOR // 2


@pytest.fixture(scope="module")
def program(cache):
    return build(ECHO, cache=cache, recipe=UART, on_progress=print)


@pytest.fixture
def pins(program):
    chip = PinChip(program, DIVISOR)
    yield chip
    chip.close()
    chip.close()


def test_time_goes_on_only_while_it_runs(pins):
    assert pins.cycles == 0
    pins.write(b"\x55")
    assert pins.cycles == 0
    assert pins.run(1000) == b"\x55"
    assert BYTE + LATE <= pins.cycles <= BYTE + LATE + 6
    before = pins.cycles
    assert pins.run(100) == b""
    assert pins.cycles == before + 100


def test_bytes_follow_each_other_without_a_pause(pins):
    data = bytes(range(256))
    pins.write(data)
    ends = []
    for byte in data:
        assert pins.run(10_000) == bytes((byte,))
        ends.append(pins.cycles)
    assert {after - before for before, after in zip(ends, ends[1:], strict=False)} == {BYTE}


def test_a_session_repeats_to_the_cycle(program):
    def session():
        chip = PinChip(program, DIVISOR)
        chip.write(b"abc")
        said = [(chip.run(10_000), chip.cycles) for _ in range(4)]
        chip.close()
        return said

    assert session() == session()


def test_a_break_damages_what_is_being_sent(pins):
    pins.write(b"\0\0")
    pins.run(30)
    pins.send_break(15)
    # The byte that the break runs into has no stop bit, and is not heard; the next one is.
    assert pins.run(100 * BYTE) == b"\0"
    assert pins.cycles >= 30 + 15 * DIVISOR + BYTE
    assert pins.run(10 * BYTE) == b""


def test_power_off_and_on(pins):
    pins.write(b"a")
    pins.run(1000)
    pins.power_cycle()
    assert pins.cycles == 0
    pins.write(b"b")
    assert pins.run(1000) == b"b"


def test_a_process_that_is_killed(pins):
    os.kill(pins._process.pid, signal.SIGKILL)
    with pytest.raises(DeviceError, match="has ended"):
        for _ in range(100):
            pins.run(1)


class EchoSerial(protocol_uart.Serial):
    """The toy at the URL."""

    def program(self, cache):
        return build(ECHO, cache=cache, recipe=UART)


def opened(cache, url: str, **options) -> EchoSerial:
    port = EchoSerial(None, **options)
    port.port = f"{url}&cache={cache}"
    port.open()
    return port


def test_as_pyserial_sees_it(cache, program):
    with opened(cache, "uart://?clock=30000000&baud=3000000", timeout=0.001) as port:
        assert (port.divisor, port.seconds_per_byte, port.clock()) == (DIVISOR, 10 / 3e6, 0.0)
        assert port.write(b"hello") == 5
        assert port.in_waiting == 0
        assert port.read(5) == b"hello"
        before = port.clock()
        assert port.read(1) == b""  # the chip's time goes on, by the timeout
        assert port.clock() == pytest.approx(before + 0.001)
        port.reset_line()
        port.write(b"x")
        port.timeout = None
        assert port.read(1) == b"x"
    assert not port.is_open
    with pytest.raises(serial.PortNotOpenError):
        port.read(1)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("uart://?clock=18000000&baud=7000000", "no whole multiple"),
        ("uart://?clock=3000000&baud=3000000", "4 at least"),
        ("uart://?clock=fast", "not 'fast'"),
        ("uart://?clock=0", "not '0'"),
        ("uart://somewhere?clock=18000000", "not a uart:// URL"),
        ("uart://?colour=blue", "no option 'colour'"),
    ],
)
def test_urls_that_cannot_be(url, says):
    port = protocol_uart.Serial(None)
    port.port = url
    with pytest.raises(UsageError, match=says):
        port.open()


def test_what_a_board_has_is_named_by_its_divisor():
    assert board_design(6).component == "fusequote_boards.simulated:Divided6"
    with pytest.raises(UsageError, match="3 clock cycles per bit"):
        board_design(3)
