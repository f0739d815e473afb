"""The fixtures of the whole chain, shared by four folders of tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "platform"))

from chain_world import home, keyed_home, ready, rng  # noqa: E402

__all__ = ["home", "keyed_home", "ready", "rng"]
