"""What EPID costs on this machine, for each back end: `fusequote bench epid`."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
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
from fusequote.epid.parallel import CHUNK, cores
from fusequote.epid.params import G1_GENERATOR, G2_GENERATOR

SIZES = (0, 1, 10, 100, 1_000, 10_000)
#: SigRL on which one processor and all of them are compared, and how often each runs.
SHARED_SIZE, SHARED_RUNS = 1_000, 20
#: SigRL from which the time of an entry is taken: one processor does all of it, and runs are so short that others on
#: the machine leave some of them alone.
ENTRY_SIZE = 10
PRIVRL_SIZE = 1_000


@dataclass(frozen=True)
class Row:
    """One measurement. Times in seconds; all but ``wall`` are processor times, over all threads.

    ``pairings`` is the median in pairings of the same back end.
    """

    back_end: str
    what: str
    runs: int
    median: float
    low: float  #: first quartile
    high: float  #: third quartile
    least: float
    wall: float  #: median of the clock on the wall
    pairings: float


@dataclass(frozen=True)
class Shared:
    """The least time, by the clock on the wall, of an operation on one processor and on all of them, in seconds.

    ``possible`` is the gain by processor times, which others on the machine leave alone: all of it, in relation to the
    busiest thread's part and whatever the interpreter's lock keeps from going side by side.
    """

    back_end: str
    what: str
    processors: int
    one: float
    all: float
    possible: float


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
            cpu = sorted(cpu for _, cpu in measured)
            median, quarter = statistics.median(cpu), len(cpu) // 4
            self.pairing = self.pairing or median
            low, high, wall = cpu[quarter], cpu[-1 - quarter], statistics.median(wall for wall, _ in measured)
            yield Row(self.a.name, what, len(cpu), median, low, high, cpu[0], wall, median / self.pairing)

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
        fresh = _Ahead(lambda: Issuer.create(b"\0\0\0\1", arithmetic=a).group, lambda g: Verifier(g, arithmetic=a))
        yield "verifier ready", fresh
        yield "verifier ready, known group", lambda: Verifier(group, arithmetic=a)
        yield "sign", lambda: member.sign(message)
        yield "sign, basename", lambda: member.sign(message, b"basename")
        yield "pre-signature", member.presign
        yield "sign with a pre-signature", _Ahead(member.presign, lambda p: member.sign(message, presig=p))
        signature, verifier = member.sign(message).to_bytes(), Verifier(group, arithmetic=a)
        yield "verify", lambda: verifier.verify(signature, message)
        listed = Verifier(group, priv_rl=PrivRl(group.gid, 1, tuple(range(1, PRIVRL_SIZE + 1))), arithmetic=a)
        yield f"verify, PrivRL of {PRIVRL_SIZE:,}", lambda: listed.verify(signature, message)
        for size in SIZES:
            if size <= self.largest:
                sign, verify = self._with_sigrl(size)
                yield f"sign, SigRL of {size:,}", sign
                yield f"verify, SigRL of {size:,}", verify

    def _with_sigrl(self, size: int) -> tuple[Callable[[], object], Callable[[], object]]:
        """To sign and, after that, to verify what was signed last."""
        group, a, message = self.issuer.group, self.a, b"message"
        rl = SigRl(group.gid, 1, tuple(self._entries(size)))
        verifier, signed = Verifier(group, sig_rl=rl, arithmetic=a), []

        def sign() -> None:
            signed[:] = [self.member.sign(message, sigrl=rl).to_bytes()]

        return sign, lambda: verifier.verify(signed[0], message)

    def _entries(self, size: int) -> Iterator[tuple[bytes, bytes]]:
        table = self.a.g1_prepare(G1_GENERATOR)
        for i in range(size):
            f = fp_hash(HashAlg.SHA256, i.to_bytes(4, "big")) or 1
            yield g1_hash(HashAlg.SHA256, i.to_bytes(4, "big"), self.a), self.a.g1_sum([(table, f)])

    def shared(self) -> Iterator[Shared]:
        """SigRL work on one processor and on all, in turn; nothing where there are no threads, or one processor."""
        size = min(SHARED_SIZE, self.largest)
        if not self.a.parallel or cores() == 1 or size <= CHUNK or not hasattr(os, "sched_setaffinity"):
            return
        everywhere, least, possible = os.sched_getaffinity(0), {}, {}
        meter = _Meter(self.a.g1_batch)
        bench = Bench(_Metered(self.a, meter), self.seconds, self.largest)
        for what, call in zip(("sign", "verify"), bench._with_sigrl(size), strict=True):
            for processors in ({min(everywhere)}, everywhere) * SHARED_RUNS:
                key = what, len(processors)
                meter.spent.clear()
                start, cpu = time.perf_counter(), time.process_time()
                _on(processors, call)
                elapsed, cpu = time.perf_counter() - start, time.process_time() - cpu
                least[key] = min(elapsed, least.get(key, elapsed))
                alone = cpu - sum(meter.spent.values()) + max(meter.spent.values())
                possible[key] = max(cpu / alone, possible.get(key, 0.0))
            n = len(everywhere)
            name = f"{what}, SigRL of {size:,}"
            yield Shared(self.a.name, name, n, least[what, 1], least[what, n], possible[what, n])


class _Meter:
    """Calls through, and adds up the processor time of each thread in it."""

    def __init__(self, call: Callable):
        self._call = call
        self.spent: dict[int, float] = defaultdict(float)

    def __call__(self, *arguments):
        start = time.thread_time()
        try:
            return self._call(*arguments)
        finally:
            self.spent[threading.get_ident()] += time.thread_time() - start


class _Metered:
    """A back end whose sums go through a meter."""

    def __init__(self, arithmetic: Arithmetic, meter: _Meter):
        self._arithmetic, self.g1_batch = arithmetic, meter

    def __getattr__(self, name: str):
        return getattr(self._arithmetic, name)


def _on(processors: set[int], call: Callable[[], object]) -> None:
    """Calls with this process kept to ``processors``: whatever the work does, it does it there."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        call()
    finally:
        os.sched_setaffinity(0, everywhere)


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


