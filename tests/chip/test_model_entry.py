"""Entries and tickets on the reference model: docs/chip.md section 4, and the list of instruction notes 8.5."""

import hashlib

import commands_shadow as ops
import pytest
from commands_make import MRSIGNERS, PT_TCS, keyrequest, le, record, secinfo, secs, targetinfo, tcs_page
from model_driver import BASE, build, einit_body, enter, launch, locked

GP, PF = "FAULT_GP", "FAULT_PF"


@pytest.fixture
def chip():
    return locked()


def at(enclave, linaddr=None):
    return enclave.handle + le(enclave.tcs if linaddr is None else linaddr, 8)


def ticket_ops(ticket):
    """Everything that a ticket is good for, EEXIT last."""
    return (
        (ops.EREPORT, ticket + bytes(576)),
        (ops.EGETKEY, ticket + keyrequest(4)),
        (ops.VERIFYREPORT, ticket + bytes(432)),
        (ops.EEXIT, ticket),
    )


def assert_dead(chip, ticket):
    for op, body in ticket_ops(ticket):
        assert chip.status(op, body) == GP


def assert_alive(chip, ticket):
    for op, body in ticket_ops(ticket)[:-1]:
        assert chip.status(op, body) == "SUCCESS"


def test_no_entry_before_einit(chip):
    enclave = build(chip)
    for op in (ops.EENTER, ops.AEX, ops.ERESUME):
        assert chip.status(op, at(enclave)) == GP


def test_no_entry_but_through_a_tcs(chip):
    enclave = launch(chip)
    for linaddr in (BASE + 1, BASE + 0x1000, BASE + 0x10000, 0, 2**64 - 1):
        for op in (ops.EENTER, ops.AEX, ops.ERESUME):
            assert chip.status(op, at(enclave, linaddr)) == PF


def test_eenter_answers_ticket_cssa_and_address(chip):
    enclave = launch(chip, tcs=tcs_page(oentry=0xABCD), base=0x5000_0000)
    answer = chip.do(ops.EENTER, at(enclave))
    assert len(answer) == 28 and answer[16:] == le(0, 4) + le(0x5000_ABCD, 8)
    high = launch(chip, tcs=tcs_page(oentry=2**64 - 0x1000), base=0x5000_0000)
    assert chip.do(ops.EENTER, at(high))[20:] == le(0x5000_0000 - 0x1000, 8)


def test_a_tcs_admits_one_entry(chip):
    enclave = launch(chip)
    ticket = enter(chip, enclave)
    assert chip.status(ops.EENTER, at(enclave)) == GP
    assert chip.status(ops.ERESUME, at(enclave)) == GP
    assert_alive(chip, ticket)


def test_ssa_frames_are_counted(chip):
    enclave = launch(chip, tcs=tcs_page(nssa=2))
    for cssa in (0, 1):
        answer = chip.do(ops.EENTER, at(enclave))
        assert answer[16:20] == le(cssa, 4)
        chip.do(ops.AEX, at(enclave))
        assert_dead(chip, answer[:16])
    assert chip.status(ops.EENTER, at(enclave)) == GP
    seen = []
    for cssa in (1, 0):
        answer = chip.do(ops.ERESUME, at(enclave))
        assert answer[16:20] == le(cssa, 4) and answer[20:] == le(BASE + 0x1000, 8)
        seen.append(answer[:16])
        chip.do(ops.EEXIT, answer[:16])
    assert len(set(seen)) == 2
    assert chip.status(ops.ERESUME, at(enclave)) == GP
    assert chip.status(ops.AEX, at(enclave)) == GP
    enter(chip, enclave)


def test_a_tcs_without_ssa_frames_admits_nobody(chip):
    assert chip.status(ops.EENTER, at(launch(chip, tcs=tcs_page(nssa=0)))) == GP


def test_of_two_tcs_at_one_address_the_first_counts(chip):
    enclave = build(chip, tcs=tcs_page(nssa=1, oentry=0x111))
    chip.do(ops.EADD, at(enclave) + secinfo(PT_TCS) + tcs_page(nssa=5, oentry=0x222))
    page, chunk = le(0x1000, 8), b"content".ljust(256, b"\0")
    stream = b"ECREATE\0" + le(1, 4) + le(0x10000, 8) + bytes(44)
    stream += b"EADD\0\0\0\0" + bytes(8) + le(0x100, 8) + bytes(40)
    stream += b"EADD\0\0\0\0" + page + le(0x203, 8) + bytes(40) + b"EEXTEND\0" + page + bytes(48) + chunk
    stream += b"EADD\0\0\0\0" + bytes(8) + le(0x100, 8) + bytes(40)
    enclave.mrenclave = hashlib.sha256(stream).digest()
    chip.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[3])
    chip.do(ops.EINIT, einit_body(enclave))
    answer = chip.do(ops.EENTER, at(enclave))
    assert answer[20:] == le(BASE + 0x111, 8)
    assert chip.status(ops.EENTER, at(enclave)) == GP


