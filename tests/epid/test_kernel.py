"""The C kernel: builds without warnings, is refused when it is not what it should be, and hides secret exponents."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fusequote.epid.arithmetic import load
from fusequote.epid.kernel import KernelArithmetic
from fusequote.epid.kernel.build import SOURCES, build, main
from fusequote.epid.kernel.constants import header
from fusequote.errors import EnvironmentProblem

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
HERE = SOURCES[0].parent


def test_constants_are_those_of_the_parameters():
    assert (HERE / "constants.h").read_text() == header()


@needs_compiler
def test_builds_without_a_warning(tmp_path):
    """For a plain compiler and for one told to be strict; the answer is checked when it is loaded."""
    target = build(tmp_path / "_kernel.so", ["-Werror", "-Wconversion", "-Wno-sign-conversion", "-O1"])
    assert KernelArithmetic(target).g1_from_x(1) is not None
    exported = subprocess.run(
        ["nm", "-D", "--defined-only", target], capture_output=True, text=True
    ).stdout.split()[2::3]
    assert exported and all(name.startswith("epid_") for name in exported)


@pytest.mark.slow
@needs_compiler
def test_sanitizers_find_nothing(tmp_path):
    """Address and undefined-behaviour sanitizers over every operation, in a process of its own."""
    library = tmp_path / "_kernel.so"
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O0"]
    scratch = subprocess.run(
        ["cc", "-std=c11", "-fPIC", "-shared", *sanitize, "-o", library, *SOURCES],
        capture_output=True,
        text=True,
    )
    runtime = subprocess.run(
        ["cc", "-print-file-name=libasan.so"], capture_output=True, text=True
    ).stdout.strip()
    if scratch.returncode or not Path(runtime).is_absolute():
        pytest.skip("the sanitizers' libraries are not installed")
    script = Path(__file__).with_name("exercise_kernel.py")
    environment = os.environ | {"LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0"}
    run = subprocess.run([sys.executable, script, library], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.split() == ["done", "done"]


def test_a_missing_compiler_is_said(monkeypatch, capsys):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(EnvironmentProblem, match="no-such-compiler"):
        build()
    assert main() == 3
    assert "apt install" in capsys.readouterr().err


@needs_compiler
def test_a_compiler_that_fails_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("CFLAGS", "-no-such-flag")
    with pytest.raises(EnvironmentProblem, match="does not compile"):
        build(tmp_path / "_kernel.so")
    assert not list(tmp_path.iterdir())


def test_what_is_no_kernel_is_not_loaded(tmp_path, monkeypatch):
    rubbish = tmp_path / "_kernel.so"
    rubbish.write_bytes(b"\x7fELF rubbish")
    with pytest.raises(ImportError, match="cannot be loaded"):
        KernelArithmetic(rubbish)
    with pytest.raises(ImportError):
        KernelArithmetic(tmp_path / "absent.so")
    monkeypatch.setenv("FUSEQUOTE_EPID_KERNEL", str(rubbish))
    load.cache_clear()
    try:
        with pytest.raises(EnvironmentProblem, match="kernel"):
            load("c")
    finally:
        load.cache_clear()


@needs_compiler
def test_another_versions_kernel_is_not_loaded(tmp_path):
    source, library = tmp_path / "old.c", tmp_path / "_kernel.so"
    source.write_text("int epid_kernel_version(void) { return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    assert ctypes.CDLL(str(library)).epid_kernel_version() == 0
    with pytest.raises(ImportError, match="build it again"):
        KernelArithmetic(library)
