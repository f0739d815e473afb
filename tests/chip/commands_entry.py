"""Single commands of signed entries (docs/link.md 3.4) and of the maker (3.5). See commands_build.py."""

from __future__ import annotations

import commands_shadow as ops
from commands_keys import Command, KeyBuilder
from commands_make import cmac
from commands_rsa import ENTRY_KEYS, FORGERIES, forged, link, proof_message
from commands_shadow import Enclave, Plan


class EntryBuilder(KeyBuilder):
    """Makes the commands that enter, leave, and keep to a plan; and those that only the maker may give."""

    # -- entering --

    def eenter(self) -> Command:
        """EENTER, mostly of a TCS that is free, and with a proof where one is wanted."""
        free = [(e, t) for e, t in self._threads() if not t.ticket and (t.cssa < t.nssa or self._chance(0.1))]
        return self._entering(ops.EENTER, free)

    def eresume(self) -> Command:
        """ERESUME, mostly after an AEX."""
        return self._entering(ops.ERESUME, [(e, t) for e, t in self._threads() if t.cssa and not t.ticket])

    def aex(self) -> Command:
        """AEX, mostly of an entry, and of one whose plan is at its end before others."""
        entries = [(e, t) for e, t in self._threads() if t.ticket]
        over = [(e, t) for e, t in entries if e.signed and (t.stuck or not t.plan)]
        return ops.AEX, self._length(self._thread(over or entries)[1])

    def echallenge(self) -> Command:
        """ECHALLENGE, mostly of an enclave with an entry key."""
        wanted = [e for e, _ in self._threads() if e.signed]
        return ops.ECHALLENGE, self._length(self._handle(self._enclave(wanted)))

    def planned(self) -> Command:
        """What the plan of an entry says; now and then it is another body, another place, or one sent before."""
        enclave, thread = self.rng.choice(self._following())
        command = thread.plan[0]
        if self._chance(0.3):
            op, after = command
            cut = after[:-32]
            others = [(op, self._flip(after)), (op, cut), (op, cut + bytes(32)), *[(ops.EEXIT, after[-32:])] * 2]
            others += thread.plan[1:2]
            command = self.rng.choice([*others, thread.sent] if thread.sent else others)
        op, after = command
        return op, self._length(thread.ticket + after)

    def _following(self):
        return [(e, t) for e, t in self._threads() if t.ticket and t.plan and not t.stuck]

    def _entering(self, op: int, wanted) -> Command:
        wanted = list(wanted)
        able = [(e, t) for e, t in wanted if not e.signed or e.challenge or self._chance(0.05)]
        enclave, body = self._thread(able or wanted)
        return op, self._length(body + self._proof(op, enclave, body[9:17]))

    def _proof(self, op: int, enclave: Enclave | None, linaddr: bytes) -> bytes:
        rng = self.rng
        if enclave is None or not enclave.signed:
            return rng.randbytes(1568) if self._chance(0.03) else b""
        if self._chance(0.08):
            return b""
        key = enclave.entry_key or ENTRY_KEYS[0]
        if self._chance(0.04):
            key = rng.choice(ENTRY_KEYS)
        chain, plan = self._plan(enclave)
        nonce = enclave.challenge or rng.randbytes(16)
        message = proof_message(op, enclave.handle[1:], linaddr, nonce, enclave.mrenclave, chain)
        if self._chance(0.06):
            message = self._flip(message)
        bad = self._chance(0.3 if op == ops.ERESUME else 0.2)
        numbers = forged(rng.choice(FORGERIES), rng, key, message) if bad else key.sign(message)
        self.shadow.plans[chain] = plan
        return chain + numbers.to_bytes()

    def _plan(self, enclave: Enclave) -> tuple[bytes, Plan]:
        rng = self.rng
        makers = {ops.EREPORT: self._report, ops.VERIFYREPORT: self._verify, ops.EGETKEY: self._keyrequest}
        commands = [(op, makers[op](enclave)) for op in rng.choices(tuple(makers), k=rng.randrange(5))]
        commands += [(ops.EEXIT, b"")] if self._chance(0.6) else []
        following, plan = rng.randbytes(32), []
        for op, body in reversed(commands):
            plan.insert(0, (op, body + following))
            following = link(op, body + following)
        return following, plan

    # -- the maker's --

    def fuse_raise_svn(self) -> Command:
        """FUSE_RAISE_SVN: some components higher; now and then not higher, or by somebody else."""
        rng, shadow = self.rng, self.shadow
        new = bytearray(shadow.fused_cpusvn)
        for i in range(16):
            if self._chance(0.2):
                new[i] = min(255, new[i] + 1)
        if self._chance(0.25):
            i = rng.randrange(16)
            new[i] = max(0, new[i] - 1)
        new = bytes(new)
        mac = self._maker(b"FQ-RAISE-SVN", shadow.device_id + new)
        return ops.FUSE_RAISE_SVN, self._length(new + (self._flip(mac) if self._chance(0.25) else mac))

    def fuse_scrap(self, *, good: bool) -> Command:
        """FUSE_SCRAP, good or by somebody else; the good one is the end of this chip."""
        mac = self._maker(b"FQ-SCRAP", self.shadow.device_id)
        return ops.FUSE_SCRAP, mac if good else self._length(self._flip(mac))

    def _maker(self, text: bytes, what: bytes) -> bytes:
        root = self.shadow.rpk or bytes(16)
        return cmac(cmac(root, b"FQ-MAKER" + bytes(8)), text.ljust(16, b"\0") + what)

    def anything(self) -> Command:
        """Any numbered command, of a length that it can have, full of nothing: for chips on which none can run."""
        op = self.rng.choice(list(LENGTHS))
        if op == ops.FUSE_SCRAP and self.shadow.life_cycle == 1 and self._chance(0.8):
            op = ops.FUSE_STATUS  # it would succeed, too often
        return op, bytes(LENGTHS[op])

    def wrong_length(self) -> Command:
        """Any numbered command, one byte too short or too long."""
        op = self.rng.choice(list(LENGTHS))
        wrong = {LENGTHS[op] - 1, LENGTHS[op] + (op != ops.EEXTEND), LENGTHS[op] // 2} - {-1, LENGTHS[op]}
        return op, bytes(self.rng.choice(sorted(wrong)))


#: A length that the body of each can have.
LENGTHS = {
    ops.FUSE_STATUS: 0, ops.FUSE_MANUFACTURE: 192, ops.FUSE_LOCK: 0, ops.FUSE_RAISE_SVN: 32, ops.FUSE_SCRAP: 16,
    ops.SET_LEPUBKEYHASH: 32, ops.SET_OWNEREPOCH: 16, ops.SLOT_INFO: 9, ops.ECREATE: 4160, ops.EADD: 81,
    ops.EEXTEND: 18, ops.EINIT: 2121, ops.EREMOVE: 9, ops.EENTER: 17, ops.EEXIT: 16, ops.EREPORT: 592, ops.EGETKEY: 528,
    ops.AEX: 17, ops.ERESUME: 17, ops.ECHALLENGE: 9, ops.VERIFYREPORT: 448,
}  # fmt: skip
#: All commands that are numbered.
NUMBERED = tuple(LENGTHS)
