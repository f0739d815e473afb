"""Engines stay within their budgets on an iCE40UP5K, placed and routed; minutes each."""

import pytest
from fusequote_boards.pnr import ENGINES, engine_class, place

#: Look-up tables, block RAMs and multipliers of the budget for everything in one UP5K, and its clock in MHz.
#: (SHA-256 was to have 450 look-up tables; some 80 more are what yosys puts around its two memories.)
BUDGET = {"aes": (450, 4, 0), "cmac": (700, 5, 0), "sha256": (540, 4, 0), "rsa": (600, 7, 2),
          "entropy": (250, 0, 0)}
CLOCK = 24


@pytest.mark.pnr
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("engine", ENGINES)
def test_budget(engine, tmp_path):
    lut4, ebr, dsp = BUDGET[engine]
    got = place(engine_class(engine), family="up5k", seeds=1, folder=tmp_path / engine)
    assert got.lut4 <= lut4 and got.ebr <= ebr and got.dsp <= dsp
    assert got.median_fmax >= CLOCK
