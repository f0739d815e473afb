"""The REST API of versions 3 to 5: reports, lists, keys, and an answer of its own for everything that is wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
from urllib.parse import unquote, unquote_plus, urlsplit

import ias_world
import pytest
import quote_tools
from chain_world import SPID, copy_home, make_ready
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from fusequote.arch import PlatformInfoBlob, QuoteBody, QuoteV2, SignType
from fusequote.relying.report import check_chain
from fusequote.services.attestation_operator import Operator
from fusequote.services.attestation_status import PseStatus
from fusequote.services.attestation_subscriptions import KeySlot, Subscriptions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def world(keyed_home, tmp_path_factory):
    """For tests that leave the store as it is."""
    made = make_ready(copy_home(keyed_home, tmp_path_factory.mktemp("ias")))
    world = ias_world.make_world(made)
    yield world
    world.context.workers.close()
    made.platform.close()


@pytest.fixture
def own(home):
    """For tests that change it."""
    made = make_ready(home)
    world = ias_world.make_world(made)
    yield world
    world.context.workers.close()
    made.platform.close()


def error_of(answer) -> str:
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"kind", "message", "hint"} and error["message"]
    return error["kind"]


# Reports

FIELDS = ["nonce", "id", "timestamp", "version", "isvEnclaveQuoteStatus", "isvEnclaveQuoteBody"]


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_report_of_each_version(world, version):
    answer = world.report(version=version, nonce="0123456789abcdefghijABCDEFGHIJ+/")
    assert answer.status_code == 200 and b"\n" not in answer.content
    report = json.loads(answer.content)
    v5 = {"attestationType", "tcbEvaluationDataNumber"}
    assert [name for name in report if name not in v5] == FIELDS
    assert (set(report) >= v5) == (version == 5)
    assert report["version"] == version and report["isvEnclaveQuoteStatus"] == "OK"
    assert report["nonce"] == "0123456789abcdefghijABCDEFGHIJ+/"
    assert base64.b64decode(report["isvEnclaveQuoteBody"]) == world.made.quote[:432]


def test_signature_and_chain_as_clients_check_them(world):
    answer = world.report()
    raw = answer.headers["x-iasreport-signing-certificate"]
    # Whether a client turns + into a blank or not, the same PEM must come out; and no header breaks a line.
    assert unquote(raw) == unquote_plus(raw) and not set(raw) & set("+ \r\n")
    chain = unquote(raw).encode()
    assert chain.count(b"-----BEGIN CERTIFICATE-----") == 2
    assert chain == world.made.services.keys.chain_pem
    signing, root = x509.load_pem_x509_certificates(chain)
    assert root == world.made.services.keys.report_root
    now = signing.not_valid_before_utc.replace(year=2026)
    key = check_chain(chain, root, now)
    signature = base64.b64decode(answer.headers["x-iasreport-signature"], validate=True)
    key.verify(signature, answer.content, padding.PKCS1v15(), hashes.SHA256())
    names = {attribute.value for attribute in (*signing.subject, *root.subject)}
    assert all("emulated" in name for name in names)


def test_every_prefix_of_intels_hosts(world):
    body = {"isvEnclaveQuote": base64.b64encode(world.made.quote).decode()}
    for prefix in ("", "/sgx", "/sgx/dev"):
        assert world.ask("POST", f"{prefix}/attestation/v4/report", json=body).status_code == 200
    for version in (1, 2, 6):
        answer = world.ask("POST", f"/attestation/v{version}/report", json=body)
        assert (answer.status_code, error_of(answer)) == (404, "not-found")
    assert world.ask("GET", "/attestation/v4/report").status_code == 405


def test_statuses_of_version_4_in_version_3(own):
    operator = Operator(own.made.services.registry, own.made.services.keys)
    gid = own.made.platform.gid()
    ids = ["INTEL-SA-00334", "INTEL-SA-00615"]
    cases = [
        ({"sw_hardening_needed": True}, "SW_HARDENING_NEEDED", "CONFIGURATION_NEEDED", 0),
        ({"configuration_needed": True}, "CONFIGURATION_AND_SW_HARDENING_NEEDED", "CONFIGURATION_NEEDED", 8),
        ({"sw_hardening_needed": False}, "CONFIGURATION_NEEDED", "CONFIGURATION_NEEDED", 8),
        ({"out_of_date": True}, "GROUP_OUT_OF_DATE", "GROUP_OUT_OF_DATE", None),
    ]
    for change, fourth, third, flags in cases:
        operator.set_tcb(gid, advisory_ids=ids, **change)
        old, new = own.report(version=3), own.report(version=4)
        assert (old.json()["isvEnclaveQuoteStatus"], new.json()["isvEnclaveQuoteStatus"]) == (third, fourth)
        assert not {"advisoryURL", "advisoryIDs"} & set(old.json())
        assert old.headers["advisory-url"] == new.json()["advisoryURL"] == "https://security-center.intel.com"
        assert old.headers["advisory-ids"] == ",".join(new.json()["advisoryIDs"]) == ",".join(ids)
        assert "advisory-ids" not in new.headers
        blob = PlatformInfoBlob.from_tlv(bytes.fromhex(old.json()["platformInfoBlob"]))
        assert blob.gid == gid and (flags is None or blob.tcb_flags & 8 == flags)
        assert ("platformInfoBlob" in new.json()) == (fourth != "SW_HARDENING_NEEDED")
    assert own.report(version=5).json()["tcbEvaluationDataNumber"] == 1 + len(cases)


def test_pse_manifests(own):
    manifest = bytes(range(256))
    sent = base64.b64encode(manifest).decode()
    report = own.report(pseManifest=sent).json()
    assert report["pseManifestStatus"] == "UNKNOWN"
    assert report["pseManifestHash"] == hashlib.sha256(manifest).hexdigest().upper()
    assert own.report(pseManifest="AAAA").json()["pseManifestStatus"] == "INVALID"
    operator = Operator(own.made.services.registry, own.made.services.keys)
    for status in PseStatus:
        operator.set_pse(hashlib.sha256(manifest).digest(), status)
        assert own.report(pseManifest=sent).json()["pseManifestStatus"] == status.value
    assert not {"pseManifestStatus", "pseManifestHash"} & set(own.report().json())


# Lists


def test_the_list_of_a_group(own):
    gid = own.made.platform.gid()
    path = f"/sgx/attestation/v4/sigrl/{gid.hex()}"
    empty = own.ask("GET", path)
    assert (empty.status_code, empty.content, empty.headers["content-length"]) == (200, b"", "0")
    # The path has the quote's bytes the other way round.
    assert gid == own.made.quote[4:8][::-1]
    Operator(own.made.services.registry, own.made.services.keys).revoke_signature(own.made.quote)
    served = own.ask("GET", path.replace(gid.hex(), gid.hex().upper()))
    assert base64.b64decode(served.content) == own.made.services.attestation.sigrl(gid)
    assert len(base64.b64decode(served.content)) == 16 + 128 + 64
    assert own.report().json()["isvEnclaveQuoteStatus"] == "SIGRL_VERSION_MISMATCH"
    for unknown in ("00000000", "123", "zzzzzzzz", gid.hex() + "00"):
        answer = own.ask("GET", f"/attestation/v4/sigrl/{unknown}")
        assert (answer.status_code, error_of(answer)) == (404, "unknown-group")


def test_a_providers_own_list(own):
    """It holds for linkable quotes of its SPID, and for nobody else's."""
    services = own.made.services
    operator, subscriptions = Operator(services.registry, services.keys), Subscriptions(services.store)
    other, key, _ = subscriptions.create("linkable", linkable=True, spid=bytes(range(16)))

    def quoted(spid):
        return own.made.platform.quote_report(own.made.reported, spid=spid, sign_type=SignType.LINKABLE).quote

    quote = quoted(other.spid)
    assert own.report(quote, key=key).json()["isvEnclaveQuoteStatus"] == "OK"
    operator.shut_out(quote)
    again = own.report(quoted(other.spid), key=key).json()
    assert again["isvEnclaveQuoteStatus"] == "SIGNATURE_REVOKED"
    assert own.report().json()["isvEnclaveQuoteStatus"] == "OK"
    third, third_key, _ = subscriptions.create("third", linkable=True)
    assert own.report(quoted(third.spid), key=third_key).json()["isvEnclaveQuoteStatus"] == "OK"
    pseudonym = base64.b64decode(own.report(quoted(third.spid), key=third_key).json()["epidPseudonym"])
    assert operator.shut_out_pseudonym(own.made.platform.gid(), third.spid, pseudonym).entries == 1
    assert operator.shut_out_pseudonym(own.made.platform.gid(), third.spid, pseudonym).version == 1
    assert own.report(quoted(third.spid), key=third_key).json()["isvEnclaveQuoteStatus"] == "SIGNATURE_REVOKED"


