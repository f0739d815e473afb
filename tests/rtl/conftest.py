"""The block in Verilator, at the level of frame contents, for tests that drive it beside the reference model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import serial
from fusequote.chip import framing

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "chip"))
#: Shared by all tests that build: what has not changed is not built again.
CACHE = ROOT / "build" / "test-cache"
MAX_CONTENTS = 4608
#: The boot of a chip whose CPUSVN is all zero takes 2.4 million cycles.
PATIENCE = 120.0

if "fusequote_sim.urlhandler" not in serial.protocol_handler_packages:
    serial.protocol_handler_packages.append("fusequote_sim.urlhandler")


class Rtl:
    """The RTL behind ``sim://``; :meth:`execute` is one request and its answer, as the reference model has it."""

    def __init__(self, **options: str):
        query = "&".join(f"{name}={value}" for name, value in {"cache": CACHE, **options}.items())
        self.port = serial.serial_for_url(f"sim://?{query}", timeout=PATIENCE)
        self._decoder = framing.Decoder(MAX_CONTENTS)
        self._frames: list[bytes] = []

    def execute(self, contents: bytes) -> bytes:
        """The answer to one request's contents."""
        self.port.write(framing.encode(contents))
        return self.receive()

    def execute_both(self, contents: bytes, behind: bytes) -> tuple[bytes, bytes]:
        """The answers to two requests in one write: the second is there before the first is done."""
        self.port.write(framing.encode(contents) + framing.encode(behind))
        return self.receive(), self.receive()

    def receive(self) -> bytes:
        """The next frame's contents."""
        while not self._frames:
            data = self.port.read(max(1, self.port.in_waiting))
            assert data, "the chip does not answer"
            self._frames += self._decoder.feed(data)
        frame = self._frames.pop(0)
        assert isinstance(frame, bytes), "the chip sent a damaged frame"
        return frame

    def ask(self, op: int, seq: int, body: bytes = b"") -> bytes:
        """The body of the answer to a command that must succeed."""
        answer = self.execute(bytes([op, seq]) + body)
        assert answer[:4] == bytes([op | 0x80, seq, 0, 0]), answer[:4].hex()
        return answer[4:]

    def cycles(self) -> int:
        """Clock cycles of the last numbered command."""
        return int.from_bytes(self.ask(0x02, 0), "little")

    def close(self) -> None:
        """Power off."""
        self.port.close()


@pytest.fixture
def rtl():
    """Powers chips on: ``rtl(seed="..", fuses=..)``; all are powered off at the end."""
    chips: list[Rtl] = []

    def power_on(**options: str) -> Rtl:
        chips.append(Rtl(**options))
        return chips[-1]

    yield power_on
    for chip in chips:
        chip.close()
