"""The linkability game: who made this quote, one of two members, for somebody who has all that the services have.

The adversary is shown quotes of each member with their names; then quotes without. He opens their signatures with the
service's decryption key, and looks for what he saw before, and for any relation to what stands in the database: each
member's credential (A, x), its F = [f]h1, the issuing key. What he does not have is f. When he finds nothing, he
guesses.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import select

from fusequote.arch import ReportBody, SignType
from fusequote.epid import IssuingPrivateKey
from fusequote.epid.arithmetic import default
from fusequote.epid.params import P
from fusequote.ladder.crowd import Newcomer, quote_of
from fusequote.services.attestation_quote import decrypt, read_quote
from fusequote.services.provisioning_tables import Membership
from fusequote.services.services import Services
from fusequote.services.tables import CredentialRow, Group

__all__ = ["LIMIT", "ROUNDS", "Adversary", "play"]

ROUNDS, SHOWN = 100, 8
#: Right answers of ROUNDS from which on it is no guessing: 4.5 deviations above half, once in 300,000 fair games.
LIMIT = ROUNDS // 2 + 23


@dataclass(frozen=True)
class _Row:
    ppid: bytes
    A: bytes
    x: int
    F: bytes


class Adversary:
    """Everything in the services' store about a group, opened; ``keys`` adds members' secrets f, for comparison."""

    def __init__(self, services: Services, gid: bytes, keys: dict[bytes, int] | None = None):
        self._keys = keys or {}
        store = services.registry.store
        with store.reading() as session:
            group = session.get_one(Group, gid)
            exported = store.vault.open(group.issuer_sealed, b"groups.issuer" + gid)
            rows = session.execute(
                select(CredentialRow.ppid, CredentialRow.point, CredentialRow.x, Membership.join_point)
                .join(Membership, Membership.credential_id == CredentialRow.id)
                .where(CredentialRow.gid == gid)
            ).all()
        public = services.registry.group_key(gid)
        self._gamma = IssuingPrivateKey.from_bytes(exported[-36:], gid_size=4).gamma
        self._h2 = public.h2 if public is not None else b""
        self._rows = {row.ppid: _Row(row.ppid, row.point, int.from_bytes(row.x, "big"), row.join_point) for row in rows}
        self._qsdk, self._seen = services.keys.qsdk, dict[bytes, set[bytes]]()
        self.rows = len(self._rows)

    def learn(self, quote: bytes, ppid: bytes) -> None:
        """A quote with a name."""
        for value in self._values(quote):
            self._seen.setdefault(value, set()).add(ppid)

    def name(self, quote: bytes, suspects: tuple[bytes, bytes]) -> bytes:
        """Which of two made it."""
        values = self._values(quote)
        for value in values:
            # What both have shown (the point of a basename) says nothing.
            shown = self._seen.get(value, set()).intersection(suspects)
            if len(shown) == 1:
                return shown.pop()
        for ppid in suspects:
            if self._is_of(values, self._rows[ppid]):
                return ppid
        return suspects[secrets.randbelow(2)]

    def _values(self, quote: bytes) -> list[bytes]:
        """B, K, T, c and the four responses."""
        signature = decrypt(read_quote(quote), self._qsdk)
        return [
            signature[0:64],
            signature[64:128],
            signature[128:192],
            *(signature[at : at + 32] for at in range(192, 352, 32)),
        ]

    def _is_of(self, values: list[bytes], row: _Row) -> bool:
        """Any relation between signature and row that can be computed without f."""
        a, (B, K, T) = default(), values[:3]
        exponents = [row.x, self._gamma, row.x * self._gamma % P, (row.x + self._gamma) % P]
        if ppid_key := self._keys.get(row.ppid):
            exponents.append(ppid_key)
        if any(a.g1_sum([(B, exponent)]) == K for exponent in exponents):
            return True
        numbers = [int.from_bytes(value, "big") for value in values[3:]]
        hidden = [a.g1_sum([(row.A, 1), (self._h2, number)]) for number in numbers]
        return T in (row.A, row.F, *hidden) or row.x in numbers


def play(
    services: Services, adversary: Adversary, pair: tuple[Newcomer, Newcomer], spid: bytes, sign_type: SignType
) -> int:
    """How many of :data:`ROUNDS` quotes the adversary names right."""
    qsdk = services.keys.qsdk.public_key()

    def quote(who: Newcomer) -> bytes:
        report = ReportBody(reportdata=secrets.token_bytes(64))
        return quote_of(who.member, report, qsdk, spid=spid, sign_type=sign_type)

    for who in pair:
        for _ in range(SHOWN):
            adversary.learn(quote(who), who.ppid)
    suspects = (pair[0].ppid, pair[1].ppid)
    right = 0
    for _ in range(ROUNDS):
        who = pair[secrets.randbelow(2)]
        right += adversary.name(quote(who), suspects) == who.ppid
    return right
