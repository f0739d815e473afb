"""`fusequote demo` as a process: its document, its waiting, its end in the middle; on the model and on the RTL."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from fusequote.cli import main

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "test-cache"
RTL = [
    pytest.mark.rtl,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++"),
]
CHIPS = [
    pytest.param("model://", id="model"),
    pytest.param(f"sim://?cache={CACHE}", id="rtl", marks=RTL),
]
RUN = "import sys; from fusequote.cli import main; sys.argv[0] = 'fusequote'; sys.exit(main())"


@pytest.fixture
def tmp_path():
    """A short one: pytest's own, with xdist, is longer than the path of a Unix socket may be."""
    with tempfile.TemporaryDirectory(prefix="fq") as folder:
        yield Path(folder)


def start(tmp_path, *arguments, **options):
    """The command, with a folder of its own for everything temporary."""
    folder = tmp_path / "tmp"
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(folder), "FUSEQUOTE_HOME": str(tmp_path / "home")}
    environment["PYTHONUNBUFFERED"] = "1"
    return subprocess.Popen(
        [sys.executable, "-c", RUN, "demo", *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def children(pid):
    """Processes that this one started, by the kernel's tables."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            found += [int(entry.name)] if int(parent) == pid else []
    return found


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize(
    ("number", "line"),
    [(signal.SIGTERM, "assumed:"), (signal.SIGINT, "attack other-hash"), (signal.SIGTERM, "attack same-image")],
)
def test_an_end_in_the_middle_leaves_nothing(tmp_path, chip, number, line):
    """No process, no file (so no locked chip), whenever it comes."""
    demo = start(tmp_path, "--rung", "1", "--chip", chip)
    try:
        for said in demo.stdout:
            if said.startswith(line):
                break
        started = children(demo.pid)
        demo.send_signal(number)
        demo.communicate(timeout=500)
    finally:
        demo.kill()
    assert demo.returncode == 130
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not any(is_running(pid) for pid in started)
    if chip.startswith("sim") and line != "assumed:":
        assert started, "no chip was running"


def test_step_waits_for_enter(tmp_path):
    """One part at a time; when there is nobody left to press Enter, it goes on."""
    demo = start(tmp_path, "--rung", "1", "--attack", "relay", "--step", "--chip", "model://", stdin=subprocess.PIPE)
    try:
        lines = [demo.stdout.readline() for _ in range(6)]
        assert lines[0].startswith("Rung 1") and demo.poll() is None
        demo.stdin.write("\n")
        demo.stdin.flush()
        for said in demo.stdout:
            if said.startswith("it works (L2)"):
                break
        out, err = demo.communicate(timeout=500)
    finally:
        demo.kill()
    assert demo.returncode == 0, err
    assert "WORKS" in out and err.count("-- Enter --") == 2


def test_the_document(tmp_path, home, capsys):
    code = main(["--home", str(home.root), "demo", "--rung", "2", "--attack", "trace", "--json", "--chip", "model://"])
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert code == 0 and err == "" and document["command"] == "demo" and document["emulated"]
    facts = document["facts"]
    assert (facts["chip"], facts["rungs"], facts["attacks"]) == ("model://", 1, 2)
    assert facts["2.trace.L1"] == facts["2.trace.L2"] == "works"
    assert any("pairs of visits" in line for line in document["notes"])


def test_json_does_not_wait(capsys):
    assert main(["demo", "--step", "--json", "--chip", "model://"]) == 2
    assert "--json is for programs" in json.loads(capsys.readouterr().out)["message"]


@pytest.mark.rtl
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_whole_demo_on_the_rtl(tmp_path):
    """All of it, on simulated chips that run the RTL. How long it took is printed."""
    begun = time.monotonic()
    demo = start(tmp_path, "--json", "--chip", f"sim://?cache={CACHE}")
    try:
        out, err = demo.communicate()
    finally:
        demo.kill()
    assert demo.returncode == 0, err
    facts = json.loads(out)["facts"]
    print(f"{facts['seconds']} s (with the build if there was one: {time.monotonic() - begun:.0f} s)")
    assert (facts["rungs"], facts["attacks"]) == (5, 67)
    refused = [value for name, value in facts.items() if name.endswith("innocents_refused")]
    assert len(refused) == 10 and not any(refused)
    assert list((tmp_path / "tmp").iterdir()) == []
