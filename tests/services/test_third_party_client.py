"""Clients that nobody here wrote: curl and wget against a server over TLS, with the options and the parsers of those
that are known to be run against it.

*Gramine 1.8* (libcurl): one handle for all requests, so one connection, with the same headers for GET and POST; TLS 1.2
or newer; HTTP/2 if the server offers it. It reads each header of the answer as it comes, compares its name without
regard to case and wants one blank behind the colon; the value ends in a line break. A header after data begins a new
answer. *Intel's sp* (sgx-ra-sample): libcurl, or wget with the headers saved before the body, one connection for each
request. Both make one text, which goes through a small parser of HTTP/1 that takes nothing unusual. Its JSON has line
breaks, its certificates are found by the text ``-----BEGIN``, after every ``+`` became a blank.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import socket
import ssl
import subprocess
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from chain_world import SPID, copy_home, make_ready
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from fusequote.arch.epid import SgxSigRl
from fusequote.services.attestation_operator import Operator
from fusequote.services.attestation_subscriptions import Subscriptions
from ias_world import serving

API = "/sgx/dev/attestation/v4"


@dataclass(frozen=True)
class Service:
    """A server of the attestation service, the platform whose quotes it knows, and a subscription."""

    made: object
    url: str
    root: str
    key: str
    folder: object

    @property
    def gid(self) -> str:
        """As clients make it of a quote's bytes."""
        return "".join(f"{byte:02x}" for byte in self.made.quote[4:8][::-1])

    def report_file(self, text: str | None = None) -> str:
        """A file with the body of POST report: by default as Gramine writes it."""
        path = self.folder / "request"
        quote = base64.b64encode(self.made.quote).decode()
        path.write_text(text or f'{{"isvEnclaveQuote":"{quote}","nonce":"{"n" * 32}"}}')
        return str(path)


@pytest.fixture(scope="module")
def service(keyed_home, tmp_path_factory):
    folder = tmp_path_factory.mktemp("client")
    made = make_ready(copy_home(keyed_home, folder))
    _, key, _ = Subscriptions(made.services.store).create("client", linkable=False, spid=SPID)
    with serving(made.platform.home, "--port", "0", "--tls", "--workers", "1") as ready:
        yield Service(made, ready["url"].rstrip("/") + API, ready["root"], key, folder)
    made.platform.close()


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} here (Debian: apt install {name})")
    return found


def run(*command: str) -> bytes:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, (command, done.returncode, done.stderr)
    return done.stdout


def signed_by(chain_pem: bytes, signature: bytes, body: bytes) -> None:
    leaf = x509.load_pem_x509_certificates(chain_pem)[0]
    leaf.public_key().verify(signature, body, padding.PKCS1v15(), hashes.SHA256())


# Gramine


class Gramine:
    """What its callbacks keep of an answer."""

    SIGNATURE, CERTIFICATE = b"x-iasreport-signature: ", b"x-iasreport-signing-certificate: "

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.data = b""

    def header(self, line: bytes) -> None:
        for name in (self.SIGNATURE, self.CERTIFICATE):
            if line[: len(name)].lower() == name:
                self.kept[name] = line[len(name) :]
                self.data = b""

    def body(self, piece: bytes) -> None:
        self.data += piece

    def check(self) -> dict:
        signature = base64.b64decode(re.fullmatch(rb"([A-Za-z0-9+/]+={0,2})\r\n", self.kept[self.SIGNATURE])[1])
        coded = self.kept[self.CERTIFICATE].replace(b"+", b" ")
        chain = re.sub(rb"%([0-9A-Fa-f]{2})", lambda code: bytes([int(code[1], 16)]), coded)
        signed_by(chain, signature, self.data)
        return json.loads(self.data)


def test_gramine_over_one_connection(service, tmp_path):
    """GET sigrl, POST report, GET sigrl on one handle; an offer of HTTP/2 in the handshake is not taken up."""
    told = "%{http_code} %{http_version} %{num_connects} %{content_type}\\n"
    same = ["--silent", "--show-error", "--tlsv1.2", "--cacert", service.root, "--write-out", told]
    same += ["-H", f"Ocp-Apim-Subscription-Key: {service.key}", "-H", "Content-Type: application/json"]
    command = [program("curl")]
    for number, more in enumerate(
        (
            [f"{service.url}/sigrl/{service.gid}"],
            ["--data-binary", f"@{service.report_file()}", f"{service.url}/report"],
            [f"{service.url}/sigrl/{service.gid}"],
        )
    ):
        head, body = str(tmp_path / f"{number}.head"), str(tmp_path / f"{number}.body")
        command += ["--next"] * bool(number) + [*same, "--dump-header", head, "--output", body, *more]
    answers = run(*command).decode().splitlines()
    assert [line.split()[:3] for line in answers] == [["200", "1.1", "1"], ["200", "1.1", "0"], ["200", "1.1", "0"]]
    for number in (0, 2):  # no list: an empty body, of which the client's callback is never told
        assert b"\r\ncontent-length: 0\r\n" in (tmp_path / f"{number}.head").read_bytes().lower()
        assert not (tmp_path / f"{number}.body").exists() or not (tmp_path / f"{number}.body").read_bytes()
    client = Gramine()
    for line in (tmp_path / "1.head").read_bytes().splitlines(keepends=True):
        client.header(line)
    client.body((tmp_path / "1.body").read_bytes())
    report = client.check()
    assert report["isvEnclaveQuoteStatus"] == "OK" and report["nonce"] == "n" * 32 and report["version"] == 4


