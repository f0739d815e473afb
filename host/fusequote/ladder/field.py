"""A day in the life of the services, to be lived several times: members, lost keys, and the answers to their quotes.

Each response of the drill starts from the same store, so that none hides behind another: it gets a copy.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fusequote.arch import ReportBody, SignType
from fusequote.epid import Member, SigRl
from fusequote.home import Home
from fusequote.ladder.crowd import Newcomer, quote_of
from fusequote.ladder.leak import Leaked
from fusequote.relying import Policy, appraise
from fusequote.services.attestation_operator import Operator
from fusequote.services.services import Services

__all__ = ["Field", "Round", "copied"]


@dataclass(frozen=True)
class Round:
    """Quotes of one each: accepted of how many, the statuses seen, and what one cost (median processor time)."""

    accepted: int
    total: int
    statuses: tuple[str, ...]
    quote_bytes: int
    sign_ms: float
    report_ms: float

    @property
    def refused(self) -> int:
        """Of the total."""
        return self.total - self.accepted


@dataclass
class Field:
    """``report`` is the REPORT body that quotes are about; REPORTDATA is each quoter's own."""

    services: Services
    gid: bytes
    spid: bytes
    report: ReportBody
    innocents: Sequence[Newcomer]
    lost: Sequence[Leaked]

    @property
    def operator(self) -> Operator:
        """Of the services."""
        return Operator(self.services.registry, self.services.keys)

    def sigrl(self, gid: bytes) -> SigRl | None:
        """The current SigRL of a group, None for one without entries."""
        listed = self.services.registry.sigrl(gid)
        return listed if listed.entries else None

    def quote(
        self, member: Member, sign_type: SignType, spid: bytes | None = None, sigrl: SigRl | None = None
    ) -> bytes:
        """A quote against a SigRL, by whoever has the key."""
        report = self.report.replace(reportdata=secrets.token_bytes(64))
        qsdk = self.services.keys.qsdk.public_key()
        return quote_of(member, report, qsdk, spid=spid or self.spid, sign_type=sign_type, sigrl=sigrl)

    def judge(self, quote: bytes) -> tuple[bool, str]:
        """Whether a relying party accepts a quote, and the status that the attestation service gave it."""
        nonce = secrets.token_hex(16)
        answer = self.services.attestation.report(quote, nonce)
        verdict = appraise(
            answer.body, answer.signature, answer.chain_pem,
            Policy(mrenclaves=frozenset({self.report.mrenclave})),
            root=self.services.keys.report_root, quote=quote, nonce=nonce,
        )  # fmt: skip
        return verdict.accepted, verdict.quote_status or ""

    def ask(self, members: Sequence[Member], sign_type: SignType, spid: bytes | None = None) -> Round:
        """A quote of each member of one group against its current SigRL, judged."""
        signing, reporting, sizes, verdicts = list[float](), list[float](), [0], list[tuple[bool, str]]()
        sigrl = self.sigrl(members[0].group.gid) if members else None
        for member in members:
            begun = time.process_time()
            quote = self.quote(member, sign_type, spid, sigrl)
            signed = time.process_time()
            verdicts.append(self.judge(quote))
            signing.append(signed - begun)
            reporting.append(time.process_time() - signed)
            sizes.append(len(quote))
        return Round(
            accepted=sum(accepted for accepted, _ in verdicts),
            total=len(verdicts),
            statuses=tuple(sorted({status for _, status in verdicts})),
            quote_bytes=max(sizes),
            sign_ms=1000 * statistics.median(signing or [0.0]),
            report_ms=1000 * statistics.median(reporting or [0.0]),
        )


@contextlib.contextmanager
def copied(home: Home, folder: Path) -> Iterator[Services]:
    """Services over a copy of the home folder's store, with the same keys; the copy is gone in the end."""
    path = folder / f"{secrets.token_hex(8)}.db"
    with (
        contextlib.closing(sqlite3.connect(home.services_db)) as source,
        contextlib.closing(sqlite3.connect(path)) as to,
    ):
        source.backup(to)
    path.chmod(0o600)
    try:
        with Services(home, f"sqlite:///{path}") as services:
            yield services
    finally:
        for left in folder.glob(f"{path.name}*"):
            left.unlink(missing_ok=True)
