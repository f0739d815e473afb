"""Launch control with the RTL at the bottom: unlocked and locked chips, good tokens and every bad one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


QUICK = "locked_nothing or one_enclave or whole_chain"


@pytest.mark.rtl
@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", [QUICK, pytest.param(f"not ({QUICK})", marks=pytest.mark.slow)])
def test_launch_control_on_rtl(rtl, which):
    """tests/platform/test_launch.py in a process of its own, where each chip is the block in Verilator."""
    rtl().close()  # built now, so that the clock of the run below is the chips'
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
         "tests/platform/test_launch.py", "-k", which],
        cwd=ROOT, env={**os.environ, "FUSEQUOTE_TEST_CHIP": "sim"}, capture_output=True, text=True, timeout=570)
    print(ran.stdout[-4000:], ran.stderr[-2000:])
    assert ran.returncode == 0
    assert " passed" in ran.stdout and "skipped" not in ran.stdout
