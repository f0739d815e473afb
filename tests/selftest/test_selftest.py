"""The self-test finds every fault that is planted, by name; and nothing in a chip that is good."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from faulty_chip import Exchange, FaultyChip
from fusequote.chip import Chip, ChipFault, LifeCycle, Op, open_chip
from fusequote.chip.entropy import SimulatedEntropy
from fusequote.chip.recording import recording
from fusequote.chip.replay import ReplayDifference
from fusequote.errors import ExitCode, UsageError
from fusequote.selftest import Outcome, Results, check_names, material, run

BLOCK_LIFE_CYCLE, NO_SLOT, GP, PF = 0x4011, 0x4012, 0x800D, 0x800E
LOCKED_ONLY = [name for name in check_names() if not name.startswith("life.")]


def names(results: Results, outcome: Outcome) -> set[str]:
    return {result.name for result in results.of(outcome)}


@pytest.fixture(scope="module")
def manufactured(tmp_path_factory) -> Path:
    """Fuses of a locked chip that was not made by the self-test."""
    path = tmp_path_factory.mktemp("selftest") / "locked.fuses"
    with open_chip(f"model://?fuses={path}") as chip:
        chip.fuse_manufacture(root_provisioning_key=b"k" * 16, device_id=b"d" * 16, cpusvn=b"\xf0" * 16,
                              provisioning_signers=(bytes(32), bytes(32)), lepubkeyhash=bytes(32))
        chip.fuse_lock()
        assert chip.reset().booted_locked
    return path


@pytest.fixture
def locked(manufactured, tmp_path) -> str:
    """The URL of such a chip, the test's own."""
    shutil.copy(manufactured, tmp_path / "chip.fuses")
    return f"model://?fuses={tmp_path / 'chip.fuses'}"


def test_a_good_chip_passes_and_stays_as_it_was(locked, tmp_path):
    fuses = (tmp_path / "chip.fuses").read_bytes()
    results = run(locked)
    assert results.exit_code == ExitCode.OK
    skipped = {name for name in check_names() if name.startswith("life.")} | {
        "fuses.no-enclaves-before-lock", "fuses.bad-manufacture"}
    assert names(results, Outcome.SKIPPED) == skipped
    assert all(result.detail for result in results.of(Outcome.SKIPPED))
    assert [result.name for result in results.results] == check_names()
    # All but the count of boots.
    assert (tmp_path / "chip.fuses").read_bytes()[32:] == fuses[32:]


def test_a_blank_chip_is_not_burnt_without_consent(tmp_path):
    url = f"model://?fuses={tmp_path / 'blank.fuses'}"
    results = run(url)
    assert results.exit_code == ExitCode.OK
    assert "life.manufacture-and-lock" in names(results, Outcome.SKIPPED)
    assert {"link.identify", "fuses.status", "fuses.no-enclaves-before-lock"} <= names(results, Outcome.PASSED)
    with open_chip(url) as chip:
        assert chip.identity.life_cycle is LifeCycle.BLANK


def test_a_blank_chip_lives_its_whole_life_with_consent(tmp_path):
    url = f"model://?fuses={tmp_path / 'blank.fuses'}"
    results = run(url, burn=True)
    assert results.exit_code == ExitCode.OK
    assert names(results, Outcome.PASSED) == set(check_names())
    with open_chip(url) as chip:  # a chip with published keys attests nothing
        assert chip.identity.life_cycle is LifeCycle.SCRAPPED


def test_somebody_elses_enclaves_are_not_reset_away(locked):
    """Nor removed: what is left of the slots is enough for the rest."""
    port = FaultyChip(locked)
    chip = Chip(port, clock=port.clock)
    lives = chip.ecreate(material.image().secs)
    power_off, port.close = port.close, lambda: None
    results = run(port)
    assert results.exit_code == ExitCode.OK
    assert {"report.keyid-fresh-after-reset", "keys.survive-reset"} <= names(results, Outcome.SKIPPED)
    Chip(port, clock=port.clock).eremove(lives)
    lives = Chip(port, clock=port.clock).ecreate(material.image().secs)
    assert "keys.survive-reset" in names(run(port, reset=True), Outcome.PASSED)
    with pytest.raises(ChipFault):
        Chip(port, clock=port.clock).eremove(lives)
    power_off()


# -- planted faults ---------------------------------------------------------------------------------------------------

FAULTS: dict[str, tuple] = {}


def fault(*expected: str, twist=None):
    """A function that tampers with exchanges; the checks that find it."""

    def put(tamper):
        FAULTS[tamper.__name__.removeprefix("_")] = (tamper, expected, twist)
        return tamper

    return put


def flip(exchange: Exchange, offset: int, bit: int = 1) -> None:
    exchange.answer[4 + offset] ^= bit


@fault("link.identify")
def _another_identity_each_time(exchange):
    if exchange.op == Op.IDENTIFY and not exchange.status:
        exchange.answer[4 + 24] = exchange.seq  # in the device id


