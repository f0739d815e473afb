"""Recordings: what is played back is what was said, and any difference is told by frame."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from fusequote.chip import Chip, Op, open_chip
from fusequote.chip.framing import encode
from fusequote.chip.recording import MAGIC, Recorder, RecordingPort, read_recording, recording
from fusequote.chip.replay import ReplayDifference
from fusequote.errors import EnvironmentProblem, ExitCode, FormatError, UsageError
from test_client_faults import whole_session
from test_client_peers import Peer


def record(path: Path, session=whole_session, url: str = "model://?seed=recorded") -> str:
    """The URL that plays it back."""
    with recording(path), open_chip(url) as chip:
        session(chip)
    return f"replay:{path}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """From blank fuses to keys, recorded."""
    path = tmp_path_factory.mktemp("recorded") / "whole.rec"
    record(path)
    return path


def test_a_session_plays_back(whole):
    with open_chip("model://?seed=recorded") as chip:
        real = whole_session(chip)
        said, stats = chip.identity, chip.stats
    with open_chip(f"replay:{whole}") as chip:
        assert whole_session(chip) == real
        assert (chip.identity, chip.stats) == (said, stats)
    assert stat.S_IMODE(whole.stat().st_mode) == 0o600


def test_two_recordings_of_the_same_are_equal(whole, tmp_path):
    again = tmp_path / "again.rec"
    record(again)
    assert again.read_bytes() == whole.read_bytes()
    played = tmp_path / "played.rec"
    record(played, url=f"replay:{whole}")
    assert played.read_bytes() == whole.read_bytes()


def test_nothing_is_recorded_outside(tmp_path):
    url = record(tmp_path / "short.rec", Chip.fuse_status)
    before = (tmp_path / "short.rec").read_bytes()
    with open_chip("model://") as chip:
        chip.fuse_status()
    assert (tmp_path / "short.rec").read_bytes() == before
    with open_chip(url) as chip:
        chip.fuse_status()


def test_each_opening_is_a_session(tmp_path):
    path = tmp_path / "two.rec"
    with recording(path):
        for _ in range(2):
            with open_chip("model://") as chip:
                chip.fuse_status()
    first, second = read_recording(path)
    assert [event.data for event in first.events] == [event.data for event in second.events]
    assert first.ended and second.ended and second.line > first.line


def test_another_request(tmp_path):
    url = record(tmp_path / "a.rec", lambda chip: (chip.fuse_status(), chip.raw(Op.SET_OWNEREPOCH, bytes(16))))
    with pytest.raises(ReplayDifference) as caught, open_chip(url) as chip:
        chip.fuse_status()
        chip.raw(Op.SET_LEPUBKEYHASH, bytes(32))
    # IDENTIFY and FUSE_STATUS with their answers are four frames.
    assert caught.value.frame == 5
    assert caught.value.line == 7
    assert caught.value.exit_code == ExitCode.DEVICE
    message = str(caught.value)
    assert "frame 5 (line 7)" in message
    assert "recorded SET_OWNEREPOCH seq 2 <owner epoch>" in message
    assert "got SET_LEPUBKEYHASH seq 2 " + 32 * "00" in message
    assert "byte 1 of the frame" in message


def test_one_bit_of_a_body(tmp_path):
    url = record(tmp_path / "a.rec", lambda chip: chip.raw(0x14, bytes(32)))
    with pytest.raises(ReplayDifference, match="first difference at byte 34 of the frame"), open_chip(url) as chip:
        chip.raw(0x14, bytes(31) + b"\1")


def test_a_request_too_many(tmp_path):
    url = record(tmp_path / "a.rec", Chip.fuse_status)
    says = r"frame 5: the recording ends here, and the host sends EEXIT seq 2"
    with pytest.raises(ReplayDifference, match=says), open_chip(url) as chip:
        chip.fuse_status()
        chip.raw(Op.EEXIT, bytes(16))


def test_a_request_too_few(tmp_path):
    url = record(tmp_path / "a.rec", lambda chip: (chip.fuse_status(), chip.fuse_status()))
    says = r"goes on for \d+ bytes: the host sends FUSE_STATUS seq 2"
    with pytest.raises(ReplayDifference, match=says) as caught, open_chip(url) as chip:
        chip.fuse_status()
    assert caught.value.frame == 5


def test_what_went_wrong_first_is_told(tmp_path):
    """Not that something is left over, which it then is."""
    url = record(tmp_path / "a.rec", Chip.fuse_status)
    with pytest.raises(ZeroDivisionError), open_chip(url):
        raise ZeroDivisionError


def test_a_recording_that_breaks_off(tmp_path):
    path = tmp_path / "a.rec"
    record(path, Chip.fuse_status)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-2]) + "\n")  # without the last answer
    assert not read_recording(path)[0].ended
    says = "breaks off here, and the host waits"
    with pytest.raises(ReplayDifference, match=says), open_chip(f"replay:{path}") as chip:
        chip.fuse_status()


def test_repeats_of_a_bad_line_play_back(tmp_path):
    """A chip that says nothing until it is asked the third time: the playing client asks as often, in no time."""

    def deaf(peer, request):
        return peer.good(request) if len(peer.requests) > 2 else []

    path = tmp_path / "deaf.rec"
    recorder = Recorder(path)
    with Chip(RecordingPort(peer := Peer(deaf), 0.0, recorder), clock=peer.clock, first_echo=1) as chip:
        assert chip.stats.retries == 2
    recorder.close()
    with open_chip(f"replay:{path}") as chip:
        assert chip.stats.retries == 2


def test_a_host_that_waits_where_the_recording_talks(tmp_path):
    path = tmp_path / "a.rec"
    asked = [encode(bytes((Op.IDENTIFY, seq))).hex() for seq in (2, 3)]
    path.write_text(f'{MAGIC}\nsession {{"wire_ns_per_byte": 0}}\n> 7e7e{asked[0]}\n> 7e7e{asked[1]}\nend\n')
    with pytest.raises(ReplayDifference, match="the host waits; in the recording it sends IDENTIFY seq 3"):
        open_chip(f"replay:{path}", retry_after=200)


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("", FormatError, "does not begin with"),
        ("\n", FormatError, "does not begin with"),
        ("fusequote-recording 2\n", FormatError, "version '2'; this program knows 1"),
        (f"{MAGIC}\n", FormatError, "no chip was opened"),
        (f"{MAGIC}\n> 00\n", FormatError, "line 2 "),
        (f'{MAGIC}\nsession {{"wire_ns_per_byte": -1}}\n', FormatError, "line 2 .* wire_ns_per_byte"),
        (f"{MAGIC}\nsession []\n", FormatError, "line 2 "),
        (f'{MAGIC}\nsession {{"wire_ns_per_byte": 0}}\n> 0\n', FormatError, "line 3 .* hexadecimal"),
        (f'{MAGIC}\nsession {{"wire_ns_per_byte": 0}}\n> 0é\n', FormatError, "line 3 .* hexadecimal"),
        (f'{MAGIC}\nsession {{"wire_ns_per_byte": 0}}\nsession {{"wire_ns_per_byte": 0}}\n', FormatError, "line 3 "),
    ],
)
def test_files_that_are_no_recordings(tmp_path, text, kind, says):
    path = tmp_path / "a.rec"
    path.write_text(text, "utf-8")
    with pytest.raises(kind, match=says):
        open_chip(f"replay:{path}")


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(UsageError, match="cannot read the recording"):
        open_chip(f"replay:{tmp_path}/nothing")
    with pytest.raises(EnvironmentProblem, match="cannot write the recording"), recording(tmp_path):
        pass


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path):
    path = tmp_path / "a.rec"
    path.write_text("old")
    path.chmod(0o644)
    record(path, Chip.fuse_status)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith(MAGIC)


def test_no_key_is_in_a_message(whole, tmp_path):
    """A difference in what a ticket opens is told without the ticket."""
    text = whole.read_text().splitlines()
    wanted = [line for line in text if line.startswith("> 7e27")]
    assert wanted, "the session has an EREPORT"
    spoilt = wanted[0][:60] + ("0" if wanted[0][60] != "0" else "1") + wanted[0][61:]
    path = tmp_path / "spoilt.rec"
    path.write_text("\n".join(spoilt if line == wanted[0] else line for line in text) + "\n")
    with pytest.raises(ReplayDifference) as caught, open_chip(f"replay:{path}") as chip:
        whole_session(chip)
    assert "<ticket>" in str(caught.value) or "damaged" in str(caught.value)
    assert wanted[0][8:40] not in str(caught.value)
