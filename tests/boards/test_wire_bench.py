"""`fusequote bench wire`: which boards share a measurement, what is written, and when the answer is no."""

from __future__ import annotations

import pytest
from fusequote.cli import main, wire_time
from fusequote.cli.wire_time import WireTime, measure_wire
from fusequote.errors import UsageError
from fusequote_boards.board import boards
from fusequote_boards.wire_bench import targets

GOOD = WireTime(report_bytes=1044, report=65_627, report_wire=62_640, launch_bytes=282_624, launch=18_700_000,
                launch_wire=17_065_920, einit=163_743)
SLOW = WireTime(report_bytes=1044, report=80_618, report_wire=62_640, launch_bytes=282_624, launch=18_700_000,
                launch_wire=17_065_920, einit=163_743)


@pytest.fixture
def measured(monkeypatch):
    """The URLs at which something was measured; what comes of it is in ``answers``."""
    asked: list[str] = []

    def measure(url):
        asked.append(url)
        return measure.answer

    measure.answer = GOOD
    measure.asked = asked
    monkeypatch.setattr(wire_time, "measure_wire", measure)
    return measure


def test_ratios():
    assert SLOW.report_ratio == pytest.approx(1.287, abs=1e-3)
    assert GOOD.launch_ratio == pytest.approx((18_700_000 - 163_743) / 17_065_920)


def test_every_board_is_among_the_targets_once():
    for fastest in (False, True):
        found = targets(fastest=fastest)
        assert {name for names, _ in found for name in names} == set(boards())
    assert sorted(name for names, _ in targets() for name in names) == sorted(boards())
    # The highest rates are for ECP5: that a UP5K keeps up with its wire is promised to 3 Mbaud.
    assert {target.baud for names, target in targets(["icebreaker"], fastest=True)} == {3_000_000}
    assert {target.divisor for _, target in targets(["orangecrab-25f"], fastest=True)} == {16, 4}
    with pytest.raises(UsageError, match="no board 'icebraker'"):
        targets(["icebraker"])


def test_the_table_is_written_between_its_marks(measured, tmp_path, capsys):
    document = tmp_path / "page.md"
    begin, end = (f"<!-- fusequote bench wire: {word} -->" for word in ("begin", "end"))
    document.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    assert main(["bench", "wire", "--home", str(tmp_path / "home"), "--fastest", "--write", str(document)]) == 0
    text = document.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    row = next(line for line in text.splitlines() if "icebreaker" in line)
    assert row == "| icebreaker, upduino3 | 18 | 3 | 1,044 | 3,480 | 3,646 | 1.048 | 948.1 | 1,029.8 | 1.086 |"
    # A simulation for each number of cycles per bit: 6, 15, 16, and 4 for the two fastest.
    assert len(measured.asked) == 4
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == 2 + 5


def test_too_slow_is_an_answer(measured, tmp_path, capsys):
    measured.answer = SLOW
    assert main(["bench", "wire", "--home", str(tmp_path), "--board", "icebreaker", "--json"]) == 10
    assert '"icebreaker 3000000.good": false' in capsys.readouterr().out


def test_a_port_without_pins():
    with pytest.raises(UsageError, match="counts no clock cycles at the pins"):
        measure_wire("model://")
