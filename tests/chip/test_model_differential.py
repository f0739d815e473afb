"""The differential test itself: the source reaches everything, and a chip with one thing wrong is caught."""

import dataclasses

import pytest
from commands import STATUS_NAMES, CommandSource, Difference, run_differential
from commands_shadow import OP_NAMES
from fusequote.chip.entropy import SimulatedEntropy
from fusequote.chip.fusefile import FuseBank
from fusequote.chip.model import ModelChip, build, chip, crypto, entry, keys, layout, state
from fusequote.chip.model.status import Refusal

#: What no stream of commands for a chip with good fuses can cause (test_model_fuses.py has others).
UNREACHABLE = {"BLOCK_BOOT_FAILED"}


def new_chip() -> ModelChip:
    return ModelChip(FuseBank(), SimulatedEntropy("differential", 1))


def test_every_leaf_succeeds_and_every_status_comes():
    counts = run_differential(new_chip(), new_chip(), 7500, 20240229)
    for seed in (1, 2):
        counts += run_differential(new_chip(), new_chip(), 300, seed, source=CommandSource(seed, life=300))
    succeeded = {op for op, status in counts if status == "SUCCESS"}
    assert set(OP_NAMES.values()) <= succeeded
    assert {status for _, status in counts} == set(STATUS_NAMES.values()) - UNREACHABLE


def test_commands_are_short_on_the_whole():
    source, device = CommandSource(7), new_chip()
    total = 0
    for _ in range(4000):
        request = source.next()
        source.observe(device.execute(request))
        total += len(request)
    assert total / 4000 < 800


def test_the_same_seed_gives_the_same_commands():
    def stream(seed):
        source, device = CommandSource(seed), new_chip()
        for _ in range(500):
            request = source.next()
            yield request
            source.observe(device.execute(request))

    assert list(stream(1)) == list(stream(1))
    assert list(stream(1)) != list(stream(2))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_chip_whose_launch_control_is_locked(seed):
    source = CommandSource(seed, naks=False, launch_locked=True)
    counts = run_differential(new_chip(), new_chip(), 3000, seed, source=source)
    assert counts["SET_LEPUBKEYHASH", "FAULT_GP"]
    assert counts["SET_LEPUBKEYHASH", "SUCCESS"] == 0
    assert counts["EINIT", "SUCCESS"] > 10
    assert not any(op == "(no frame)" for op, _ in counts)


def test_a_chip_that_is_in_use_already():
    a, b = new_chip(), new_chip()
    run_differential(a, b, 700, 1)
    counts = run_differential(a, b, 1500, 2)
    assert counts["EINIT", "SUCCESS"] and counts["EREPORT", "SUCCESS"]


# -- one thing wrong at a time --------------------------------------------------------------------------------------


def ratchet_off_by_one(monkeypatch):
    walk = crypto._walk
    monkeypatch.setattr(crypto, "_walk", lambda key, i, steps: walk(key, i, steps + (steps == 3)))


def rng_does_not_move_on(monkeypatch):
    monkeypatch.setattr(crypto.Generator, "random16", lambda self: crypto.cmac(self._key, b"FQ-RNG-OUT" + bytes(6)))


def tcs_permissions_are_measured(monkeypatch):
    monkeypatch.setattr(build, "_RWX", 0)


def tcs_keeps_dbgoptin(monkeypatch):
    monkeypatch.setattr(
        layout.TcsSource, "as_stored", lambda self: self.raw[:24] + bytes(4) + self.raw[28:]
    )


def aex_keeps_the_ticket(monkeypatch):
    def aex(machine, body):
        tcs = entry._initialised(machine, body).tcs_at(entry._linaddr(body))
        entry.gp_if(not tcs.active)
        tcs.cssa += 1
        return b""

    replace(monkeypatch, 0x29, aex)


def eresume_at_cssa_zero(monkeypatch):
    def eresume(machine, body):
        enclave, tcs = entry._tcs_to_enter(machine, body)
        entry.gp_if(tcs.active)
        tcs.cssa += tcs.cssa == 0
        return entry._enter(machine, enclave, tcs, 0x2A, body)

    replace(monkeypatch, 0x2A, eresume)


def eenter_one_frame_too_many(monkeypatch):
    def eenter(machine, body):
        enclave, tcs = entry._tcs_to_enter(machine, body)
        entry.gp_if(tcs.active)
        entry.gp_if(tcs.cssa > tcs.nssa)
        return entry._enter(machine, enclave, tcs, 0x25, body)

    replace(monkeypatch, 0x25, eenter)


def provision_key_with_owner_epoch(monkeypatch):
    original = keys._provision
    monkeypatch.setattr(
        keys, "_provision", lambda m, s, r: dataclasses.replace(original(m, s, r), owner_epoch=m.owner_epoch)
    )


def miscmask_not_inverted(monkeypatch):
    original = keys._seal
    monkeypatch.setattr(keys, "_seal", lambda m, s, r: dataclasses.replace(original(m, s, r), miscmask=r.miscmask))


