"""Signed entry on the reference model: docs/link.md 3.4, docs/chip.md 4, and the negative tests of notes 8.4."""

import random

import commands_shadow as ops
import pytest
from commands_make import MRSIGNERS, PT_REG, PT_TCS, R, keyrequest, le, patched, secinfo, tcs_page
from commands_rsa import ENTRY_KEYS, FORGERIES, KEY_MAGIC, entry_chunk, forged, proof_message
from model_driver import BASE, build, chained, einit_body, enter, enter_signed, launch, locked, proof

GP, PF, PROOF, LENGTH = "FAULT_GP", "FAULT_PF", "BLOCK_ENTRY_PROOF", "LINK_BAD_LENGTH"
KEY, OTHER = ENTRY_KEYS
REPORT, SEAL, CHECK, LEAVE = (
    (ops.EREPORT, bytes(576)), (ops.EGETKEY, keyrequest(4)), (ops.VERIFYREPORT, bytes(432)), (ops.EEXIT, b"")
)  # fmt: skip


@pytest.fixture
def chip():
    return locked()


@pytest.fixture
def enclave(chip):
    return launch(chip, entry_key=KEY)


def at(enclave):
    return enclave.handle + le(enclave.tcs, 8)


def test_a_plan_runs_from_first_to_last(chip, enclave):
    plan = enter_signed(chip, enclave, KEY, [REPORT, SEAL, CHECK, REPORT, LEAVE])
    assert chip.do(*plan[0])[64:96] == enclave.mrenclave
    assert len(chip.do(*plan[1])) == 16
    assert chip.do(*plan[2]) == b"\0"
    chip.do(*plan[3])
    assert chip.do(*plan[4]) == b""
    assert chip.status(*plan[4]) == GP  # the entry is over


def test_the_same_keys_come_out_of_signed_and_plain_enclaves(chip, enclave):
    """A SEAL key by MRSIGNER does not depend on how an enclave is entered."""
    plain = launch(chip)
    request = keyrequest(4, policy=2)
    plan = enter_signed(chip, enclave, KEY, [(ops.EGETKEY, request)])
    assert chip.do(*plan[0]) == chip.do(ops.EGETKEY, enter(chip, plain) + request)


@pytest.mark.parametrize("kind", FORGERIES)
@pytest.mark.parametrize("op", [ops.EENTER, ops.ERESUME])
def test_forged_proofs(chip, enclave, kind, op):
    if op == ops.ERESUME:
        enter_signed(chip, enclave, KEY, [])
        chip.do(ops.AEX, at(enclave))
    nonce = chip.do(ops.ECHALLENGE, enclave.handle)
    chain, _ = chained([LEAVE])
    message = proof_message(op, enclave.handle[1:], le(enclave.tcs, 8), nonce, enclave.mrenclave, chain)
    numbers = forged(kind, random.Random(kind), KEY, message)
    assert chip.status(op, at(enclave) + chain + numbers.to_bytes()) == PROOF
    # it did not cost the holder his challenge
    assert chip.status(op, at(enclave) + proof(chip, enclave, KEY, chain, op=op, nonce=nonce)) == "SUCCESS"


def test_another_key_does_not_enter(chip, enclave):
    assert chip.status(ops.EENTER, at(enclave) + proof(chip, enclave, OTHER, bytes(32))) == PROOF
    mixed = proof(chip, enclave, OTHER, bytes(32))
    assert chip.status(ops.EENTER, at(enclave) + patched(mixed, 32, KEY.modulus)) == PROOF


def test_every_field_of_what_is_signed_counts(chip, enclave):
    nonce = chip.do(ops.ECHALLENGE, enclave.handle)
    fields = {"op": ops.EENTER, "eid": enclave.handle[1:], "linaddr": le(enclave.tcs, 8), "nonce": nonce,
              "mrenclave": enclave.mrenclave, "chain": bytes(32)}  # fmt: skip
    good = proof_message(*fields.values())
    for i in range(128):
        wrong = KEY.sign(patched(good, i, bytes([good[i] ^ 0x40]))).to_bytes()
        assert chip.status(ops.EENTER, at(enclave) + bytes(32) + wrong) == PROOF
    assert chip.status(ops.EENTER, at(enclave) + bytes(32) + KEY.sign(good).to_bytes()) == "SUCCESS"


def test_a_challenge_is_good_for_one_entry(chip, enclave):
    plan, = enter_signed(chip, enclave, KEY, [LEAVE])
    used = proof(chip, enclave, KEY, b"c" * 32)
    ticket = chip.status(ops.EENTER, at(enclave) + used)
    assert ticket == GP  # busy: the challenge stays open
    chip.do(*plan)
    assert chip.status(ops.EENTER, at(enclave) + used) == "SUCCESS"
    chip.do(ops.AEX, at(enclave))
    assert chip.status(ops.EENTER, at(enclave) + used) == PROOF  # replayed: none is open
    chip.do(ops.ECHALLENGE, enclave.handle)
    assert chip.status(ops.EENTER, at(enclave) + used) == PROOF  # replayed: another one is


