"""The exchange over both transports, with a real server and a real client, and everything that goes wrong between."""

import contextlib
import dataclasses
import socket
import threading

import httpx
import pytest
from chain_world import flip
from fastapi.testclient import TestClient
from fusequote.errors import EnvironmentProblem, UsageError
from fusequote.exchange import ExchangeError, Fault
from fusequote.exchange.client import HttpClient, connect
from fusequote.exchange.hosting import Hosting, receipt
from fusequote.exchange.http import BINARY, ROOT, SessionTable, make_app
from fusequote.exchange.lines import HexLines
from fusequote.exchange.provider import MSG01_SIZE
from fusequote.exchange.tcp import TcpClient, TcpServer
from fusequote.verdict import Reason


def raises(fault):
    return pytest.raises(ExchangeError, check=lambda error: error.fault is fault)


@pytest.fixture
def hosting(world):
    hosting = Hosting(world.provider, patience=20)
    hosting_troubles, hosting_verdicts = [], []
    return (
        dataclasses.replace(
            hosting,
            on_trouble=lambda peer, error: hosting_troubles.append(error),
            on_verdict=lambda peer, verdict: hosting_verdicts.append(verdict),
        ),
        hosting_troubles,
        hosting_verdicts,
    )


@contextlib.contextmanager
def serving(hosting, **options):
    server = TcpServer(hosting, "127.0.0.1", 0, **options)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


# TCP, as Intel's sample


def test_tcp_line_for_line(world, hosting):
    """The bytes on the wire are the sample's: lower-case hexadecimal, one line a message, msg4 of 105 bytes."""
    hosting, _, verdicts = hosting
    enclave = world.enclave()
    with serving(hosting) as server, socket.create_connection(("127.0.0.1", server.port)) as wire:
        lines = wire.makefile("rwb")

        def ask(message: bytes) -> bytes:
            lines.write(message.hex().encode() + b"\n")
            lines.flush()
            line = lines.readline()
            assert line.endswith(b"\n") and line == line.lower()
            return bytes.fromhex(line.decode())

        msg01 = enclave.msg01()
        # The sample sends msg0 without a newline, and msg1 behind it.
        lines.write(msg01[:4].hex().encode())
        lines.flush()
        lines.write(msg01[4:].hex().upper().encode() + b"\r\n")
        lines.flush()
        msg2 = bytes.fromhex(lines.readline().decode())
        assert len(msg2) == 168
        msg4 = ask(enclave.msg3(msg2))
        assert len(msg4) == 105 and msg4[0] == 3
        channel = enclave.finish(msg4).channel
        assert channel.open(ask(channel.seal(b"secret"))) == receipt(b"secret")
    assert [verdict.accepted for verdict in verdicts] == [True]


def test_tcp_client_and_server(world, hosting):
    hosting, _, _ = hosting
    with serving(dataclasses.replace(hosting, answer=lambda message: message[::-1])) as server:
        client = TcpClient(world.enclave(), "127.0.0.1", server.port)
        assert client.outcome.trusted
        assert [client.ask(b"abc"), client.ask(b"")] == [b"cba", b""]
        client.close()


def test_tcp_once_ends_after_a_verdict(world, hosting):
    hosting, _, verdicts = hosting
    server = TcpServer(hosting, "127.0.0.1", 0, once=True)
    thread = threading.Thread(target=server.serve)
    thread.start()
    connect(world.enclave(), f"tcp://127.0.0.1:{server.port}").close()
    thread.join()
    assert len(verdicts) == 1


def test_tcp_refusals_end_in_silence(world, hosting):
    """The sample has no line for errors: the connection is closed, and the server's side says why."""
    hosting, troubles, _ = hosting
    enclave = world.enclave(provider_key=world.provider.key.public_key())
    cases = [
        (b"zz\n", Fault.MALFORMED),
        (b"0\n", Fault.MALFORMED),
        (b"\n", Fault.MALFORMED),
        (bytes(72).hex().encode() + b"\n", Fault.POINT),
        (b"01000000" + enclave.msg01()[4:].hex().encode() + b"\n", Fault.EXTENDED_GROUP),
        (b"00" * 73 + b"\n", Fault.LIMIT),
        (b"0" * (1 << 16), Fault.LIMIT),
        (b"00", Fault.CLOSED),
    ]
    with serving(hosting) as server:
        for sent, fault in cases:
            with socket.create_connection(("127.0.0.1", server.port)) as wire:
                wire.sendall(sent)
                if fault is Fault.CLOSED:
                    wire.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionResetError):
                    assert wire.recv(1) == b""
            # The server says why before it closes.
            assert [error.fault for error in troubles] == [fault], sent[:40]
            troubles.clear()
        with raises(Fault.CLOSED):
            TcpClient(ForwardingEnclave(world.enclave()), "127.0.0.1", server.port)


class ForwardingEnclave:
    """An enclave's session whose msg3 is altered on the way."""

    def __init__(self, session):
        self.session = session

    def msg01(self):
        return self.session.msg01()

    def msg3(self, msg2):
        return flip(self.session.msg3(msg2), 0)

    def finish(self, msg4):
        return self.session.finish(msg4)


