"""The attestation service by URL: what a relying party sends, and every answer that is none."""

import base64
import json
from urllib.parse import quote as url_quote

import httpx
import pytest
from chain_world import refused
from fusequote.errors import UsageError
from fusequote.relying.service import RemoteService, ServiceProblem
from fusequote.verdict import Reason

URL = "http://service.invalid/sgx/dev/attestation/v4"
KEY = "0123456789abcdef0123456789abcdef"


def remote(answer):
    return RemoteService(URL, KEY, transport=httpx.MockTransport(answer))


@pytest.fixture
def wire(ready):
    """The attestation service of the ready world in the form of the REST API (remote attestation notes 3)."""
    service, asked = ready.services.attestation, []

    def answer(request):
        asked.append(request)
        if request.method == "GET":
            gid = bytes.fromhex(request.url.path.rpartition("/")[2])
            if ready.services.registry.group_key(gid) is None:
                return httpx.Response(404)
            return httpx.Response(200, content=base64.b64encode(service.sigrl(gid)))
        body = json.loads(request.content)
        report = service.report(base64.b64decode(body["isvEnclaveQuote"]), body["nonce"])
        headers = {
            "X-IASReport-Signature": base64.b64encode(report.signature).decode(),
            "X-IASReport-Signing-Certificate": url_quote(report.chain_pem.decode()),
        }
        return httpx.Response(200, content=report.body, headers=headers)

    return answer, asked


def test_requests_are_as_the_api_has_them(ready, wire):
    answer, asked = wire
    service, gid = remote(answer), ready.platform.gid()
    assert service.sigrl(gid) == b"" and service.sigrl(b"\xff" * 4) is None
    report = service.report(ready.quote, "n" * 32)
    assert json.loads(report.body)["nonce"] == "n" * 32
    assert report.chain_pem == ready.services.keys.chain_pem
    assert [request.url.path for request in asked] == [
        f"/sgx/dev/attestation/v4/sigrl/{gid.hex()}",
        "/sgx/dev/attestation/v4/sigrl/ffffffff",
        "/sgx/dev/attestation/v4/report",
    ]
    assert {request.headers["Ocp-Apim-Subscription-Key"] for request in asked} == {KEY}
    assert asked[-1].headers["content-type"] == "application/json"
    assert KEY not in repr(service)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, 302])
def test_statuses_that_are_no_answer(status):
    service = remote(lambda request: httpx.Response(status))
    for ask in (lambda: service.sigrl(bytes(4)), lambda: service.report(b"quote", "n")):
        with pytest.raises(ServiceProblem) as caught:
            ask()
        assert caught.value.hint and KEY not in str(caught.value)


def test_a_quote_that_the_service_refuses():
    with refused(Reason.QUOTE_FORMAT):
        remote(lambda request: httpx.Response(400)).report(b"no quote", "n")
    for kind, reason in [
        ("policy.spid", Reason.SPID),
        ("quote.undecryptable", Reason.QUOTE_DECRYPTION),
        ("accepted", Reason.QUOTE_FORMAT),  # an error does not get to say anything else
        (["policy.spid"], Reason.QUOTE_FORMAT),
    ]:
        answer = httpx.Response(400, json={"error": {"kind": kind}})
        with refused(reason):
            remote(lambda request, answer=answer: answer).report(b"a quote", "n")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b"{}"),
        httpx.Response(200, content=b"{}", headers={"X-IASReport-Signature": "AAAA"}),
        httpx.Response(
            200, content=b"{}", headers={"X-IASReport-Signature": "!", "X-IASReport-Signing-Certificate": "x"}
        ),
        httpx.Response(200, content=bytes(1 << 17)),
    ],
)
def test_reports_that_are_none(answer):
    with pytest.raises(ServiceProblem):
        remote(lambda request: answer).report(b"quote", "n")


def test_a_sigrl_that_is_no_base64_and_nobody_there():
    with pytest.raises(ServiceProblem):
        remote(lambda request: httpx.Response(200, content=b"!")).sigrl(bytes(4))

    def dead(request):
        raise httpx.ConnectError("refused")

    with pytest.raises(ServiceProblem, match="no answer"):
        remote(dead).sigrl(bytes(4))
    for url in ("", "ftp://x", "http://"):
        with pytest.raises(UsageError):
            RemoteService(url, KEY)
