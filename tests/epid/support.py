"""What the tests of EPID share."""

import json
from pathlib import Path

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "epid"


def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


class Tape:
    """A random source that gives recorded bytes, and nothing more."""

    def __init__(self, data: bytes):
        self.left = data

    def __call__(self, size: int) -> bytes:
        out, self.left = self.left[:size], self.left[size:]
        return out
