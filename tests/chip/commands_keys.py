"""Single commands of an entry: EREPORT, VERIFYREPORT, EGETKEY. See commands_build.py."""

from __future__ import annotations

import commands_shadow as ops
from commands_dice import Dice
from commands_make import KSS, PROVISIONKEY, TOKENKEY, keyrequest, le, record, targetinfo
from commands_shadow import Enclave

Command = tuple[int, bytes]


class KeyBuilder(Dice):
    """Makes the commands that report and derive."""

    def ereport(self) -> Command:
        """EREPORT, mostly for an enclave that is there."""
        enclave, ticket = self._ticket()
        return ops.EREPORT, self._length(ticket + self._report(enclave) + self._next(enclave))

    def verifyreport(self) -> Command:
        """VERIFYREPORT of one of the last reports, mostly one for this enclave, now and then with one bit wrong."""
        enclave, ticket = self._ticket()
        return ops.VERIFYREPORT, self._length(ticket + self._verify(enclave) + self._next(enclave))

    def egetkey(self) -> Command:
        """EGETKEY of every kind, what the enclave may have before what it may not."""
        enclave, ticket = self._ticket()
        return ops.EGETKEY, self._length(ticket + self._keyrequest(enclave) + self._next(enclave))

    def eexit(self) -> Command:
        """EEXIT."""
        enclave, ticket = self._ticket()
        return ops.EEXIT, self._length(ticket + self._next(enclave))

    def _next(self, enclave: Enclave | None) -> bytes:
        """What goes at the end of a command that keeps to no plan; one time in many in the wrong form."""
        signed = bool(enclave and enclave.signed)
        return self.rng.randbytes(32) if signed != self._chance(0.4 if signed else 0.03) else b""

    def _report(self, _enclave: Enclave | None) -> bytes:
        rng, ready = self.rng, [e for e, _ in self._threads()]
        info = rng.choice(ready).identity() if ready else bytes(320)
        target = targetinfo(info) if self._chance(0.9) else record(512, (0, rng.randbytes(48)), (64, rng.randbytes(64)))
        if self._chance(0.1):
            target = self._patch(target, (49, b"\1"), (56, b"\1"), (63, b"\1"), (128, b"\1"), (511, b"\x80"))
        elif self._chance(0.15):
            target = self._flip(target, 0, 128)
        return target + rng.choice((bytes(64), rng.randbytes(64)))

    def _verify(self, enclave: Enclave | None) -> bytes:
        reports = [report for report, _ in self.shadow.reports] or [bytes(432)]
        mine = [report for report, target in self.shadow.reports if enclave and target == enclave.mrenclave]
        report = self.rng.choice(mine if mine and self._chance(0.8) else reports)
        if self._chance(0.3):
            report = self._flip(report, *self.rng.choice(((0, 384), (384, 416), (416, 432))))
        return report

    def _keyrequest(self, enclave: Enclave | None) -> bytes:
        rng = self.rng
        flags = enclave.flags if enclave else 0
        names = [3, 4, 4]
        names += [1, 1, 2, 2] if flags & PROVISIONKEY else []
        names += [0] * 6 if flags & TOKENKEY else []
        name = rng.choice(names) if self._chance(0.85) else rng.randrange(5)
        kss = flags & KSS
        policy = rng.randrange(64 if kss else 4)
        top = enclave.configsvn if enclave else 0
        request = keyrequest(
            name,
            policy=policy,
            isvsvn=rng.choice((0, enclave.isvsvn if enclave else 0)),
            cetmask=rng.choice((0, 0xFF, rng.randrange(256))),
            cpusvn=self._cpusvn(),
            attributemask=rng.choice((b"\xff" * 16, bytes(16), b"\xfb" + b"\xff" * 7 + bytes(8), rng.randbytes(16))),
            keyid=rng.choice((bytes(32), rng.randbytes(32))),
            miscmask=rng.choice((0, 0xFFFFFFFF, rng.randrange(2**32))),
            configsvn=rng.choice((0, top)) if kss else 0,
        )
        if self._chance(0.22):
            isvsvn = min(0xFFFF, (enclave.isvsvn if enclave else 0) + 1)
            request = self._patch(
                request,
                (0, b"\5"), (0, b"\0\1"), (1, b"\xff"), (2, b"\x40"), (3, b"\x80"), (2, b"\4"), (2, b"\x20"),
                (4, le(isvsvn, 2)), (4, le(isvsvn, 2)), (7, b"\1"), (8, b"\xff" * 16), (9, b"\xff"),
                (76, le(min(0xFFFF, top + 1), 2)), (78, b"\1"), (511, b"\x80"),
            )  # fmt: skip
        return request

    def _cpusvn(self) -> bytes:
        """The current CPUSVN, or a bit below; seldom far below, for the chip has to walk there step by step."""
        current = self.shadow.cpusvn
        if self._chance(0.6):
            return current
        if self._chance(0.01):
            return bytes(16)
        lowered = bytearray(current)
        for _ in range(self.rng.choice((1, 1, 3))):
            i = self.rng.randrange(16)
            lowered[i] = max(0, lowered[i] - self.rng.randrange(4))
        return bytes(lowered)
