"""HTTP/1.1 as bytes: limits on what a parser would keep, requests sent ahead, answers in the form they were given."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from serving import serving

pytest.importorskip("httptools")

LIMIT = 4096
ECHO = b"POST /echo HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def connect(home, tmp_path):
    with serving(home, "--workers", "0", "--set", f"max_headers={LIMIT}", log=tmp_path / "log") as server:

        @contextlib.contextmanager
        def connection(*parts: bytes) -> Iterator[socket.socket]:
            with socket.create_connection((server.facts["host"], server.facts["port"]), 30) as made:
                send(made, *parts)
                yield made

        yield connection


def send(connection: socket.socket, *parts: bytes) -> None:
    # The server may have ended the connection already.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for part in parts:
            connection.sendall(part)


def all_of(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            data += part
    return data


def until(connection: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        part = connection.recv(65536)
        assert part, data
        data += part
    return data


def endless(start: bytes, piece: bytes) -> tuple[bytes, ...]:
    return (start, *[piece * (1024 // len(piece))] * 64)


def test_what_a_parser_keeps_has_limits(connect):
    chunked = ECHO + b"Transfer-Encoding: chunked\r\n\r\n"
    cases = {
        "target": endless(b"GET /", b"a"),
        "name of a header": endless(ECHO, b"a"),
        "value of a header": endless(ECHO + b"X: ", b"a"),
        "headers": endless(ECHO, b"X: y\r\n"),
        "one large head": (ECHO + b"X: y\r\n" * 1000 + b"\r\n",),
        "chunk extension": endless(chunked + b"1;", b"a"),
        "trailers": endless(chunked + b"0\r\n", b"X: y\r\n"),
        "value of a trailer": endless(chunked + b"1\r\na\r\n0\r\nX: ", b"a"),
        "empty lines": endless(b"\r\n", b"\r\n"),
    }
    for name, parts in cases.items():
        with connect(*parts) as connection:
            answer = all_of(connection)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400"), (name, answer)


def test_what_is_no_request_is_refused(connect):
    """What two programs on the way could read as different requests, too."""
    for head in (
        b"GET / HTTP/1.1\r\nX: " + bytes(10),
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01" + bytes(200),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        ECHO + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ECHO + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n12345",
        ECHO + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST http:// HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        with connect(head) as connection:
            assert all_of(connection).startswith(b"HTTP/1.1 400"), head


def test_requests_sent_ahead_are_answered_in_order(connect):
    sizes = [5, 0, 7]
    sent = b"".join(ECHO + b"Content-Length: %d\r\n\r\n" % size + bytes(size) for size in sizes)
    with connect(sent) as connection:
        answers = until(connection, b'{"size":7}')
        assert [answers.index(b'{"size":%d}' % size) for size in sizes] == sorted(
            answers.index(b'{"size":%d}' % size) for size in sizes
        )
        assert answers.count(b"HTTP/1.1 200 OK\r\n") == 3
    with connect((ECHO + b"\r\n") * 5000) as connection:
        assert all_of(connection).count(b"HTTP/1.1 200") < 1000, "not as many as one likes"


def test_forms_of_requests(connect):
    with connect(ECHO + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n") as connection:
        assert until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        send(connection, b"abc")
        assert until(connection, b'{"size":3}').startswith(b"HTTP/1.1 200 OK\r\n")
    with connect(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as connection:
        head, _, body = all_of(connection).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 405") and body == b"" and b"\r\nRequest-ID: " in head
    with connect(b"GET /healthz HTTP/1.0\r\n\r\n") as connection:
        answer = all_of(connection)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b"\r\nconnection: close\r\n" in answer
    # curl and Java offer HTTP/2 in this way.
    with connect(ECHO + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\na") as connection:
        assert until(connection, b'{"size":1}').startswith(b"HTTP/1.1 200 OK\r\n")
        send(connection, ECHO + b"Content-Length: 2\r\n\r\nab")
        assert until(connection, b'{"size":2}').startswith(b"HTTP/1.1 200 OK\r\n"), "still a connection of HTTP/1.1"
    with connect(ECHO + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n") as connection:
        assert until(connection, b'{"size":3}').startswith(b"HTTP/1.1 200 OK\r\n")
    with connect(b"GET /open%61pi.json?x HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
