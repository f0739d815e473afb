"""``sim://`` as pyserial sees it, with the toy of toy_chip.py behind it."""

from __future__ import annotations

import os
import signal
import threading

import pytest
import serial
from fusequote.chip import framing
from fusequote.chip.entropy import SimulatedEntropy
from fusequote.chip.fusefile import FuseFile, FuseFileBusy
from fusequote.errors import DeviceError, UsageError
from fusequote_sim.urlhandler import protocol_sim
from sim_toy import TOY

pytestmark = pytest.mark.rtl

ECHO = framing.encode(b"\x01\x00echo")
ECHOED = framing.encode(b"\x81echo")
HANG = framing.encode(b"\x06\x00")


@pytest.fixture
def url(toy, cache, monkeypatch):
    """A function from options to a URL at which the toy answers."""
    monkeypatch.setattr(serial, "protocol_handler_packages", ["fusequote_sim.urlhandler"])
    monkeypatch.setattr(protocol_sim.Serial, "design", TOY)
    return lambda **options: "sim://?" + "&".join(f"{k}={v}" for k, v in {"cache": cache, **options}.items())


def test_read_and_write(url):
    with serial.serial_for_url(url(), timeout=60) as port:
        assert port.write(ECHO) == len(ECHO)
        assert port.read(3) == ECHOED[:3]
        assert port.read(len(ECHOED) - 3) == ECHOED[3:]
        port.write(ECHO)
        assert port.read_until(b"\x7e\x7e"[:1]) == b"\x7e"


def test_a_read_ends_with_its_timeout(url):
    with serial.serial_for_url(url(), timeout=60) as port:
        port.write(ECHO)
        assert port.read(1) == ECHOED[:1]
        port.timeout = 0.05
        rest = b""
        while len(rest) < len(ECHOED) - 1:
            rest += port.read(100)
        assert rest == ECHOED[1:]
        assert port.read(1) == b""
        port.timeout = 0
        assert port.read(1) == b""
        assert port.in_waiting == 0


def test_in_waiting_and_reset_input_buffer(url):
    with serial.serial_for_url(url(), timeout=60) as port:
        port.write(ECHO)
        while port.in_waiting < len(ECHOED):
            pass
        assert port.read(2) == ECHOED[:2]
        assert port.in_waiting == len(ECHOED) - 2
        port.reset_input_buffer()
        assert port.in_waiting == 0
        port.reset_output_buffer()
        port.flush()
        assert port.out_waiting == 0


def test_a_write_ends_with_its_timeout(url):
    with serial.serial_for_url(url(), timeout=60, write_timeout=0.1) as port:
        port.write(HANG)
        with pytest.raises(serial.SerialTimeoutException):
            port.write(bytes(10_000_000))


def test_close_powers_off(url, tmp_path):
    fuses = tmp_path / "fuses"
    port = serial.serial_for_url(url(fuses=fuses), timeout=60)
    pid = port.chip.pid
    with pytest.raises(FuseFileBusy):
        FuseFile.power_on(fuses)
    port.close()
    port.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    FuseFile.power_on(fuses).close()
    for use in (lambda: port.read(1), lambda: port.write(b"x"), lambda: port.in_waiting, port.flush, port.fileno):
        with pytest.raises(serial.PortNotOpenError):
            use()
    port.open()
    port.write(ECHO)
    assert port.read(len(ECHOED)) == ECHOED
    port.close()


def test_close_ends_a_read_in_another_thread(url):
    port = serial.serial_for_url(url(), timeout=None)
    result = []
    reader = threading.Thread(target=lambda: result.append(port.read(1)))
    reader.start()
    port.close()
    reader.join()
    assert result in ([b""], [])


def test_a_crash_is_a_device_error(url):
    with serial.serial_for_url(url(), timeout=None) as port:
        os.kill(port.chip.pid, signal.SIGKILL)
        with pytest.raises(DeviceError, match="killed by signal 9"):
            port.read(1)
        with pytest.raises(DeviceError, match="killed by signal 9"):
            port.write(b"x")
        with pytest.raises(DeviceError, match="killed by signal 9"):
            _ = port.in_waiting


def test_seed_and_fuses(url, tmp_path):
    name = tmp_path / "with space&%"
    escaped = str(name).replace("%", "%25").replace("&", "%26").replace(" ", "%20")
    for boot_counter in (1, 2):
        with serial.serial_for_url(url(fuses=escaped, seed="tea%20time"), timeout=60) as port:
            port.write(framing.encode(b"\x04\x00"))
            decoder, found = framing.Decoder(), []
            while not found:
                found = decoder.feed(port.read(1))
            assert found == [b"\x84" + SimulatedEntropy("tea time", boot_counter).block(0)]
    assert name.exists()


def test_the_seed_is_not_shown(url):
    with serial.serial_for_url(url(seed="secret"), timeout=60) as port:
        assert "secret" not in repr(port)
        assert "secret" not in repr(port.chip)


@pytest.mark.parametrize(("bad", "message"), [
    ("sim://?fuse=x", "has no option 'fuse'"),
    ("sim://?seed=", "needs a value"),
    ("sim://?seed=a&seed=b", "given twice"),
    ("sim://localhost:99", "not a sim:// URL"),
])  # fmt: skip
def test_wrong_urls(url, bad, message):
    with pytest.raises(UsageError, match=message):
        serial.serial_for_url(bad)
