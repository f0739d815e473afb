"""The tampering list once more, with the RTL at the bottom of the chain."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.rtl
@pytest.mark.timeout(900)
def test_the_tampering_list_on_rtl(rtl):
    """tests/host/test_tampering.py in a process of its own: each bit refused at the step that should refuse it."""
    rtl().close()  # built now, so that the clock of the run below is the chain's
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
         "tests/host/test_tampering.py"],
        cwd=ROOT, env={**os.environ, "FUSEQUOTE_TEST_CHIP": "sim"}, capture_output=True, text=True, timeout=850)
    print(ran.stdout[-4000:], ran.stderr[-2000:])
    assert ran.returncode == 0
    assert " passed" in ran.stdout and "skipped" not in ran.stdout