def debug_can_be_masked_away(monkeypatch):
    monkeypatch.setattr(keys, "_NEVER_MASKED", layout.INIT)


def report_key_without_configsvn(monkeypatch):
    original = keys._report
    monkeypatch.setattr(keys, "_report", lambda m, s, k: dataclasses.replace(original(m, s, k), configsvn=0))


def seal_ignores_configsvn_above(monkeypatch):
    original = keys.egetkey

    def egetkey(machine, body):
        secs, _ = machine.entry(body[:16])
        kept, secs.configsvn = secs.configsvn, 0xFFFF
        try:
            return original(machine, body)
        finally:
            secs.configsvn = kept

    replace(monkeypatch, 0x28, egetkey)


def token_attributes_are_not_compared(monkeypatch):
    original = build._check_token

    def check(machine, enclave, token, mrenclave, mrsigner):
        try:
            original(machine, enclave, token, mrenclave, mrsigner)
        except Refusal as refusal:
            if refusal.status.name != "SGX_INVALID_ATTRIBUTE":
                raise

    monkeypatch.setattr(build, "_check_token", check)


def token_for_production_from_a_debug_launcher(monkeypatch):
    original = build._check_token

    def check(machine, enclave, token, mrenclave, mrsigner):
        if token.masked_attributes_le & layout.DEBUG and not enclave.has(layout.DEBUG):
            patched = layout.EinitToken(token.raw)
            enclave.attributes |= layout.DEBUG
            try:
                return original(machine, enclave, patched, mrenclave, mrsigner)
            finally:
                enclave.attributes &= ~layout.DEBUG
        return original(machine, enclave, token, mrenclave, mrsigner)

    monkeypatch.setattr(build, "_check_token", check)


def any_signer_provisions(monkeypatch):
    class Everyone:
        def __contains__(self, mrsigner):
            return True

    monkeypatch.setattr(build, "provisioning_signers", lambda machine: Everyone())


def avx512_without_avx(monkeypatch):
    original = build._legal_xfrm
    monkeypatch.setattr(build, "_legal_xfrm", lambda xfrm: original(xfrm | 4 if xfrm & 0xE0 == 0xE0 else xfrm))


def handles_of_the_dead(monkeypatch):
    def enclave(self, handle):
        found = self.slots[handle[0]] if handle[0] < len(self.slots) else None
        if found is None:
            raise Refusal(state.Status.FAULT_PF)
        return found

    monkeypatch.setattr(state.Machine, "enclave", enclave)


def keys_are_kept_for_a_repeat(monkeypatch):
    monkeypatch.setattr(chip, "EGETKEY", 0xFF)


def a_failed_einit_spoils_the_measurement(monkeypatch):
    original = build.einit

    def einit(machine, body):
        try:
            return original(machine, body)
        except Refusal as refusal:
            if refusal.status == state.Status.SGX_INVALID_MEASUREMENT:
                machine.enclave(body).measurement.update(b"\x80")
            raise

    replace(monkeypatch, 0x23, einit)


def replace(monkeypatch, op, run):
    monkeypatch.setitem(chip._COMMANDS, op, dataclasses.replace(chip._COMMANDS[op], run=run))


class Mutant:
    """A chip that is wrong only while it executes, so that the one beside it is right."""

    def __init__(self, mutate):
        self._mutate = mutate
        self._chip = new_chip()

    def execute(self, contents, *, behind=b""):
        with pytest.MonkeyPatch.context() as monkeypatch:
            self._mutate(monkeypatch)
            return self._chip.execute(contents, behind=behind)


MUTATIONS = [
    ratchet_off_by_one,
    rng_does_not_move_on,
    tcs_permissions_are_measured,
    tcs_keeps_dbgoptin,
    aex_keeps_the_ticket,
    eresume_at_cssa_zero,
    eenter_one_frame_too_many,
    provision_key_with_owner_epoch,
    miscmask_not_inverted,
    debug_can_be_masked_away,
    report_key_without_configsvn,
    seal_ignores_configsvn_above,
    token_attributes_are_not_compared,
    token_for_production_from_a_debug_launcher,
    any_signer_provisions,
    avx512_without_avx,
    handles_of_the_dead,
    keys_are_kept_for_a_repeat,
    a_failed_einit_spoils_the_measurement,
]


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_one_thing_wrong_is_found(mutate):
    with pytest.raises(Difference, match=r"seed 4, command \d+: \w+, answers differ from byte \d+ on"):
        run_differential(new_chip(), Mutant(mutate), 60_000, 4)


def test_a_chip_that_answers_too_little_is_found():
    class Short:
        def __init__(self):
            self._chip = new_chip()

        def execute(self, contents):
            return self._chip.execute(contents)[:-1]

    with pytest.raises(Difference, match="command 0"):
        run_differential(new_chip(), Short(), 10, 1)
