"""``python -m fusequote_sim``: the block itself, for a client that is not pyserial's ``sim://``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import serial
from fusequote.chip import framing
from fusequote_sim.__main__ import main

pytestmark = pytest.mark.rtl


def start(cache, *options) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fusequote_sim", "--cache", str(cache), *map(str, options)]
    return subprocess.Popen(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)  # fmt: skip


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_identify_over_tcp(cache, tmp_path, signum):
    process = start(cache, "--listen", "--fuses", tmp_path / "fuses", "--seed", "tcp")
    kind, port = process.stdout.readline().split()
    assert kind == "listening"
    with serial.serial_for_url(f"socket://127.0.0.1:{port}", timeout=60) as client:
        client.write(framing.encode(b"\x01\x05"))
        decoder, found = framing.Decoder(), []
        while not found:
            found = decoder.feed(client.read(1))
    assert found[0][:12] == b"\x81\x05\x00\x00FQ-EMUL\0"
    process.send_signal(signum)
    _, errors = process.communicate()
    assert process.returncode == 0
    assert errors.splitlines()[-1].endswith(" cycles")
    assert (tmp_path / "fuses").stat().st_mode & 0o777 == 0o600


def test_a_chip_that_dies_is_told(cache):
    process = start(cache, "--pty")
    assert process.stdout.readline().startswith("pty /dev/")
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == 4
    assert "killed by signal 9" in errors


def test_errors_are_one_line_and_a_hint(cache, tmp_path, capsys):
    (tmp_path / "fuses").write_bytes(b"not fuses")
    assert main(["--listen", "--cache", str(cache), "--fuses", str(tmp_path / "fuses")]) == 2
    error = capsys.readouterr().err
    assert "is not a fuse file" in error
    assert "Traceback" not in error
