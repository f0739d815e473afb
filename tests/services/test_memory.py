"""No request makes a server allocate without bound: the real attestation service, and what clients could think of."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import sys
from pathlib import Path

import httpx
import pytest
from fusequote.services.attestation_subscriptions import Subscriptions
from fusequote.services.store import Store
from ias_world import SERVE
from serving import Server

#: Bytes of a body, and how much all processes of the service may grow by whatever is sent.
BODY, GROWTH = 256 << 10, 64 << 20
REPORT = "/sgx/dev/attestation/v4/report"


class Attestation(Server):
    program = (sys.executable, "-c", SERVE, "serve", "attestation")


def fill(start: str, piece: str, end: str = "") -> bytes:
    """A body of the largest size."""
    return (start + piece * ((BODY - len(start) - len(end)) // len(piece)) + end).encode()


BODIES = {
    "deep": fill("", "["),
    "deep objects": fill("", '{"a":'),
    "many objects": fill("[", "{},", "{}]"),
    "many numbers": fill("[", "1,", "1]"),
    "a long number": fill("", "9"),
    "a large exponent": b'{"nonce":1e999999999}',
    "a long nonce": fill('{"isvEnclaveQuote":"AA==","nonce":"', "n", '"}'),
    "escapes": fill('{"isvEnclaveQuote":"', "\\u0041", '"}'),
    "a long quote": fill('{"isvEnclaveQuote":"', "AAAA", '"}'),
    "a quote that says it is longer": json.dumps(
        {"isvEnclaveQuote": base64.b64encode(bytes([2]) + bytes(431) + b"\xff" * 4).decode()}
    ).encode(),
    "a long manifest": fill('{"isvEnclaveQuote":"AA==","pseManifest":"', "AAAA", '"}'),
    "no text": b"\xff" * BODY,
}


def test_bodies_headers_and_what_is_sent_ahead(home, tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("memory of other processes is read from /proc")
    store = Store.of(home)
    _, key, _ = Subscriptions(store).create("tests", linkable=False)
    store.close()
    options = ("--workers", "1", "--set", f"max_body={BODY}", "--set", "rate=0")
    server = Attestation(home, *options, log=tmp_path / "log")
    try:
        with server.client(headers={"Ocp-Apim-Subscription-Key": key}) as client:
            for body in BODIES.values():  # once, so that all is loaded
                ask(client, body)
            before = peak(server.process.pid)
            for _ in range(10):
                for name, body in BODIES.items():
                    assert ask(client, body) in (400, 413), name
            for size in (BODY + 1, 32 << 20):
                assert client.post(REPORT, content=iter([bytes(1 << 16)] * (size >> 16))).status_code in (400, 413)
        streams(server, b"POST / HTTP/1.1\r\nX: ", b"x" * (1 << 16))
        streams(server, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * (1 << 13))
        streams(server, b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * (1 << 11))
        assert peak(server.process.pid) - before < GROWTH
        assert server.end() == 0
    finally:
        if server.process.poll() is None:
            server.kill()


def ask(client: httpx.Client, body: bytes) -> int:
    return client.post(REPORT, content=body).status_code


def streams(server: Server, start: bytes, piece: bytes) -> None:
    """Send 64 MiB, or until the server has enough; nothing is read."""
    with socket.create_connection((server.facts["host"], server.facts["port"]), 60) as connection:
        connection.settimeout(5)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
            connection.sendall(start)
            for _ in range((64 << 20) // len(piece)):
                connection.sendall(piece)


def peak(pid: int) -> int:
    """The most memory that a process and those that it started ever had, in bytes."""
    total, waiting = 0, [str(pid)]
    while waiting:
        current = waiting.pop()
        status = Path(f"/proc/{current}/status").read_text()
        total += 1024 * int(status.partition("VmHWM:")[2].split()[0])
        for task in Path(f"/proc/{current}/task").iterdir():
            waiting += (task / "children").read_text().split()
    return total