def test_tcp_takes_no_more_sessions_than_it_has_places_for(world, hosting):
    hosting, troubles, _ = hosting
    with serving(dataclasses.replace(hosting, most=1)) as server:
        first = TcpClient(world.enclave(), "127.0.0.1", server.port)
        with raises(Fault.CLOSED):
            TcpClient(world.enclave(), "127.0.0.1", server.port)
        assert [error.fault for error in troubles] == [Fault.BUSY]
        assert first.ask(b"still here") == receipt(b"still here")
        first.close()


def test_a_line_that_never_ends_is_given_up():
    """By a clock of the test's: 3 s are over after three pieces."""
    here, there = socket.socketpair()
    ticks = iter(range(100))
    with here, there:
        lines = HexLines(here, 3, clock=lambda: next(ticks))
        there.sendall(b"00")
        with raises(Fault.CLOSED):
            while True:
                there.sendall(b"0")
                lines.receive()


def test_nobody_there(world):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentProblem):
            TcpServer(Hosting(world.provider), "127.0.0.1", port)
    for url in (f"tcp://127.0.0.1:{port}", f"http://127.0.0.1:{port}"):
        with pytest.raises(EnvironmentProblem):
            connect(world.enclave(), url)


@pytest.mark.parametrize("url", ["", "tcp://", "ftp://host", "127.0.0.1:7777", "http://host:99999", "tcp://host:x"])
def test_urls_that_name_no_relying_party(world, url):
    with pytest.raises(UsageError):
        connect(world.enclave(), url)


# HTTP


@pytest.fixture
def web(hosting):
    with TestClient(make_app(hosting[0])) as client:
        yield client


class Into(httpx.BaseTransport):
    """httpx's transport into an application of this process."""

    def __init__(self, client):
        self.client = client

    def handle_request(self, request):
        answer = self.client.request(
            request.method, str(request.url), content=request.read(), headers=dict(request.headers)
        )
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def test_http_client_and_server(world, web):
    client = HttpClient(world.enclave(), "http://testserver", transport=Into(web))
    assert client.outcome.trusted and client.outcome.authenticated
    assert client.ask(b"abc") == receipt(b"abc")
    session = client._session_url
    client.close()
    assert web.post(f"{session}/messages", content=b"").status_code == 404


def problem(response, status, fault):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"] == fault.value and response.json()["message"]


def test_http_errors_are_the_protocol_s_own(world, web):
    enclave = world.enclave()
    msg01 = enclave.msg01()
    problem(web.post(ROOT, content=msg01[:-1]), 400, Fault.MALFORMED)
    problem(web.post(ROOT, content=bytes(72)), 403, Fault.POINT)
    problem(web.post(ROOT, content=bytes(MSG01_SIZE + 1)), 413, Fault.LIMIT)
    opened = web.post(ROOT, content=msg01)
    assert opened.status_code == 201 and opened.headers["content-type"] == BINARY
    session = opened.headers["location"]
    problem(web.post(f"{session}/messages", content=bytes(32)), 409, Fault.ORDER)
    msg3 = enclave.msg3(opened.content)
    problem(web.post(f"{session}/msg3", content=flip(msg3, 0)), 403, Fault.MAC)
    problem(web.post(f"{session}/msg3", content=msg3), 404, Fault.CLOSED)
    problem(web.post(f"{ROOT}/nobody/msg3", content=msg3), 404, Fault.CLOSED)


def test_http_client_hears_the_code(world, web):
    with raises(Fault.MAC):
        HttpClient(ForwardingEnclave(world.enclave()), "http://testserver", transport=Into(web))


def test_http_message_replayed(world, web):
    enclave = world.enclave()
    opened = web.post(ROOT, content=enclave.msg01())
    session = opened.headers["location"]
    answer = web.post(f"{session}/msg3", content=enclave.msg3(opened.content))
    channel = enclave.finish(answer.content).channel
    sealed = channel.seal(b"once")
    assert web.post(f"{session}/messages", content=sealed).status_code == 200
    problem(web.post(f"{session}/messages", content=sealed), 403, Fault.REPLAYED)
    problem(web.post(f"{session}/messages", content=sealed[:31]), 400, Fault.MALFORMED)
    # A copy is no attack on the channel: it goes on.
    assert web.post(f"{session}/messages", content=channel.seal(b"twice")).status_code == 200


def test_http_not_trusted_ends_the_session(world, hosting):
    policy = dataclasses.replace(world.provider.policy, mrenclaves=frozenset({bytes(32)}))
    hosted = dataclasses.replace(hosting[0], provider=dataclasses.replace(world.provider, policy=policy))
    with TestClient(make_app(hosted)) as web:
        client = HttpClient(world.enclave(), "http://testserver", transport=Into(web))
        assert not client.outcome.trusted and client.outcome.authenticated
        with raises(Fault.NOT_TRUSTED):
            client.ask(b"")
        client.close()
    assert hosting[2][0].codes == (Reason.MRENCLAVE,)


def test_sessions_have_a_limit_and_a_lifetime(world, hosting):
    now = [0.0]
    table = SessionTable(dataclasses.replace(hosting[0], most=2, lifetime=10), clock=lambda: now[0])
    first, _ = table.open("a")
    now[0] = 5
    second, _ = table.open("b")
    with raises(Fault.BUSY):
        table.open("c")
    now[0] = 10
    with raises(Fault.CLOSED):
        table.find(first)
    assert table.find(second) and len(table) == 1
    table.open("c")
    table.end(second)
    with raises(Fault.CLOSED):
        table.find(second)
