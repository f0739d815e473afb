"""Random commands for a chip, good and bad, that get somewhere: the source of the differential test.

:class:`CommandSource` drives any chip through frame contents; :func:`run_differential` drives two and stops at the
first difference. What makes a single command is in commands_build.py, what the source remembers in commands_shadow.py.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import commands_shadow as ops
from commands_build import Builder
from commands_make import TOKENKEY, manufacture
from commands_shadow import OP_NAMES, Enclave, Shadow

STATUS_NAMES = {
    0x0000: "SUCCESS", 0x0001: "SGX_INVALID_SIG_STRUCT", 0x0002: "SGX_INVALID_ATTRIBUTE",
    0x0004: "SGX_INVALID_MEASUREMENT", 0x0008: "SGX_INVALID_SIGNATURE", 0x000E: "SGX_ENCLAVE_ACT",
    0x0010: "SGX_INVALID_EINITTOKEN", 0x0020: "SGX_INVALID_CPUSVN", 0x0040: "SGX_INVALID_ISVSVN",
    0x0080: "SGX_UNMASKED_EVENT", 0x0100: "SGX_INVALID_KEYNAME", 0x4001: "LINK_UNKNOWN_COMMAND",
    0x4002: "LINK_BAD_LENGTH", 0x4003: "LINK_BAD_FRAME", 0x4004: "LINK_TOO_LONG", 0x4005: "LINK_OUT_OF_SEQUENCE",
    0x4006: "LINK_ANSWER_GONE", 0x4011: "BLOCK_LIFE_CYCLE", 0x4012: "BLOCK_NO_SLOT", 0x4013: "BLOCK_NO_TCS",
    0x4014: "BLOCK_BOOT_FAILED", 0x4015: "BLOCK_NO_GENERATION", 0x4016: "BLOCK_ENTRY_PROOF", 0x800D: "FAULT_GP",
    0x800E: "FAULT_PF",
}  # fmt: skip

_MAX_CONTENTS = 4608


class Chip(Protocol):
    """A chip at the level of frame contents."""

    def execute(self, contents: bytes, *, behind: bytes = b"") -> bytes:
        """The answer to one request, or the NAK to contents that are too short or too long.

        ``behind`` waits already while it is run. A chip behind a stream has ``execute_both(request, behind)`` instead.
        """
        ...


class CommandSource:
    """An endless, repeatable stream of commands for one chip.

    Call :meth:`next` and :meth:`observe` in turns. A blank chip is probed, manufactured with
    ``commands_make.manufacture()``, locked and reset; a chip that is locked already (with those signers) is taken as
    it is. ``naks``: also contents that no good frame can have. ``launch_locked``: manufacture with LEPUBKEYHASH locked.
    ``life``: the chip is scrapped after about so many commands, and much is tried on it before it boots as locked.
    ``unreadable``: of a chip that cannot boot.
    """

    def __init__(
        self,
        seed: int | str,
        *,
        naks: bool = True,
        launch_locked: bool = False,
        life: int | None = None,
        unreadable: bool = False,
    ):
        self.rng = random.Random(seed)
        self.shadow = Shadow()
        self._build = Builder(self.rng, self.shadow)
        self._naks = naks
        self._options = int(launch_locked)
        self._request = b""
        self._last_numbered: bytes | None = None
        self._life = life
        self._unreadable = unreadable
        self._patience = 30 if life else 20
        #: Contents that are to be sent together with what :meth:`next` gave last, or none.
        self.behind = b""
        self._next: list[int] = [ops.IDENTIFY, ops.FUSE_STATUS]

    def next(self) -> bytes:
        """The next request's contents."""
        self._request = self._choose()
        if self._request[0:1] >= b"\x10" and len(self._request) >= 2:
            self._last_numbered = self._request
        einit = len(self._request) > 2000 and self._request[0] == ops.EINIT
        event = bytes([ops.EVENT, self.rng.randrange(256)])
        self.behind = event + bytes(self.rng.random() < 0.1) if einit and self.rng.random() < 0.07 else b""
        if self._life is not None:
            self._life -= 1
        return self._request

    def observe(self, answer: bytes) -> None:
        """Take note of the answer to the request that :meth:`next` gave last."""
        self.shadow.observe(self._request, answer)
        if self._request[:1] in (bytes([ops.RESET]), bytes([ops.FUSE_SCRAP])) and answer[2:4] == b"\0\0":
            self._next = [ops.IDENTIFY, ops.FUSE_STATUS]
        elif answer[2:4] == b"\x05\x40":
            self._next = [ops.IDENTIFY]

    def _choose(self) -> bytes:
        if self._next:
            return self._command(self._next.pop(0), b"")
        if self._unreadable:
            return self._command(*self._build.anything())
        if self.rng.random() < 0.05:
            return self._odd()
        if not self.shadow.locked:
            return self._towards_locked()
        if self._life is not None and self._life <= 12:
            return self._command(*self._build.fuse_scrap(good=self._life <= 10))
        return self._command(*self._leaf())

    def _command(self, op: int, body: bytes) -> bytes:
        seq = self.rng.randrange(256) if op < 0x10 else self._seq()
        return bytes([op, seq]) + body

    def _seq(self) -> int:
        return self.shadow.last_seq % 255 + 1

    def _odd(self) -> bytes:
        """Something that the link itself has to deal with."""
        rng, seq = self.rng, self._seq()
        kind = rng.choices(
            ("repeat", "other repeat", "sequence", "unknown", "unnumbered", "short", "long"), (8, 1, 8, 3, 7, 2, 0.5)
        )[0]
        if kind == "repeat" and self._last_numbered:
            return self._last_numbered
        if kind == "other repeat":
            return bytes([rng.randrange(0x10, 0x31), self.shadow.last_seq]) + rng.randbytes(rng.randrange(20))
        if kind == "sequence":
            wrong = rng.choice((0, seq + 1, seq + 2, seq + 128, rng.randrange(256))) % 256
            return bytes([rng.choice([op for op in OP_NAMES if op >= 0x10]), wrong]) + rng.randbytes(rng.randrange(20))
        if kind == "unknown":
            op = rng.choice((0x00, 0x05, 0x0F, 0x18, 0x1F, 0x2C, 0x2F, 0x31, 0x7F, 0x80, 0x91, 0xA0, 0xFF))
            return self._command(op, rng.randbytes(rng.choice((0, 0, 9, 16, 17))))
        if kind == "short" and self._naks:
            return rng.randbytes(1)
        if kind == "long" and self._naks:
            return bytes([0x22, seq]) + bytes(_MAX_CONTENTS - 1)
        op = rng.choice((ops.IDENTIFY, ops.IDENTIFY, ops.CYCLES, ops.CYCLES, ops.EVENT, ops.EVENT, ops.RESET))
        return self._command(op, b"" if op != ops.RESET and rng.random() < 0.8 else b"\0")

    def _towards_locked(self) -> bytes:
        """Blank: try this and that, then manufacture. Manufactured: try this and that, then lock and reset."""
        rng, life_cycle = self.rng, self.shadow.life_cycle
        self._patience -= 1
        if self._patience > 0 or life_cycle == 3:
            op, body = rng.choice(
                (
                    self._build.wrong_length(),
                    *[self._build.anything() for _ in range(9 if self._life is not None else 1)],
                    (ops.FUSE_MANUFACTURE, self._bad_manufacture()),
                    (ops.FUSE_MANUFACTURE, self._bad_manufacture()),
                    (ops.FUSE_LOCK if life_cycle != 1 else ops.SET_OWNEREPOCH, b""),
                    (ops.SET_LEPUBKEYHASH, bytes(32)),
                    (ops.SET_OWNEREPOCH, bytes(16)),
                    (ops.SLOT_INFO, bytes(9)),
                    (ops.EENTER, bytes(17)),
                    (ops.EEXIT, bytes(rng.choice((15, 16)))),
                    (ops.EREMOVE, bytes(9)),
                )
            )
            return self._command(op, body)
        self._patience = 30 if self._life is not None else 8
        if life_cycle == 0:
            return self._command(ops.FUSE_MANUFACTURE, self._manufacture())
        if life_cycle == 1:
            return self._command(ops.FUSE_LOCK, b"")
        return self._command(ops.RESET, b"")

    def _manufacture(self) -> bytes:
        return manufacture(rpk=self.rng.randbytes(16), device_id=self.rng.randbytes(16), options=self._options)

    def _bad_manufacture(self) -> bytes:
        good = self._manufacture()
        if self.shadow.life_cycle != 0:
            return good
        bad = bytearray(good)
        match self.rng.randrange(6):
            case 0:
                bad[0:16] = bytes(16)
            case 1:
                bad[16:32] = bytes(16)
            case 2:
                bad[144] |= self.rng.choice((2, 4, 0x80))
            case 3:
                bad[self.rng.randrange(145, 160)] = 1
            case 4:
                bad[self.rng.randrange(160, 192)] = 1
            case _:
                bad.append(0)
        return bytes(bad)

    def _leaf(self) -> tuple[int, bytes]:
        """One command of a locked chip, by what there is to do it with."""
        shadow, build = self.shadow, self._build
        enclaves = list(shadow.enclaves.values())
        building = [e for e in enclaves if not e.initialised]
        active = [t for e in enclaves for t in e.active]
        ready = [e for e in enclaves if e.initialised]
        room = len(enclaves) < 4
        launcher = any(e.flags & TOKENKEY and e.active for e in ready)
        choices: list[tuple[float, Callable[[], tuple[int, bytes]]]] = [
            (5 if room else 0.4, build.ecreate),
            (7 if building else 0.5, build.eadd_regular),
            (5 if any(not e.threads for e in building) else 0.3, build.eadd_tcs),
            (self._hunger(building), build.fill_with_tcs),
            (9 if building else 0.7, build.eextend),
            (self._launch_weight(building), build.einit),
            (2.2 if not room else 0.4, build.eremove),
            (12 if any(not t.ticket and t.cssa < t.nssa for e in ready for t in e.threads) else 0.5, build.eenter),
            (5 if any(t.cssa and not t.ticket for e in ready for t in e.threads) else 0.5, build.eresume),
            (self._challenge_weight(ready), build.echallenge),
            (20 if build._following() else 0, build.planned),
            (8 if any(e.signed and (t.stuck or not t.plan) for e in ready for t in e.active) else 0, build.aex),
            (4 if active else 0.4, build.aex),
            (4 if active else 0.6, build.eexit),
            (9 if active else 0.7, build.ereport),
            (26 if launcher and not build.usable_launch_keys() else 14 if active else 0.7, build.egetkey),
            (9 if active else 0.7, build.verifyreport),
            (4, build.slot_info),
            (1.5, build.set_lepubkeyhash),
            (0.5, build.set_ownerepoch),
            (0.5, lambda: (ops.FUSE_STATUS, b"")),
            (9 if self._life is not None else 0.2, build.fuse_raise_svn),
            (1.6, build.wrong_length),
            (0.2, lambda: build.fuse_scrap(good=False)),
            (0.3, lambda: (ops.FUSE_LOCK, b"")),
            (0.3, lambda: (ops.FUSE_MANUFACTURE, self._manufacture())),
            (0.12, lambda: (ops.RESET, b"")),
        ]
        weights, makers = zip(*choices, strict=True)
        return self.rng.choices(makers, weights)[0]()

    @staticmethod
    def _challenge_weight(ready: list[Enclave]) -> float:
        idle = [e for e in ready if e.signed and not e.challenge and any(not t.ticket for t in e.threads)]
        return 9 if idle else 1.2

    def _launch_weight(self, building: list[Enclave]) -> float:
        if not any(e.threads and not e.greedy for e in building):
            return 0.8
        return 26 if self._build.usable_launch_keys() else 12  # tokens have many ways to be wrong

    def _hunger(self, building: list[Enclave]) -> float:
        held = [len(e.threads) for e in building if e.greedy]
        if not held:
            return 0
        return 6 if min(held) < self.shadow.tcs_per_slot else 1.6


