"""What boards are configured with, simulated at the pins of its UART: a break, and the link of the self-test."""

from __future__ import annotations

from pathlib import Path

import pytest
from fusequote.chip import Chip, Op
from fusequote.chip.framing import encode
from fusequote.chip.transport import open_port
from fusequote.enclave.load import launch
from fusequote.selftest import Outcome, material, run

pytestmark = pytest.mark.rtl

CACHE = Path(__file__).parents[2] / "build" / "test-cache"
#: The fastest of them all: the fewest cycles.
URL = f"uart://?clock=48000000&baud=12000000&cache={CACHE}"


@pytest.fixture
def port():
    opened, _ = open_port(URL)
    yield opened
    opened.close()


def chip_at(port, **options) -> Chip:
    return Chip(port, clock=port.clock, seconds_per_byte=port.seconds_per_byte, first_echo=1, **options)


def test_a_break_frees_a_chip_that_has_half_a_frame(port):
    """A host died in the middle of a request. The next one sends a break, and is heard at once, without a NAK for
    what it says itself: only for what was half heard.
    """
    assert chip_at(port).identity.life_cycle.name == "BLANK"
    port.write(encode(bytes((Op.FUSE_STATUS, 1)) + bytes(40))[:-3])
    assert port.read(1) == b""
    port.reset_line()
    chip = chip_at(port)
    assert chip.stats.naks == 1
    assert chip.stats.retries <= 1
    assert chip.fuse_status().life_cycle.name == "BLANK"


def test_the_link_of_the_self_test(port):
    results = run(port, only=["link", "fuses"])
    assert not results.of(Outcome.FAILED)
    assert len(results.of(Outcome.PASSED)) == 10

def test_the_window_holds_at_the_pins(port):
    """Requests that follow answers at once are all heard, though a UART waits for nobody: nothing is NAKed."""
    chip = chip_at(port)
    sigstruct = material.sigstruct(material.image())
    chip.fuse_manufacture(root_provisioning_key=material.RPK, device_id=material.DEVICE_ID, cpusvn=material.CPUSVN,
                          provisioning_signers=(bytes(32), bytes(32)), lepubkeyhash=sigstruct.mrsigner)
    chip.fuse_lock()
    chip.reset()
    chip = chip_at(port)
    launch(chip, material.image().signed(sigstruct))
    assert (chip.stats.naks, chip.stats.retries) == (0, 0)
