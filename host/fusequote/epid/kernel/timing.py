"""A timing test after dudect (Reparaz, Balasch, Verbauwhede 2017) of the kernel with secret exponents.

``python -m fusequote.epid.kernel.timing [seconds]`` measures each operation with a fixed exponent and with
random ones, in random order, and prints Welch's t of the two, over all measurements and over those below
several cuts (the slow tail is the machine's). |t| above 10 in any of them is a leak; the public operation is
measured too, to see that the test can find one. Exit code 10 if a secret operation leaks.
"""

from __future__ import annotations

import ctypes
import math
import secrets
import sys
import time
from collections.abc import Callable

from fusequote.epid.arithmetic import load
from fusequote.epid.params import G1_GENERATOR, G2_GENERATOR, P
from fusequote.errors import FusequoteError

#: dudect's bound between "probably" and "definitely".
THRESHOLD = 10.0
#: Measurements that set the cuts.
CALIBRATION = 400
CUTS = (1.0, 0.95, 0.8, 0.5, 0.2)


class Samples:
    """Mean and variance of a stream (Welford)."""

    def __init__(self) -> None:
        self.n, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        """One more measurement."""
        self.n += 1
        delta = value - self.mean
        self.mean += delta / self.n
        self.squares += delta * (value - self.mean)

    @property
    def variance(self) -> float:
        """Of the sample."""
        return self.squares / (self.n - 1) if self.n > 1 else 0.0


def welch(a: Samples, b: Samples) -> float:
    """Welch's t; 0 while there is too little to tell."""
    if a.n < 2 or b.n < 2:
        return 0.0
    spread = a.variance / a.n + b.variance / b.n
    return (a.mean - b.mean) / math.sqrt(spread) if spread else 0.0


def measure(call: Callable[[int], object], seconds: float, fixed: int = 1) -> tuple[int, float]:
    """Number of measurements and the largest |t| over the cuts, for exponent ``fixed`` against random ones."""
    pairs = [(Samples(), Samples()) for _ in CUTS]
    limits: list[float] = []
    calibration: list[int] = []
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        kind = secrets.randbelow(2)
        exponent = (fixed, secrets.randbelow(P - 1) + 1)[kind].to_bytes(32, "big")
        start = time.perf_counter_ns()
        call(exponent)
        elapsed = time.perf_counter_ns() - start
        if len(calibration) < CALIBRATION:
            calibration.append(elapsed)
            if len(calibration) == CALIBRATION:
                calibration.sort()
                limits = [math.inf if c == 1 else calibration[int(c * CALIBRATION)] for c in CUTS]
            continue
        count += 1
        for limit, pair in zip(limits, pairs, strict=True):
            if elapsed <= limit:
                pair[kind].add(elapsed)
    return count, max(abs(welch(*pair)) for pair in pairs)


def main(seconds: float = 20.0) -> int:
    """Measures every secret operation for ``seconds`` and prints a line for each."""
    try:
        a = load("c")
    except FusequoteError as error:
        print(f"{error}\n{error.hint or ''}".strip(), file=sys.stderr)
        return int(error.exit_code)
    table = a.g1_prepare(G1_GENERATOR)
    element = a.gt_prepare(a.pairing_product([(G1_GENERATOR, G2_GENERATOR)]))
    bare, prepared, raised = (
        (ctypes.c_void_p * 1)(address) for address in (None, table.address, element.address)
    )
    g1_sums, g2_sum, gt_product = (a.function(name) for name in ("g1_sums", "g2_sum", "gt_product"))
    out = ctypes.create_string_buffer(384)
    operations = {
        "G1, bare point": lambda k: g1_sums(out, 1, 1, bare, G1_GENERATOR, k, 1),
        "G1, prepared point": lambda k: g1_sums(out, 1, 1, prepared, b"", k, 1),
        "G2": lambda k: g2_sum(out, 1, G2_GENERATOR, k),
        "GT": lambda k: gt_product(out, 1, raised, k),
        "G1, public (leaks on purpose)": lambda k: g1_sums(out, 1, 1, prepared, b"", k, 0),
    }
    leak = False
    for name, call in operations.items():
        count, t = measure(call, seconds)
        verdict = "leaks" if t > THRESHOLD else "no leak seen"
        leak |= t > THRESHOLD and "public" not in name
        print(f"{name:<32} {count:>9} measurements   max |t| = {t:7.2f}   {verdict}")
    return 10 if leak else 0


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:2])))
