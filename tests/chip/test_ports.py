"""Serial lines: which one is meant, at what rate; a cable that is pulled; a break that frees the chip."""

from __future__ import annotations

import os
import threading
import tty
from importlib.metadata import EntryPoint

import pytest
from fusequote.chip import Chip, LinkError, Op, open_chip, ports, transport
from fusequote.chip.ports import KnownPort, Line, resolve
from fusequote.errors import DeviceError, ExitCode, UsageError
from test_client_peers import Peer, chip_at

BREAKER = KnownPort("/dev/ttyUSB1", "icebreaker", "iCEBreaker 1.0", 3_000_000, 12_000_000)
ULX3S = KnownPort("/dev/ttyUSB2", "ulx3s-12f", "ULX3S", 3_000_000, 3_000_000)


@pytest.mark.parametrize(
    ("url", "baud", "known", "line"),
    [
        ("/dev/ttyUSB7", None, [BREAKER], Line("/dev/ttyUSB7", 115_200)),
        ("/dev/ttyUSB1", None, [BREAKER], Line("/dev/ttyUSB1", 3_000_000)),
        ("/dev/ttyUSB1", 9600, [BREAKER], Line("/dev/ttyUSB1", 9600)),
        ("serial:///dev/ttyUSB1?baud=12000000", None, [BREAKER], Line("/dev/ttyUSB1", 12_000_000)),
        ("serial:///dev/ttyUSB1?baud=12000000", 9600, [BREAKER], Line("/dev/ttyUSB1", 9600)),
        ("serial:///dev/serial/by-id/a%3Fb", None, [], Line("/dev/serial/by-id/a?b", 115_200)),
        ("serial://", None, [ULX3S], Line("/dev/ttyUSB2", 3_000_000)),
        ("SERIAL://?board=ulx3s-12f", None, [BREAKER, ULX3S], Line("/dev/ttyUSB2", 3_000_000)),
        ("serial:///dev/ttyUSB2?board=ulx3s-12f&baud=1000000", None, [BREAKER, ULX3S], Line("/dev/ttyUSB2", 1_000_000)),
    ],
)
def test_the_line_that_is_meant(url, baud, known, line):
    assert resolve(url, baud, known) == line


@pytest.mark.parametrize(
    ("url", "known", "kind", "says"),
    [
        ("serial://", [], LinkError, "there is no board on USB$"),
        ("serial://?board=icebreaker", [ULX3S], LinkError, "no board icebreaker on USB, but ulx3s-12f at /dev/ttyUSB2"),
        ("serial://", [BREAKER, ULX3S], LinkError, "more than one board: icebreaker at /dev/ttyUSB1, ulx3s-12f at"),
        ("serial:///dev/ttyUSB1?board=ulx3s-12f", [BREAKER], LinkError, r"wrong board: iCEBreaker 1.0 \(icebreaker\)"),
        ("serial:///dev/ttyUSB3?board=ulx3s-12f", [BREAKER], LinkError, "not the serial line of a board"),
        ("serial:///dev/ttyUSB2?baud=12000000", [ULX3S], UsageError, "this ULX3S does 3,000,000 at most"),
        ("serial:///dev/ttyUSB2?baud=fast", [ULX3S], UsageError, "not 'fast'"),
        ("serial:///dev/ttyUSB2?baud=1", [ULX3S], UsageError, "not '1'"),
        ("serial:///dev/ttyUSB2?parity=odd", [ULX3S], UsageError, "no option 'parity'"),
    ],
)
def test_lines_that_cannot_be(url, known, kind, says):
    with pytest.raises(kind, match=says) as caught:
        resolve(url, None, known)
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_boards_are_asked_of_whoever_knows_them(monkeypatch):
    """Through the entry points; a package that is not there knows of none."""
    places = {"boards": "fusequote_boards.usb:known", "lost": "not_there:f"}
    points = [EntryPoint(name, place, ports.GROUP) for name, place in places.items()]
    monkeypatch.setattr(ports, "entry_points", lambda group: points)
    import fusequote_boards.usb as usb

    board = usb.boards()["icebreaker"]
    monkeypatch.setattr(usb, "find", lambda: [usb.Found(board, "/dev/ttyUSB9", None, "iCEBreaker")])
    assert resolve("serial://", None) == Line("/dev/ttyUSB9", board.baud)


class Cable:
    """A terminal line with the reference model at its other end, which can be pulled."""

    def __init__(self, url: str = "model://?seed=cable"):
        self._master, self._slave = os.openpty()
        tty.setraw(self._master)
        self.device = os.ttyname(self._slave)
        self._chip, _ = transport.open_port(url)
        #: Bytes that get through before the cable is pulled.
        self.left: int | None = None
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        try:
            while data := os.read(self._master, 65536):
                if self.left is not None:
                    data, self.left = data[: self.left], self.left - len(data)
                self._chip.write(data)
                answer = self._chip.read(self._chip.in_waiting)
                if self.left is not None and self.left <= 0:
                    break
                os.write(self._master, answer)
        except OSError:
            pass
        os.close(self._master)

    def close(self) -> None:
        os.close(self._slave)
        self._thread.join(10)
        assert not self._thread.is_alive()


def test_a_cable_that_is_pulled_in_the_middle_of_a_command():
    """One clear error; the same port can be opened again as soon as it is back, and the next command works."""
    cable = Cable()
    chip = open_chip(f"serial://{cable.device}?baud=3000000")
    cable.left = 20
    with pytest.raises(LinkError, match="cannot (read from|write to) the port") as caught:
        chip.raw(Op.ECREATE, bytes(4160))
    assert "plugged in" in caught.value.hint
    assert caught.value.exit_code == ExitCode.DEVICE
    with pytest.raises(LinkError):
        chip.identify()
    chip.close()
    cable.close()
    with pytest.raises(DeviceError, match="no such port"):
        open_chip(f"serial://{cable.device}")
    cable = Cable()
    with open_chip(f"serial://{cable.device}") as chip:
        chip.fuse_status()
    cable.close()


def test_a_busy_port():
    cable = Cable()
    with open_chip(cable.device), pytest.raises(LinkError, match="another program has it open"):
        open_chip(f"serial://{cable.device}?baud=115200")
    with open_chip(cable.device) as chip:
        chip.fuse_status()
    cable.close()


def test_a_rate_that_the_driver_does_not_do(monkeypatch):
    cable = Cable()
    monkeypatch.setattr(ports, "actual_rate", lambda port: 2_823_529)
    with pytest.raises(UsageError, match="asked for 3,000,000 baud, its bridge does 2,823,529"):
        open_chip(f"serial://{cable.device}?baud=3000000")
    monkeypatch.undo()
    with open_chip(f"serial://{cable.device}?baud=3000000") as chip:  # and it was let go of
        chip.fuse_status()
    cable.close()


def test_what_the_kernel_says_of_a_rate():
    master, slave = os.openpty()
    port, _ = transport.open_port(f"serial://{os.ttyname(slave)}?baud=2500000")
    assert ports.actual_rate(port) == 2_500_000
    port.close()
    os.close(master)
    os.close(slave)
    assert ports.actual_rate(Peer()) is None


def test_silence_breaks_the_line():
    """A chip that has half a frame hears nothing but a break: the client sends one before it asks again."""
    peer = Peer()
    broken = []

    def half_heard(peer, request):
        return peer.good(request) if broken or request[0] == Op.IDENTIFY else []

    peer._behave = half_heard
    peer.reset_line = lambda: broken.append(len(peer.requests))
    chip = chip_at(peer)
    assert not broken
    chip.fuse_lock()
    assert broken == [2]
    assert isinstance(chip, Chip)