@fault("link.damaged-frame")
def _damage_is_not_noticed(exchange):
    if exchange.status == 0x4003:
        exchange.answer[:] = bytes((0x81, 9, 0, 0)) + bytes(64)


@fault("link.too-long-frame")
def _long_frames_are_taken(exchange):
    if exchange.status == 0x4004:
        exchange.answer[:] = bytes((0x81, 1, 2, 0x40))


@fault("link.unknown-command")
def _unknown_commands_succeed(exchange):
    if exchange.status == 0x4001:
        exchange.succeed()


@fault("link.wrong-length")
def _lengths_are_not_looked_at(exchange):
    if exchange.status == 0x4002 and exchange.op == Op.EREPORT:
        exchange.fail(GP)


@fault("link.repeat")
def _a_repeat_is_answered_otherwise(exchange):
    if exchange.op >= 0x10:
        if exchange.seq == exchange.memory.get("last") and len(exchange.answer) > 20:
            flip(exchange, 5)
        exchange.memory["last"] = exchange.seq


@fault("link.out-of-sequence")
def _any_number_is_taken(exchange):
    if exchange.status == 0x4005:
        exchange.succeed(bytes(144))


@fault("link.window")
def _the_second_of_two_is_lost(exchange):
    exchange.silent = exchange.op == Op.CYCLES and exchange.seq == 6


@fault("fuses.status")
def _fuses_of_another_chip(exchange):
    if exchange.op == Op.FUSE_STATUS and not exchange.status:
        flip(exchange, 20)


@fault("fuses.burnt-once")
def _manufactured_twice(exchange):
    if exchange.op == Op.FUSE_MANUFACTURE and exchange.status == BLOCK_LIFE_CYCLE:
        exchange.succeed()


@fault("fuses.maker-only")
def _anybody_raises_the_cpusvn(exchange):
    if exchange.op == Op.FUSE_RAISE_SVN:
        exchange.succeed()


@fault("launch.measurement", "report.body")
def _another_measurement(exchange):
    if exchange.op == Op.SLOT_INFO and not exchange.status:
        flip(exchange, 70)


@fault("launch.forged-sigstruct")
def _a_forged_sigstruct_is_accepted(exchange):
    if exchange.op == Op.EINIT and exchange.status == 8:
        exchange.succeed()


@fault("launch.wrong-sigstruct")
def _another_enclavehash_is_accepted(exchange):
    if exchange.op == Op.EINIT and exchange.status == 4:
        exchange.succeed()


@fault("launch.control")
def _anybody_launches(exchange):
    if exchange.op == Op.EINIT and exchange.status == 16:
        exchange.succeed()


@fault("launch.control")
def _anybody_gets_provisionkey(exchange):
    if exchange.op == Op.EINIT and exchange.status == 2:
        exchange.fail(16)


@fault("launch.build-rules")
def _a_page_outside_the_enclave(exchange):
    if exchange.op == Op.EADD and exchange.status == GP:
        exchange.succeed()


@fault("launch.slots")
def _one_slot_too_many(exchange):
    if exchange.status == NO_SLOT:
        exchange.succeed(bytes(9))


@fault("entry.ticket-dies-at-eexit")
def _a_ticket_survives_eexit(exchange):
    """EREPORT and EEXIT work with a ticket that was good once."""
    tickets = exchange.memory.setdefault("tickets", set())
    if exchange.op == Op.EENTER and not exchange.status:
        tickets.add(bytes(exchange.answer[4:20]))
    if exchange.op in (Op.EREPORT, Op.EEXIT) and exchange.status == GP and exchange.body[:16] in tickets:
        exchange.succeed(bytes(432 if exchange.op == Op.EREPORT else 0))


@fault("entry.aex-and-eresume")
def _cssa_does_not_count(exchange):
    if exchange.op in (Op.EENTER, Op.ERESUME) and not exchange.status:
        exchange.answer[20:24] = bytes(4)


@fault("entry.refusals")
def _a_wrong_status(exchange):
    if exchange.op == Op.EENTER and exchange.status == GP:
        exchange.fail(PF)


@fault("entry.refusals")
def _an_enclave_is_removed_under_its_entry(exchange):
    if exchange.op == Op.EREMOVE and exchange.status == 0x000E:
        exchange.succeed()


@fault("report.body")
def _reportdata_of_somebody_else(exchange):
    if exchange.op == Op.EREPORT and not exchange.status:
        flip(exchange, 320)


@fault("report.mac", "report.verify")
def _a_flipped_bit_in_a_reports_mac(exchange):
    if exchange.op == Op.EREPORT and not exchange.status:
        flip(exchange, 431, 0x80)


@fault("report.verify", "report.for-its-target-alone")
def _every_report_is_good(exchange):
    if exchange.op == Op.VERIFYREPORT and not exchange.status:
        exchange.succeed(b"\1")


@fault("report.verify")
def _no_report_is_good(exchange):
    if exchange.op == Op.VERIFYREPORT and not exchange.status:
        exchange.succeed(b"\0")


@fault("keys.separation")
def _one_key_for_all(exchange):
    if exchange.op == Op.EGETKEY and not exchange.status:
        exchange.succeed(b"k" * 16)