# Keys and SPIDs


def test_keys(own):
    subscriptions = Subscriptions(own.made.services.store)
    for key in (own.primary, own.secondary, own.primary.upper()):
        assert own.report(key=key).status_code == 200
    wrong, sigrl = "0" * 32, "/attestation/v4/sigrl/" + own.made.platform.gid().hex()
    for key in (None, wrong, "x" * 32, own.primary[:-1], own.primary + "0", b"\xe9" * 32):
        for answer in (own.report(key=key), own.ask("GET", sigrl, key)):
            assert (answer.status_code, error_of(answer)) == (401, "unauthorized")
            assert "Ocp-Apim-Subscription-Key" in answer.headers["www-authenticate"]
    new = subscriptions.renew_key(SPID, KeySlot.PRIMARY)
    assert own.report(key=own.primary).status_code == 401
    assert own.report(key=new).status_code == own.report(key=own.secondary).status_code == 200
    subscriptions.set_active(SPID, False)
    assert own.report(key=new).status_code == 401
    subscriptions.set_active(SPID, True)
    assert own.report(key=new).status_code == 200


def test_no_key_is_in_the_store(own):
    key = Subscriptions(own.made.services.store).new_admin_key("operator")
    stored = b"".join(path.read_bytes() for path in own.made.platform.home.root.glob("services.db*"))
    for secret in (own.primary, own.secondary, key):
        assert secret.encode() not in stored and bytes.fromhex(secret) not in stored
    assert hashlib.sha256(own.primary.encode()).digest() in stored