@pytest.mark.parametrize(
    "options",
    [
        ["-H", "Expect: 100-continue"],
        ["-H", "Transfer-Encoding: chunked"],
        ["--http1.0"],
        ["--http2"],
        ["--tlsv1.3"],
        ["--tls-max", "1.2"],
        ["-H", "Accept-Encoding: gzip, br"],
        ["-H", "Content-Type: APPLICATION/JSON; charset=utf-8"],
        ["-H", "Content-Type:"],
        ["-H", "User-Agent:", "-H", "Accept:"],
        ["-H", "Connection: close"],
    ],
    ids=lambda options: " ".join(options),
)
def test_a_report_however_it_is_asked_for(service, tmp_path, options):
    given = [] if any("Content-Type" in option for option in options) else ["-H", "Content-Type: application/json"]
    head = tmp_path / "head"
    body = run(
        program("curl"), "--silent", "--show-error", "--fail", "--cacert", service.root, "--dump-header", str(head),
        "-H", f"ocp-apim-subscription-key:{service.key}", *given, *options,
        "--data-binary", f"@{service.report_file()}", f"{service.url}/report",
    )  # fmt: skip
    client = Gramine()
    for line in head.read_bytes().splitlines(keepends=True):
        client.header(line)
    client.body(body)
    assert client.check()["isvEnclaveQuoteStatus"] == "OK"
    assert b"content-encoding" not in head.read_bytes().lower()
    if "Expect: 100-continue" in options:
        assert head.read_bytes().startswith(b"HTTP/1.1 100 ")


def test_a_list_with_entries(home, tmp_path):
    """Base64 in one line, of exactly the signed list: mbed TLS counts every character."""
    made = make_ready(home)
    _, key, _ = Subscriptions(made.services.store).create("client", linkable=False, spid=SPID)
    Operator(made.services.registry, made.services.keys).revoke_signature(made.quote)
    gid = made.platform.gid()
    with serving(home, "--port", "0", "--tls", "--workers", "0") as ready:
        for text in (gid.hex(), gid.hex().upper()):
            body = run(
                program("curl"), "--silent", "--show-error", "--fail", "--cacert", ready["root"],
                "-H", f"OCP-APIM-SUBSCRIPTION-KEY: {key}", f"{ready['url'].rstrip('/')}{API}/sigrl/{text}",
            )  # fmt: skip
            assert re.fullmatch(rb"[A-Za-z0-9+/]+={0,2}", body)
            listed = SgxSigRl.from_bytes(base64.b64decode(body, validate=True))
            assert (listed.gid, listed.n2) == (gid, 1)
    made.platform.close()


# Intel's sp


class Sp:
    """An answer as its parser reads the text of headers and body; what it does not take is an assertion here."""

    def __init__(self, text: bytes):
        head, separator, rest = text.partition(b"\r\n\r\n")
        assert separator
        status, *lines = head.split(b"\r\n")
        found = re.fullmatch(rb"HTTP/(\d)\.(\d) (\d{3}) [ -~]+", status)  # a reason phrase has to be there
        assert found, status
        self.status = int(found[3])
        self.headers = {}
        for line in lines:
            named = re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([ -~]*)", line)  # one blank, no control characters
            assert named, line
            self.headers[named[1]] = named[2]
        lengths = [value for name, value in self.headers.items() if name.lower() == b"content-length"]
        assert len(lengths) == 1 and len(rest) == int(lengths[0])
        self.body = rest

    def check(self) -> dict:
        coded = self.headers[b"X-IASReport-Signing-Certificate"].replace(b"+", b" ")
        chain = re.sub(rb"%([0-9A-Fa-f]{2})", lambda code: bytes([int(code[1], 16)]), coded)
        at = [match.start() for match in re.finditer(rb"-----BEGIN", chain)]
        assert at[0] == 0 and len(at) == 2  # it begins its first certificate at the first character
        first, second = (x509.load_pem_x509_certificate(chain[a:b]) for a, b in zip(at, [*at[1:], None], strict=True))
        first.verify_directly_issued_by(second)
        signed_by(chain, base64.b64decode(self.headers[b"X-IASReport-Signature"], validate=True), self.body)
        return json.loads(self.body)