def measure(
    names: list[str], seconds: float, largest: int, begun: Callable[[int], None] = lambda done: None
) -> tuple[list[Row], list[Shared]]:
    """The measurements of each back end in turn; ``begun`` hears how many rows there are, before each.

    Raises EnvironmentProblem for a back end that is not there.
    """
    rows: list[Row] = []
    shared: list[Shared] = []
    numbers = count(1)
    for bench in [Bench(load(name), seconds, largest) for name in names]:
        for row in bench.rows():
            rows.append(row)
            begun(next(numbers))
        shared += bench.shared()
    return rows, shared


def command(
    back_end: Annotated[
        list[str] | None, typer.Option("--back-end", metavar="NAME", help="Only this one; repeatable.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="Time for each operation.")] = 1.0,
    largest: Annotated[int, typer.Option(min=0, max=10_000, help="The longest SigRL.")] = 10_000,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put the table between the marks of this document.")
    ] = None,
) -> int:
    """Time EPID on each back end: medians with quartiles, and as multiples of one pairing (its lines at hand).

    Processor time, which others on the machine disturb less than the clock on the wall; that is beside it.
    SigRL work uses all processors that this process may use, where the back end can; everything else one.
    The longest SigRL takes the Python back ends minutes: --largest leaves it out.
    """
    from fusequote.cli.document import MarkedDocument
    from fusequote.cli.output import print_document, progress, table
    from fusequote.cli.settings import current
    from fusequote.epid import benchtables as tables
    from fusequote.verdict import ResultDocument

    settings, names = current(), back_end or list(available())
    document = None if write is None else MarkedDocument(write, "epid")
    total = len(names) * (15 + 2 * sum(size <= largest for size in SIZES))
    with progress("measuring", settings) as bar:
        rows, shared = measure(names, seconds, largest, lambda done: bar(done, total))
    if document is not None:
        document.put(tables.markdown(rows, shared))
    if settings.json:
        facts = {f"{row.back_end}: {row.what}, us": round(row.median * 1e6) for row in rows}
        facts |= {f"{s.back_end}: {s.what}, gain percent": round(100 * s.one / s.all) for s in shared}
        print_document(ResultDocument("bench epid", facts | {"processors": cores()}).to_json())
        return 0
    for title, head, cells in tables.tables(rows, shared):
        for name in dict.fromkeys(cell[0] for cell in cells):  # one for each back end: a terminal is narrow
            own = [cell[1:] for cell in cells if cell[0] == name]
            table(f"{name}. {title}", head[1:], own, right=range(1, len(head)))
    return 0
