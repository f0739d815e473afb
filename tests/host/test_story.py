"""The scripted run: its own checks, that they can fail, and the command."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fusequote.cli import main
from fusequote.reasons import Reason
from fusequote.story import StoryFailed, Transcript, tell_story
from fusequote.verdict import refuse

ROOT = Path(__file__).parents[2]
ACTS = 12
#: Statuses and refusals that the story has to show, and who meets them.
SHOWN = (
    "guilty at shop: SIGNATURE_REVOKED, refused",
    "guilty at bank: OK, accepted",
    "innocent at shop: OK, accepted",
    "guilty's own Quoting Enclave: refused: quote.revoked",
    "guilty's old quote at bank: SIGRL_VERSION_MISMATCH, refused",
    "guilty's old quote at bank: KEY_REVOKED, refused",
    "guilty asks for his key again: refused: provision.device-revoked",
    "innocent at bank: GROUP_OUT_OF_DATE, refused",
    "innocent at bank: GROUP_REVOKED, refused",
    "innocent joins without an update: refused: provision.tcb-out-of-date",
)


def check(told: Transcript) -> None:
    assert told.acts == ACTS
    text = "\n".join(told.lines)
    for line in SHOWN:
        assert f"   ok  {line}\n" in text, line
    assert text.rindex("innocent at bank: OK, accepted") > text.rindex("GROUP_REVOKED")
    assert f"{told.checks} answers checked, {told.refusals} refusals" in told.lines[-1]


def test_the_story_on_the_model(home):
    told = Transcript()
    tell_story(home, told, scheme="model")
    check(told)


@pytest.mark.rtl
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_story_on_the_rtl(home):
    told = Transcript()
    tell_story(home, told, scheme="sim", cache=str(ROOT / "build" / "test-cache"))
    check(told)


def test_a_wrong_answer_ends_the_story():
    told = Transcript()
    told.check("right", 1, 1)
    with pytest.raises(StoryFailed, match="OK instead of KEY_REVOKED"):
        told.check("a quote", "OK", "KEY_REVOKED")
    with pytest.raises(StoryFailed, match="accepted"), told.refused("who is on a list", Reason.SELF_REVOKED):
        pass
    with pytest.raises(StoryFailed, match="quote.no-attestation-key"), told.refused("it", Reason.SELF_REVOKED):
        raise refuse(Reason.NO_KEY)
    with told.refused("it", Reason.SELF_REVOKED):
        raise refuse(Reason.SELF_REVOKED)
    assert int(StoryFailed.exit_code) == 10
    assert any(line.startswith("   WRONG  ") for line in told.lines)


@pytest.mark.parametrize("url", ["socket://127.0.0.1:1", "/dev/ttyUSB0", "model://?fuses=mine", "tcp://", "sim://?x=1"])
def test_only_on_blank_simulated_chips(url, tmp_path, capsys):
    assert main(["--home", str(tmp_path / "home"), "story", "--chip", url]) == 2
    assert "simulated chips of its own" in capsys.readouterr().err


def test_a_document_without_a_place(tmp_path, capsys):
    document = tmp_path / "page.md"
    document.write_text("no markers\n")
    assert main(["--home", str(tmp_path / "home"), "story", "--chip", "model://", "--write", str(document)]) == 2
    assert "no place" in capsys.readouterr().err
    assert document.read_text() == "no markers\n"
