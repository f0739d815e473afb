"""Recordings are recognised, and their frames told, but no ticket and no key."""

from __future__ import annotations

import pytest
from fusequote.chip import Op, open_chip
from fusequote.chip.recording import MAGIC, recording
from fusequote.errors import FormatError
from fusequote.inspect import describe


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Two sessions; the first burns fuses."""
    path = tmp_path_factory.mktemp("recorded") / "chip.rec"
    with recording(path):
        with open_chip("model://") as chip:
            chip.fuse_status()
            chip.raw(Op.FUSE_MANUFACTURE, b"\xa5" * 16 + b"\x5a" * 176)
        with open_chip("model://") as chip:
            chip.raw(0x7F, b"secret of nobody's")
    return path


def test_frames_are_told(recorded):
    description = describe(recorded)
    assert (description.kind, description.size) == ("recording", recorded.stat().st_size)
    assert dict(description.facts) == {"sessions": "2", "frames": "10"}
    first, second = description.sections
    said = [item.meaning for item in first.items]
    assert said[0] == "IDENTIFY seq 2"
    assert said[1].startswith("IDENTIFY seq 2: SUCCESS 46512d454d554c00")
    assert said[2] == "FUSE_STATUS seq 1"
    assert said[4:] == ["FUSE_MANUFACTURE seq 2 <fuses>", "FUSE_MANUFACTURE seq 2: #GP"]
    assert second.items[2].meaning == "op 7F seq 1 <18 bytes>"
    assert first.items[0].name == "1 host -> chip"


def test_offsets_lead_to_the_bytes(recorded):
    data = recorded.read_bytes()
    for section in describe(recorded).sections:
        for item in section.items:
            assert data[item.offset - 2 : item.offset] == (b"> " if "host ->" in item.name else b"< ")


def test_no_secret_is_shown(recorded):
    text = describe(recorded).to_text() + str(describe(recorded).to_dict())
    assert "a5a5" not in text and "5a5a" not in text
    assert any("holds all that crossed the link" in warning for warning in describe(recorded).warnings)


def test_one_that_breaks_off(recorded):
    lines = recorded.read_bytes().splitlines(keepends=True)
    assert any("session 2 was not closed" in warning for warning in describe(b"".join(lines[:-1])).warnings)


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        (b"fusequote-recording 9\n", None, "version '9'"),
        (MAGIC.encode() + b"\nnonsense\n", None, "line 2"),
        (b"something else", "recording", "does not begin with"),
    ],
)
def test_what_is_no_recording(data, kind, says):
    with pytest.raises(FormatError, match=says):
        describe(data, kind)
