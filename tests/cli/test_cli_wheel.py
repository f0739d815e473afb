"""A wheel, installed without the clone, runs the chain."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy of the sources: a build leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "hdl", "sim", "boards", "host",
         "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "constraints.txt"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        if (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, folder / "source"]
    subprocess.run(command, check=True, timeout=500)
    (built,) = folder.glob("fusequote-*.whl")
    return built


def test_a_wheel_without_a_clone(wheel, tmp_path):
    """In a fresh venv with the plain dependencies: attest on the model, all commands load, missing extras say so."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    install = [python, "-m", "pip", "install", "--quiet", "-c", constraints, wheel]
    subprocess.run(install, check=True, timeout=500, cwd=tmp_path)
    environment = {"PATH": os.defpath, "HOME": str(tmp_path), "FUSEQUOTE_HOME": str(tmp_path / "home")}

    def fusequote(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [tmp_path / "venv" / "bin" / "fusequote", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    done = fusequote("attest", "--chip", "model://", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"]["accepted"] is True
    assert document["verdict"]["hardware_backed"] is False
    without_extra = fusequote("attest")
    assert without_extra.returncode == 3
    assert "pip install 'fusequote[sim]'" in without_extra.stderr
    assert "--chip model://" in without_extra.stderr
    found = json.loads(fusequote("doctor", "--json").stdout)["facts"]
    assert found["healthy"] is True
    assert found["extra-sim.health"] == "missing"
    assert not [name for name in found if name.startswith("command-")], "every command loads without extras"


def test_what_is_in_the_wheel(wheel):
    """All four packages with their data, and nothing of the tests."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if not name.startswith("fusequote-")} == {
        "fusequote",
        "fusequote_hdl",
        "fusequote_sim",
        "fusequote_boards",
    }
    for needed in ("fusequote/schema/verdict-1.json", "fusequote_sim/harness.cpp", "fusequote/cli/run.py"):
        assert needed in names