def test_a_new_challenge_replaces_the_one_before(chip, enclave):
    first = proof(chip, enclave, KEY, bytes(32))
    second = proof(chip, enclave, KEY, bytes(32))
    assert chip.status(ops.EENTER, at(enclave) + first) == PROOF
    assert chip.status(ops.EENTER, at(enclave) + second) == "SUCCESS"


def test_a_proof_is_for_one_slot_one_tcs_and_one_kind_of_entry(chip, enclave):
    twin = launch(chip, entry_key=KEY)
    nonce = chip.do(ops.ECHALLENGE, enclave.handle)
    elsewhere = chip.do(ops.ECHALLENGE, twin.handle)
    body = proof(chip, enclave, KEY, bytes(32), nonce=nonce)
    assert chip.status(ops.EENTER, at(twin) + body) == PROOF
    swapped = proof(chip, enclave, KEY, bytes(32), nonce=elsewhere)  # the twin's nonce, the wrong EID
    assert chip.status(ops.EENTER, at(twin) + swapped) == PROOF
    as_resume = proof(chip, enclave, KEY, bytes(32), nonce=nonce, op=ops.ERESUME)
    assert chip.status(ops.EENTER, at(enclave) + as_resume) == PROOF
    assert chip.status(ops.EENTER, at(enclave) + body) == "SUCCESS"


def test_a_ticket_read_off_the_wire_is_worth_nothing(chip, enclave):
    plan = enter_signed(chip, enclave, KEY, [REPORT, LEAVE])
    ticket = plan[0][1][:16]
    stolen = [(ops.EGETKEY, ticket + keyrequest(4)), (ops.EREPORT, ticket + b"d" * 576), (ops.EEXIT, ticket)]
    for op, body in stolen:
        assert chip.status(op, body) == LENGTH
        assert chip.status(op, body + bytes(32)) == PROOF
    assert chip.status(*plan[1]) == PROOF  # not yet
    for i in (16, 300, 591, 592, 623):  # an altered command, or an altered next one
        assert chip.status(ops.EREPORT, patched(plan[0][1], i, bytes([plan[0][1][i] ^ 1]))) == PROOF
    chip.do(*plan[0])
    assert chip.status(*plan[0]) == PROOF  # once
    chip.do(*plan[1])


def test_what_is_refused_for_another_reason_keeps_its_place(chip, enclave):
    bad = (ops.EGETKEY, patched(keyrequest(4), 7, b"\1"))
    plan = enter_signed(chip, enclave, KEY, [REPORT, bad, LEAVE])
    chip.do(*plan[0])
    for _ in range(2):
        assert chip.status(*plan[1]) == GP
    assert chip.status(*plan[2]) == PROOF
    chip.do(ops.AEX, at(enclave))
    chain, again = chained([LEAVE])
    body = at(enclave) + proof(chip, enclave, KEY, chain, op=ops.ERESUME)
    ticket = chip.do(ops.ERESUME, body)[:16]
    chip.do(again[0][0], ticket + again[0][1])


def test_forms_that_do_not_fit_the_enclave(chip, enclave):
    plain = launch(chip)
    assert chip.status(ops.EENTER, at(enclave)) == LENGTH
    assert chip.status(ops.EENTER, at(plain) + bytes(1568)) == LENGTH
    assert chip.status(ops.ERESUME, at(enclave)) == LENGTH
    assert chip.status(ops.ERESUME, at(plain) + bytes(1568)) == LENGTH
    assert chip.status(ops.EENTER, plain.handle + le(7, 8) + bytes(1568)) == LENGTH  # before the TCS
    ticket = enter(chip, plain)
    for op, body in (REPORT, SEAL, CHECK, LEAVE):
        assert chip.status(op, ticket + body + bytes(32)) == LENGTH
    for op, body in (REPORT, SEAL, CHECK, LEAVE):
        assert chip.status(op, bytes(16) + body + bytes(32)) == GP  # no ticket before no form


def test_checks_of_the_leaf_come_before_the_proof(chip, enclave):
    junk = bytes(1568)
    assert chip.status(ops.EENTER, enclave.handle + le(enclave.tcs + 0x1000, 8) + junk) == PF
    assert chip.status(ops.ERESUME, at(enclave) + junk) == GP  # CSSA is 0
    assert chip.status(ops.EENTER, at(enclave) + junk) == PROOF
    enter_signed(chip, enclave, KEY, [])
    assert chip.status(ops.EENTER, at(enclave) + junk) == GP
    building = build(chip, entry_key=KEY)
    assert chip.status(ops.EENTER, at(building)) == GP  # before the form


def test_who_can_be_challenged(chip, enclave):
    assert len(chip.do(ops.ECHALLENGE, enclave.handle)) == 16
    assert chip.status(ops.ECHALLENGE, launch(chip).handle) == GP
    assert chip.status(ops.ECHALLENGE, build(chip, entry_key=KEY).handle) == GP
    assert chip.status(ops.ECHALLENGE, bytes(9)) == PF