@fault("keys.separation", "report.mac")
def _another_key_each_time(exchange):
    if exchange.op == Op.EGETKEY and not exchange.status:
        exchange.memory["keys"] = exchange.memory.get("keys", 0) + 1
        exchange.succeed(exchange.memory["keys"].to_bytes(16, "little"))


@fault("keys.refusals")
def _keys_of_others_are_given(exchange):
    if exchange.op == Op.EGETKEY and exchange.status == 2:
        exchange.succeed(bytes(16))


@fault("keys.survive-reset")
def _sealed_data_is_lost_at_a_reset(exchange):
    if exchange.op == Op.EGETKEY and not exchange.status:
        exchange.answer[4] ^= exchange.resets


@fault("keys.survive-reset", twist=lambda raw: raw[:2] + bytes(16) if raw[0] == Op.SET_OWNEREPOCH else raw)
def _ownerepoch_is_ignored(exchange):
    pass


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_by_name(name, locked):
    tamper, expected, twist = FAULTS[name]
    results = run(FaultyChip(locked, tamper, *([twist] if twist else [])), only=LOCKED_ONLY)
    assert set(expected) <= names(results, Outcome.FAILED), results
    assert results.exit_code == ExitCode.NEGATIVE
    assert all(result.detail for result in results.of(Outcome.FAILED))


def test_a_repeated_keyid_is_found(locked, monkeypatch):
    """A noise source that says the same at each boot."""
    real = SimulatedEntropy.block
    monkeypatch.setattr(SimulatedEntropy, "block", lambda self, boot: real(self, 0))
    results = run(locked)
    assert "report.keyid-fresh-after-reset" in names(results, Outcome.FAILED)
    assert results.exit_code == ExitCode.NEGATIVE


BIRTH_FAULTS = {
    "fuses.no-enclaves-before-lock": lambda x: x.succeed() if x.op == 0x24 and x.status == BLOCK_LIFE_CYCLE else None,
    "fuses.bad-manufacture": lambda x: x.succeed() if x.op == 0x11 and x.status == GP else None,
    "life.manufacture-and-lock": lambda x: flip(x, 130) if x.op == 0x10 and x.answer[4] else None,
    "life.provision-key": lambda x: flip(x, 0) if x.op == 0x28 and not x.status and x.body[16] == 1 else None,
    "life.raise-svn": lambda x: x.fail(8) if x.op == 0x13 and x.body[0] else None,
    "life.scrap": lambda x: x.succeed() if x.op == 0x17 and x.status == 8 else None,
}


@pytest.mark.parametrize("name", BIRTH_FAULTS)
def test_a_fault_in_a_chips_life_is_found_by_name(name):
    results = run(FaultyChip(tamper=BIRTH_FAULTS[name]), burn=True, only=["fuses", "life"])
    assert name in names(results, Outcome.FAILED), results
    assert results.exit_code == ExitCode.NEGATIVE


def test_every_check_finds_a_fault():
    found = {name for _, expected, _ in FAULTS.values() for name in expected} | set(BIRTH_FAULTS)
    assert found | {"report.keyid-fresh-after-reset"} == set(check_names())


def test_a_silent_chip():
    def silence(exchange):
        exchange.silent = True

    results = run(FaultyChip(tamper=silence))
    assert names(results, Outcome.FAILED) == {"link.identify"}
    assert "silence" in results.results[0].detail
    assert results.exit_code == ExitCode.DEVICE


def test_a_chip_that_falls_silent(locked):
    """In the middle of a check: that one failed, the rest was not made."""
    dead = []

    def falls(exchange):
        dead.extend([1] * (exchange.op == Op.AEX))
        exchange.silent = bool(dead)

    results = run(FaultyChip(locked, falls))
    assert names(results, Outcome.FAILED) == {"entry.aex-and-eresume"}
    assert results.exit_code == ExitCode.DEVICE
    assert results.results[-1].detail == "the chip does not answer any more"


def test_something_else_at_the_port():
    def other(exchange):
        exchange.answer[4:12] = b"COMPUTER"

    results = run(FaultyChip(tamper=other))
    assert names(results, Outcome.FAILED) == {"link.identify"}
    assert results.exit_code == ExitCode.NEGATIVE


def test_checks_that_there_are_not():
    with pytest.raises(UsageError, match="there is no check 'lunch'"):
        run("model://", only=["lunch"])


def test_a_recording_of_a_self_test_plays_back(locked, tmp_path):
    """What was asked of a chip once can be asked of its recording in any later version that asks the same."""
    path = tmp_path / "self.rec"
    with recording(path):
        first = run(locked)
    assert run(f"replay:{path}") == first
    text = path.read_text()
    # EENTER's answer with the ticket of the first entry, changed by a bit: what is sent with it differs.
    at = text.index("\n< 7ea5")
    path.write_text(text[: at + 20] + ("0" if text[at + 20] != "0" else "1") + text[at + 21 :])
    with pytest.raises(ReplayDifference):
        run(f"replay:{path}")
