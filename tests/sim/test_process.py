"""The process around a chip, with the toy of toy_chip.py in it."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys

import pytest
import serial
from fusequote.chip import framing
from fusequote.chip.entropy import SimulatedEntropy
from fusequote.chip.fusefile import FuseFile, FuseFileBusy
from fusequote.errors import DeviceError, EnvironmentProblem, UsageError
from fusequote_sim.process import SimulatedChip

pytestmark = pytest.mark.rtl


class Talker:
    """One question, one answer, over a stream socket."""

    def __init__(self, stream: socket.socket):
        self.stream = stream
        self.stream.settimeout(60)
        self.decoder = framing.Decoder()

    def ask(self, contents: bytes) -> bytes:
        self.stream.sendall(framing.encode(contents))
        return self.answer()

    def answer(self) -> bytes:
        while True:
            data = self.stream.recv(4096)
            assert data, "the chip hung up"
            if found := self.decoder.feed(data):
                assert len(found) == 1
                return found[0]


def fuse(addr: int) -> bytes:
    return bytes((addr & 0xFF, addr >> 8))


def test_bytes_go_in_and_come_out(toy):
    with SimulatedChip(toy) as chip:
        talk = Talker(chip.port)
        assert talk.ask(b"\x01\x00hello\x7e\x7d") == b"\x81hello\x7e\x7d"
        # In pieces of any size, with noise between.
        for byte in b"\x7e\x7enoise\x7e" + framing.encode(b"\x01\x00again"):
            chip.port.sendall(bytes((byte,)))
        assert talk.answer() == b"\x81again"


def test_entropy_is_that_of_the_link_document(toy, tmp_path):
    for boot_counter in (1, 2):
        expected = SimulatedEntropy("a seed", boot_counter)
        with SimulatedChip(toy, fuses=tmp_path / "fuses", seed="a seed") as chip:
            talk = Talker(chip.port)
            for j in range(3):
                assert talk.ask(b"\x04\x00") == b"\x84" + expected.block(j)
                assert talk.ask(b"\x05\x00") == b"\x85\x00"
            chip.reset()
            assert talk.ask(b"\x04\x00") == b"\x84" + expected.block(4)


def test_entropy_carries_over_64_bits(toy, tmp_path, monkeypatch):
    s = bytes(24) + (2**64 - 1).to_bytes(8, "little")
    monkeypatch.setattr(SimulatedEntropy, "block", lambda self, j: s)
    with SimulatedChip(toy) as chip:
        talk = Talker(chip.port)
        assert talk.ask(b"\x04\x00") == b"\x84" + s
        chip.reset()
        assert talk.ask(b"\x04\x00") == b"\x84" + bytes(32)


def test_without_a_seed_no_two_chips_are_alike(toy):
    seen = set()
    for _ in range(3):
        with SimulatedChip(toy) as chip:
            seen.add(Talker(chip.port).ask(b"\x04\x00"))
    assert len(seen) == 3


def test_fuses_burn_into_the_file_and_stay(toy, tmp_path):
    path = tmp_path / "fuses"
    with SimulatedChip(toy, fuses=path) as chip:
        talk = Talker(chip.port)
        assert talk.ask(b"\x02\x00" + fuse(0x17F)) == b"\x82\x00"
        assert talk.ask(b"\x03\x00" + fuse(0x17F) + b"\x05") == b"\x83\x05"
        assert talk.ask(b"\x03\x00" + fuse(0x17F) + b"\x42") == b"\x83\x47", "a bit never goes back"
        assert talk.ask(b"\x03\x00" + fuse(0) + b"\x80") == b"\x83\x80"
        assert talk.ask(b"\x03\x00" + fuse(0x180) + b"\xff") == b"\x83\x00", "there is no such fuse"
        # The answer came: so it is in the file, whatever happens to the process now.
        image = path.read_bytes()[32:]
        os.kill(chip.pid, signal.SIGKILL)
    assert image == b"\x80" + bytes(0x17E) + b"\x47" == path.read_bytes()[32:]
    with FuseFile.power_on(path) as file:
        assert file.boot_counter == 2
        assert file.bank.image() == image
    with SimulatedChip(toy, fuses=path) as chip:
        assert Talker(chip.port).ask(b"\x02\x00" + fuse(0x17F)) == b"\x82\x47"


def test_the_fuse_file_is_locked_while_the_chip_is_on(toy, tmp_path):
    path = tmp_path / "fuses"
    with SimulatedChip(toy, fuses=path):
        with pytest.raises(FuseFileBusy):
            SimulatedChip(toy, fuses=path)
        with pytest.raises(FuseFileBusy):
            FuseFile.power_on(path)
    FuseFile.power_on(path).close()


def test_the_lock_is_the_process_s_own(toy, tmp_path):
    """Should this process forget its descriptor, the chip still holds the file."""
    path = tmp_path / "fuses"
    with SimulatedChip(toy, fuses=path) as chip:
        locks = [os.readlink(f"/proc/{chip.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{chip.pid}/fd")]
        assert str(path) in locks


def test_cycles_count_work_and_not_waiting(toy):
    with SimulatedChip(toy) as chip:
        talk = Talker(chip.port)
        talk.ask(b"\x01\x00x")
        before = chip.cycles()
        assert chip.cycles() == before
        talk.ask(b"\x01\x00x")
        once = chip.cycles() - before
        talk.ask(b"\x01\x00x")
        assert chip.cycles() - before == pytest.approx(2 * once, abs=4)
        assert 50 < once < 1000


def test_reset_wakes_a_chip_that_hangs(toy):
    with SimulatedChip(toy) as chip:
        talk = Talker(chip.port)
        chip.port.sendall(framing.encode(b"\x06\x00"))
        first = chip.cycles()
        while chip.cycles() == first:
            pass
        chip.reset()
        assert talk.ask(b"\x01\x00back") == b"\x81back"


def test_control_rejects_what_it_does_not_know(toy):
    with SimulatedChip(toy) as chip:
        with pytest.raises(UsageError, match="unknown command"):
            chip._ask("explode")
        with pytest.raises(UsageError, match="no waveform file was asked for"):
            chip.waves(True)
        assert chip.cycles() > 0


def test_a_killed_process_is_a_device_error(toy):
    with SimulatedChip(toy) as chip:
        os.kill(chip.pid, signal.SIGKILL)
        with pytest.raises(DeviceError, match="killed by signal 9"):
            chip.cycles()
        chip.close()
        with pytest.raises(UsageError, match="powered off"):
            chip.cycles()


def test_a_program_that_is_none(tmp_path):
    fake = tmp_path / "chip"
    fake.write_text("#!/bin/sh\necho it is broken >&2\nexit 3\n")
    with pytest.raises(EnvironmentProblem, match="Permission denied"):
        SimulatedChip(fake, fuses=tmp_path / "fuses")
    fake.chmod(0o700)
    with pytest.raises(DeviceError, match="ended with status 3: it is broken"):
        SimulatedChip(fake, fuses=tmp_path / "fuses")
    FuseFile.power_on(tmp_path / "fuses").close()  # released


def test_it_does_not_outlive_its_parent(toy, tmp_path):
    script = (
        "import sys, os; from pathlib import Path; from fusequote_sim.process import SimulatedChip\n"
        "chip = SimulatedChip(Path(sys.argv[1]), fuses=sys.argv[2]); print(chip.pid, flush=True); os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, toy, tmp_path / "fuses"], capture_output=True, text=True,
                          check=True)
    assert int(done.stdout) > 0
    # The lock is free as soon as it is gone; waiting for the lock is waiting for the end.
    with open(tmp_path / "fuses", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def test_nothing_secret_is_on_the_command_line(toy, tmp_path):
    with SimulatedChip(toy, fuses=tmp_path / "fuses", seed="a seed") as chip:
        s = SimulatedEntropy("a seed", 1).block(0).hex().encode()
        for name in ("cmdline", "environ"):
            with open(f"/proc/{chip.pid}/{name}", "rb") as file:
                content = file.read()
            assert s not in content
            assert b"a seed" not in content


@pytest.mark.parametrize("serve", ["--listen", "--pty"])
def test_served_to_other_clients(toy, serve):
    with SimulatedChip(toy, serve=serve) as chip:
        kind, _, where = chip.address.partition(" ")
        url = f"socket://127.0.0.1:{where}" if kind == "listening" else where
        for text in (b"one", b"two"):  # a client may go, and the next one finds the chip still on
            with serial.serial_for_url(url, timeout=60) as port:
                port.write(framing.encode(b"\x01\x00" + text))
                assert framing.Decoder().feed(port.read(len(framing.encode(b"\x81" + text)))) == [b"\x81" + text]
        assert chip.port is None


def test_serving_is_listen_or_pty(toy):
    with pytest.raises(UsageError, match="--listen or --pty"):
        SimulatedChip(toy, serve="--carrier-pigeon")
