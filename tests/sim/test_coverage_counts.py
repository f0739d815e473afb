"""Adding up and judging what chips counted: fusequote_sim.coverage on small files in Verilator's format."""

import pytest
from fusequote.errors import UsageError
from fusequote_sim.coverage import Coverage, Exclusion, main, read_exclusions

VERILOG = "module chip;\n  if (go) begin\n    x = 1;\n  end\n"


def point(kind, line, what, count, where="TOP.chip.chip"):
    fields = {"f": "/gone/chip.v", "l": line, "n": 5, "t": kind, "page": f"v_{kind}/chip", "o": what, "h": where}
    return "C '" + "".join(f"\x01{name}\x02{value}" for name, value in fields.items()) + f"' {count}\n"


@pytest.fixture
def counts(tmp_path):
    """Writes one chip's counts; returns the folder and the Verilog."""
    (tmp_path / "chip.v").write_text(VERILOG)

    def write(*points, name="1"):
        (tmp_path / f"{name}.dat").write_text("# SystemC::Coverage-3\n" + "".join(point(*p) for p in points))
        return tmp_path, tmp_path / "chip.v"

    return write


def whole(toggles=()):
    return [("line", 3, "block", 1), ("branch", 2, "if", 1), ("branch", 2, "else", 1), *toggles]


def toggles(hit, missed):
    return [("toggle", 1, f"bus[{i}]:0->1", int(i < hit)) for i in range(hit + missed)]


def test_chips_count_together(counts):
    counts(("line", 3, "block", 0), ("branch", 2, "if", 0), ("branch", 2, "else", 4), ("toggle", 1, "go:0->1", 0))
    where = counts(("line", 3, "block", 2), ("branch", 2, "if", 1), ("branch", 2, "else", 0),
                   ("toggle", 1, "go:0->1", 9), name="2")
    report, short = Coverage(*where).judge([])
    assert not short
    assert "100.00 %" in report and "not hit" not in report


@pytest.mark.parametrize(("missed", "good"), [(5, True), (6, False)])
def test_goals(counts, missed, good):
    """95 % of the toggles are enough, of lines and branches all."""
    _, short = Coverage(*counts(*whole(toggles(100 - missed, missed)))).judge([])
    assert bool(short) != good


def test_a_branch_that_is_missed_is_named_with_its_verilog(counts):
    report, short = Coverage(*counts(*whole(toggles(1, 0))[1:], ("line", 3, "block", 0))).judge([])
    assert "line chip block: if (go) begin / x = 1; / end (line 3)" in report
    assert short == ["line: 0.00 % of 100 %"]


def test_an_exclusion_takes_whole_texts_that_were_missed(counts):
    where = counts(*whole(toggles(100, 0)), ("branch", 2, "if", 0, "TOP.chip.chip.other"))
    why = Exclusion(r"branch chip\.other if: .* if \(go\) begin .*", "never goes")
    report, short = Coverage(*where).judge([why])
    assert not short and "never goes" in report
    _, short = Coverage(*where).judge([Exclusion("branch", "a part of the text is not enough")])
    assert any("take it out" in line for line in short)


def test_an_exclusion_of_what_is_hit_fails(counts):
    _, short = Coverage(*counts(*whole(toggles(100, 1)))).judge([Exclusion(r"toggle chip bus\[\d\d?\d?\]:.*", "lazy")])
    assert any("excludes 100 points that are hit" in line for line in short)


def test_too_many_exclusions_fail(counts):
    _, short = Coverage(*counts(*whole(toggles(90, 3)))).judge(
        [Exclusion(r"toggle chip bus\[9[0-2]\]:0->1", "three of 96")])
    assert short == ["excluded: 3.12 % of at most 2 %"]


def test_program_addresses(counts):
    folder, verilog = counts(*whole())
    (folder / "1.pc").write_text("1 0\n2 0\n1 7\n")
    (folder / "1.states").write_text("framer 0\nframer 2\n")
    (folder / "2.states").write_text("framer 2\n")
    counted = Coverage(folder, verilog)
    assert counted.executed() == {0, 7} and counted.states() == {"sequencer": 2, "framer": 2}


@pytest.mark.parametrize("text", [
    "[[exclude]]\npattern = 'x'\n", "[[exclude]]\npattern = '('\nreason = 'x'\n", "exclude", "exclude = 1\n",
])
def test_bad_exclusions_are_named(tmp_path, text):
    path = tmp_path / "exclusions.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"exclusions\.toml"):
        read_exclusions(path)


def test_the_command(counts, capsys):
    folder, verilog = counts(*whole(toggles(1, 0)))
    assert main([str(folder), str(verilog)]) == 0
    assert "goal 95 %" in capsys.readouterr().out
    (folder / "1.dat").write_text("C 'nothing' 1\n")
    assert main([str(folder), str(verilog)]) == 2
    assert "not a file of Verilator's counts" in capsys.readouterr().err
    assert main([str(folder / "none"), str(verilog)]) == 2
    assert main([str(folder), str(folder / "none.v")]) == 2
    counts(*whole(toggles(0, 1)))
    assert main([str(folder), str(verilog)]) == 10
    assert "below its goal: toggle" in capsys.readouterr().err
