"""Chips for the tests of the simulation, each built once and kept in the repository's build folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from fusequote_sim.build import build
from sim_toy import HERE, TOY


@pytest.fixture(scope="session")
def cache() -> Path:
    """A cache that outlives the run: what has not changed is not built again."""
    return HERE.parents[1] / "build" / "test-cache"


@pytest.fixture(scope="session")
def toy(cache) -> Path:
    """The toy's program."""
    return build(TOY, cache=cache, on_progress=print)
