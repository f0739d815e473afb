"""Prometheus metrics of one server. Every label has few values, whatever clients send."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The counters of a server; ``registry`` takes those of a protocol as well."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        made = {"registry": self.registry}
        self.requests = Counter(
            "fusequote_requests", "Requests answered.", ["method", "route", "status"], **made
        )  # fmt: skip
        self.seconds = Histogram(
            "fusequote_request_seconds", "Time from a request's headers to its answer.", ["route"],
            buckets=_SECONDS, **made,
        )  # fmt: skip
        self.running = Gauge("fusequote_requests_running", "Requests that are worked on.", **made)
        self.refused = Counter(
            "fusequote_requests_refused", "Requests that a limit refused.", ["limit"], **made
        )  # fmt: skip
        self.failures = Counter(
            "fusequote_failures", "Requests that failed for a reason of the server's.", ["kind"], **made
        )  # fmt: skip
        self.workers_lost = Counter("fusequote_workers_lost", "Worker processes that died or hung.", **made)
        self.jobs_waiting = Gauge("fusequote_jobs_waiting", "Jobs that wait for a worker.", **made)
        self.clock_jumps = Counter("fusequote_clock_jumps", "How often the machine's clock was set.", **made)

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self.registry)
