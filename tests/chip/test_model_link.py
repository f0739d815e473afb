"""docs/link.md section 2 on the reference model: whose turn it is, what is repeated, which length, which life cycle."""

import commands_shadow as ops
import pytest
from commands_make import PT_SECS, keyrequest, le, manufacture, secinfo, secs
from fusequote.chip.fusefile import FuseBank
from fusequote.chip.model import Status
from model_driver import blank, build, enter, launch, locked

#: Good lengths of each numbered op's body.
LENGTHS = {
    0x10: (0,), 0x11: (192,), 0x12: (0,), 0x14: (32,), 0x15: (16,), 0x16: (9,), 0x20: (4160,), 0x21: (81, 4177),
    0x22: (18, 274, 4114), 0x23: (2121,), 0x24: (9,), 0x25: (17, 1585), 0x26: (16, 48), 0x27: (592, 624),
    0x28: (528, 560), 0x29: (17,), 0x2A: (17, 1585), 0x30: (448, 480), 0x13: (32,), 0x17: (16,), 0x2B: (9,),
}  # fmt: skip
NEED_LOCKED = [op for op in LENGTHS if op not in (0x10, 0x11, 0x12, 0x17)]


def raw(driver, op, seq, body=b""):
    return driver.chip.execute(bytes([op, seq]) + body)


def out_of_sequence(op, seq, last):
    return bytes([op | 0x80, seq, 0x05, 0x40, last])


def test_sequence_numbers_start_at_one():
    driver = blank()
    for seq in (0, 2, 255):
        assert raw(driver, 0x10, seq) == out_of_sequence(0x10, seq, 0)
    assert raw(driver, 0x10, 1)[:4] == b"\x90\x01\0\0"
    for seq in (0, 3, 255):
        assert raw(driver, 0x10, seq) == out_of_sequence(0x10, seq, 1)


def test_after_255_comes_1():
    driver = blank()
    for seq in range(1, 256):
        assert raw(driver, 0x10, seq)[:4] == bytes([0x90, seq, 0, 0])
    assert raw(driver, 0x10, 0) == out_of_sequence(0x10, 0, 255)
    assert raw(driver, 0x10, 1)[:4] == b"\x90\x01\0\0"
    assert raw(driver, 0x10, 3) == out_of_sequence(0x10, 3, 1)


def test_a_repeat_is_answered_and_not_run():
    driver = locked()
    body = secinfo(PT_SECS) + secs()
    first = raw(driver, ops.ECREATE, 1, body)
    assert first[2:4] == b"\0\0"
    assert [raw(driver, ops.ECREATE, 1, body) for _ in range(3)] == [first] * 3
    assert raw(driver, 0x77, 1, b"whatever else it says") == first
    second = raw(driver, ops.ECREATE, 2, body)
    assert second[4] == 1 and second[5:] == le(int.from_bytes(first[5:], "little") + 1, 8)


def test_a_refusal_is_kept_too():
    driver = locked()
    refused = raw(driver, ops.EREMOVE, 1, bytes(9))
    assert refused == b"\xa4\x01\x0e\x80"
    assert raw(driver, ops.EREMOVE, 1, bytes(9)) == refused


def test_what_is_in_between_does_not_displace_the_kept_answer():
    driver = blank()
    kept = raw(driver, 0x10, 1)
    raw(driver, ops.IDENTIFY, 9)
    raw(driver, 0x10, 7)
    driver.chip.execute(b"\x01")
    assert raw(driver, 0x10, 1) == kept


def test_a_key_is_not_kept_but_a_refused_key_is():
    driver = locked()
    ticket = enter(driver, launch(driver))
    wanted = ticket + keyrequest(4, cpusvn=bytes(16))
    key = driver.do(ops.EGETKEY, wanted)
    assert raw(driver, ops.EGETKEY, driver.seq, wanted) == bytes([0xA8, driver.seq, 0x06, 0x40])
    assert raw(driver, ops.EGETKEY, driver.seq, wanted) == bytes([0xA8, driver.seq, 0x06, 0x40])
    assert driver.do(ops.EGETKEY, wanted) == key
    driver.ask(ops.EGETKEY, ticket + keyrequest(9))
    assert raw(driver, ops.EGETKEY, driver.seq) == bytes([0xA8, driver.seq, 0x00, 0x01])


def test_unknown_ops_and_wrong_lengths_use_up_a_number():
    driver = blank()
    assert raw(driver, 0x1F, 1) == b"\x9f\x01\x01\x40"
    assert raw(driver, 0xA0, 2) == b"\xa0\x02\x01\x40"
    assert raw(driver, 0x10, 3, b"\0") == b"\x90\x03\x02\x40"
    assert raw(driver, 0x10, 4)[2:4] == b"\0\0"


def test_unnumbered_ops_take_any_number():
    driver = blank()
    for seq in (0, 5, 5, 255):
        assert raw(driver, ops.IDENTIFY, seq)[:4] == bytes([0x81, seq, 0, 0])
        assert raw(driver, ops.CYCLES, seq) == bytes([0x82, seq, 0, 0, 0, 0, 0, 0])
        for op in (0, 5, 0x0F):
            assert raw(driver, op, seq) == bytes([op | 0x80, seq, 0x01, 0x40])
        assert raw(driver, ops.EVENT, seq) == bytes([0x84, seq, 0, 0])
        for op in (ops.IDENTIFY, ops.CYCLES, ops.RESET, ops.EVENT):
            assert raw(driver, op, seq, b"\0") == bytes([op | 0x80, seq, 0x02, 0x40])
    assert raw(driver, ops.IDENTIFY, 0)[4 + 23] == 0


