"""PLL settings, clocks and rates of all boards."""

import pytest
from fusequote.errors import UsageError
from fusequote_boards.board import BAUD_TOLERANCE, board, boards
from fusequote_boards.build import platform_for
from fusequote_boards.clocking import ecp5_pll, ice40_pll
from hypothesis import given
from hypothesis import strategies as st


def test_settings_that_the_makers_tools_give():
    """icepll -i 12 -o 24: DIVR 0, DIVF 63, DIVQ 5, FILTER_RANGE 1 (12 * 64 = 768 MHz)."""
    pll = ice40_pll(12_000_000, 24_000_000)
    assert pll.output(12_000_000) == 24_000_000
    assert 533e6 <= 12e6 * (pll.divf + 1) / (pll.divr + 1) <= 1066e6 and pll.filter_range == 1


@given(st.integers(0, 15), st.integers(0, 63), st.integers(1, 6))
def test_every_clock_of_an_ice40_pll_is_found(divr, divf, divq):
    hz_in = 48_000_000
    vco = hz_in * (divf + 1) / (divr + 1)
    out = vco / 2**divq
    if not (hz_in / (divr + 1) >= 10e6 and 533e6 <= vco <= 1066e6 and 16e6 <= out <= 275e6) or out != int(out):
        return
    assert ice40_pll(hz_in, int(out)).output(hz_in) == out


@pytest.mark.parametrize("megahertz", [30, 45, 50, 60, 75])
def test_ecp5_pll(megahertz):
    pll = ecp5_pll(25_000_000, megahertz * 1_000_000)
    assert pll.output(25_000_000) == megahertz * 1_000_000
    assert 400e6 <= megahertz * 1e6 * pll.clkop_div <= 800e6


@pytest.mark.parametrize(("pll", "hz_in", "hz"), [
    (ice40_pll, 12_000_000, 12_345_678), (ice40_pll, 1_000_000, 24_000_000), (ecp5_pll, 25_000_000, 44_444_444)])
def test_clocks_that_cannot_be_made(pll, hz_in, hz):
    with pytest.raises(UsageError, match="no PLL setting"):
        pll(hz_in, hz)


@pytest.mark.parametrize("name", boards())
def test_a_board_is_what_its_platform_says(name, small_top):
    """The clock, the pins, the fuses: all there, and of the platform's device."""
    chosen = board(name)
    target = chosen.target()
    platform = platform_for(chosen)
    assert platform.device == chosen.device
    assert target.baud <= chosen.max_baud and abs(target.baud_error) <= BAUD_TOLERANCE
    clock = next(resource for resource in platform.resources.values() if resource.name == chosen.oscillator)
    assert clock.clock.frequency == chosen.oscillator_hz
    plan = platform.prepare(small_top(target), "top", emit_src=False)
    design = plan.files["top.il"]
    design = design if isinstance(design, str) else design.decode()
    assert design.count(f"cell \\{platform.fusequote_lut} ") == 16
    has_pll = any(f"cell \\{cell} " in design for cell in ("SB_PLL40_PAD", "SB_PLL40_CORE", "EHXPLLL"))
    assert has_pll == (chosen.core_hz != chosen.oscillator_hz)


def test_the_design_is_the_same_each_time(small_top):
    def text():
        plan = platform_for(board("icebreaker")).prepare(small_top(board("icebreaker").target()), "top",
                                                         emit_src=False)
        return plan.files["top.il"]

    assert text() == text()


@pytest.mark.parametrize(("name", "options", "words"), [
    ("ulx3s-12f", {"baud": 12_000_000}, "FT231X"),
    ("icebreaker", {"baud": 3_100_000}, "no 3,100,000 baud"),
    ("icebreaker", {"baud": 12_000_000}, "no 12,000,000 baud"),
    ("icebreaker", {"hz": 1_000_000}, "no 3,000,000 baud"),
])
def test_rates_that_a_board_cannot_do(name, options, words):
    with pytest.raises(UsageError, match=words) as refused:
        board(name).target(**options)
    assert refused.value.hint


def test_a_board_that_is_none():
    with pytest.raises(UsageError, match="no board") as refused:
        board("icebraker")
    assert "did you mean icebreaker" in refused.value.hint
