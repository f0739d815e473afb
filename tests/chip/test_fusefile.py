"""The fuse file of docs/link.md section 4, and fuses that only ever go from 0 to 1."""

import hashlib
import os
import stat
import struct
import subprocess
import sys

import pytest
from fusequote.chip.entropy import SimulatedEntropy
from fusequote.chip.fusefile import (
    FILE_SIZE,
    FUSE_BYTES,
    FuseBank,
    FuseFile,
    FuseFileBusy,
    FuseFileError,
    FuseFileMisfit,
    FuseFileProblem,
)
from fusequote.errors import ExitCode, UsageError
from hypothesis import given
from hypothesis import strategies as st

MAGIC = b"FUSEQUOTE-FUSES\n"


def image(version=1, size=384, counter=0, fuses=bytes(384), magic=MAGIC):
    return magic + struct.pack("<IIQ", version, size, counter) + fuses


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chip.fuses"


def test_a_new_file_is_a_blank_chip_that_nobody_else_may_read(path):
    FuseFile.create(path)
    assert path.read_bytes() == image()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [path.name]


def test_a_chip_is_made_once(path):
    FuseFile.create(path)
    with pytest.raises(UsageError, match="exists already"):
        FuseFile.create(path)
    assert os.listdir(path.parent) == [path.name]


def test_each_power_on_counts(path):
    FuseFile.create(path)
    for counter in (1, 2, 3):
        with FuseFile.power_on(path) as chip:
            assert chip.boot_counter == counter
            assert path.read_bytes() == image(counter=counter)


def test_burns_reach_the_file_and_stay(path):
    with FuseFile.power_on(path, create=True) as chip:
        chip.bank.burn(0x10, b"\x0f\xf0")
        chip.bank.burn(0x10, b"\x10\x01")
        assert path.read_bytes()[32 + 0x10 :][:2] == b"\x1f\xf1"
    with FuseFile.power_on(path) as chip:
        assert chip.bank.read(0x10, 2) == b"\x1f\xf1"
        assert chip.boot_counter == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [path.name]


def test_one_chip_is_on_once(path):
    with FuseFile.power_on(path, create=True) as chip:
        for _ in range(2):  # the lock moves along when the file is replaced
            with pytest.raises(FuseFileBusy, match="powered on") as refused:
                FuseFile.power_on(path)
            assert refused.value.exit_code == ExitCode.ENVIRONMENT
            chip.bank.burn(0, b"\x01")
    with FuseFile.power_on(path) as chip:
        assert chip.boot_counter == 2


def test_another_process_is_kept_out(path):
    program = (
        "import sys; from fusequote.chip.fusefile import *\n"
        "try: FuseFile.power_on(sys.argv[1])\n"
        "except FuseFileBusy: print('busy')\n"
        "else: print('on')\n"
    )

    def other() -> str:
        run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
        return run.stdout.strip()

    with FuseFile.power_on(path, create=True) as chip:
        assert other() == "busy"
        chip.bank.burn(5, b"\x01")
        assert other() == "busy"
    assert other() == "on"


def test_a_chip_that_is_off_burns_nothing(path):
    chip = FuseFile.power_on(path, create=True)
    chip.close()
    chip.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="powered off"):
        chip.bank.burn(0, b"\x01")
    assert path.read_bytes() == before
    assert chip.bank.read(0, 1) == b"\x00"


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (b"", FuseFileError, "not a fuse file"),
        (b"{}", FuseFileError, "not a fuse file"),
        (b"\x00" * 416, FuseFileError, "not a fuse file"),
        (MAGIC[:5], FuseFileError, "truncated: 5 of 416"),
        (image()[:31], FuseFileError, "truncated: 31 of 416"),
        (image()[:-1], FuseFileError, "truncated: 415 of 416"),
        (image() + b"\0", FuseFileError, "longer"),
        (image(version=2), FuseFileMisfit, "does not fit this chip: version 2"),
        (image(size=512, fuses=bytes(512)), FuseFileMisfit, "does not fit this chip: 512 bytes"),
        (image(size=256, fuses=bytes(256)), FuseFileMisfit, "does not fit this chip: 256 bytes"),
        (image(counter=2**64 - 1), FuseFileMisfit, "used up"),
    ],
)
def test_what_is_not_a_fuse_file(path, content, error, says):
    path.write_bytes(content)
    with pytest.raises(error, match=says) as refused:
        FuseFile.power_on(path, create=True)
    assert type(refused.value) is error
    assert refused.value.exit_code == ExitCode.USAGE
    assert path.read_bytes() == content
    with pytest.raises(error):  # and the lock was let go
        FuseFile.power_on(path)


