"""Commands of every kind to a chip, and a look at every answer for bytes of keys that must not leave it."""

from __future__ import annotations

import contextlib
import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa

from fusequote.arch import KeyName, KeyRequest, Report, TargetInfo
from fusequote.chip import Chip
from fusequote.chip.ops import Op
from fusequote.enclave.load import LaunchedEnclave, launch
from fusequote.errors import DeviceError
from fusequote.ladder.fuses import Fuses
from fusequote.ladder.images import small_image
from fusequote.platform.daemon_wire import PlatformCode, PlatformError
from fusequote.platform.protocol import cmac

__all__ = ["Found", "fuzz"]

COMMANDS = 48
#: Bytes in a row that count as seen. Six by chance in a hundred thousand bytes: once in 10^9 runs.
WINDOW = 6
#: Not sent: they end the other enclaves of the chip, or change their keys, for everybody. tests/rtl does send them.
_SPARED = {Op.RESET, Op.SET_OWNEREPOCH, Op.SET_LEPUBKEYHASH, Op.EREMOVE, Op.AEX}


@dataclass
class Found:
    """What a run saw: names of what was looked for, and of what was seen of it."""

    commands: int = 0
    refused: int = 0
    answered: int = 0
    watched: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)


def fuzz(chip: Chip, fuses: Fuses, target: TargetInfo, signer: rsa.RSAPrivateKey, commands: int = COMMANDS) -> Found:
    """Send ``commands`` commands from an enclave of ``signer``'s, with every right that it has.

    Looked for: root keys, the ratchet's key of this CPUSVN and the maker's key of the chip with these ``fuses``, and
    the REPORT key of ``target`` in this boot. Raises :class:`DeviceError` when the link fails.
    """
    rng = random.Random(secrets.token_bytes(16))
    enclave = launch(chip, small_image("somebody with commands", signer))
    found, answers = Found(), list[bytes]()
    try:
        with enclave.enter() as session:
            report = session.ereport(target)
            ticket = session._inside().to_bytes()
            for op, body in _commands(rng, enclave, ticket, report, commands):
                status, answer = _ask(chip, op, body)
                found.commands += 1
                found.refused += status != 0
                answers.append(answer)
    finally:
        with contextlib.suppress(DeviceError, PlatformError):
            enclave.remove()
    cpusvn = report.body.cpusvn
    root = fuses.root(cpusvn)
    watched = {
        "root provisioning key": fuses.provisioning,
        "root sealing key": fuses.sealing,
        "K(CPUSVN)": root,
        "first chain of the ratchet": cmac(fuses.provisioning, b"FQ-SVN\0"),
        "the maker's key": fuses.maker_key(),
        "REPORT key of Alice's enclave": fuses.report_key(target, cpusvn, report.keyid),
    }
    # The attacker's list is right: the MAC of the REPORT above is made with the last key on it.
    if cmac(watched["REPORT key of Alice's enclave"], report.body.to_bytes()) != report.mac:
        raise DeviceError("the keys looked for are not this chip's")
    everything = b"--".join(answers)
    found.answered, found.watched = sum(map(len, answers)), list(watched)
    found.leaks = [name for name, key in watched.items() if any(part in everything for part in _windows(key))]
    return found


def _windows(key: bytes) -> set[bytes]:
    return {key[at : at + WINDOW] for at in range(len(key) - WINDOW + 1)}


def _ask(chip: Chip, op: int, body: bytes) -> tuple[int, bytes]:
    try:
        return chip.raw(op, body)
    except PlatformError as no:
        if no.code is PlatformCode.CLOSED:
            raise
        return -1, b""


def _commands(
    rng: random.Random, enclave: LaunchedEnclave, ticket: bytes, report: Report, count: int
) -> Iterator[tuple[int, bytes]]:
    handle, svn = enclave.handle.to_bytes(), report.body.cpusvn[0]
    tcs = handle + enclave.tcs[0].to_bytes(8, "little")
    kinds = (
        lambda: (Op.FUSE_STATUS, b""),
        lambda: (Op.FUSE_STATUS, rng.randbytes(rng.randrange(4))),
        lambda: (Op.SLOT_INFO, handle),
        lambda: (Op.SLOT_INFO, bytes([rng.randrange(8)]) + rng.randbytes(8)),
        lambda: (Op.FUSE_MANUFACTURE, rng.randbytes(192)),
        lambda: (Op.FUSE_LOCK, b""),
        lambda: (Op.FUSE_RAISE_SVN, b"\xff" * 16 + rng.randbytes(16)),
        lambda: (Op.FUSE_SCRAP, rng.randbytes(16)),
        lambda: (Op.EENTER, tcs),
        lambda: (Op.ECHALLENGE, handle),
        lambda: (Op.EREPORT, ticket + rng.randbytes(32) + bytes(480) + rng.randbytes(64)),
        lambda: (Op.EREPORT, rng.randbytes(16) + bytes(576)),
        lambda: (Op.VERIFYREPORT, ticket + report.to_bytes()),
        lambda: (Op.VERIFYREPORT, ticket + rng.randbytes(432)),
        lambda: (Op.EGETKEY, ticket + _keyrequest(rng, svn)),
        lambda: (Op.EGETKEY, ticket + _keyrequest(rng, svn)),
        lambda: (Op.EGETKEY, rng.randbytes(16) + _keyrequest(rng, svn)),
        lambda: (_any_op(rng), rng.randbytes(rng.choice((0, 1, 9, 16, 17, 25, 64, 528)))),
        lambda: (_any_op(rng), ticket + rng.randbytes(rng.choice((0, 16, 432, 512, 576)))),
        lambda: (_any_op(rng), handle + rng.randbytes(rng.choice((0, 8, 9, 64)))),
    )
    for at in range(count):
        yield kinds[at]() if at < len(kinds) else rng.choice(kinds)()


def _any_op(rng: random.Random) -> int:
    return rng.choice([op for op in range(0x05, 0x100) if op not in _SPARED and op != Op.EEXIT])


def _keyrequest(rng: random.Random, svn: int) -> bytes:
    """For any key, at the CPUSVN of the chip, below and above; sometimes for a name that there is not."""
    return KeyRequest(
        keyname=rng.choice([*KeyName, 5, 0x100, 0xFFFF]),
        keypolicy=rng.randrange(4),
        isvsvn=rng.randrange(3),
        cpusvn=bytes([svn + rng.choice((-1, 0, 0, 1))]) * 16,
        keyid=rng.randbytes(32),
        miscmask=rng.randrange(1 << 32),
    ).to_bytes()
