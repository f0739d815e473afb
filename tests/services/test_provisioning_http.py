"""The provisioning server behind the real shell, spoken to as a platform does and as it must not."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from chain_world import DATA, SPID, make_ready, refused
from fusequote.arch.provision import EsSelector
from fusequote.arch.provmsg import (
    EsMsg1,
    EsMsg2,
    GeneralStatus,
    Protocol,
    RequestHeader,
    ResponseHeader,
    from_text,
    split_message,
    to_text,
)
from fusequote.chain import Platform
from fusequote.errors import UsageError
from fusequote.platform.endpoint import ServerTrouble, ServerUnreachable
from fusequote.platform.provisioning_http import HttpExchange
from fusequote.verdict import Reason

SERVE = "import sys; from fusequote.cli import main; sys.argv[0] = 'fusequote'; main()"


@contextlib.contextmanager
def serving(home, *options: str) -> Iterator[str]:
    """A provisioning server of its own process over this home folder: its address."""
    command = [sys.executable, "-c", SERVE, "--home", str(home.root), "serve", "provisioning", "--workers", "0"]
    environment = os.environ | {"FUSEQUOTE_HOME": str(home.root)}
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            line = process.stdout.readline()
            yield json.loads(line)["url"].rstrip("/") + "/"
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def world(keyed_home, tmp_path_factory):
    """A platform of its own home, provisioned in process, and a server over the same store."""
    from chain_world import copy_home

    made = make_ready(copy_home(keyed_home, tmp_path_factory.mktemp("http")))
    with serving(made.platform.home) as url:
        yield made, url
    made.platform.close()


def es_request() -> bytes:
    body = EsMsg1(selector=EsSelector(selector=1)).to_bytes()
    return RequestHeader(protocol=Protocol.ENDPOINT_SELECTION, xid=b"transact", size=len(body)).to_bytes() + body


def test_a_platform_provisions_over_http_and_quotes(world):
    made, url = world
    home = made.platform.home
    made.platform.provisioning_url = url
    made.platform.blob_path.unlink()
    assert not made.platform.is_provisioned()
    made.platform.provision()
    quote = made.platform.quote_report(made.reported, spid=SPID, nonce=bytes(16)).quote
    status = json.loads(made.services.attestation.report(quote).body)["isvEnclaveQuoteStatus"]
    assert status == "OK"
    assert len((home.platform / "endpoint-00000000.es").read_bytes()) == 754


def test_the_wire_is_text(world):
    _, url = world
    message = es_request()
    text = to_text(message, RequestHeader)
    assert re.fullmatch(rb"[0-9A-F]{30}[A-Za-z0-9+/]+=*", text)
    # As curl sends it, and with the headers that Intel's client has: what is asked for counts, not the type.
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}):
        answer = httpx.post(url, content=text, headers=headers)
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
        assert re.fullmatch(r"[0-9A-F]{38}[A-Za-z0-9+/]+=*", answer.text)
    assert httpx.post(url, content=text.lower()[:30] + text[30:]).status_code == 200
    header, body = split_message(from_text(answer.content, ResponseHeader), ResponseHeader)
    assert (header.gstatus, header.xid) == (GeneralStatus.OK, b"transact")
    # The address is the socket's, whatever the client says that it is.
    assert EsMsg2.from_bytes(body).information.url.decode() == url
    misled = httpx.post(url, content=text, headers={"Host": "evil.example:80", "X-Forwarded-Host": "evil.example"})
    _, body = split_message(from_text(misled.content, ResponseHeader), ResponseHeader)
    assert b"evil" not in body


@pytest.mark.parametrize(
    "text",
    [b"", b"00", b"0" * 29, b"0" * 30 + b"*", b"zz" * 15, b"0" * 30 + b"AA\nA=", b"0" * 30 + b"AAA", b"\xff" * 100],
    ids=["empty", "short", "odd", "no base64", "no hexadecimal", "line end", "no padding", "binary"],
)
def test_what_is_no_message(world, text):
    answer = httpx.post(world[1], content=text)
    assert answer.status_code == 400 and answer.json()["error"]["kind"] == "format"


def test_messages_that_are_no_good_have_an_answer(world):
    message = es_request()
    header, body = RequestHeader.from_bytes(message[:15]), message[15:]
    for change, status in (
        ({"version": 1}, GeneralStatus.INCOMPATIBLE_VERSION),
        ({"size": 3}, GeneralStatus.INCORRECT_SYNTAX),
        ({"protocol": 9}, GeneralStatus.INCORRECT_SYNTAX),
        ({"protocol": 0, "type": 2}, GeneralStatus.INCORRECT_SYNTAX),
    ):
        changed = header.replace(**change).to_bytes() + body
        answer = httpx.post(world[1], content=to_text(changed, RequestHeader))
        assert answer.status_code == 200
        decoded = from_text(answer.content, ResponseHeader)
        assert ResponseHeader.from_bytes(decoded).gstatus == status and len(decoded) == 19


def test_methods_sizes_and_the_description(world):
    _, url = world
    assert httpx.get(url).status_code == 405
    assert httpx.post(url + "elsewhere", content=b"").status_code == 404
    assert httpx.post(url, content=b"0" * ((4 << 20) + 1)).status_code == 413
    described = httpx.get(url + "openapi.json").json()
    assert set(described["paths"]) == {"/"} and "Emulated" in described["info"]["description"]
    metrics = httpx.get(url + "metrics").text
    assert "fusequote_provisioning_answers" in metrics


def test_a_refusal_over_http(world):
    made, url = world
    made.services.registry.revoke_device(own_name(made))
    with refused(Reason.DEVICE_REVOKED):
        made.platform.provision()
    refusals = [line for line in httpx.get(url + "metrics").text.splitlines() if "PLATFORM_REVOKED" in line]
    assert refusals and refusals[0].endswith(" 1.0")


def own_name(made) -> bytes:
    from fusequote.services.tables import Device

    with made.services.store.reading() as session:
        return session.query(Device).one().ppid


def test_when_the_server_does_not_answer(keyed_home, tmp_path):
    """Endpoint selection's last result is used, whose server does not answer either: an error in words, no key lost."""
    from chain_world import copy_home

    home = copy_home(keyed_home, tmp_path)
    with Platform.manufacture(home=home, provisioning_url="http://127.0.0.1:9/") as platform:
        with pytest.raises(ServerUnreachable, match="127.0.0.1:9"):
            platform.provision()
        with serving(home) as url:
            platform.provisioning_url = url
            platform.provision()
            before = platform.blob_path.read_bytes()
            # The server of addresses is away, the one that it named is not.
            platform.provisioning_url = "http://127.0.0.1:9/"
            platform.provision()
        with pytest.raises(ServerUnreachable, match=url.rstrip("/")):
            platform.provision()
        assert platform.blob_path.exists() and len(before) == len(platform.blob_path.read_bytes())
        application = platform.launch()
        assert platform.quote(application, DATA, spid=SPID).quote


@pytest.fixture
def answering():
    """A server that answers whatever the test wants, and no provisioning server."""
    replies: list[tuple[int, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = replies[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", replies
    server.shutdown()
    server.server_close()


def test_what_a_client_makes_of_answers(answering):
    url, replies = answering
    exchange = HttpExchange(url)
    good = ResponseHeader(gstatus=1).to_bytes()
    replies[:] = [(200, to_text(good, ResponseHeader))]
    assert exchange(es_request()) == good
    for status, body, error in (
        (200, b"<html>", ServerUnreachable),
        (200, b"00" * 19 + base64.b64encode(b"x")[:-1], ServerUnreachable),
        (404, b"", ServerUnreachable),
        (302, b"", ServerUnreachable),
        (503, b"", ServerTrouble),
        (429, b"", ServerTrouble),
    ):
        replies[:] = [(status, body)]
        with pytest.raises(error):
            exchange(es_request())
    for address in ("", "ftp://x/", "localhost:1", "http://", "http://[::1"):
        with pytest.raises((UsageError, ServerUnreachable)):
            HttpExchange(address)(es_request())
