"""RTL against reference model: random commands, each answer byte for byte equal."""

import os
import secrets
from collections import Counter

import pytest
from commands import CommandSource, run_differential
from commands_entry import NUMBERED
from fusequote.chip.entropy import SimulatedEntropy
from fusequote.chip.fusefile import FuseBank, FuseFile
from fusequote.chip.model import ModelChip

pytestmark = [pytest.mark.rtl, pytest.mark.timeout(900)]
#: Streams in one run of the suite, and commands in each: 12,000 in all.
STREAMS = int(os.environ.get("FUSEQUOTE_STREAMS", "4"))
COMMANDS = int(os.environ.get("FUSEQUOTE_COMMANDS", "3000"))
#: One fixed seed for each stream but the last, which is another one each time.
SEEDS = [f"differential {i}" for i in range(STREAMS - 1)] + [os.environ.get("FUSEQUOTE_SEED", "")]

#: The long run: chips that live long, chips that are scrapped soon, and chips that cannot boot; 100,000 commands.
LONG, LONG_COMMANDS = 10, 8000
BRIEF, BRIEF_COMMANDS = 115, 300
UNREADABLE_COMMANDS = 160 * len(NUMBERED)
#: What the link answers for any command alike; 100 of each for each command are not asked for.
OF_THE_LINK = {"LINK_OUT_OF_SEQUENCE", "LINK_ANSWER_GONE", "LINK_BAD_FRAME", "LINK_TOO_LONG"}


def show(counts):
    for (op, status), count in sorted(counts.items()):
        print(f"{op:18} {status:26} {count:6}")


def compared(rtl, seed, commands, **source):
    """A blank chip of each kind from power-on to power-off; how often each (op, status) came."""
    model = ModelChip(FuseBank(), SimulatedEntropy(seed, 1))
    chip = rtl(seed=seed.replace(" ", "%20"))
    counts = run_differential(model, chip, commands, seed, source=CommandSource(seed, **source))
    chip.close()
    return counts


@pytest.mark.parametrize("seed", SEEDS)
def test_random_commands(rtl, seed):
    """From a blank chip on: manufacture, lock, reset, leaves in and out of order, damaged frames."""
    seed = seed or secrets.token_hex(8)
    print(f"seed {seed!r}: to see it again, FUSEQUOTE_SEED={seed!r}")
    counts = compared(rtl, seed, COMMANDS, launch_locked=seed.endswith("1"))
    show(counts)
    # A stream that never got anywhere would compare refusals with refusals.
    for op in ("EINIT", "EGETKEY", "EREPORT", "VERIFYREPORT", "ERESUME", "EREMOVE", "ECHALLENGE"):
        assert counts[op, "SUCCESS"], op


def test_short_lives(rtl):
    """From a blank chip to a scrapped one, CPUSVN raised on the way."""
    counts = Counter()
    for i in range(4):
        counts += compared(rtl, f"short life {i}", BRIEF_COMMANDS, life=BRIEF_COMMANDS)
    show(counts)
    assert counts["FUSE_SCRAP", "SUCCESS"] and counts["FUSE_RAISE_SVN", "SUCCESS"]


def unreadable(rtl, path):
    """A chip whose life cycle is none that there is: each command, as often as the other streams have it."""
    FuseFile.create(path)
    with FuseFile.power_on(path) as file:
        file.bank.burn(0, b"\x07\0\0\1")
        image, boots = file.bank.image(), file.boot_counter
    model = ModelChip(FuseBank(image), SimulatedEntropy("unreadable", boots + 1))
    chip = rtl(seed="unreadable", fuses=path)
    source = CommandSource("unreadable", unreadable=True)
    return run_differential(model, chip, UNREADABLE_COMMANDS, "unreadable", source=source)


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
def test_a_hundred_thousand_commands(rtl, tmp_path):
    """Every command succeeds, and every status of every command comes, at least 100 times."""
    counts = unreadable(rtl, tmp_path / "unreadable.fuses")
    for i in range(LONG):
        counts += compared(rtl, f"long {i}", LONG_COMMANDS, launch_locked=i % 4 == 1)
    for i in range(BRIEF):
        counts += compared(rtl, f"brief {i}", BRIEF_COMMANDS, life=BRIEF_COMMANDS)
    show(counts)
    assert sum(counts.values()) >= 100_000
    seldom = {
        (op, status): counts[op, status]
        for op, statuses in STATUSES.items()
        for status in statuses - OF_THE_LINK
        if counts[op, status] < 100
    }
    assert not seldom


_ANY = {"SUCCESS", "LINK_BAD_LENGTH", "BLOCK_BOOT_FAILED"}
_LEAF = _ANY | {"BLOCK_LIFE_CYCLE"}
_FAULTS = {"FAULT_GP", "FAULT_PF"}
_MASTER = {"SGX_INVALID_SIGNATURE", "BLOCK_LIFE_CYCLE"}
#: Every status that docs/chip.md has for a command.
STATUSES = {
    "FUSE_STATUS": _ANY,
    "FUSE_MANUFACTURE": _LEAF | {"FAULT_GP"},
    "FUSE_LOCK": _LEAF,
    "FUSE_RAISE_SVN": _LEAF | _MASTER | {"SGX_INVALID_CPUSVN", "BLOCK_NO_GENERATION"},
    "FUSE_SCRAP": _LEAF | _MASTER,
    "SET_LEPUBKEYHASH": _LEAF | {"FAULT_GP"},
    "SET_OWNEREPOCH": _LEAF | {"FAULT_GP"},
    "SLOT_INFO": _LEAF | _FAULTS,
    "ECREATE": _LEAF | {"FAULT_GP", "BLOCK_NO_SLOT"},
    "EADD": _LEAF | _FAULTS | {"BLOCK_NO_TCS"},
    "EEXTEND": _LEAF | _FAULTS,
    "EINIT": _LEAF | _FAULTS | {
        "SGX_INVALID_SIG_STRUCT", "SGX_UNMASKED_EVENT", "SGX_INVALID_SIGNATURE", "SGX_INVALID_MEASUREMENT",
        "SGX_INVALID_ATTRIBUTE", "SGX_INVALID_EINITTOKEN", "SGX_INVALID_CPUSVN",
    },
    "EREMOVE": _LEAF | {"FAULT_PF", "SGX_ENCLAVE_ACT"},
    "EENTER": _LEAF | _FAULTS | {"BLOCK_ENTRY_PROOF"},
    "EEXIT": _LEAF | {"FAULT_GP", "BLOCK_ENTRY_PROOF"},
    "EREPORT": _LEAF | {"FAULT_GP", "BLOCK_ENTRY_PROOF"},
    "EGETKEY": _LEAF | {
        "FAULT_GP", "BLOCK_ENTRY_PROOF", "SGX_INVALID_ATTRIBUTE", "SGX_INVALID_CPUSVN", "SGX_INVALID_ISVSVN",
        "SGX_INVALID_KEYNAME",
    },
    "AEX": _LEAF | _FAULTS,
    "ERESUME": _LEAF | _FAULTS | {"BLOCK_ENTRY_PROOF"},
    "ECHALLENGE": _LEAF | _FAULTS,
    "VERIFYREPORT": _LEAF | {"FAULT_GP", "BLOCK_ENTRY_PROOF"},
    "EVENT": {"SUCCESS"},
    "IDENTIFY": {"SUCCESS"},
    "CYCLES": {"SUCCESS"},
    "RESET": {"SUCCESS"},
}  # fmt: skip