def test_a_reset_starts_over():
    driver = blank()
    raw(driver, 0x10, 1)
    raw(driver, 0x10, 2)
    assert raw(driver, ops.IDENTIFY, 0)[4 + 23] == 2
    assert raw(driver, ops.RESET, 77) == b"\x83\x4d\0\0"
    assert raw(driver, ops.IDENTIFY, 0)[4 + 23] == 0
    assert raw(driver, 0x10, 2) == out_of_sequence(0x10, 2, 0)
    assert raw(driver, 0x10, 1)[2:4] == b"\0\0"


def test_contents_that_no_frame_can_have_are_naked():
    driver = locked()
    for contents, status in ((b"", 0x4003), (b"\x10", 0x4003), (b"\x22\x01" + bytes(4607), 0x4004)):
        assert driver.chip.execute(contents) == b"\x80\x00" + le(status, 2)
    assert driver.chip.nak(0x4003) == b"\x80\x00\x03\x40"
    assert raw(driver, 0x22, 1, bytes(4606)) == b"\xa2\x01\x0e\x80"
    assert raw(driver, 0x10, 2)[2:4] == b"\0\0"


@pytest.mark.parametrize("op", LENGTHS, ids=lambda op: ops.OP_NAMES[op])
def test_every_length_is_checked_before_the_life_cycle(op):
    driver = blank()
    for good in LENGTHS[op]:
        wrong = {0, 1, good - 1, good + 1} - set(LENGTHS[op]) - {-1}
        if op == ops.EEXTEND:  # what is long enough to say how long it should be
            wrong = {size for size in wrong if size < 18}
        for size in wrong:
            assert driver.status(op, bytes(size)) == "LINK_BAD_LENGTH"
        assert driver.status(op, bytes(good)) != "LINK_BAD_LENGTH"


@pytest.mark.parametrize("op", NEED_LOCKED, ids=lambda op: ops.OP_NAMES[op])
def test_no_leaf_runs_before_the_chip_has_booted_as_locked(op):
    driver, body = blank(), bytes(LENGTHS[op][0])
    assert driver.status(op, body) == "BLOCK_LIFE_CYCLE"
    driver.do(ops.FUSE_MANUFACTURE, manufacture())
    assert driver.status(op, body) == "BLOCK_LIFE_CYCLE"
    driver.do(ops.FUSE_LOCK)
    assert driver.status(op, body) == "BLOCK_LIFE_CYCLE"
    driver.do(ops.RESET)
    assert driver.status(op, body) not in ("BLOCK_LIFE_CYCLE", "LINK_BAD_LENGTH")


@pytest.mark.parametrize(
    ("life_cycle", "version"), [(0x02, 1), (0x07, 1), (0x7F, 1), (0x00, 1), (0x01, 0), (0x03, 0), (0x03, 3), (0x80, 0)]
)
def test_a_chip_that_could_not_boot_says_so_to_every_numbered_command(life_cycle, version):
    fuses = FuseBank()
    fuses.burn(0, bytes([life_cycle]))
    fuses.burn(3, bytes([version]))
    driver = blank(fuses=fuses)
    for op in (*LENGTHS, 0x1F, 0xFF):
        assert driver.status(op) == "BLOCK_BOOT_FAILED"
        assert driver.status(op, bytes(LENGTHS.get(op, (0,))[0])) == "BLOCK_BOOT_FAILED"
    info = driver.do(ops.IDENTIFY)
    assert info[:8] == b"FQ-EMUL\0" and info[56] == 0 and info[23] == driver.seq
    assert driver.status(0x05) == "LINK_UNKNOWN_COMMAND"
    driver.do(ops.EVENT)
    driver.do(ops.RESET)
    assert driver.status(ops.FUSE_STATUS) == "BLOCK_BOOT_FAILED"
    assert fuses.image() == bytes([life_cycle, 0, 0, version]) + bytes(380)


def test_nothing_secret_in_a_representation():
    driver = locked(rpk=b"ROOTPROVISIONKEY")
    enclave = launch(driver)
    ticket = enter(driver, enclave)
    machine = driver.chip._machine
    shown = repr(driver.chip) + repr(machine) + repr(machine.chains) + repr(machine.generator) + repr(machine.slots)
    shown += repr(driver.chip._machine.fuses)
    for secret in (b"ROOTPROVISIONKEY", machine.fuses.read(0x110, 16), ticket, machine.chains._chains[0]):
        assert secret.hex() not in shown and repr(secret)[2:-1] not in shown


def test_statuses_are_those_of_the_document():
    assert " ".join(f"{status:04X}" for status in Status) == (
        "0000 0001 0002 0004 0008 000E 0010 0020 0040 0080 0100 "
        "4001 4002 4003 4004 4005 4006 4011 4012 4013 4014 4015 4016 800D 800E"
    )


def test_a_failed_command_changes_nothing():
    """After each refusal the chip goes on exactly as one that never got the command."""
    a, b = locked(), locked()
    for driver in (a, b):
        enclave = build(driver)
        if driver is a:
            for op, body in (
                (ops.ECREATE, secinfo(PT_SECS) + secs(ssaframesize=0)),
                (ops.EADD, enclave.handle + le(enclave.tcs + 0x10000, 8) + secinfo(2)),
                (ops.EEXTEND, enclave.handle + le(enclave.tcs + 0x1000, 8) + b"\x11"),
                (ops.EINIT, enclave.handle + bytes(1808 + 304)),
                (ops.EENTER, enclave.handle + le(enclave.tcs, 8)),
                (ops.EREMOVE, bytes(9)),
            ):
                assert driver.status(op, body) != "SUCCESS"
    assert repr(a.chip._machine.slots) == repr(b.chip._machine.slots)
    for driver in (a, b):
        measured = driver.chip._machine.slots[0].measurement.digest()
        assert measured == enclave.mrenclave
    assert build(a).handle == build(b).handle
