"""`fusequote bench area`: synthesis of the parts, its store, the comparison with open peers."""

from __future__ import annotations

import json

import pytest
from fusequote.cli import main
from fusequote_boards import area
from fusequote_boards.area import PARTS, Area, cycles, synthesise
from fusequote_boards.bench import markdown
from fusequote_boards.peers import PEERS, Comparison, Peer, compare
from fusequote_boards.pnr import FAMILIES
from fusequote_boards.throughput import rsa_check
from fusequote_boards.tools import Tools
from fusequote_hdl.engines.rsa import RsaCheck

CELLS = {
    "up5k": {"SB_LUT4": 40, "SB_CARRY": 9, "SB_DFF": 3, "SB_DFFESR": 4, "SB_RAM40_4K": 2, "SB_SPRAM256KA": 1},
    "ecp5": {"LUT4": 40, "CCU2C": 9, "TRELLIS_FF": 7, "DP16KD": 2, "MULT18X18D": 1},
}


@pytest.fixture
def counted(monkeypatch):
    """yosys finds :data:`CELLS`; the list has the families for which it was run."""
    ran = []

    def run(self, program, arguments, folder):
        assert program == "yosys" and FAMILIES[self.family].synth in arguments[-1]
        assert "module" in (folder / "core.il").read_text()
        (folder / "stat.json").write_text(json.dumps({"design": {"num_cells_by_type": CELLS[self.family]}}))
        ran.append(self.family)

    monkeypatch.setattr(Tools, "run", run)
    return ran


def test_what_is_counted(counted, tmp_path):
    assert synthesise("aes", "up5k", tmp_path) == Area(lut4=40, ff=7, ebr=2, spram=1, dsp=0)
    assert synthesise("aes", "ecp5", tmp_path) == Area(lut4=58, ff=7, ebr=2, spram=0, dsp=1)
    assert synthesise("uart", "up5k", tmp_path) == Area(lut4=120, ff=21, ebr=6, spram=3, dsp=0)  # three of them


def test_once_for_a_design(counted, tmp_path, monkeypatch):
    first = [synthesise("aes", "up5k", tmp_path) for _ in range(2)]
    assert first[0] == first[1] and counted == ["up5k"]
    synthesise("aes", "ecp5", tmp_path)
    synthesise("sha256", "up5k", tmp_path)
    assert counted == ["up5k", "ecp5", "up5k"]
    monkeypatch.setattr(area, "wheel_version", lambda program: "another")
    synthesise("aes", "up5k", tmp_path)
    assert counted == ["up5k", "ecp5", "up5k", "up5k"]


def test_cycles_are_the_engines_contracts(tmp_path, monkeypatch):
    assert (cycles("aes", tmp_path), cycles("cmac", tmp_path), cycles("sha256", tmp_path)) == (218, 218, 64 + 809)
    assert rsa_check(RsaCheck) == 4 * 192**2 + 23 * 192 + 7
    assert cycles("link", tmp_path) is None
    monkeypatch.setitem(area.UNITS, "aes", lambda make: pytest.fail("simulated again"))
    assert cycles("aes", tmp_path) == 218


def test_the_comparison():
    peer = Peer("aes", "one", "up5k", 100, 10, "")
    better, worse, same = (Comparison(peer, lut, 20) for lut in (40, 60, 50))
    assert better.wins and better.ratio == 1.25 and (better.product, better.peer_product) == (800, 1000)
    assert not worse.wins and not same.wins
    found = list(compare({("aes", "up5k"): (1, 1), ("cmac", "ecp5"): (10**9, 1)}))
    assert {(c.peer.part, c.peer.family) for c in found} == {("aes", "up5k"), ("cmac", "ecp5")}
    assert all(c.wins for c in found if c.peer.part == "aes")
    assert not any(c.wins for c in found if c.peer.part == "cmac")
    assert {peer.part for peer in PEERS} <= set(area.UNITS) <= set(PARTS)
    assert {peer.family for peer in PEERS} == set(FAMILIES)


def test_the_command(counted, tmp_path, capsys):
    document = tmp_path / "figures.md"
    document.write_text("<!-- fusequote bench area: begin -->\nold\n<!-- fusequote bench area: end -->\n")
    common = ("bench", "area", "--part", "aes", "--part", "uart", "--build-dir", str(tmp_path))
    assert main([*common, "--family", "up5k", "--json", "--write", str(document)]) == 0
    facts = json.loads(capsys.readouterr().out)["facts"]
    assert facts["aes, up5k: LUT4"] == 40 and facts["aes: cycles"] == 218 and facts["uart, up5k: EBR"] == 6
    assert facts["aes, up5k: wins against secworks aes"] is True
    assert not any("ecp5" in name for name in facts)
    text = document.read_text()
    assert "old" not in text and "| aes | up5k | 40 | 7 | 2 | 1 | 0 | AES-128 encryption |" in text
    assert "| aes, up5k | probe, 8-bit data path | 744 | 271 | 40 | 218 | 23.12 | wins | its 16 cycles" in text
    assert main(list(common)) == 0
    out = capsys.readouterr().out
    assert "secworks" in out and "aes, ecp5" in out and "28.31" in out and "not counted" not in out


def test_a_loss_is_printed(counted, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(CELLS["up5k"], "SB_LUT4", 9000)
    assert main(["bench", "area", "--part", "aes", "--family", "up5k", "--build-dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "LOSES" in out and " wins" not in out


def test_bad_input(tmp_path, capsys):
    for arguments, said in (
        (("--part", "abacus"), "no part 'abacus'"),
        (("--family", "z80"), "no family 'z80'"),
        (("--place", "--part", "chip"), "no part 'chip'"),
        (("--write", str(tmp_path / "none.md")), "cannot read"),
    ):
        assert main(["bench", "area", "--build-dir", str(tmp_path), *arguments]) == 2
        assert said in capsys.readouterr().err


def test_markdown():
    assert markdown(("a", "b"), [("1", "2")], [1]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


@pytest.mark.pnr
@pytest.mark.timeout(900)
@pytest.mark.parametrize("family", FAMILIES)
def test_aes_beats_every_peer(family, pytestconfig):
    """With yosys itself: look-up tables times cycles, against all that were measured."""
    folder = pytestconfig.rootpath / "build" / "test-area"
    ours = synthesise("aes", family, folder).lut4, cycles("aes", folder)
    found = list(compare({("aes", family): ours}))
    assert len(found) == 4 and all(comparison.wins for comparison in found), found
