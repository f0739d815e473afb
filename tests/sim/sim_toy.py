"""The toy as a design, for the tests that build it."""

from __future__ import annotations

from pathlib import Path

from fusequote_sim.design import Design

HERE = Path(__file__).parent
TOY = Design("toy_chip:ToyChip", modules=("toy_chip", "fusequote_hdl.link", "fusequote_hdl.fuses"), path=(HERE,))