class Difference(AssertionError):
    """Two chips that answered differently."""


def run_differential(
    chip_a: Chip, chip_b: Chip, n: int, seed: int | str, *, source: CommandSource | None = None
) -> Counter[tuple[str, str]]:
    """Drive both chips with the same ``n`` commands and compare each answer byte for byte.

    The answer of CYCLES is compared by its length only. Returns how often each (op, status) pair came.

    Raises :class:`Difference` at the first one, with seed, command, both answers and what led there.
    """
    source = source or CommandSource(seed)
    counts: Counter[tuple[str, str]] = Counter()
    history: list[str] = []
    for index in range(n):
        request = source.next()
        if source.behind:
            (a, a_event), (b, b_event) = (together(chip, request, source.behind) for chip in (chip_a, chip_b))
            if a_event != b_event:
                raise Difference(_report(seed, index, source.behind, a_event, b_event, history[-12:]))
            counts[_op_name(source.behind), _status_name(a_event)] += 1
        else:
            a, b = chip_a.execute(request), chip_b.execute(request)
        if _comparable(request, a) != _comparable(request, b):
            raise Difference(_report(seed, index, request, a, b, history[-12:]))
        source.observe(a)
        counts[_op_name(request), _status_name(a)] += 1
        history.append(_line(index, request, a))
    return counts


