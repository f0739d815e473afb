"""The enclave's side over HTTP, and the choice of a transport by URL."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urljoin, urlsplit

from fusequote.errors import EnvironmentProblem, FusequoteError, UsageError
from fusequote.exchange.enclave import EnclaveSession, Outcome
from fusequote.exchange.errors import ExchangeError, Fault
from fusequote.exchange.lines import LINE_LIMIT
from fusequote.exchange.tcp import TcpClient

__all__ = ["DEFAULT_PORT", "HttpClient", "connect"]

#: The port of Intel's sample.
DEFAULT_PORT = 7777
_ROOT = "/exchange/v1/sessions"
_HEADERS = {"Content-Type": "application/octet-stream"}


class HttpClient:
    """Runs the exchange with the relying party at ``url``, and then talks. Close it in the end.

    ``verify`` is httpx's. Raises :class:`EnvironmentProblem` when nobody answers, :class:`ExchangeError` with the
    relying party's own code when it refuses, and what the session raises.
    """

    def __init__(
        self,
        session: EnclaveSession,
        url: str,
        *,
        patience: float = 60.0,
        verify: bool | str = True,
        transport: Any = None,
    ):
        import httpx

        self._url = url.rstrip("/")
        self._errors = (httpx.HTTPError, httpx.InvalidURL, OSError)
        context = httpx.create_ssl_context(verify=verify) if isinstance(verify, str) else verify
        self._client = httpx.Client(timeout=patience, verify=context, transport=transport)
        self._session_url: str | None = None
        try:
            msg2, headers = self._ask(self._url + _ROOT, session.msg01())
            self._session_url = urljoin(self._url + _ROOT, headers.get("location", ""))
            msg4, _ = self._ask(f"{self._session_url}/msg3", session.msg3(msg2))
            #: What the relying party decided.
            self.outcome: Outcome = session.finish(msg4)
        except BaseException:
            self.close()
            raise

    def ask(self, message: bytes) -> bytes:
        """Send a message in secret and return the answer. Raises :class:`ExchangeError` (not-trusted, closed, ...)."""
        channel = self.outcome.channel
        if channel is None:
            raise ExchangeError(Fault.NOT_TRUSTED)
        answer, _ = self._ask(f"{self._session_url}/messages", channel.seal(message))
        return channel.open(answer)

    def close(self) -> None:
        """End the session and close the connections."""
        try:
            if self._session_url is not None:
                self._client.delete(self._session_url)
        except self._errors:
            pass  # it ends by itself
        finally:
            self._client.close()

    def _ask(self, url: str, body: bytes) -> tuple[bytes, Any]:
        try:
            with self._client.stream("POST", url, content=body, headers=_HEADERS) as response:
                answer = bytearray()
                for piece in response.iter_bytes():
                    answer += piece
                    if len(answer) > LINE_LIMIT:
                        raise ExchangeError(Fault.LIMIT, f"more than {LINE_LIMIT:,} bytes")
                if response.status_code in (200, 201):
                    return bytes(answer), response.headers
                raise _refusal(response.status_code, bytes(answer))
        except self._errors as error:
            raise EnvironmentProblem(
                f"{self._url}: no answer: {error or type(error).__name__}", hint="is the relying party running there?"
            ) from error


def _refusal(status: int, body: bytes) -> FusequoteError:
    try:
        problem = json.loads(body)
        code, message = problem["error"], f"the relying party says: {problem['message']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return ExchangeError(Fault.CLOSED, f"the relying party answered {status}")
    try:
        return ExchangeError(Fault(code), message)
    except ValueError:
        return EnvironmentProblem(message)


def connect(session: EnclaveSession, url: str, *, verify: bool | str = True) -> TcpClient | HttpClient:
    """Run the exchange with the relying party at ``url``: ``tcp://host[:port]`` (the transport of Intel's sample, port
    7777 unless given) or ``http(s)://host[:port]``. Raises :class:`UsageError` for another URL.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{url}: {error}") from error
    if parts.hostname and parts.scheme == "tcp":
        return TcpClient(session, parts.hostname, port or DEFAULT_PORT)
    if parts.hostname and parts.scheme in ("http", "https"):
        return HttpClient(session, url, verify=verify)
    raise UsageError(f"{url}: a relying party is given as http(s)://host[:port] or tcp://host[:port]")
