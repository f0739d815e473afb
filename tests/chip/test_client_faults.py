"""Whole sessions with the reference model over a line that loses, doubles, damages, injects, delays and
reorders."""

from __future__ import annotations

import hashlib

import pytest
from commands_make import SIGNERS, signed
from faulty import Faults, FaultyPort
from fusequote import arch
from fusequote.chip import Chip, LinkError, Op, Patience, commands
from fusequote.chip.transport import open_port

PAGES = 24
BASE = 0x10_0000_0000
SIZE = 0x2_0000
RWX = commands.fixed("SECINFO", arch.SecInfo(flags=arch.PT_REG_FLAGS | 7), 64)
TCS_INFO = arch.SecInfo(flags=arch.PT_TCS_FLAGS)
SIGNER = bytes(range(32))


def page(number: int) -> bytes:
    return hashlib.shake_128(bytes([number])).digest(4096)


def secs() -> arch.Secs:
    attributes = arch.Attributes(flags=0x4, xfrm=3)
    return arch.Secs(size=SIZE, baseaddr=BASE, ssaframesize=1, attributes=attributes)


TCS = arch.Tcs(ossa=0x1000, nssa=2, oentry=0, fslimit=0xFFFFFFFF, gslimit=0xFFFFFFFF)


def building(handle) -> list:
    """The stream of EADD and EEXTEND: one TCS, then pages."""
    stream = [
        commands.eadd(handle, BASE, TCS_INFO, bytes(TCS)),
        commands.eextend(handle, BASE, 16),
    ]
    for number in range(1, PAGES):
        at = BASE + 4096 * number
        stream += [commands.eadd(handle, at, RWX), commands.eextend(handle, at, 16, page(number))]
    return stream


def expected_measurement() -> bytes:
    """MRENCLAVE by the text of the instruction notes, section 2, with hashlib alone."""
    digest = hashlib.sha256(
        b"ECREATE\0" + (1).to_bytes(4, "little") + SIZE.to_bytes(8, "little") + bytes(44)
    )
    for number in range(PAGES):
        offset = 4096 * number
        info, content = (TCS_INFO.to_bytes(), bytes(TCS)) if number == 0 else (RWX, page(number))
        digest.update(b"EADD\0\0\0\0" + offset.to_bytes(8, "little") + info[:48])
        for chunk in range(0, 4096, 256):
            digest.update(b"EEXTEND\0" + (offset + chunk).to_bytes(8, "little") + bytes(48))
            digest.update(content[chunk : chunk + 256])
    return digest.digest()


def sigstruct() -> arch.SigStruct:
    unsigned = arch.SigStruct(
        modulus=SIGNERS[3],
        exponent=3,
        enclavehash=expected_measurement(),
        attributes=arch.Attributes(flags=0x4, xfrm=3),
        attributemask=arch.Attributes(flags=0xFFFFFFFFFFFFFFFF, xfrm=3),
        isvsvn=7,
    )
    return arch.SigStruct.from_bytes(signed(unsigned.to_bytes()))


def whole_session(chip: Chip) -> list[tuple[int, bytes]]:
    """From blank fuses to keys. Gives the numbered commands in order, as (op, body), keys asked for once."""
    issued: list[tuple[int, bytes]] = []

    def note(command) -> None:
        issued.append((command.op, command.body))

    fuses = {
        "root_provisioning_key": b"k" * 16,
        "device_id": b"d" * 16,
        "cpusvn": bytes(15) + b"\x01",
        "provisioning_signers": (bytes(32), bytes(32)),
        "lepubkeyhash": bytes(32),
    }
    note(commands.fuse_manufacture(**fuses))
    chip.fuse_manufacture(**fuses)
    note(commands.Command(Op.FUSE_LOCK))
    chip.fuse_lock()
    assert chip.reset().booted_locked

    sig = sigstruct()
    note(commands.set_lepubkeyhash(sig.mrsigner))
    chip.set_lepubkeyhash(sig.mrsigner)
    note(commands.ecreate(secs()))
    handle = chip.ecreate(secs())
    stream = building(handle)
    for command in stream:
        note(command)
    result = chip.pipeline(stream)
    assert result.commands == len(stream)
    note(commands.einit(handle, sig))
    chip.einit(handle, sig)
    note(commands.slot_info(handle))
    assert chip.slot_info(handle).mrenclave == sig.enclavehash

    keys = set()
    for round in range(12):
        note(commands.eenter(handle, BASE))
        entry = chip.eenter(handle, BASE)
        note(commands.ereport(entry.ticket, arch.TargetInfo(), bytes(64)))
        assert chip.ereport(entry.ticket, arch.TargetInfo(), bytes(64)).body.isvsvn == 7
        request = arch.KeyRequest(keyname=arch.KeyName.SEAL, isvsvn=round % 8, keypolicy=1)
        note(commands.egetkey(entry.ticket, request))
        keys.add(chip.egetkey(entry.ticket, request))
        if round % 2:
            note(commands.aex(handle, BASE))
            chip.aex(handle, BASE)
            note(commands.eresume(handle, BASE))
            entry = chip.eresume(handle, BASE)
        note(commands.eexit(entry.ticket))
        chip.eexit(entry.ticket)
    assert len(keys) == 8
    note(commands.eremove(handle))
    chip.eremove(handle)
    return issued


