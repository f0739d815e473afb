"""The attestation service as a relying party reaches it: in this process, or by URL (remote attestation notes 3)."""

from __future__ import annotations

import base64
import binascii
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from fusequote.errors import EnvironmentProblem, UsageError
from fusequote.relying.report import LIMIT
from fusequote.verdict import Reason, refuse

__all__ = ["LocalService", "RemoteService", "ReportSource", "ServiceProblem", "ServiceReport"]

#: The most bytes of an answer: a SigRL of 100,000 entries in base64.
ANSWER_LIMIT = 1 << 25
#: Seconds for connecting, and for each piece of an answer.
TIMEOUT = 30.0
_KEY_HEADER = "Ocp-Apim-Subscription-Key"


class ServiceProblem(EnvironmentProblem):
    """The attestation service cannot be reached, takes no such key, or answers nonsense."""

    kind = "attestation-service"


class ServiceReport(Protocol):
    """An attestation report as it travels: exact bytes, signature over them, signing certificate and root in PEM."""

    body: bytes
    signature: bytes
    chain_pem: bytes


class ReportSource(Protocol):
    """Whoever gives SigRLs and reports."""

    def sigrl(self, gid: bytes) -> bytes | None:
        """The signed SigRL of a group (4 bytes, as EPID has it); b"" when it is empty, None for an unknown group."""

    def report(self, quote: bytes, nonce: str) -> ServiceReport:
        """The report on a quote. Raises :class:`~fusequote.errors.Refused` for one that is none."""


class _Service(Protocol):
    def sigrl(self, gid: bytes) -> bytes: ...

    def report(self, quote: bytes, nonce: str | None = None) -> ServiceReport: ...


@dataclass(frozen=True)
class LocalService:
    """The attestation service of this process. ``knows`` says whether a group (4 bytes) exists."""

    service: _Service
    knows: Callable[[bytes], bool]

    def sigrl(self, gid: bytes) -> bytes | None:
        """See :class:`ReportSource`."""
        return self.service.sigrl(gid) if self.knows(gid) else None

    def report(self, quote: bytes, nonce: str) -> ServiceReport:
        """See :class:`ReportSource`."""
        return self.service.report(quote, nonce)


@dataclass(frozen=True)
class _Received:
    body: bytes
    signature: bytes
    chain_pem: bytes


class RemoteService:
    """The attestation service at ``url``, which ends in ``/attestation/v4`` or ``v5``; ``key`` is the
    subscription key.

    ``verify`` is httpx's: what an HTTPS server is checked against, by default the system's authorities; False: nothing.
    Raises :class:`UsageError` for a URL that is none; its methods raise :class:`ServiceProblem` too.
    """

    def __init__(self, url: str, key: str, *, verify: bool | ssl.SSLContext = True, transport: Any = None):
        import httpx

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url}: an attestation service is given as http(s)://host[:port]/.../attestation/v4")
        self._base = url.rstrip("/")
        self._http, self._errors = httpx, (httpx.HTTPError, httpx.InvalidURL, OSError)
        self._client = httpx.Client(
            timeout=TIMEOUT, verify=verify, headers={_KEY_HEADER: key}, transport=transport, follow_redirects=False
        )

    def __repr__(self) -> str:
        return f"RemoteService({self._base!r})"

    def sigrl(self, gid: bytes) -> bytes | None:
        """See :class:`ReportSource`."""
        status, body, _ = self._ask("GET", f"/sigrl/{gid.hex()}")
        if status == 404:
            return None
        self._check(status)
        try:
            return base64.b64decode(body, validate=True)
        except binascii.Error as error:
            raise ServiceProblem(f"{self._base}: the SigRL of {gid.hex()} is not base64") from error

    def report(self, quote: bytes, nonce: str) -> ServiceReport:
        """See :class:`ReportSource`. A quote that the service does not take (400) is refused for the reason that it
        names, or as quote.malformed.
        """
        request = {"isvEnclaveQuote": base64.b64encode(quote).decode(), "nonce": nonce}
        status, body, headers = self._ask("POST", "/report", json=request)
        if status == 400:
            raise refuse(_reason_in(body), "so says the attestation service")
        self._check(status)
        if len(body) > LIMIT:
            raise ServiceProblem(f"{self._base}: a report of {len(body):,} bytes")
        try:
            signature = base64.b64decode(headers["x-iasreport-signature"], validate=True)
            chain = unquote(headers["x-iasreport-signing-certificate"]).encode()
        except (KeyError, binascii.Error) as error:
            raise ServiceProblem(f"{self._base}: the report came without signature or certificate") from error
        return _Received(body, signature, chain)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, method: str, path: str, **options: Any) -> tuple[int, bytes, Any]:
        try:
            with self._client.stream(method, self._base + path, **options) as response:
                body = bytearray()
                for piece in response.iter_bytes():
                    body += piece
                    if len(body) > ANSWER_LIMIT:
                        raise ServiceProblem(f"{self._base}: the answer is longer than {ANSWER_LIMIT:,} bytes")
                return response.status_code, bytes(body), response.headers
        except self._errors as error:
            raise ServiceProblem(
                f"{self._base}: no answer: {error or type(error).__name__}", hint="is the attestation service running?"
            ) from error

    def _check(self, status: int) -> None:
        if status == 200:
            return
        if status in (401, 403):
            raise ServiceProblem(
                f"{self._base}: the attestation service does not take this subscription key",
                hint="give the key that belongs to your SPID",
            )
        raise ServiceProblem(f"{self._base}: the attestation service answered {status}", hint="try again later")


def _reason_in(body: bytes) -> Reason:
    """What an error of our own service says of a quote; Intel's did not document its errors."""
    try:
        kind = json.loads(body)["error"]["kind"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Reason.QUOTE_FORMAT
    told = {reason.value: reason for reason in (Reason.QUOTE_DECRYPTION, Reason.SPID, Reason.LINKABILITY)}
    return told.get(kind, Reason.QUOTE_FORMAT) if isinstance(kind, str) else Reason.QUOTE_FORMAT
