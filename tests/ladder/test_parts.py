"""What the attacks are made of: keys out of memory and fuses, commands watched for leaks, what is told."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fusequote.arch import KeyName, KeyPolicy, KeyRequest
from fusequote.chip.fusefile import FuseFileError
from fusequote.chip.ops import Op
from fusequote.enclave.signing import generate_signing_key
from fusequote.ladder import Level, Stage, Talk
from fusequote.ladder.certificates import Authority
from fusequote.ladder.common import traced
from fusequote.ladder.fuses import Fuses
from fusequote.ladder.fuzz import fuzz
from fusequote.ladder.memory import key_in_memory
from fusequote.ladder.rung import Attack, Outcome, Rung
from fusequote.ladder.signing_cpu import EngineSigningUnit, signature_holds
from fusequote.ladder.telling import hexdump
from fusequote.platform.sealing import SEAL_ATTRIBUTES, SEAL_MISC_MASK


@pytest.fixture
def stage(home):
    with Stage(home) as made:
        yield made


def test_a_key_is_found_in_memory():
    key = generate_signing_key()
    found, _ = key_in_memory(key.public_key().public_numbers().n)
    assert found is not None
    assert found.private_numbers().d % 2 and found.public_key() == key.public_key()


def test_a_key_that_is_not_there_is_not_found():
    """A modulus of which this process never had a factor: a product of another one and a prime of nobody's."""
    key = rsa.generate_private_key(65537, 2048)
    modulus = key.public_key().public_numbers().n
    found, read = key_in_memory((modulus << 1023) | 1)
    assert found is None and read > 1 << 20


def test_keys_out_of_the_fuses_are_the_chips(stage):
    """SEAL and REPORT keys, as EGETKEY gives them to the enclave itself, at this CPUSVN and an older one."""
    computer = stage.computer("alice")
    program, fuses = stage.alice(computer, Level.L1), stage.fuses("alice")
    identity = program.enclave.identity
    for step in (0, 1, 2):
        request = KeyRequest(
            keyname=KeyName.SEAL,
            keypolicy=KeyPolicy.MRSIGNER,
            isvsvn=identity.isvsvn,
            cpusvn=bytes(component - step for component in identity.cpusvn),
            attributemask=SEAL_ATTRIBUTES,
            miscmask=SEAL_MISC_MASK,
            keyid=bytes(range(32)),
        )
        with program.enclave.entered() as inside:
            assert inside.key(request) == fuses.seal_key(identity, request)
    with program.enclave.entered() as inside:
        report = inside.report(program.enclave.target_info, bytes(64))
        own = inside.key(KeyRequest(keyname=KeyName.REPORT, keyid=report.keyid))
    assert own == fuses.report_key(program.enclave.target_info, identity.cpusvn, report.keyid)


def test_a_file_that_is_no_fuse_file(tmp_path):
    path = tmp_path / "x.fuses"
    path.write_bytes(b"short")
    with pytest.raises(FuseFileError, match="not a fuse file"):
        Fuses.read(path)


@pytest.mark.parametrize(
    ("what", "name"),
    [
        (lambda fuses, root: fuses.provisioning, "root provisioning key"),
        (lambda fuses, root: b"\0" * 5 + fuses.sealing[3:9], "root sealing key"),
        (lambda fuses, root: root, "K(CPUSVN)"),
    ],
)
def test_a_chip_that_leaks_is_seen(stage, monkeypatch, what, name):
    """Six bytes in a row of a key in any answer are enough."""
    computer, fuses = stage.computer("alice"), stage.fuses("alice")
    raw, cpusvn = computer.device.raw, computer.device.identity.cpusvn

    def leaking(op, body=b""):
        status, answer = raw(op, body)
        return (status, answer + what(fuses, fuses.root(cpusvn))) if op == Op.SLOT_INFO else (status, answer)

    target = stage.alice(computer, Level.L2).enclave.target_info
    assert fuzz(computer.device, fuses, target, stage.mallory_signer).leaks == []
    monkeypatch.setattr(computer.device, "raw", leaking)
    found = fuzz(computer.device, fuses, target, stage.mallory_signer)
    assert found.leaks == [name] and found.commands >= 20 and 0 < found.refused < found.commands


def test_tracing_is_more_than_seeing_something():
    assert traced([(0, b"a"), (1, b"b"), (0, b"a")], "").worked
    assert not traced([(0, b"a"), (1, b"a"), (0, b"a")], "").worked  # all look the same
    assert not traced([(0, b"a"), (1, b"b"), (0, b"c")], "").worked  # all look different
    assert not traced([(0, b"a"), (1, b"b")], "").worked  # nobody came twice


def test_an_attack_has_a_name_of_its_own():
    rung = Rung(9, "", "", "", "", "", "", open=lambda stage, talk: None, works=lambda system, level, talk: None)
    attack = Attack("one", "", "", lambda system, level, talk: Outcome(False, ""))
    rung.add(attack)
    with pytest.raises(ValueError, match="'one' already"):
        rung.add(attack)


def test_bytes_are_shown_short():
    assert hexdump(bytes(range(6))) == "00010203 0405"
    assert hexdump(bytes(100), 8) == "00000000 00000000 .. (100 bytes)"
    talk = Talk()
    talk.heading("A")
    talk.bytes("x", b"\1")
    assert talk.lines == ["A", "=", "      x            01"]


@pytest.mark.rtl
def test_the_engine_signs_for_a_cpu():
    """The unit of `sim://`: the maker's certificate is for the key that the RTL signs with."""
    maker = Authority("a maker")
    cpu = EngineSigningUnit(maker, bytes(16), str(Path(__file__).parents[2] / "build" / "test-cache"))
    digest = secrets.token_bytes(32)
    signature = cpu.sign(digest)
    assert signature_holds(cpu.certificate.public_key(), signature, digest)
    assert not signature_holds(cpu.certificate.public_key(), signature, digest[1:] + digest[:1])
    cpu.certificate.verify_directly_issued_by(maker.root)
    assert cpu.cycles > 1_000_000
