"""The maker: fuses burn once, and no run that is cut off leaves a chip that nobody knows."""

from __future__ import annotations

import pytest
from chain_world import refused
from fusequote.chain import Platform, simulated_chip_url
from fusequote.chip import open_chip
from fusequote.chip.identity import LifeCycle
from fusequote.errors import UsageError
from fusequote.home import CorruptFile
from fusequote.maker import RecordBook, manufacture
from fusequote.maker.records import PASSPHRASE_VARIABLE
from fusequote.verdict import Reason

SIGNERS, HASH = (b"0" * 32, b"1" * 32), b"2" * 32


def make(chip, book, **more):
    return manufacture(chip, book, provisioning_signers=SIGNERS, lepubkeyhash=HASH, **more)


@pytest.fixture
def chip(home):
    with open_chip(simulated_chip_url(home)) as chip:
        yield chip


def test_a_chip_is_made_once(chip, home):
    book = RecordBook(home)
    made = make(chip, book, cpusvn=bytes([3]) * 16)
    assert made.status.life_cycle is LifeCycle.LOCKED and made.status.cpusvn == bytes([3]) * 16
    assert made.status.provisioning_signers == SIGNERS and made.status.lepubkeyhash == HASH
    assert book.devices() == [made.device_id] and book.load(made.device_id).locked
    with refused(Reason.CHIP_NOT_BLANK):
        make(chip, book)
    assert book.devices() == [made.device_id]


def test_a_run_cut_off_before_the_lock_is_taken_up(chip, home, monkeypatch):
    book = RecordBook(home)

    def cut(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(chip), "fuse_lock", cut)
        make(chip, book)
    assert chip.fuse_status().life_cycle is LifeCycle.MANUFACTURED
    (device,) = book.devices()
    assert not book.load(device).locked
    made = make(chip, book)
    assert made.resumed and made.device_id == device and book.load(device).locked


def test_a_run_cut_off_before_the_reset_is_taken_up(home, monkeypatch):
    # On a board the chip stays on when the program ends: locked, but not booted so.
    def cut(self):
        raise KeyboardInterrupt

    with Platform(home=home) as platform:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(type(platform.chip), "reset", cut)
            platform.manufacture_chip()
        assert platform.chip.fuse_status().life_cycle is LifeCycle.LOCKED
        assert not platform.chip.identify().booted_locked
        platform.ensure_manufactured()
        assert platform.launch().enclave.identity
        assert RecordBook(home).load(platform.device_id).locked
        with refused(Reason.CHIP_NOT_BLANK):
            platform.manufacture_chip()


def test_a_locked_chip_of_another_maker_is_booted(home, monkeypatch, chip):
    chip.fuse_manufacture(
        root_provisioning_key=b"k" * 16,
        device_id=b"d" * 16,
        cpusvn=bytes(16),
        provisioning_signers=SIGNERS,
        lepubkeyhash=HASH,
    )
    chip.fuse_lock()
    monkeypatch.setattr("fusequote.chain.machine.open_chip", lambda url, trace: chip)
    platform = Platform(home=home)
    platform.ensure_manufactured()
    assert platform.chip.identify().booted_locked and not RecordBook(home).devices()
    platform.close()


@pytest.mark.parametrize("burnt", [False, True])
def test_a_chip_that_burns_other_options_than_asked(chip, home, monkeypatch, burnt):
    honest = type(chip).fuse_manufacture
    monkeypatch.setattr(
        type(chip), "fuse_manufacture", lambda self, **fuses: honest(self, **fuses | {"lock_lepubkeyhash": burnt})
    )
    with refused(Reason.CHIP_FUSES_DIFFER):
        make(chip, RecordBook(home), lock_lepubkeyhash=not burnt)
    assert chip.fuse_status().life_cycle is LifeCycle.MANUFACTURED


def test_a_burnt_chip_that_the_maker_does_not_know(chip, home):
    chip.fuse_manufacture(
        root_provisioning_key=b"k" * 16,
        device_id=b"d" * 16,
        cpusvn=bytes(16),
        provisioning_signers=SIGNERS,
        lepubkeyhash=HASH,
    )
    with refused(Reason.CHIP_NOT_BLANK):
        make(chip, RecordBook(home))


def test_a_record_shows_nothing_and_notices_everything(chip, home):
    book = RecordBook(home)
    made = make(chip, book)
    record, path = book.load(made.device_id), book.path(made.device_id)
    assert record.root_provisioning_key not in path.read_bytes()
    assert record.root_provisioning_key.hex() not in path.read_bytes().decode("latin1")
    assert record.root_provisioning_key.hex() not in repr(record) + repr(made)
    with refused(Reason.DEVICE_EXISTS):
        book.add(record)
    data = path.read_bytes()
    for i in (0, 8, 9, 15, 30, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :])
        with pytest.raises((CorruptFile, UsageError)):
            book.load(made.device_id)
    for cut in (0, 7, 40, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(CorruptFile):
            book.load(made.device_id)
    # A record under another device's name is not that device's.
    book.path(b"x" * 16).write_bytes(data)
    with pytest.raises(CorruptFile):
        book.load(b"x" * 16)
    with pytest.raises(UsageError):
        book.load(b"y" * 16)


def test_a_passphrase_is_needed_again(chip, home, monkeypatch):
    book = RecordBook(home)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "correct horse")
    made = make(chip, book)
    assert book.load(made.device_id).locked
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "battery staple")
    with pytest.raises(CorruptFile, match="does not decrypt"):
        book.load(made.device_id)
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    with pytest.raises(UsageError) as caught:
        book.load(made.device_id)
    assert PASSPHRASE_VARIABLE in caught.value.hint


def test_a_blank_chip_launches_nothing(home):
    with Platform(home=home) as platform, refused(Reason.CHIP_NOT_LOCKED):
        platform.launch()