def test_another_spid_or_kind_than_agreed(world):
    made = world.made
    foreign = made.platform.quote_report(made.reported, spid=bytes(16)).quote
    assert error_of(world.report(foreign)) == "policy.spid"
    linkable = made.new_quote(sign_type=SignType.LINKABLE)
    answer = world.report(linkable)
    assert (answer.status_code, error_of(answer)) == (400, "policy.linkability")


# Bad input


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "bad-request"),
        (b"\xff\xfe", "bad-request"),
        (b"[]", "bad-request"),
        (b"[" * 100_000, "bad-request"),
        (b"{}", "bad-request"),
        (b'{"isvEnclaveQuote": null}', "bad-request"),
        (b'{"isvEnclaveQuote": 7}', "bad-request"),
        (b'{"isvEnclaveQuote": "A"}', "bad-request"),
        (b'{"isvEnclaveQuote": "AA AA"}', "bad-request"),
        ('{"isvEnclaveQuote": "é"}'.encode(), "bad-request"),
        (b'{"isvEnclaveQuote": "AAAA", "isvEnclaveQuote": "AAAA"}', "bad-request"),
        (b'{"isvEnclaveQuote": "AAAA", "nonce": 1}', "bad-request"),
        (b'{"isvEnclaveQuote": "AAAA", "pseManifest": "?"}', "bad-request"),
        (b'{"isvEnclaveQuote": "AAAA", "nonce": "' + b"n" * 33 + b'"}', "usage"),
        (b'{"isvEnclaveQuote": ""}', "quote.malformed"),
        (b'{"isvEnclaveQuote": "AAAA"}', "quote.malformed"),
    ],
)
def test_bodies_that_are_none(world, body, kind):
    answer = world.ask("POST", "/attestation/v4/report", content=body)
    assert (answer.status_code, error_of(answer)) == (400, kind)
    assert "x-iasreport-signature" not in answer.headers


