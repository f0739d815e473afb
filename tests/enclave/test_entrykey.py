"""The holder of an entry key against the chip: plans, and lines that lose the answer to an EGETKEY."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fusequote.arch import KeyRequest
from fusequote.chip import BlockError, Chip, ChipFault, LinkError, Patience, SgxError, Status
from fusequote.chip.transport import open_port
from fusequote.enclave.entrykey import EntryKey, SignedSession, planned_key, planned_report, planned_verify
from fusequote.enclave.load import launch
from fusequote.enclave.sample import sample_image
from fusequote.enclave.signing import generate_signing_key, sign_image
from fusequote.errors import UsageError

sys.path.append(str(Path(__file__).parents[1] / "chip"))
from faulty import Faults, FaultyPort  # noqa: E402

SEAL = KeyRequest(keyname=4, keypolicy=1)


@pytest.fixture(scope="module")
def keys():
    return EntryKey.generate(), EntryKey.generate(), generate_signing_key()


@pytest.fixture
def port():
    inner, _ = open_port("model://?seed=entry", 115200)
    return FaultyPort(inner, 5, Faults())


@pytest.fixture
def chip(port):
    with Chip(port, clock=port.clock, patience=Patience(60, 60, 0.05), first_echo=1) as made:
        made.fuse_manufacture(
            root_provisioning_key=b"k" * 16,
            device_id=b"d" * 16,
            cpusvn=bytes([255]) * 16,
            provisioning_signers=(bytes(32), bytes(32)),
            lepubkeyhash=bytes(32),
        )
        made.fuse_lock()
        made.reset()
        yield made


@pytest.fixture
def session(chip, keys):
    holder, _, signer = keys
    image = holder.named_in(sample_image())
    with launch(chip, image, sign_image(image, signer)) as enclave:
        yield SignedSession(enclave, holder, enclave.tcs[0])


def test_a_plan_of_everything(session):
    identity = session.enclave.identity
    report = session.ereport(identity.target(), b"d" * 64)
    answers = session.run([planned_verify(report), planned_report(bytes(512)), planned_key(SEAL)])
    assert answers[0] == b"\1" and answers[1][64:96] == identity.mrenclave and len(answers[2]) == 16
    assert session.egetkey(SEAL) == answers[2]
    assert session.verifyreport(report)
    assert session.run([]) == []


def test_only_the_holder(session, keys):
    stranger = SignedSession(session.enclave, keys[1], session.tcs)
    with pytest.raises(BlockError, match="BLOCK_ENTRY_PROOF"):
        stranger.egetkey(SEAL)
    with pytest.raises(LinkError, match="LINK_BAD_LENGTH"), session.enclave.enter():
        pass
    session.egetkey(SEAL)


def test_a_refused_command_leaves_the_enclave(session):
    for _ in range(4):  # more often than there are SSA frames
        with pytest.raises(SgxError, match="SGX_INVALID_KEYNAME"):
            session.run([planned_report(bytes(512)), planned_key(KeyRequest(keyname=5)), planned_report(bytes(512))])
        with pytest.raises(ChipFault):
            session.egetkey(b"\xff" * 512)
    assert len(session.egetkey(SEAL)) == 16


@pytest.mark.parametrize("faults", [Faults(lose=0.05), Faults(lose=0.1), Faults(corrupt=0.01, longest=700)])
def test_keys_over_a_bad_line(session, port, faults):
    good = session.egetkey(SEAL)
    retries = session.enclave.chip.stats.retries
    port.spoil(faults)
    for _ in range(25):
        answers = session.run([planned_key(SEAL), planned_report(bytes(512)), planned_key(SEAL)])
        assert answers[0] == answers[2] == good and len(answers[1]) == 432
    assert session.enclave.chip.stats.retries > retries
    port.spoil(Faults())


def test_a_lost_key_is_not_asked_for_twice_in_one_entry(session, monkeypatch):
    """The client hands LINK_ANSWER_GONE on, and the session begins anew: as often as it takes, but not for ever."""
    chip, run, gone = session.enclave.chip, Chip.run, [3]

    def losing(self, command):
        answer = run(self, command)
        if command.op == 0x28 and gone[0]:
            gone[0] -= 1
            raise LinkError.of(Status.LINK_ANSWER_GONE, command.op)
        return answer

    monkeypatch.setattr(Chip, "run", losing)
    assert len(session.egetkey(SEAL)) == 16 and gone == [0]
    gone[0] = 1000
    with pytest.raises(LinkError, match="LINK_ANSWER_GONE"):
        session.egetkey(SEAL)
    gone[0] = 0
    assert len(session.egetkey(SEAL)) == 16
    assert chip.identify().signed_entry


def test_other_keys_are_no_entry_keys():
    with pytest.raises(UsageError, match="exponent 65537"):
        EntryKey(rsa.generate_private_key(65537, 3072))
    key = EntryKey.generate()
    assert len(key.page()) == 4096 and key.page()[16:48] == key.hash
    assert repr(key) == f"EntryKey({key.hash.hex()})"
