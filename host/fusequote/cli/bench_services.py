"""`fusequote bench services`: the attestation service under load, next to the bare pipeline in one process.

The service is a process of its own with its worker processes, as `fusequote serve attestation` runs it; its CPU time
is the system's account of these processes, so the load generator's own is not in it.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import math
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from fusequote.epid import HashAlg, SigRl, Verifier, VerifyResult, g1_hash
from fusequote.epid.arithmetic import default
from fusequote.errors import EnvironmentProblem
from fusequote.home import Home
from fusequote.services.attestation_quote import decrypt, read_quote
from fusequote.services.attestation_report import sign
from fusequote.services.attestation_subscriptions import Subscriptions
from fusequote.services.bench_quotes import make_quotes
from fusequote.services.services import Services

__all__ = ["Measured", "command", "measure"]

#: Milliseconds of CPU that HTTP, store and logging may add to a report.
BUDGET = 1.5
#: Distinct quotes; a run takes them in turn.
QUOTES = 200
#: A run is cut into so many parts at most. In front of each the bare pipeline is timed, so that both see the same
#: machine; of both the least count, for what else runs there makes caches and cores slower, and never faster.
PARTS = 20
#: Quotes of a bare part.
BARE = 50
_PATH = "/sgx/dev/attestation/v4/report"
_SERVE = "import sys; from fusequote.cli import main; sys.argv[0] = 'fusequote'; sys.exit(main())"


@dataclass(frozen=True)
class Measured:
    """What a run found. Times in milliseconds; CPU times are for one report, over all processes of the service."""

    reports: int
    connections: int
    workers: int
    errors: int
    per_second: float
    p50: float
    p99: float
    cpu: float
    bare: float

    @property
    def added(self) -> float:
        """CPU that the service adds to the bare pipeline."""
        return self.cpu - self.bare


def measure(reports: int, connections: int, workers: int) -> Measured:
    """One run: makes quotes, starts the service, drives it, and times the bare pipeline with the same quotes.

    Raises :class:`EnvironmentProblem` where processes cannot be accounted for, or the service does not start.
    """
    if not Path("/proc/self/stat").exists():
        raise EnvironmentProblem("CPU times of other processes are read from /proc, which this system has not got")
    with tempfile.TemporaryDirectory(prefix="fusequote-bench-") as folder:
        home = Home(folder)
        with Services(home) as services:
            subscriber, key, _ = Subscriptions(services.store).create("bench", linkable=False)
            quotes = list(make_quotes(services, subscriber.spid, min(QUOTES, reports)))
            bare_pipeline = _bare(services, quotes[:BARE])
        bodies = [json.dumps({"isvEnclaveQuote": base64.b64encode(quote).decode()}).encode() for quote in quotes]
        with _service(home, workers) as (pid, url):
            _drive(url, key, bodies, max(50, 20 * workers), connections)  # workers open their store at their first job
            times, errors, elapsed, cpu, bare = [], 0, 0.0, [], []
            for count in _parts(reports):
                bare.append(bare_pipeline())
                before, began = _cpu_seconds(pid), time.perf_counter()
                part, failed = _drive(url, key, bodies, count, connections)
                elapsed += time.perf_counter() - began
                cpu.append(1e3 * (_cpu_seconds(pid) - before) / count)
                times += part
                errors += failed
    times.sort()
    p50, p99 = _quantile(times, 0.5), _quantile(times, 0.99)
    return Measured(reports, connections, workers, errors, reports / elapsed, p50, p99, min(cpu), min(bare))


def _parts(reports: int) -> list[int]:
    """The run in parts of some hundred reports, so that the system's clock ticks do not matter."""
    parts = max(1, min(PARTS, reports // 100))
    return [reports // parts + (index < reports % parts) for index in range(parts)]


def _bare(services: Services, quotes: Sequence[bytes]) -> Callable[[], float]:
    """OAEP decryption, EPID verification and report signature: what is returned does that once for each quote, and
    says how many milliseconds of CPU one took.
    """
    parsed = [read_quote(quote) for quote in quotes]
    group = services.registry.group_key(parsed[0].body.group_id)
    assert group is not None
    verifier, arithmetic = Verifier(group, sig_rl=SigRl(group.gid)), default()
    report = bytes(800)

    def run() -> float:
        began = time.process_time()
        for quote in parsed:
            body = quote.body
            payload = decrypt(quote, services.keys.qsdk)
            named = payload[:64] == g1_hash(HashAlg.SHA256, body.basename, arithmetic)
            assert named and verifier.verify(payload, body.to_bytes()) is VerifyResult.kEpidSigValid
            sign(report, services.keys.report_signing)
        return 1e3 * (time.process_time() - began) / len(parsed)

    return run


@contextlib.contextmanager
def _service(home: Home, workers: int) -> Iterator[tuple[int, str]]:
    """A running service: its process id and address. Its log goes to a file, as an operator's would."""
    arguments = ["--home", str(home.root), "serve", "attestation", "--no-tls", "--workers", str(workers)]
    arguments += ["--set", "rate=0", "--set", "requests_at_once=256"]
    with open(home.root / "service.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, *arguments], stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                said = (home.root / "service.log").read_text("utf-8", "replace").strip().splitlines()
                raise EnvironmentProblem(f"the service did not start: {said[-1] if said else 'it said nothing'}")
            yield process.pid, json.loads(line)["url"]
        finally:
            process.terminate()
            process.wait(30)
            if process.stdout is not None:
                process.stdout.close()


def _drive(url: str, key: str, bodies: Sequence[bytes], count: int, connections: int) -> tuple[list[float], int]:
    """Send ``count`` requests over kept connections: times in milliseconds, and how many were no report."""
    address = urlsplit(url)
    headers = {"Ocp-Apim-Subscription-Key": key, "Content-Type": "application/json"}
    jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(count):
        jobs.put(index)
    times: list[float] = []
    failed: list[int] = []

    def client() -> None:
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        while True:
            try:
                index = jobs.get_nowait()
            except queue.Empty:
                connection.close()
                return
            began = time.perf_counter()
            try:
                connection.request("POST", _PATH, bodies[index % len(bodies)], headers)
                answer = connection.getresponse()
                good = answer.status == 200 and b'"isvEnclaveQuoteStatus":"OK"' in answer.read()
            except (OSError, http.client.HTTPException):
                good = False
            if not good:
                failed.append(index)
                connection.close()
            times.append(1e3 * (time.perf_counter() - began))

    threads = [threading.Thread(target=client) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, len(failed)


def _cpu_seconds(pid: int) -> float:
    """CPU time of a process and of all that descend from it, in seconds."""
    total, waiting = 0.0, [pid]
    while waiting:
        current = waiting.pop()
        try:
            total += _own_cpu_seconds(Path(f"/proc/{current}"))
            for task in Path(f"/proc/{current}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text("ascii").split()]
        except OSError:
            continue  # it has ended
    return total


def _own_cpu_seconds(process: Path) -> float:
    try:
        # Nanoseconds, of each thread that is there.
        return (
            sum(int((task / "schedstat").read_text("ascii").split()[0]) for task in (process / "task").iterdir()) / 1e9
        )
    except FileNotFoundError:
        fields = (process / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _quantile(times: Sequence[float], part: float) -> float:
    return times[min(len(times) - 1, math.ceil(part * len(times)) - 1)]


def _rows(found: Measured) -> list[tuple[str, str]]:
    return [
        ("reports", f"{found.reports:,}"),
        ("connections", str(found.connections)),
        ("worker processes", str(found.workers)),
        ("errors", str(found.errors)),
        ("reports per second", f"{found.per_second:,.0f}"),
        ("p50, ms", f"{found.p50:,.1f}"),
        ("p99, ms", f"{found.p99:,.1f}"),
        ("CPU of the service for a report, ms", f"{found.cpu:.2f}"),
        ("CPU of the bare pipeline, ms", f"{found.bare:.2f}"),
        ("CPU that HTTP, store and log add, ms", f"{found.added:.2f}"),
    ]


def command(
    reports: Annotated[int, typer.Option(min=10, max=1_000_000, help="Reports to ask for.")] = 2_000,
    connections: Annotated[int, typer.Option(min=1, max=200, help="Connections of the load generator.")] = 8,
    workers: Annotated[int | None, typer.Option(min=1, max=256, help="Worker processes. Default: the cores.")] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put the table between the marks of this document.")
    ] = None,
) -> int:
    """Drive the attestation service with distinct quotes: throughput, latency, and the CPU time it adds."""
    from fusequote.cli.document import MarkedDocument
    from fusequote.cli.output import print_document, table
    from fusequote.cli.settings import current
    from fusequote.verdict import ResultDocument

    document = None if write is None else MarkedDocument(write, "services")
    found = measure(reports, connections, workers or os.cpu_count() or 1)
    rows = _rows(found)
    if document is not None:
        lines = ["| | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows)]
        document.put("\n".join(lines))
    if current().json:
        facts: dict[str, str | int | bool] = {
            "reports": found.reports,
            "errors": found.errors,
            "workers": found.workers,
            "per_second": round(found.per_second),
            "p50_us": round(1e3 * found.p50),
            "p99_us": round(1e3 * found.p99),
            "cpu_us": round(1e3 * found.cpu),
            "bare_us": round(1e3 * found.bare),
            "added_us": round(1e3 * found.added),
            "within_budget": found.added <= BUDGET,
        }
        print_document(ResultDocument("bench services", facts).to_json())
        return 0
    table("the attestation service under load", ("", ""), rows, right=(1,))
    return 0
