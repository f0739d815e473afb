"""Launching over a bad line: the same MRENCLAVE, and true reasons even when the answer that gave them was
lost."""

from __future__ import annotations

import pytest
from commands_make import SIGNERS, signed
from faulty import Faults, FaultyPort
from fusequote import arch
from fusequote.chip import Chip, ChipFault, Op, Patience, SgxError
from fusequote.chip.transport import open_port
from fusequote.enclave.image import AddPage, MemoryImage, make_secs, whole_page
from fusequote.enclave.load import launch
from fusequote.enclave.measure import mrenclave
from test_client_faults import LINES, TCS, expected_measurement, page


def image(extra=()) -> MemoryImage:
    operations = list(whole_page(0, arch.PT_TCS_FLAGS, bytes(TCS)))
    for number in range(1, 24):
        operations += whole_page(4096 * number, arch.PT_REG_FLAGS | 7, page(number))
    return MemoryImage("sample", make_secs(0x20000, 1, None), [*operations, *extra])


def sigstruct(of: MemoryImage, enclavehash: bytes | None = None) -> arch.SigStruct:
    attributes = arch.Attributes(flags=0x4, xfrm=3)
    unsigned = arch.SigStruct(
        modulus=SIGNERS[3],
        enclavehash=enclavehash or mrenclave(of),
        exponent=3,
        attributes=attributes,
        attributemask=attributes,
    )
    return arch.SigStruct.from_bytes(signed(unsigned.to_bytes()))


def ready(seed: int) -> tuple[Chip, FaultyPort]:
    """A chip ready for enclaves, at the end of a line that is still good."""
    inner, _ = open_port("model://?seed=launch", 115200)
    port = FaultyPort(inner, seed, Faults())
    chip = Chip(port, clock=port.clock, patience=Patience(60, 60, 0.05), first_echo=1)
    chip.fuse_manufacture(
        root_provisioning_key=b"k" * 16,
        device_id=b"d" * 16,
        cpusvn=bytes(16),
        provisioning_signers=(bytes(32), bytes(32)),
        lepubkeyhash=bytes(32),
    )
    chip.fuse_lock()
    chip.reset()
    return chip, port


@pytest.mark.parametrize("line", LINES)
def test_the_same_enclave_over_any_line(line):
    sample = image()
    assert sigstruct(sample).enclavehash == expected_measurement()
    chip, port = ready(7)
    with chip:
        port.spoil(LINES[line])
        with launch(chip, sample, sigstruct(sample)) as enclave, enclave.enter() as session:
            assert session.ereport(bytes(512)).body.mrenclave == expected_measurement()
        counts = [
            sum(op == wanted for op, _ in port.tap.ran) for wanted in (Op.ECREATE, Op.EADD, Op.EEXTEND)
        ]
        assert counts == [1, 24, 24]


@pytest.mark.parametrize("seed", range(12))
def test_the_true_reason_although_its_answer_was_lost(seed):
    """A TCS that the chip refuses, while half of all answers get lost: the error is EADD's, whatever was
    lost."""
    bad = AddPage(0x18000, arch.PT_TCS_FLAGS, bytes(TCS)[:-1] + b"\1")
    after = list(whole_page(0x19000, arch.PT_REG_FLAGS | 7, page(50)))
    sample = image([bad, *after])
    chip, port = ready(seed)
    with chip:
        port.spoil(Faults(), Faults(lose=0.3))
        with pytest.raises(ChipFault, match=r"EADD \(0x100000018000\): #GP"):
            launch(chip, sample, sigstruct(sample))
        port.heal()
        handles = [chip.ecreate(sample.secs) for _ in range(chip.identity.slots)]
        assert len(handles) == 4


def test_a_wrong_measurement_stays_one():
    """Lost answers are a reason to try once more, not to try for ever."""
    sample = image()
    chip, port = ready(3)
    with chip:
        port.spoil(Faults(), Faults(lose=0.2))
        with pytest.raises(SgxError, match="SGX_INVALID_MEASUREMENT"):
            launch(chip, sample, sigstruct(sample, bytes(31) + b"\1"))
        assert chip.stats.lost > 0
        assert [op for op, _ in port.tap.ran].count(Op.EINIT) == 2
