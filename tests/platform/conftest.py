"""The fixtures of the whole chain, shared by four folders of tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "platform"))

from chain_world import home, keyed_home, ready, rng  # noqa: E402
from daemon_world import house  # noqa: E402
from provisioning_world import ends, fresh, made  # noqa: E402

__all__ = ["ends", "fresh", "home", "house", "keyed_home", "made", "ready", "rng"]