def test_challenges_and_chains_die_with_the_enclave_and_the_boot(chip, enclave):
    made = proof(chip, enclave, KEY, bytes(32))
    chip.do(ops.EREMOVE, enclave.handle)
    again = launch(chip, entry_key=KEY)
    assert chip.status(ops.EENTER, at(again) + made) == PROOF
    chip.do(ops.RESET)
    assert chip.status(ops.EENTER, at(again) + made) == PF


def einit_after(chip, *pages):
    """What EINIT says to an enclave with pages of which (first chunk, number of chunks, data) are measured."""
    enclave = build(chip)
    chip.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[3])
    for number, (chunk, count, data) in enumerate(pages, 2):
        page = le(BASE + 0x1000 * number, 8)
        chip.do(ops.EADD, enclave.handle + page + secinfo(PT_REG, R))
        chip.do(ops.EEXTEND, enclave.handle + le(BASE + 0x1000 * number + 256 * chunk, 8) + bytes([count]) + data)
    enclave.mrenclave = chip.chip._machine.slots[enclave.handle[0]].measurement.copy().digest()
    return enclave, chip.status(ops.EINIT, einit_body(enclave))


def test_where_an_entry_key_is_found(chip):
    named = entry_chunk(KEY)
    for wanted, pages in (
        (True, [(0, 1, named)]),
        (True, [(0, 2, named + bytes(256))]),
        (False, [(1, 1, named)]),  # not the first chunk of its page
        (False, [(0, 2, bytes(256) + named)]),
        (False, [(0, 1, named[:15] + b"y" + named[16:])]),
        (False, [(0, 1, b"\0" + named[:-1])]),
        (True, [(0, 1, named), (1, 1, named)]),
    ):
        enclave, status = einit_after(chip, *pages)
        assert status == "SUCCESS"
        assert (chip.status(ops.ECHALLENGE, enclave.handle) == "SUCCESS") is wanted
        chip.do(ops.EREMOVE, enclave.handle)


def test_two_entry_keys_are_one_too_many(chip):
    for second in (KEY, OTHER):
        enclave, status = einit_after(chip, (0, 1, entry_chunk(KEY)), (0, 1, entry_chunk(second)))
        assert status == "SGX_INVALID_MEASUREMENT"
        assert chip.status(ops.ECHALLENGE, enclave.handle) == GP
        chip.do(ops.EREMOVE, enclave.handle)


def test_the_same_chunk_twice_is_two(chip):
    enclave = build(chip, entry_key=KEY)
    chip.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[3])
    chip.do(ops.EEXTEND, enclave.handle + le(BASE + 0x1000, 8) + b"\1" + entry_chunk(KEY))
    enclave.mrenclave = chip.chip._machine.slots[0].measurement.copy().digest()
    assert chip.status(ops.EINIT, einit_body(enclave)) == "SGX_INVALID_MEASUREMENT"


def test_a_tcs_page_names_no_key(chip):
    page = patched(tcs_page(), 16, KEY_MAGIC[:8])  # OSSA; STATE has to be 0, so a TCS cannot even begin so
    assert not page.startswith(KEY_MAGIC)
    enclave = build(chip, tcs=page)
    chip.do(ops.EADD, enclave.handle + le(BASE, 8) + secinfo(PT_TCS) + page)
    chip.do(ops.EEXTEND, enclave.handle + le(BASE, 8) + b"\1")
    assert chip.chip._machine.slots[0].entry_key is None


def test_two_entries_have_chains_of_their_own(chip, enclave):
    twin = launch(chip, entry_key=KEY)
    one = enter_signed(chip, enclave, KEY, [REPORT, LEAVE])
    two = enter_signed(chip, twin, KEY, [REPORT, SEAL])
    chip.do(*one[0])
    chip.do(*two[0])
    assert chip.status(one[1][0], two[0][1][:16] + one[1][1][16:]) == PROOF
    chip.do(*one[1])
    chip.do(*two[1])


def test_a_key_that_the_wire_lost_is_asked_for_in_a_new_entry(chip, enclave):
    plan = enter_signed(chip, enclave, KEY, [SEAL, LEAVE])
    key = chip.do(*plan[0])
    repeat = chip.chip.execute(bytes([ops.EGETKEY, chip.seq]) + plan[0][1])
    assert repeat[2:4] == le(0x4006, 2)
    assert chip.status(*plan[0]) == PROOF
    chip.do(ops.AEX, at(enclave))
    chain, again = chained([SEAL])
    ticket = chip.do(ops.ERESUME, at(enclave) + proof(chip, enclave, KEY, chain, op=ops.ERESUME))[:16]
    assert chip.do(again[0][0], ticket + again[0][1]) == key


def test_no_challenge_no_entry(chip, enclave):
    nothing = proof(chip, enclave, KEY, bytes(32), nonce=bytes(16))
    assert chip.status(ops.EENTER, at(enclave) + nothing) == PROOF