def once(ran: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """What ran, each run of equal EGETKEYs as one: those alone may be asked for again, for they change
    nothing."""
    return [command for i, command in enumerate(ran) if command[0] != Op.EGETKEY or command != ran[i - 1]]


def faulty_chip(
    seed: int, faults: Faults, back: Faults | None = None, **options
) -> tuple[Chip, FaultyPort]:
    inner, _ = open_port("model://?seed=faults", 115200)
    port = FaultyPort(inner, seed, faults, back)
    patience = Patience(command=60, first=60, retry=0.05)
    return Chip(port, clock=port.clock, patience=patience, first_echo=seed % 255 + 1, **options), port


LINES = {
    "loses": Faults(lose=0.02, longest=700),
    "loses whole writes": Faults(lose=0.06),
    "doubles": Faults(double=0.05, longest=900),
    "doubles whole writes": Faults(double=0.2),
    "damages": Faults(corrupt=0.02, longest=600),
    "injects": Faults(inject=0.03, longest=900),
    "delays": Faults(delay=0.05, longest=900),
    "reorders": Faults(overtake=0.05, longest=900),
    "reorders whole writes": Faults(overtake=0.3, delay=0.3),
    "all at once": Faults(0.01, 0.01, 0.01, 0.01, 0.02, 0.01, longest=800),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("line", LINES)
def test_a_bad_line_changes_nothing(line, seed):
    chip, port = faulty_chip(seed, LINES[line])
    with chip:
        issued = whole_session(chip)
    assert once(port.tap.ran) == issued
    if line != "delays":
        assert port.damage > 0
    print(f"{line}, seed {seed}: {port.damage} times damaged, {port.tap.repeats} repeats, {chip.stats}")


@pytest.mark.parametrize("seed", range(2))
def test_only_the_way_back_is_bad(seed):
    chip, port = faulty_chip(seed, Faults(), Faults(lose=0.04, corrupt=0.04, longest=100))
    with chip:
        issued = whole_session(chip)
    assert once(port.tap.ran) == issued
    assert port.tap.repeats > 0
    assert chip.stats.retries > 0


def test_a_good_line_wastes_nothing():
    chip, port = faulty_chip(0, Faults(longest=50))
    with chip:
        issued = whole_session(chip)
    assert port.tap.ran == issued
    assert (chip.stats.retries, chip.stats.naks, chip.stats.damaged, chip.stats.lost) == (0, 0, 0, 0)
    assert chip.stats.commands == len(issued)


def test_keys_that_the_line_lost_are_asked_for_again():
    """The answer to EGETKEY is not kept: a repeat gets LINK_ANSWER_GONE, and the client asks under the
    next number."""
    chip, port = faulty_chip(5, Faults(), Faults(lose=0.3))
    with chip:
        issued = whole_session(chip)
    assert len(port.tap.ran) > len(issued)
    assert once(port.tap.ran) == issued


def test_after_a_dead_line_the_next_command_finds_its_place():
    """Silence ends in LinkError; once the line is back, the numbering goes on where the chip is."""
    chip, port = faulty_chip(1, Faults())
    with chip:
        before = chip.fuse_status()
        port.spoil(Faults(), Faults(lose=1.0))
        with pytest.raises(LinkError) as caught:
            chip.fuse_status()
        assert str(caught.value) == "FUSE_STATUS: no answer in 48 tries, only silence"
        assert caught.value.exit_code == 4
        port.heal()
        assert chip.fuse_status() == before
    assert [op for op, _ in port.tap.ran] == [Op.FUSE_STATUS] * 3