def test_no_ticket_no_report(chip):
    assert_dead(chip, bytes(16))
    launch(chip)
    assert_dead(chip, bytes(16))


def test_every_bit_of_a_ticket_counts(chip):
    ticket = enter(chip, launch(chip))
    for i in range(128):
        wrong = le(int.from_bytes(ticket, "little") ^ 1 << i, 16)
        assert chip.status(ops.EREPORT, wrong + bytes(576)) == GP
    assert_alive(chip, ticket)


def test_tickets_die_at_eexit_aex_and_reset(chip):
    enclave = launch(chip)
    first = enter(chip, enclave)
    chip.do(ops.EEXIT, first)
    assert_dead(chip, first)
    second = enter(chip, enclave)
    assert_dead(chip, first)
    chip.do(ops.AEX, at(enclave))
    assert_dead(chip, second)
    third = chip.do(ops.ERESUME, at(enclave))[:16]
    assert_dead(chip, second)
    assert_alive(chip, third)
    chip.do(ops.RESET)
    assert_dead(chip, third)
    assert chip.status(ops.SLOT_INFO, enclave.handle) == PF
    enter(chip, launch(chip))
    assert_dead(chip, third)


def test_two_clients_interleaved(chip):
    a, b = launch(chip, content=b"a"), launch(chip, content=b"b")
    ticket_a, ticket_b = enter(chip, a), enter(chip, b)
    for _ in range(2):
        assert chip.do(ops.EREPORT, ticket_a + bytes(576))[64:96] == a.mrenclave
        assert chip.do(ops.EREPORT, ticket_b + bytes(576))[64:96] == b.mrenclave
    chip.do(ops.EEXIT, ticket_a)
    assert_dead(chip, ticket_a)
    assert_alive(chip, ticket_b)
    # one ticket with the other's fields does not speak for the other
    assert chip.do(ops.EREPORT, ticket_b + targetinfo(bytes(320)) + a.mrenclave + bytes(32))[64:96] == b.mrenclave


def test_two_threads_of_one_enclave(chip):
    enclave = build(chip)
    chip.do(ops.EREMOVE, enclave.handle)
    handle = chip.do(ops.ECREATE, secinfo(0) + secs())
    measured = hashlib.sha256(b"ECREATE\0" + le(1, 4) + le(0x10000, 8) + bytes(44))
    for offset in (0, 0x3000):
        chip.do(ops.EADD, handle + le(BASE + offset, 8) + secinfo(PT_TCS) + tcs_page())
        measured.update(b"EADD\0\0\0\0" + le(offset, 8) + le(0x100, 8) + bytes(40))
    enclave.handle, enclave.mrenclave = handle, measured.digest()
    chip.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[3])
    chip.do(ops.EINIT, einit_body(enclave))
    one, two = enter(chip, enclave), chip.do(ops.EENTER, at(enclave, BASE + 0x3000))[:16]
    assert one != two
    chip.do(ops.AEX, at(enclave))
    assert_dead(chip, one)
    assert_alive(chip, two)
    assert chip.status(ops.EREMOVE, handle) == "SGX_ENCLAVE_ACT"
    chip.do(ops.EEXIT, two)
    chip.do(ops.EREMOVE, handle)


def test_a_removed_enclave_leaves_nothing(chip):
    enclave = launch(chip)
    old = enter(chip, enclave)
    chip.do(ops.EEXIT, old)
    chip.do(ops.EREMOVE, enclave.handle)
    again = launch(chip)
    assert again.handle[0] == enclave.handle[0] and again.handle != enclave.handle
    for op in (ops.EENTER, ops.AEX, ops.ERESUME):
        assert chip.status(op, at(enclave)) == PF
    assert_dead(chip, old)


def test_a_report_of_the_other_side_of_a_reset_is_worth_nothing(chip):
    enclave = launch(chip)
    ticket = enter(chip, enclave)
    target = targetinfo(chip.do(ops.SLOT_INFO, enclave.handle))
    report = chip.do(ops.EREPORT, ticket + target + b"d" * 64)
    assert chip.do(ops.VERIFYREPORT, ticket + report) == b"\1"
    chip.do(ops.RESET)
    enclave = launch(chip)
    ticket = enter(chip, enclave)
    fresh = chip.do(ops.EREPORT, ticket + target + b"d" * 64)
    assert fresh[:384] == report[:384] and fresh[384:400] != report[384:400]
    # with the new boot's KEYID the old MAC fails; with its own KEYID the key is still derivable
    assert chip.do(ops.VERIFYREPORT, ticket + report[:384] + fresh[384:416] + report[416:]) == b"\0"


def test_targetinfo_reserved(chip):
    ticket = enter(chip, launch(chip))
    for where in (49, 56, 63, 128, 300, 511):
        body = ticket + record(512, (where, b"\x80")) + bytes(64)
        assert chip.status(ops.EREPORT, body) == GP
