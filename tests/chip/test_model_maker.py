"""FUSE_RAISE_SVN and FUSE_SCRAP on the reference model: docs/chip.md section 3, docs/link.md 3.5."""

import commands_shadow as ops
import pytest
from commands_make import cmac, keyrequest, le, manufacture, patched
from fusequote.chip.entropy import SimulatedEntropy
from fusequote.chip.fusefile import FuseBank
from fusequote.chip.model import ModelChip
from model_driver import Driver, blank, enter, launch, locked

RPK, DEVICE = bytes(range(1, 17)), b"test device 0001"
OLD = bytes([200] * 16)
LIFE_CYCLE, BAD_MAC, BAD_SVN = "BLOCK_LIFE_CYCLE", "SGX_INVALID_SIGNATURE", "SGX_INVALID_CPUSVN"


def maker(text, what, rpk=RPK):
    return cmac(cmac(rpk, b"FQ-MAKER" + bytes(8)), text.ljust(16, b"\0") + what)


def raise_to(svn, rpk=RPK, device=DEVICE):
    return svn + maker(b"FQ-RAISE-SVN", device + svn, rpk)


def scrap(rpk=RPK, device=DEVICE):
    return maker(b"FQ-SCRAP", device, rpk)


@pytest.fixture
def fuses():
    return FuseBank()


@pytest.fixture
def chip(fuses):
    driver = blank(fuses=fuses)
    driver.do(ops.FUSE_MANUFACTURE, manufacture(cpusvn=OLD))
    driver.do(ops.FUSE_LOCK)
    driver.do(ops.RESET)
    return driver


def svn(*values):
    return bytes(values).rjust(16, bytes([200]))


def test_raising_takes_effect_at_the_next_boot(chip, fuses):
    new = svn(201)
    chip.do(ops.FUSE_RAISE_SVN, raise_to(new))
    assert fuses.read(1, 1) == b"\x03" and fuses.read(0x80, 48) == OLD + new + bytes(16)
    assert chip.do(ops.FUSE_STATUS)[128:] == new and chip.do(ops.IDENTIFY)[40:56] == new
    enclave = launch(chip)
    ticket = enter(chip, enclave)
    assert chip.do(ops.SLOT_INFO, enclave.handle)[:16] == OLD
    assert chip.status(ops.EGETKEY, ticket + keyrequest(4, cpusvn=new)) == BAD_SVN
    old_key = chip.do(ops.EGETKEY, ticket + keyrequest(4, cpusvn=OLD))
    chip.do(ops.RESET)
    enclave = launch(chip)
    ticket = enter(chip, enclave)
    assert chip.do(ops.SLOT_INFO, enclave.handle)[:16] == new
    assert chip.do(ops.EGETKEY, ticket + keyrequest(4, cpusvn=OLD)) == old_key
    assert chip.do(ops.EGETKEY, ticket + keyrequest(4, cpusvn=new)) != old_key


def test_it_cannot_be_undone(chip):
    chip.do(ops.FUSE_RAISE_SVN, raise_to(svn(201, 201)))
    for again in (OLD, svn(201), svn(201, 201), svn(202, 200), bytes(16), svn(255, 0)):
        assert chip.status(ops.FUSE_RAISE_SVN, raise_to(again)) == BAD_SVN
    chip.do(ops.RESET)
    assert chip.status(ops.FUSE_RAISE_SVN, raise_to(OLD)) == BAD_SVN
    chip.do(ops.FUSE_RAISE_SVN, raise_to(svn(201, 202)))


def test_only_the_maker_raises(chip, fuses):
    before = fuses.image()
    good = raise_to(svn(201))
    for i in range(32):
        status = chip.status(ops.FUSE_RAISE_SVN, patched(good, i, bytes([good[i] ^ 0x80])))
        assert status == BAD_MAC
    for wrong in (raise_to(svn(201), rpk=bytes(16)), raise_to(svn(201), device=bytes(16)), svn(201) + scrap()):
        assert chip.status(ops.FUSE_RAISE_SVN, wrong) == BAD_MAC
    assert chip.status(ops.FUSE_RAISE_SVN, OLD + bytes(16)) == BAD_MAC  # before the CPUSVN is looked at
    assert fuses.image() == before


