"""Requests to the REST API as bytes, and their answers as status, headers and bytes (remote attestation notes 3).

Headers have the case and the spelling that clients in C look for; the certificate chain is percent-encoded as a URL's
path, so that what decodes ``+`` to a blank meets none.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from fusequote.errors import FormatError, Refused, UsageError
from fusequote.services.attestation import AttestationService
from fusequote.services.attestation_report import ADVISORY_URL, SignedReport

__all__ = ["Answer", "UNAUTHORIZED", "answer_report", "answer_sigrl", "error_answer"]

Headers = tuple[tuple[bytes, bytes], ...]
_JSON, _TEXT = b"application/json", b"text/plain"


@dataclass(frozen=True)
class Answer:
    """A whole answer, but for ``Request-ID``, which the server adds. ``outcome`` is for its metrics."""

    status: int
    headers: Headers
    body: bytes
    outcome: str


def _headers(content_type: bytes, body: bytes, more: Headers = ()) -> Headers:
    return (*more, (b"Content-Type", content_type), (b"Content-Length", b"%d" % len(body)))


def error_answer(status: int, kind: str, message: str, hint: str | None = None, more: Headers = ()) -> Answer:
    """An error in the form that all services give it."""
    body = json.dumps({"error": {"kind": kind, "message": message, "hint": hint}}).encode()
    return Answer(status, _headers(_JSON, body, more), body, kind)


UNAUTHORIZED = error_answer(
    401,
    "unauthorized",
    "the header Ocp-Apim-Subscription-Key has no key of a subscription",
    "subscribe with `fusequote service subscribe`",
    ((b"WWW-Authenticate", b'AzureApiManagementKey realm="fusequote",name="Ocp-Apim-Subscription-Key",type="header"'),),
)


def answer_report(service: AttestationService, version: int, key: str, body: bytes) -> Answer:
    """The answer to POST report: 200 with a report, 400 for evidence that is none, 401 for a wrong key.

    Raises what is the server's own fault, EnvironmentProblem among it.
    """
    subscriber = service.subscriber(key)
    if subscriber is None:
        return UNAUTHORIZED
    try:
        request = _Request.from_json(body)
        report = service.report(
            request.quote, request.nonce, version=version, subscriber=subscriber, pse_manifest=request.pse_manifest
        )
    except Refused as error:
        return error_answer(400, error.reason, str(error), error.hint)
    except (UsageError, _BadRequest) as error:
        return error_answer(400, error.kind, str(error), error.hint)
    return Answer(200, _headers(_JSON, report.body, _report_headers(report)), report.body, report.status)


def answer_sigrl(service: AttestationService, key: str, gid: str) -> Answer:
    """The answer to GET sigrl: 200 with base64, or with nothing for a group without entries; 401, 404."""
    if service.subscriber(key) is None:
        return UNAUTHORIZED
    try:
        body = base64.b64encode(service.sigrl(_gid(gid)))
    except UsageError as error:
        return error_answer(404, "unknown-group", str(error))
    return Answer(200, _headers(_TEXT, body), body, "sigrl")


class _BadRequest(FormatError):
    """A request's body that is not what the API takes."""

    kind = "bad-request"


@dataclass(frozen=True)
class _Request:
    quote: bytes
    nonce: str | None
    pse_manifest: bytes | None

    @classmethod
    def from_json(cls, body: bytes) -> _Request:
        try:
            fields = json.loads(body.decode("utf-8"), object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise _BadRequest(f"the body is not JSON: {error}") from None
        if not isinstance(fields, dict):
            raise _BadRequest("the body is no JSON object")
        nonce = _text(fields, "nonce")
        manifest = _text(fields, "pseManifest")
        evidence = _text(fields, "isvEnclaveQuote")
        if evidence is None:
            raise _BadRequest("isvEnclaveQuote is missing")
        return cls(
            _decoded("isvEnclaveQuote", evidence),
            nonce,
            None if manifest is None else _decoded("pseManifest", manifest),
        )


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name is there twice")
    return fields


def _text(fields: dict[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise _BadRequest(f"{name} is no string")
    return value


def _decoded(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise _BadRequest(f"{name} is not base64") from None


def _gid(text: str) -> bytes:
    if len(text) != 8 or not set(text) <= set("0123456789abcdefABCDEF"):
        raise UsageError("a group is named by the 8 hexadecimal digits of its gid, big-endian")
    return bytes.fromhex(text)


@lru_cache(maxsize=8)
def _encoded(chain_pem: bytes) -> bytes:
    return quote(chain_pem, safe="/").encode("ascii")


def _report_headers(report: SignedReport) -> Headers:
    headers = [
        (b"X-IASReport-Signature", base64.b64encode(report.signature)),
        (b"X-IASReport-Signing-Certificate", _encoded(report.chain_pem)),
    ]
    if report.version == 3 and report.advisory_ids:
        headers.append((b"Advisory-URL", ADVISORY_URL.encode()))
        headers.append((b"Advisory-IDs", ",".join(report.advisory_ids).encode("ascii")))
    return tuple(headers)