def test_quotes_cut_and_changed(world):
    quote = world.made.quote
    for size in (0, 1, 431, 435, 436, 740, len(quote) - 1):
        answer = world.report(quote[:size] or b"\0")
        assert (answer.status_code, error_of(answer)) == (400, "quote.malformed")
    changes = {0: "quote.malformed", 2: "quote.malformed", 12: "quote.malformed", 69: "quote.malformed",
               16: "policy.spid", 440: "quote.undecryptable", 700: "quote.undecryptable", 730: "quote.undecryptable",
               len(quote) - 1: "quote.undecryptable"}  # fmt: skip
    for at, kind in changes.items():
        answer = world.report(quote[:at] + bytes([quote[at] ^ 2]) + quote[at + 1 :])
        assert (answer.status_code, error_of(answer)) == (400, kind), at
    for at in (8, 48, 112, 368):  # under the EPID signature alone
        answer = world.report(quote[:at] + bytes([quote[at] ^ 1]) + quote[at + 1 :])
        assert answer.json()["isvEnclaveQuoteStatus"] == "SIGNATURE_INVALID", at
    body = QuoteV2.from_bytes(quote).body
    strangers = quote_tools.seal(world.made.services, body.replace(gid=bytes(4)), bytes(360))
    assert world.report(strangers).json()["isvEnclaveQuoteStatus"] == "SIGNATURE_INVALID"
    # The split form of a signature is none of a quote's, and neither are proofs that are not there.
    for payload in (bytes(392 + 128), bytes(356) + b"\0\0\0\1", bytes(360)):
        padded = payload + bytes(-(len(payload) - 360) % 160)
        sealed = quote_tools.seal(world.made.services, body, padded)
        assert world.report(sealed).json()["isvEnclaveQuoteStatus"] == "SIGNATURE_INVALID"


@settings(max_examples=40, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_decrypts_is_a_status(world, data):
    """A quote of any body and any plain text: a report or the protocol's refusal, never a failure."""
    size = data.draw(st.sampled_from([360, 520, 680]))
    payload = data.draw(st.binary(min_size=size, max_size=size))
    body = bytearray(world.made.quote[:432])
    for at in data.draw(st.lists(st.integers(0, 431), max_size=3)):
        body[at] ^= data.draw(st.integers(1, 255))
    answer = world.report(quote_tools.seal(world.made.services, bytes(body), payload))
    if answer.status_code == 200:
        assert answer.json()["isvEnclaveQuoteStatus"] == "SIGNATURE_INVALID"
    else:
        assert answer.status_code == 400
        assert error_of(answer) in ("quote.malformed", "policy.spid", "policy.linkability")
    assert len(body) == QuoteBody.SIZE


# Raw bytes, as clients in C parse them


def exchange(url: str, request: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Status line, header lines, and everything that follows until the server closes."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(request)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    return status, lines, body


def test_raw_answers(own):
    """One head and one body, its length announced, names spelt as Intel's, one blank behind the colon."""
    home = own.made.platform.home
    with ias_world.serving(home, "--workers", "1", "--no-tls") as facts:
        assert facts["ready"] == "attestation"
        body = json.dumps({"isvEnclaveQuote": base64.b64encode(own.made.quote).decode(), "nonce": "n"}).encode()

        def request(method: str, path: str, key: str, body: bytes = b"") -> bytes:
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOcp-Apim-Subscription-Key: {key}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n" if body else "\r\n"
            return head.encode() + body

        report = "/sgx/dev/attestation/v4/report"
        status, lines, answer = exchange(facts["url"], request("POST", report, own.primary, body))
        assert status == b"HTTP/1.1 200 OK"
        headers = dict(line.split(b": ", 1) for line in lines)
        assert all(re.fullmatch(rb"[A-Za-z-]+: \S.*\S|[A-Za-z-]+: \S", line) for line in lines)
        assert {b"X-IASReport-Signature", b"X-IASReport-Signing-Certificate"} <= set(headers)
        assert int(headers[b"Content-Length"]) == len(answer) and b"Transfer-Encoding" not in headers
        assert re.fullmatch(rb"[0-9a-f]{32}", {n.lower(): v for n, v in headers.items()}[b"request-id"])
        assert json.loads(answer)["isvEnclaveQuoteStatus"] == "OK"
        key = own.made.services.keys.report_certificate.public_key()
        signature = base64.b64decode(headers[b"X-IASReport-Signature"])
        key.verify(signature, answer, padding.PKCS1v15(), hashes.SHA256())
        # Failures have a length as well, or a client would wait for the end.
        gid = own.made.platform.gid().hex()
        for sent, wanted in (
            (request("POST", report, "0" * 32, body), b"401"),
            (request("POST", report, own.primary, b"{}"), b"400"),
            (request("GET", f"/sgx/dev/attestation/v4/sigrl/{gid}", own.primary), b"200"),
            (request("GET", "/sgx/dev/attestation/v4/sigrl/00000000", own.primary), b"404"),
        ):
            status, lines, answer = exchange(facts["url"], sent)
            lengths = [line.split(b": ")[1] for line in lines if line.lower().startswith(b"content-length")]
            assert status.split()[1] == wanted and lengths == [b"%d" % len(answer)]
