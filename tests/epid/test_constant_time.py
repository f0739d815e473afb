"""Secret exponents leave no trace: the same basic blocks, the same addresses, whatever they are.

This is exact where a timing test is statistical: it records what the compiled kernel does. The statistical
one, after dudect, is a command: ``python -m fusequote.epid.kernel.timing``.
"""

import random
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from fusequote.epid.arithmetic import default
from fusequote.epid.kernel.build import SOURCES
from fusequote.epid.kernel.timing import Samples, welch
from fusequote.epid.params import G1_GENERATOR, G2_GENERATOR, P

WHAT = ["bare points of G1", "prepared points of G1", "the twist", "GT", "public exponents"]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_trace_does_not_depend_on_secret_exponents(tmp_path):
    kernel, program = tmp_path / "kernel.o", tmp_path / "trace"
    compiling = [
        "gcc",
        "-std=c11",
        "-O3",
        "-fsanitize=thread",
        "-fsanitize-coverage=trace-pc",
        "-c",
        "-o",
        kernel,
    ]
    subprocess.run([*compiling, SOURCES[0]], check=True)
    harness = Path(__file__).with_name("trace_kernel.c")
    subprocess.run(["gcc", "-std=c11", "-O1", "-no-pie", "-o", program, harness, kernel], check=True)
    rng = random.Random(1)
    scalars = [0, 1, 2, 15, 16, P - 1, P - 2, (1 << 255), (1 << 128) - 1] + [
        rng.randrange(P) for _ in range(11)
    ]
    gt = default().pairing_product([(G1_GENERATOR, G2_GENERATOR)])
    arguments = [data.hex() for data in (G1_GENERATOR, G2_GENERATOR, gt)] + [f"{k:064x}" for k in scalars]
    run = subprocess.run([program, *arguments], check=True, capture_output=True, text=True)
    traces = defaultdict(set)
    for line in run.stdout.splitlines():
        what, trace, events = line.split()
        assert int(events) > 10_000
        traces[WHAT[int(what)]].add((trace, events))
    for what in WHAT[:4]:
        assert len(traces[what]) == 1, f"{what}: the trace depends on the exponent"
    assert len(traces[WHAT[4]]) > 10, "a trace that never differs would prove nothing"


def test_the_statistic_sees_a_leak_and_no_ghost():
    """Welch's t of two classes with one mean, and of two whose means differ by a tenth of a deviation."""
    rng = random.Random(2)
    same = [Samples(), Samples()]
    leaking = [Samples(), Samples()]
    for i in range(40_000):
        same[i % 2].add(rng.gauss(100, 10))
        leaking[i % 2].add(rng.gauss(100 + i % 2, 10))
    assert abs(welch(*same)) < 4.5
    assert abs(welch(*leaking)) > 8