def test_eight_generations_and_no_more(chip, fuses):
    for i in range(1, 8):
        chip.do(ops.FUSE_RAISE_SVN, raise_to(svn(200 + i)))
    assert fuses.read(1, 1) == b"\xff"
    assert chip.status(ops.FUSE_RAISE_SVN, raise_to(svn(255))) == "BLOCK_NO_GENERATION"
    assert chip.status(ops.FUSE_RAISE_SVN, raise_to(OLD)) == BAD_SVN
    assert chip.do(ops.FUSE_STATUS)[128:] == svn(207)


def test_a_row_that_power_left_alone_is_skipped(chip, fuses):
    fuses.burn(0x80 + 16, b"\x01")
    chip.do(ops.FUSE_RAISE_SVN, raise_to(svn(201)))
    assert fuses.read(1, 1) == b"\x05" and fuses.read(0x80 + 32, 16) == svn(201)
    assert chip.do(ops.FUSE_STATUS)[2] == 3 and chip.do(ops.FUSE_STATUS)[128:] == svn(201)


def test_only_a_chip_that_has_booted_as_locked_is_raised():
    driver = blank()
    assert driver.status(ops.FUSE_RAISE_SVN, raise_to(OLD)) == LIFE_CYCLE
    driver.do(ops.FUSE_MANUFACTURE, manufacture(cpusvn=OLD))
    assert driver.status(ops.FUSE_RAISE_SVN, raise_to(svn(201))) == LIFE_CYCLE
    driver.do(ops.FUSE_LOCK)
    assert driver.status(ops.FUSE_RAISE_SVN, raise_to(svn(201))) == LIFE_CYCLE
    driver.do(ops.RESET)
    driver.do(ops.FUSE_RAISE_SVN, raise_to(svn(201)))


def assert_scrapped(driver, fuses):
    assert fuses.read(0, 1)[0] & 0x80 and fuses.read(0x100, 128) == b"\xff" * 128
    info = driver.do(ops.IDENTIFY)
    assert info[22] == 3 and info[23] == 0 and info[56:58] == b"\0\1"
    assert driver.do(ops.FUSE_STATUS)[0] == 3
    for op, body in ((ops.FUSE_SCRAP, scrap()), (ops.FUSE_LOCK, b""), (ops.FUSE_MANUFACTURE, manufacture()),
                     (ops.FUSE_RAISE_SVN, raise_to(svn(255))), (ops.SLOT_INFO, bytes(9))):  # fmt: skip
        assert driver.status(op, body) == LIFE_CYCLE


def test_scrapping_ends_everything(chip, fuses):
    enclave = launch(chip)
    ticket = enter(chip, enclave)
    chip.do(ops.FUSE_SCRAP, scrap())
    assert_scrapped(chip, fuses)
    assert chip.status(ops.EREPORT, ticket + bytes(576)) == LIFE_CYCLE
    again = Driver(ModelChip(fuses, SimulatedEntropy("test", 2)))
    assert again.do(ops.IDENTIFY)[57] == 0 and again.do(ops.FUSE_STATUS)[0] == 3


def test_only_the_maker_scraps_a_locked_chip(chip, fuses):
    before, good = fuses.image(), scrap()
    for i in range(128):
        wrong = le(int.from_bytes(good, "little") ^ 1 << i, 16)
        assert chip.status(ops.FUSE_SCRAP, wrong) == BAD_MAC
    assert fuses.image() == before
    chip.do(ops.FUSE_SCRAP, good)


def test_scrapping_in_the_factory(fuses):
    driver = blank(fuses=fuses)
    assert driver.status(ops.FUSE_SCRAP, bytes(16)) == LIFE_CYCLE
    driver.do(ops.FUSE_MANUFACTURE, manufacture())
    driver.do(ops.FUSE_SCRAP, bytes(16))
    assert_scrapped(driver, fuses)


def test_a_lock_that_has_not_booted_yet_cannot_be_scrapped():
    driver = blank()
    driver.do(ops.FUSE_MANUFACTURE, manufacture())
    driver.do(ops.FUSE_LOCK)
    assert driver.status(ops.FUSE_SCRAP, scrap()) == LIFE_CYCLE
    driver.do(ops.RESET)
    driver.do(ops.FUSE_SCRAP, scrap())


def test_why_the_chip_started():
    driver = locked()
    assert driver.do(ops.IDENTIFY)[57] == 1
    assert blank().do(ops.IDENTIFY)[57] == 0
