"""EGETKEY on the RTL, cell by cell (instruction notes 5): one input changed at a time, and the key changes or stays.

The same scenarios as on the model (tests/chip/test_model_keys.py), on chips that are powered on for each; and every key
is the model's, byte for byte, in both profiles.
"""

import model_driver
import pytest
import test_model_keys as on_model
from fusequote.chip.entropy import SimulatedEntropy
from fusequote.chip.fusefile import FuseBank
from fusequote.chip.model import ModelChip
from test_model_keys import CELLS, NAMES, POLICIES, Scenario

pytestmark = [pytest.mark.rtl, pytest.mark.timeout(900)]
#: Default CPUSVN of simulation mode.
DEFAULT = bytes.fromhex("4820f3376ae6b2f2034d3b7a4b48a778")


def keys_of(scenario):
    return {name: scenario.key(name) for name in NAMES}


@pytest.fixture
def power_on(rtl, monkeypatch):
    """``power_on(profile)``: from now on scenarios run on the RTL."""
    def use(profile="kd1"):
        monkeypatch.setattr(on_model, "blank", lambda seed="test": model_driver.Driver(
            rtl(seed=seed.replace(" ", "%20"), profile=profile)))
    return use


def on_the_model(monkeypatch, profile, **changes):
    """The keys of the same scenario on the model."""
    monkeypatch.setattr(on_model, "blank", lambda seed="test": model_driver.Driver(
        ModelChip(FuseBank(), SimulatedEntropy(seed, 1), profile=profile)))
    return keys_of(Scenario(**changes))


def test_each_cell_of_the_table(power_on):
    power_on()
    before = keys_of(Scenario())
    for change, changes in CELLS:
        after = keys_of(Scenario(**change))
        changed = {NAMES[name] for name in NAMES if after[name] != before[name]}
        assert changed == set(changes.split()), change


def test_policies_leave_out(power_on):
    power_on()
    for name, policy, field, value in POLICIES:
        same, other = Scenario(policy=policy), Scenario(policy=policy, **{field: value})
        assert same.key(name) == other.key(name), (NAMES[name], policy, field)


@pytest.mark.parametrize("profile", ["kd1", "linux-sgx-sim"])
def test_every_key_is_the_models(power_on, monkeypatch, profile):
    changes = {"cr_cpusvn": DEFAULT, "cpusvn": bytes(16)} if profile != "kd1" else {}
    right = on_the_model(monkeypatch, profile, **changes)
    power_on(profile)
    assert keys_of(Scenario(**changes)) == right
    assert len(set(right.values())) == len(NAMES)