def pretty(service: Service, **more: str) -> str:
    fields = {"isvEnclaveQuote": base64.b64encode(service.made.quote).decode(), **more}
    return "{\n" + ",\n".join(f'"{name}":"{fields[name]}"' for name in sorted(fields)) + "\n}"


def sp_with_curl(service: Service, path: str, post: str | None = None, key: str | None = None) -> Sp:
    command = [program("curl"), "--silent", "--show-error", "--include", "--proto", "=https", "--cacert", service.root]
    command += ["-H", f"Ocp-Apim-Subscription-Key: {key or service.key}"]
    if post is not None:
        command += ["-H", "Content-Type: application/json", "-H", "Expect:"]
        command += ["--data-binary", f"@{service.report_file(post)}"]
    return Sp(run(*command, service.url + path))


def sp_with_wget(service: Service, path: str, post: str | None = None, key: str | None = None) -> Sp | None:
    command = [program("wget"), "--quiet", "--output-document=-", "--save-headers", "--content-on-error"]
    command += ["--no-http-keep-alive", f"--header=Ocp-Apim-Subscription-Key: {key or service.key}"]
    command += [f"--ca-certificate={service.root}"]
    if post is not None:
        command += ["--header=Content-Type: application/json", f"--post-file={service.report_file(post)}"]
    done = subprocess.run([*command, service.url + path], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    if key is not None:  # wget keeps a 401 for itself, be it whose it may
        assert (done.returncode, done.stdout) == (6, b"")
        return None
    assert done.returncode in (0, 8), done.stderr  # 8: the answer was an error, and was printed
    return Sp(done.stdout)


@pytest.mark.parametrize("ask", [sp_with_curl, sp_with_wget], ids=["curl", "wget"])
def test_sp(service, ask):
    """A list, a report, a report with a PSE manifest, and each error with its body."""
    listed = ask(service, f"/sigrl/{service.gid}")
    assert (listed.status, listed.body) == (200, b"")
    assert ask(service, "/report", pretty(service)).check()["isvEnclaveQuoteStatus"] == "OK"
    manifest = base64.b64encode(bytes(256)).decode()
    report = ask(service, "/report", pretty(service, pseManifest=manifest, nonce="0123456789")).check()
    assert (report["pseManifestStatus"], report["nonce"], report["version"]) == ("UNKNOWN", "0123456789", 4)
    for path, post, key, status in [
        (f"/sigrl/{service.gid}", None, "0" * 32, 401),
        ("/sigrl/ffffffff", None, None, 404),
        ("/report", "{}", None, 400),
        ("/report", pretty(service), "0" * 32, 401),
    ]:
        answer = ask(service, path, post, key)
        if answer is None:
            continue
        assert answer.status == status and set(json.loads(answer.body)) == {"error"}
        assert re.fullmatch(rb"[0-9a-f]{32}", answer.headers[b"Request-ID"])


@pytest.mark.parametrize("path", ["/report/", "//report", "/sigrl", "/sigrl/", "/sigrl/{gid}/", "/sigrl//{gid}"])
def test_addresses_that_are_nearly_right(service, path):
    """A base address that ends in a slash, or a forgotten gid: an error with a body at this address, no redirect."""
    answer = sp_with_curl(service, path.format(gid=service.gid), pretty(service) if "report" in path else None)
    assert answer.status in (404, 405) and b"location" not in {name.lower() for name in answer.headers}
    assert set(json.loads(answer.body)["error"]) == {"kind", "message", "hint"}


# What the server does not speak


def test_protocols_that_are_refused(service):
    """TLS 1.1, HTTP/2 without asking, plain HTTP, noise: each ends at once, and the server goes on."""
    where = urlsplit(service.url)
    address = (where.hostname, where.port)
    old = [program("curl"), "--silent", "--cacert", service.root, "--ciphers", "DEFAULT@SECLEVEL=0", "--tls-max", "1.1"]
    assert subprocess.run([*old, service.url], capture_output=True, timeout=60).returncode == 35  # the handshake failed
    plain = [program("curl"), "--silent", service.url.replace("https:", "http:")]
    assert subprocess.run(plain, capture_output=True, timeout=60).returncode in (52, 56)
    context = ssl.create_default_context(cafile=service.root)
    context.set_alpn_protocols(["h2", "http/1.1"])
    for spoken in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), b"\x16\x03\x01\xff\xff" * 3, b"GET\r\n\r\n"):
        raw = socket.create_connection(address, timeout=60)
        with raw, context.wrap_socket(raw, server_hostname="localhost") as tls:
            assert tls.selected_alpn_protocol() in (None, "http/1.1")
            tls.sendall(spoken)
            answer = b""
            while piece := tls.recv(4096):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 400 ")
    assert sp_with_curl(service, f"/sigrl/{service.gid}").status == 200