def test_what_is_no_file(path, tmp_path):
    with pytest.raises(FuseFileProblem, match="No such file"):
        FuseFile.power_on(path)
    with pytest.raises(FuseFileProblem, match="No such file"):
        FuseFile.power_on(tmp_path / "no folder" / "chip", create=True)
    with pytest.raises(FuseFileProblem, match="directory"):
        FuseFile.power_on(tmp_path, create=True)
    os.mkfifo(path)
    with pytest.raises(FuseFileError, match="not a regular file"):
        FuseFile.power_on(path)
    with pytest.raises(UsageError, match="not a file name"):
        FuseFile.power_on("a\0b")


def test_a_disk_that_does_not_take_it_changes_nothing(path, monkeypatch):
    with FuseFile.power_on(path, create=True) as chip:
        before = path.read_bytes()

        def full(fd):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(FuseFileProblem, match="No space left") as refused:
            chip.bank.burn(0, b"\x01")
        assert refused.value.exit_code == ExitCode.ENVIRONMENT
        assert "free some space" in refused.value.hint
        assert chip.bank.read(0, 1) == b"\0"
        monkeypatch.undo()
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == [path.name]
        chip.bank.burn(0, b"\x01")
        assert path.read_bytes()[32] == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(path):
    FuseFile.create(path)
    path.parent.chmod(0o500)
    try:
        with pytest.raises(FuseFileProblem, match="Permission denied"):
            FuseFile.power_on(path)
    finally:
        path.parent.chmod(0o700)


def test_a_link_stays_a_link(path):
    FuseFile.create(path)
    link = path.with_name("link")
    link.symlink_to(path.name)
    with FuseFile.power_on(link) as chip, pytest.raises(FuseFileBusy):
        assert chip.boot_counter == 1
        FuseFile.power_on(path)
    assert link.is_symlink()
    assert path.read_bytes() == image(counter=1)


def test_no_fuse_in_a_representation(path):
    with FuseFile.power_on(path, create=True) as chip:
        chip.bank.burn(0x100, b"ROOTKEYROOTKEY!!")
        assert "ROOT" not in repr(chip) + repr(chip.bank) + str(vars(chip))


@given(burns=st.lists(st.tuples(st.integers(0, FUSE_BYTES - 1), st.binary(max_size=40)), max_size=12))
def test_bits_are_only_ever_set(burns):
    bank, expected = FuseBank(), bytearray(FUSE_BYTES)
    for offset, data in burns:
        if offset + len(data) > FUSE_BYTES:
            with pytest.raises(ValueError, match="within"):
                bank.burn(offset, data)
            continue
        bank.burn(offset, data)
        for i, byte in enumerate(data, offset):
            expected[i] |= byte
        assert bank.image() == expected
        assert bank.read(offset, len(data)) == expected[offset : offset + len(data)]


def test_a_bank_is_384_bytes():
    assert FILE_SIZE == 416
    with pytest.raises(ValueError, match="384"):
        FuseBank(bytes(383))
    for offset, size in ((-1, 1), (0, -1), (384, 1), (0, 385)):
        with pytest.raises(ValueError, match="within"):
            FuseBank().read(offset, size)


def test_seeded_entropy_is_what_the_document_says():
    s = hashlib.sha256(
        b"fusequote simulated entropy" + hashlib.sha256("größe".encode()).digest() + struct.pack("<Q", 7)
    ).digest()
    source = SimulatedEntropy("größe", 7)
    assert source.block(0) == s
    for j in (1, 5, 2**64 - 1, 2**64):
        tail = (struct.unpack("<Q", s[24:])[0] + j) % 2**64
        assert source.block(j) == s[:24] + struct.pack("<Q", tail)
    assert "größe" not in repr(source)


def test_entropy_differs_by_seed_counter_and_boot_and_without_a_seed_always():
    sources = [SimulatedEntropy("a", 1), SimulatedEntropy("a", 2), SimulatedEntropy("b", 1),
               SimulatedEntropy(None, 1), SimulatedEntropy(None, 1)]  # fmt: skip
    blocks = [source.block(j) for source in sources for j in range(3)]
    assert len(set(blocks)) == len(blocks)
    assert all(len(block) == 32 for block in blocks)
    for counter in (-1, 2**64):
        with pytest.raises(ValueError, match="64 bits"):
            SimulatedEntropy("a", counter)
    with pytest.raises(ValueError, match="from 0"):
        sources[0].block(-1)