def together(chip: Chip, request: bytes, behind: bytes) -> tuple[bytes, bytes]:
    """Two requests in one write, the second whole before the first is run; their answers."""
    both = getattr(chip, "execute_both", None)
    return both(request, behind) if both else (chip.execute(request, behind=behind), chip.execute(behind))


def _comparable(request: bytes, answer: bytes) -> bytes:
    cycles = len(request) >= 2 and request[0] == ops.CYCLES and len(answer) == 8
    return answer[:4] + bytes(4) if cycles else answer


def _op_name(request: bytes) -> str:
    if not 2 <= len(request) <= _MAX_CONTENTS:
        return "(no frame)"
    return OP_NAMES.get(request[0], "(unknown)")


def _status_name(answer: bytes) -> str:
    status = int.from_bytes(answer[2:4], "little")
    return STATUS_NAMES.get(status, f"0x{status:04X}") if len(answer) >= 4 else "(short answer)"


def _line(index: int, request: bytes, answer: bytes) -> str:
    seq = f"seq {request[1]}" if len(request) > 1 else ""
    head = request[2:28].hex(" ")
    return f"{index:6d} {_op_name(request):16} {seq:7} {len(request):4} bytes  {_status_name(answer):24} {head}"


def _report(seed: object, index: int, request: bytes, a: bytes, b: bytes, history: list[str]) -> str:
    where = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return "\n".join(
        (
            f"seed {seed!r}, command {index}: {_op_name(request)}, answers differ from byte {where} on",
            f"  a: {_status_name(a)}, {len(a)} bytes: {a.hex()}",
            f"  b: {_status_name(b)}, {len(b)} bytes: {b.hex()}",
            f"  request, {len(request)} bytes: {request.hex()}",
            "  before it:",
            *history,
        )
    )
