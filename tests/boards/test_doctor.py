"""What the doctor says of boards: which are there, what keeps them from being used, how it is mended."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from fusequote.cli.checks import Health
from fusequote_boards import checks as module
from fusequote_boards.board import board
from fusequote_boards.checks import checks
from fusequote_boards.usb import Found


@pytest.fixture
def terminal():
    """A device that can be opened."""
    master, slave = os.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def seen(*found: Found) -> dict[str, object]:
    all_checks = list(checks(lambda: found))
    named = {check.name: check for check in all_checks}
    assert len(named) == len(all_checks), "in JSON, names are keys"
    return named


def test_a_board_that_can_be_used(terminal, monkeypatch):
    monkeypatch.setattr(module, "latency_timer", lambda port: 16)
    check = seen(Found(board("icebreaker"), terminal, "1", "iCEBreaker"))["board-icebreaker"]
    assert (check.health, check.hint) == (Health.GOOD, None)
    assert f"--chip serial://{terminal}" in check.detail
    assert "3,000,000 baud" in check.detail and "waits 16 ms" in check.detail


def test_two_boards(terminal):
    two = [Found(board("icebreaker"), place, "1", "iCEBreaker") for place in (terminal, "/dev/null")]
    named = seen(*two)
    assert named["boards"].detail.startswith("2 on USB: serial:// alone does not say which one")
    assert {name for name in named if name.startswith("board-")} == {
        f"board-icebreaker-{Path(terminal).name}", "board-icebreaker-null"}


def test_a_board_that_may_not_be_flashed(terminal, tmp_path):
    """The udev rule is in the hint, ready to be pasted."""
    locked = tmp_path / "usb"
    found = Found(board("icebreaker"), terminal, "1", "iCEBreaker", str(locked))  # not there: as good as forbidden
    check = seen(found)["board-icebreaker"]
    assert check.health is Health.OPTIONAL and "no permission to flash it" in check.detail
    assert 'ATTRS{idVendor}=="0403"' in check.hint and "udevadm control --reload" in check.hint
    assert "\n" not in check.hint


def test_native_tools(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert seen()["native-tools"].health is Health.OPTIONAL
    for name, text in (("yosys", "echo 'Yosys 0.47+61 (git sha1)'"), ("nextpnr-ecp5", "exit 1"), ("icepack", "exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(stat.S_IRWXU)
    check = seen()["native-tools"]
    assert check.health is Health.GOOD
    assert "yosys 0.47+61" in check.detail and "icepack, " in check.detail
    assert "not here: ecppack" in check.detail
