"""The shell around every server: ready line, settings, TLS, limits, log, metrics, an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
import store_app
from fusequote.errors import UsageError
from fusequote.home import Home
from fusequote.services.http.limits import RateLimit
from fusequote.services.http.server import dress, open_context
from fusequote.services.http.settings import ServerSettings, load_settings
from fusequote.services.http.tls import server_files
from serving import serving

SERVE = "import sys; from fusequote.cli import main; sys.argv[0] = 'fusequote'; sys.exit(main())"


@pytest.fixture
def made(home):
    """Makes a dressed application with these settings, and an async client of it."""
    contexts = []

    def make(**settings):
        context = open_context(home, ServerSettings(workers=0, **settings))
        contexts.append(context)
        app = dress(store_app.create_app(context), context)
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
        return context, client

    yield make
    for context in contexts:
        context.close()


def test_one_server_from_its_ready_line_to_its_end(home, tmp_path):
    """TLS under our root, a killed worker, what log and metrics say, and SIGTERM while a request is running."""
    options = ("--port", "0", "--tls", "--workers", "1", "--set", "metrics=all")
    with serving(home, *options, log=tmp_path / "log") as server:
        assert server.facts["ready"] == "provisioning" and server.facts["pid"] == server.process.pid
        assert server.facts["emulated"] is True and server.url.startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=server.facts["root"])
        with server.client(verify=trust) as client:
            assert client.get("/healthz").json()["status"] == "ok"
            answer = client.post("/group?key=hunter2", headers={"Authorization": "hunter2"})
            assert len(bytes.fromhex(answer.headers["request-id"])) == 16
            # The first worker dies at this job; the second does it.
            marker = str(tmp_path / "marker")
            assert client.post("/worker", json={"marker": marker}).json()["pid"] not in (0, server.process.pid)
            assert client.post("/worker", json={}).json() == {"groups": 1}
            bug = client.post("/bug", json={"secret": "hunter2"})
            assert bug.status_code == 500 and bug.json()["error"]["kind"] == "internal"
            assert client.post("/hunter2").status_code == 404
            metrics = client.get("/metrics").text
            assert "fusequote_workers_lost_total 1.0" in metrics
            assert 'fusequote_failures_total{kind="internal"} 1.0' in metrics
            assert 'route="/group",status="200"' in metrics and "hunter2" not in metrics
            running = threading.Thread(target=lambda: results.append(client.post("/slow/1").json()))
            results: list[dict] = []
            running.start()
            while "fusequote_requests_running 1.0" not in httpx.get(f"{server.url}/metrics", verify=trust).text:
                pass
            assert server.end() == 0
            running.join()
        assert results == [{"done": True}], "the request that was running was answered"
        lines = server.lines()
        assert "hunter2" not in server.log.read_text()
        (failed,) = (line for line in lines if line["event"] == "failed")
        assert failed["error"]["type"] == "builtins.KeyError" and failed["request_id"] == bug.headers["request-id"]
        seen = [(line["route"], line["status"]) for line in lines if line["event"] == "request"]
        assert ("/group", 200) in seen and ("none", 404) in seen and ("/slow/{seconds}", 200) in seen


def test_connections_that_send_nothing_or_too_much(home, tmp_path):
    options = ("--workers", "0", "--set", "header_seconds=0.5", "--set", "max_headers=4096")
    with serving(home, *options, log=tmp_path / "log") as server:
        address = (server.facts["host"], server.facts["port"])
        with socket.create_connection(address, 30) as silent, socket.create_connection(address, 30) as half:
            half.sendall(b"POST /group HTTP/1.1\r\nHost: x\r\n")
            assert silent.recv(100) == b"" and half.recv(100) == b"", "closed by the server"
        with socket.create_connection(address, 30) as large:
            large.sendall(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 2000)
            assert large.recv(100).startswith(b"HTTP/1.1 400")
        with socket.create_connection(address, 30) as chunked:
            chunked.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(18):
                chunked.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
            chunked.sendall(b"0\r\n\r\n")
            assert chunked.recv(100).startswith(b"HTTP/1.1 413")
        assert server.end(signal.SIGINT) == 0


def test_limits(made):
    context, client = made(max_body=1024, requests_at_once=1, request_seconds=0.2, rate=0)

    async def ask() -> None:
        assert (await client.post("/echo", content=bytes(1024))).json() == {"size": 1024}
        for content in (bytes(1025), (bytes(600) for _ in range(2))):
            answer = await client.post("/echo", content=_stream(content))
            assert answer.status_code == 413 and answer.json()["error"]["kind"] == "too-large"
        slow = asyncio.ensure_future(client.post("/slow/1"))
        while not context.metrics.running._value.get():
            await asyncio.sleep(0)
        busy = await client.post("/echo")
        assert busy.status_code == 503 and busy.json()["error"]["kind"] == "busy" and busy.headers["retry-after"] == "1"
        assert (await client.get("/healthz")).status_code == 200, "however busy"
        late = await slow
        assert late.status_code == 503 and late.json()["error"]["kind"] == "timeout" and "retry-after" in late.headers
        still = await client.post("/echo")
        assert still.status_code == 503, "what runs on in its thread still counts"

    asyncio.run(ask())


def _stream(content):
    async def parts():
        for part in [content] if isinstance(content, bytes) else content:
            yield part

    return parts()


def test_rate(made):
    _, client = made(rate=0.001, burst=2)

    async def ask() -> list[httpx.Response]:
        return [await client.post("/echo") for _ in range(4)]

    answers = asyncio.run(ask())
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert int(answers[-1].headers["retry-after"]) > 500


def test_the_bucket_fills_and_forgets():
    now = [0.0]
    limit = RateLimit(2, 3, lambda: now[0])
    assert [limit.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert limit.wait("b") == 0
    now[0] = 0.5
    assert limit.wait("a") == 0 and limit.wait("a") == 0.5
    for number in range(20_000):
        limit.wait(str(number))
    assert len(limit._buckets) <= 10_000


def test_errors_of_ours_have_their_status_and_form(made):
    _, client = made()
    answer = asyncio.run(client.post("/wrong"))
    assert answer.status_code == 400
    assert answer.json() == {
        "error": {"kind": "usage", "message": "this is not how it is done", "hint": "do it otherwise"}
    }


# settings


def load(home: Home, **given: object) -> ServerSettings:
    return load_settings(ServerSettings, "attestation", home, **{"environment": {}, **given})


def test_settings_rise_from_file_to_option(home):
    (home.root / "services.toml").write_text(
        'port = 1\nhost = "a"\nworkers = 1\nrate = 1\n[attestation]\nhost = "b"\nworkers = 2\nrate = 2\n'
        "[provisioning]\nworkers = 9\n"
    )
    environment = {"FUSEQUOTE_SERVE_WORKERS": "3", "FUSEQUOTE_SERVE_RATE": "3", "FUSEQUOTE_SERVE_NAMES": "x, y"}
    found = load(home, environment=environment, options={"rate": 4.5, "host": None})
    assert (found.port, found.host, found.workers, found.rate, found.names) == (1, "b", 3, 4.5, ["x", "y"])
    other = home.root / "other.toml"
    other.write_text("port = 7")
    assert load(home, config=other).port == 7
    assert load(home, environment={"FUSEQUOTE_SERVE_CONFIG": str(other)}).port == 7


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("prot = 1", "port"),
        ('port = "hunter2"', "port"),
        ("port = 70000", "65535"),
        ("port = ", "not TOML"),
        ("[attestation]\nnothing = 1", "nothing"),
        ("attestation = 3", "table"),
        ('certificate = "x"', "belong together"),
        ('store = ["hunter2"]', "store"),
        ("\0", "not TOML"),
    ],
)
def test_wrong_settings_are_named_and_not_repeated(home, text, word):
    file = home.root / "services.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load(home)
    said = f"{caught.value} {caught.value.hint}"
    assert word in said and "hunter2" not in said


def test_a_password_is_not_shown(home):
    settings = load(home, environment={"FUSEQUOTE_SERVE_STORE": "postgresql://u:hunter2@h/d"})
    assert settings.store_url == "postgresql://u:hunter2@h/d" and "hunter2" not in repr(settings)


def test_the_certificate_is_kept_while_it_fits(home):
    first = Path(server_files(home, ServerSettings()).certificate).read_bytes()
    assert server_files(home, ServerSettings()).certificate.read_bytes() == first
    assert server_files(home, ServerSettings(names=["other.example"])).certificate.read_bytes() != first
    with pytest.raises(UsageError, match="no name"):
        server_files(home, ServerSettings(names=["nämé"]))


def test_serve_says_what_is_wrong(home, capsys):
    from fusequote.cli import main

    taken = socket.create_server(("127.0.0.1", 0))
    common = ("--home", str(home.root), "--workers", "0")
    assert main(["serve", "attestation", *common, "--port", str(taken.getsockname()[1])]) == 3
    assert "cannot listen" in capsys.readouterr().err
    taken.close()
    assert main(["serve", "attestation", *common, "--set", "nothing=1"]) == 2
    assert main(["serve", "attestation", *common, "--store", "nonsense://"]) == 2
    assert main(["serve", "attestation", *common, "--certificate", "/none", "--key", "/none", "--tls"]) == 3
    assert "Traceback" not in capsys.readouterr().err
    assert main(["serve", "nothing"]) == 2


def test_the_ready_line_is_all_there_is_on_stdout(home, tmp_path):
    with serving(home, "--workers", "0", "--json", log=tmp_path / "log") as server:
        server.process.send_signal(signal.SIGTERM)
        rest = server.process.stdout.read()
        assert server.process.wait(60) == 0 and rest == ""
        assert all(isinstance(json.dumps(line), str) for line in server.lines())


@pytest.mark.parametrize(
    ("service", "moments"), [("attestation", ("begun", "locks", "worker")), ("provisioning", ("worker",))]
)
def test_sigterm_before_it_is_ready(home, tmp_path, service, moments):
    """The real commands, told to end at some moment of their start: no ready line, no traceback, nobody left behind."""
    program = (sys.executable, "-c", SERVE, "serve", service, "--workers", "1")
    codes = set()
    for moment in moments:
        with open(tmp_path / "log", "wb") as log:
            process = subprocess.Popen(
                program, stdout=subprocess.PIPE, stderr=log, env={**os.environ, "FUSEQUOTE_HOME": str(home.root)}
            )
        family = Family(process.pid)
        while not family.reached(moment) and process.poll() is None:
            pass
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        process.stdout.close()
        codes.add(process.wait(60))
        said = (tmp_path / "log").read_text()
        assert "Traceback" not in said and "Error" not in said, said
        assert moment != "begun" or rest == b"", rest
        while family.left():
            pass
    assert codes <= {0, -signal.SIGTERM} and 0 in codes, codes


class Family:
    """A process and those that it starts, by /proc."""

    def __init__(self, pid: int):
        self._pid, self._seen = pid, set()

    def reached(self, moment: str) -> bool:
        """``begun``: the process is there; ``locks``: it has the lock of a key; ``worker``: it has started others."""
        if moment == "locks":
            with contextlib.suppress(OSError):
                return any("/locks/" in os.readlink(entry) for entry in Path(f"/proc/{self._pid}/fd").iterdir())
        if moment == "worker":
            with contextlib.suppress(OSError):
                children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text().split()
                self._seen.update(children)
                return len(children) > 1
        return moment == "begun"

    def left(self) -> list[str]:
        """Those that are still there."""
        found = []
        for pid in self._seen:
            with contextlib.suppress(OSError):
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
                found += [pid] if state not in "ZX" else []
        return found


def test_the_operators_page_lists_all_settings():
    page = (Path(__file__).parents[2] / "docs" / "services.md").read_text("utf-8")
    table = page[page.index("| setting |") : page.index("A request's memory")]
    for name in ServerSettings.model_fields:
        assert f"`{name}`" in table, name
