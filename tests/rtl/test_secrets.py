"""What the host can never see, and what it cannot learn from time: on the RTL."""

import random

import commands_shadow as ops
import pytest
from commands import CommandSource
from commands_make import keyrequest, manufacture, patched, targetinfo
from fusequote.chip.fusefile import FuseFile
from fusequote.chip.model.crypto import SvnChains
from model_driver import Driver, enter, launch

pytestmark = [pytest.mark.rtl, pytest.mark.timeout(600)]

RPK, RSK, P256 = slice(0x100, 0x110), slice(0x110, 0x120), slice(0x120, 0x140)
#: Bytes of a secret that must not turn up in a row. Six by chance in a megabyte: once in 10^8 runs.
WINDOW = 6


def power_cycle(rtl, path, chip):
    """The fuses of a chip that has been powered off."""
    chip.close()
    with FuseFile.power_on(path) as file:
        return file.bank.image()


def windows(secret):
    return {secret[i:i + WINDOW] for i in range(len(secret) - WINDOW + 1)}


@pytest.mark.parametrize("locked", [True, False], ids=["LEPUBKEYHASH locked", "LEPUBKEYHASH free"])
def test_no_sequence_of_commands_reads_a_fuse_key(rtl, tmp_path, locked):
    """3,000 random commands: no answer holds six bytes in a row of a root key, or of a key on the ratchet."""
    path = tmp_path / "chip.fuses"
    chip = rtl(fuses=path, seed="secrets")
    source = CommandSource(f"secrets {locked}", launch_locked=locked)
    answers = bytearray()
    for _ in range(3000):
        request = source.next()
        answer = chip.execute(request)
        source.observe(answer)
        answers += answer + b"--"
    fuses = power_cycle(rtl, path, chip)
    assert any(fuses[RPK]) and any(fuses[RSK]), "the stream never manufactured the chip"
    chains = SvnChains(fuses[RPK], fuses[0x80:0x90])
    secrets = [fuses[RPK], fuses[RSK], chains.key(fuses[0x80:0x90]), *chains._chains]
    if any(fuses[P256]):
        secrets.append(fuses[P256])
    blob = bytes(answers)
    for secret in secrets:
        for window in windows(secret):
            assert window not in blob


def manufactured(rtl, path, *, seed, rpk):
    """A locked chip that has booted, and what drives it."""
    chip = rtl(fuses=path, seed=seed)
    driver = Driver(chip)
    driver.do(ops.FUSE_MANUFACTURE, manufacture(rpk=rpk))
    driver.do(ops.FUSE_LOCK)
    driver.do(ops.RESET)
    return chip, driver


def test_time_does_not_depend_on_keys_or_data(rtl, tmp_path):
    """KEY.CONSTANT_TIME: with other keys, other data, right or wrong MACs, a command takes the same cycles."""
    times = []
    for i in range(3):
        rng = random.Random(i)
        chip, driver = manufactured(rtl, tmp_path / f"{i}.fuses", seed=f"time{i}", rpk=rng.randbytes(16))
        times.append(timings(driver, chip, rng))
        chip.close()
    print(times[0])
    assert times[0] == times[1] == times[2]
    # Where a MAC, a KEYID or a ticket is wrong does not show. (That it is wrong does: the answer says so.)
    for kind in ("VERIFYREPORT wrong", "EEXIT wrong"):
        assert len({cycles for name, cycles in times[0].items() if name.startswith(kind)}) == 1


def timings(driver, chip, rng):
    """Cycles by name, of the commands that use keys and tickets."""
    out = {}
    enclave = launch(driver)
    ticket = enter(driver, enclave)

    def timed(name, op, body, status="SUCCESS"):
        answer = driver.ask(op, body)
        assert answer.status.name == status, name
        out[name] = chip.cycles()
        return answer.body

    target = targetinfo(driver.do(ops.SLOT_INFO, enclave.handle))
    report = timed("EREPORT", ops.EREPORT, ticket + target + rng.randbytes(64))
    assert timed("VERIFYREPORT right", ops.VERIFYREPORT, ticket + report) == b"\1"
    # The first byte wrong, the last, any, and another boot's report: all answers take their time.
    for at in (416, 431, 423, 384):
        wrong = patched(report, at, bytes([report[at] ^ 1 << rng.randrange(8)]))
        assert timed(f"VERIFYREPORT wrong at {at}", ops.VERIFYREPORT, ticket + wrong) == b"\0"
    cpusvn = report[:16]
    for keyname in (3, 4):
        for older in (0, 2):
            svn = bytes(byte - older for byte in cpusvn)
            request = keyrequest(keyname, cpusvn=svn, keyid=rng.randbytes(32))
            timed(f"EGETKEY {keyname}, {older} steps back", ops.EGETKEY, ticket + request)
    # A ticket that is right but for the first or the last byte.
    for at in (0, 15):
        wrong = patched(ticket, at, bytes([ticket[at] ^ 0x10]))
        timed(f"EEXIT wrong at {at}", ops.EEXIT, wrong, "FAULT_GP")
    return out
