"""RTL against reference model: random commands, each answer byte for byte equal."""

import os
import secrets

import pytest
from commands import CommandSource, run_differential
from fusequote.chip.entropy import SimulatedEntropy
from fusequote.chip.fusefile import FuseBank
from fusequote.chip.model import ModelChip

pytestmark = [pytest.mark.rtl, pytest.mark.timeout(900)]
#: Streams in one run of the suite, and commands in each: 12,000 in all.
STREAMS = int(os.environ.get("FUSEQUOTE_STREAMS", "4"))
COMMANDS = int(os.environ.get("FUSEQUOTE_COMMANDS", "3000"))
#: One fixed seed for each stream but the last, which is another one each time.
SEEDS = [f"differential {i}" for i in range(STREAMS - 1)] + [os.environ.get("FUSEQUOTE_SEED", "")]


@pytest.mark.parametrize("seed", SEEDS)
def test_random_commands(rtl, seed):
    """From a blank chip on: manufacture, lock, reset, leaves in and out of order, damaged frames."""
    seed = seed or secrets.token_hex(8)
    print(f"seed {seed!r}: to see it again, FUSEQUOTE_SEED={seed!r}")
    model = ModelChip(FuseBank(), SimulatedEntropy(seed, 1))
    chip = rtl(seed=seed.replace(" ", "%20"))
    source = CommandSource(seed, launch_locked=seed.endswith("1"))
    counts = run_differential(model, chip, COMMANDS, seed, source=source)
    for (op, status), count in sorted(counts.items()):
        print(f"{op:18} {status:26} {count:6}")
    assert sum(counts.values()) == COMMANDS
    # A stream that never got anywhere would compare refusals with refusals.
    for op in ("EINIT", "EGETKEY", "EREPORT", "VERIFYREPORT", "ERESUME", "EREMOVE"):
        assert counts[op, "SUCCESS"], op
