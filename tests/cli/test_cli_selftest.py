"""`fusequote selftest`, `--record` and `replay:` as a user has them."""

from __future__ import annotations

import os

from fusequote import selftest
from fusequote.selftest import Outcome, Result, Results, check_names

MODEL = ("--chip", "model://")


def test_on_the_home_folders_chip(run, home):
    """It is manufactured: nothing is burnt, and what is skipped says so."""
    fuses = (home / "chips" / "default.fuses").read_bytes()
    ran = run("selftest", *MODEL)
    assert ran.code == 0, ran.out + ran.err
    assert "passed  report.mac\n" in ran.out
    assert "skipped life.scrap: needs a chip whose root key is known" in ran.out
    assert ran.err.endswith(f"{len(check_names()) - 6} passed, 0 failed, 6 skipped\n")
    assert (home / "chips" / "default.fuses").read_bytes()[32:] == fuses[32:]


def test_burning_is_done_to_a_chip_that_is_gone_afterwards(run, home):
    fuses = (home / "chips" / "default.fuses").read_bytes()
    facts = run("selftest", *MODEL, "--burn", "--json").document["facts"]
    assert (facts["passed"], facts["failed"], facts["skipped"], facts["answers"]) == (len(check_names()), 0, 0, True)
    assert facts["life.scrap.outcome"] == "passed"
    assert (home / "chips" / "default.fuses").read_bytes() == fuses


def test_exit_codes(run, monkeypatch):
    failed = Result("report.mac", "a MAC is good", Outcome.FAILED, "the MAC is 00, not 01")
    monkeypatch.setattr(selftest, "run", lambda url, **_: _shown(Results((failed,)), _))
    ran = run("selftest", *MODEL)
    assert ran.code == 10
    assert "failed  report.mac: the MAC is 00, not 01" in ran.out
    monkeypatch.setattr(selftest, "run", lambda url, **_: _shown(Results((failed,), dead=True), _))
    assert run("selftest", *MODEL, "--json").code == 4


def _shown(results, options):
    for result in results.results:
        options["progress"](result)
    return results


def test_a_check_that_there_is_not(run):
    run("selftest", *MODEL, "--only", "lunch").complains(2, "'lunch'", "report.mac")


def test_record_and_play_back(run, tmp_path):
    """Of the very command; another one is told at its first frame."""
    path = tmp_path / "link.rec"
    assert run("selftest", *MODEL, "--only", "link", "--record", path).code == 0
    assert os.stat(path).st_mode & 0o777 == 0o600
    ran = run("selftest", "--chip", f"replay:{path}", "--only", "link")
    assert ran.code == 0, ran.err
    run("selftest", "--chip", f"replay:{path}").complains(4, "replay: frame", "ends here", "record it anew")
    ran = run("selftest", "--chip", f"replay:{path}", "--only", "fuses", "--json")
    assert ran.code == ran.document["exit_code"] == 4
    assert "frames: " in run("inspect", path).out


def test_recording_takes_part_in_every_command_of_a_chip(run, tmp_path):
    path = tmp_path / "doctor.rec"
    assert run("doctor", *MODEL, "--record", path).code == 0
    assert path.read_text().count("session ") == 1
    run("inspect", path, "--record", tmp_path / "x").complains(2, "--record")


def test_recordings_that_cannot_be(run, tmp_path):
    run("selftest", *MODEL, "--record", tmp_path).complains(3, "cannot write the recording")
    run("selftest", "--chip", f"replay:{tmp_path}/nothing").complains(2, "cannot read the recording")
    (tmp_path / "text").write_text("no recording\n")
    run("selftest", "--chip", f"replay:{tmp_path}/text").complains(2, "fusequote-recording 1")


def test_no_board(run):
    """On a machine without one."""
    run("selftest", "--chip", "serial://?board=icebreaker").complains(4, "no board icebreaker on USB", "doctor")
    run("selftest", "--chip", "serial:///dev/ttyNone?baud=x").complains(2, "baud")
