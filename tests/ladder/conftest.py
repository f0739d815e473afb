"""The fixtures of the whole chain, shared by several folders of tests, and keys that are made once."""

import itertools
import sys
from pathlib import Path

import pytest
from fusequote.enclave.signing import generate_signing_key

sys.path.insert(0, str(Path(__file__).parents[1] / "platform"))

from chain_world import home, keyed_home, ready, rng  # noqa: E402

__all__ = ["home", "keyed_home", "ready", "rng"]


@pytest.fixture(scope="session")
def two_keys():
    """Alice's and Mallory's."""
    return [generate_signing_key(), generate_signing_key()]


@pytest.fixture(autouse=True)
def keys_of_the_stage(two_keys, monkeypatch):
    """Stages of this process take these two in turns: RSA takes its time, and no test needs keys of its own."""
    keys = itertools.cycle(two_keys)
    monkeypatch.setattr("fusequote.ladder.stage.generate_signing_key", lambda: next(keys))
