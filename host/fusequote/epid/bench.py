"""What EPID costs on this machine, for each back end: `fusequote bench epid`."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from fusequote.epid import (
    HashAlg,
    Issuer,
    Member,
    MemberPrecomp,
    PrivRl,
    SigRl,
    Verifier,
    fp_hash,
    g1_hash,
)
from fusequote.epid.arithmetic import Arithmetic, available, load
from fusequote.epid.params import G1_GENERATOR, G2_GENERATOR

SIZES = (0, 1, 10, 100, 1_000, 10_000)


@dataclass(frozen=True)
class Row:
    """One measurement. Times in seconds; ``pairings`` is the median in pairings of the same back end.

    ``cpu`` is the least processor time that a run took, over all threads: what is left of the figure when others use
    the machine, too.
    """

    back_end: str
    what: str
    runs: int
    median: float
    low: float  #: first quartile
    high: float  #: third quartile
    pairings: float
    cpu: float


def _measure(call: Callable[[], object], seconds: float) -> list[tuple[float, float]]:
    """Durations and processor times of as many calls as fit ``seconds``, three at least.

    One call before to warm up, if it is short.
    """
    prepare = getattr(call, "prepare", lambda: None)
    times: list[tuple[float, float]] = []

    def timed() -> tuple[float, float]:
        cpu, start = time.process_time(), time.perf_counter()
        call()
        return time.perf_counter() - start, time.process_time() - cpu

    first = timed()
    if first[0] > seconds:
        return [first]
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        prepare()
        times.append(timed())
    return times


class Bench:
    """The measurements of one back end."""

    def __init__(self, arithmetic: Arithmetic, seconds: float, largest: int):
        self.a, self.seconds, self.largest = arithmetic, seconds, largest
        self.issuer = Issuer.create(b"\0\0\0\1", arithmetic=arithmetic)
        nonce = self.issuer.nonce()
        request, self.pending = Member.join_request(self.issuer.group, nonce, arithmetic=arithmetic)
        self.request = request
        self.key = self.pending.provision(self.issuer.issue(request, nonce), arithmetic)
        self.member = Member(self.issuer.group, self.key, arithmetic=arithmetic)
        self.pairing = 0.0

    def rows(self) -> Iterator[Row]:
        """All measurements, the pairing first."""
        for what, call in self._operations():
            measured = _measure(call, self.seconds)
            times, cpu = sorted(wall for wall, _ in measured), min(cpu for _, cpu in measured)
            median = statistics.median(times)
            self.pairing = self.pairing or median
            quarter = len(times) // 4
            low, high = times[quarter], times[-1 - quarter]
            yield Row(self.a.name, what, len(times), median, low, high, median / self.pairing, cpu)

    def _operations(self) -> Iterator[tuple[str, Callable[[], object]]]:
        a, group, member = self.a, self.issuer.group, self.member
        message = b"message"
        yield "pairing", lambda: a.pairing_product([(G1_GENERATOR, G2_GENERATOR)])
        yield "group made", lambda: Issuer.create(b"\0\0\0\1", arithmetic=a)
        yield "join request", lambda: Member.join_request(group, bytes(32), arithmetic=a)
        F = self.request.F
        yield "issue", lambda: (self.request.proves(group, bytes(32), arithmetic=a), self.issuer.credential(F))
        credential = self.key.credential
        yield "key check", lambda: self.pending.provision(credential, a)
        precomp = MemberPrecomp.compute(group, self.key.A, a)
        yield "member ready", lambda: Member(group, self.key, arithmetic=a)
        yield "member ready, precomputed", lambda: Member(group, self.key, precomp=precomp, arithmetic=a)
        yield "verifier ready", lambda: Verifier(group, arithmetic=a)
        yield "sign", lambda: member.sign(message)
        yield "sign, basename", lambda: member.sign(message, b"basename")
        yield "pre-signature", member.presign
        yield "sign with a pre-signature", _Ahead(member.presign, lambda p: member.sign(message, presig=p))
        signature, verifier = member.sign(message).to_bytes(), Verifier(group, arithmetic=a)
        yield "verify", lambda: verifier.verify(signature, message)
        listed = Verifier(group, priv_rl=PrivRl(group.gid, 1, tuple(range(1, 1_001))), arithmetic=a)
        yield "verify, PrivRL of 1,000", lambda: listed.verify(signature, message)
        for size in SIZES:
            if size <= self.largest:
                yield from self._sigrl(size, message)

    def _sigrl(self, size: int, message: bytes) -> Iterator[tuple[str, Callable[[], object]]]:
        group, a = self.issuer.group, self.a
        rl = SigRl(group.gid, 1, tuple(self._entries(size)))
        yield f"sign, SigRL of {size:,}", lambda: self.member.sign(message, sigrl=rl)
        signature = self.member.sign(message, sigrl=rl).to_bytes()
        verifier = Verifier(group, sig_rl=rl, arithmetic=a)
        yield f"verify, SigRL of {size:,}", lambda: verifier.verify(signature, message)

    def _entries(self, size: int) -> Iterator[tuple[bytes, bytes]]:
        table = self.a.g1_prepare(G1_GENERATOR)
        for i in range(size):
            f = fp_hash(HashAlg.SHA256, i.to_bytes(4, "big")) or 1
            yield g1_hash(HashAlg.SHA256, i.to_bytes(4, "big"), self.a), self.a.g1_sum([(table, f)])


class _Ahead:
    """Work whose first half is done ahead and not timed."""

    def __init__(self, before: Callable[[], object], work: Callable[[object], object]):
        self._before, self._work = before, work
        self._ready = before()

    def __call__(self) -> None:
        self._work(self._ready)

    def prepare(self) -> None:
        """The next first half."""
        self._ready = self._before()


def measure(names: list[str], seconds: float, largest: int) -> Iterator[Row]:
    """The rows of each back end in turn; raises EnvironmentProblem for one that is not there."""
    for name in names:
        yield from Bench(load(name), seconds, largest).rows()


def milliseconds(value: float) -> str:
    """Three figures or so."""
    value *= 1e3
    return f"{value:,.3f}" if value < 1 else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def cells(row: Row) -> tuple[str, ...]:
    """A row for a table."""
    spread = f"{milliseconds(row.low)} .. {milliseconds(row.high)}"
    times = milliseconds(row.median), spread, milliseconds(row.cpu)
    return row.back_end, row.what, *times, f"{row.pairings:,.2f}", str(row.runs)


HEAD = ("back end", "operation", "median, ms", "quartiles, ms", "least CPU, ms", "pairings", "runs")


def markdown(rows: list[Row]) -> str:
    """The table for docs/performance.md."""
    lines = [HEAD, ("---", "---", *("---:",) * 5), *(cells(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def command(
    back_end: Annotated[
        list[str] | None, typer.Option("--back-end", metavar="NAME", help="Only this one; repeatable.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="Time for each operation.")] = 1.0,
    largest: Annotated[int, typer.Option(min=0, max=10_000, help="The longest SigRL.")] = 1_000,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put the table between the marks of this document.")
    ] = None,
) -> int:
    """Time EPID on each back end: medians with quartiles, and as multiples of one pairing (its lines at hand).

    Beside them the least processor time of a run, which others on the machine disturb less.
    SigRL work uses all processors that this process may use, where the back end can; everything else one.
    """
    from fusequote.cli.document import MarkedDocument
    from fusequote.cli.output import print_document, table
    from fusequote.cli.settings import current
    from fusequote.verdict import ResultDocument

    document = None if write is None else MarkedDocument(write, "epid")
    rows = list(measure(back_end or list(available()), seconds, largest))
    if document is not None:
        document.put(markdown(rows))
    if current().json:
        facts = {f"{row.back_end}: {row.what}, us": round(row.median * 1e6) for row in rows}
        print_document(ResultDocument("bench epid", facts | {"processors": os.cpu_count() or 1}).to_json())
        return 0
    table("EPID, times in milliseconds", HEAD, (cells(row) for row in rows), right=range(2, 7))
    return 0
