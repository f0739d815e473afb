"""The signing unit's bad input, and an engine that does not answer; whole signatures are in tests/hdl/test_p256.py."""

import importlib.metadata
import subprocess

import pytest
from fusequote.errors import DeviceError, UsageError
from fusequote_sim import p256
from fusequote_sim.p256 import Request, SimulatedSigningUnit, run

KEY = (1).to_bytes(32)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture
def engine(monkeypatch, tmp_path):
    """A program instead of the engine: gives what it is told to a shell."""

    def become(script):
        program = tmp_path / "engine"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        monkeypatch.setattr(p256, "build", lambda *_, **__: program)

    return become


@pytest.mark.parametrize("key", [b"", bytes(32), bytes(31), bytes(33), ORDER.to_bytes(32), b"\xff" * 32])
def test_keys_that_are_refused(key):
    with pytest.raises(UsageError, match="from 1 to n - 1"):
        SimulatedSigningUnit(key)


@pytest.mark.parametrize("field", ["key", "nonce", "digest"])
def test_numbers_of_another_size_are_refused(field):
    good = {"key": KEY, "nonce": KEY, "digest": bytes(32)}
    for size in (0, 31, 33):
        with pytest.raises(UsageError, match=f"a P-256 {field} has 32 bytes, not {size}"):
            Request(**good | {field: bytes(size)})


def test_a_hash_of_another_size_is_refused_before_anything_runs():
    with pytest.raises(UsageError, match="digest has 32 bytes, not 20"):
        SimulatedSigningUnit(KEY).sign(bytes(20))


def test_no_secret_is_shown():
    key = b"a secret of a CPU, 32 bytes long"
    shown = repr(Request(key, key, key)) + repr(SimulatedSigningUnit(key))
    assert "secret" not in shown and key.hex() not in shown


def test_an_engine_that_ends_early(engine):
    engine("cat > /dev/null; echo it broke >&2; exit 1")
    with pytest.raises(DeviceError, match="ended: it broke"):
        run([Request(KEY, KEY, bytes(32))])
    engine("cat > /dev/null; printf short")
    with pytest.raises(DeviceError, match="ended"):
        run([Request(KEY, KEY, bytes(32))])


def test_an_engine_that_does_not_answer(engine, monkeypatch):
    def expired(*_, **__):
        raise subprocess.TimeoutExpired("engine", 120, output=b"", stderr=b"")

    engine("exit 0")
    monkeypatch.setattr(subprocess, "run", expired)
    with pytest.raises(DeviceError, match="does not answer") as caught:
        run([Request(KEY, KEY, bytes(32))])
    assert caught.value.__cause__ is None


def test_an_engine_that_refuses_every_nonce(engine):
    engine("cat > /dev/null; printf '\\001'; head -c 72 /dev/zero")
    with pytest.raises(DeviceError, match="refused 4 random nonces"):
        SimulatedSigningUnit(KEY).sign(bytes(32))


def test_the_host_finds_it():
    (point,) = importlib.metadata.entry_points(group="fusequote.signing", name="p256")
    assert point.load() is SimulatedSigningUnit
