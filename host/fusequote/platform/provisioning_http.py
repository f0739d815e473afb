"""Provisioning messages over HTTP: POST, text/plain, header in hexadecimal and body in base64 (notes 4.1)."""

from __future__ import annotations

import ssl
from types import ModuleType

from fusequote.arch.provmsg import RequestHeader, ResponseHeader, from_text, to_text
from fusequote.errors import EnvironmentProblem, FormatError, UsageError
from fusequote.platform.endpoint import Exchange, ServerTrouble, ServerUnreachable
from fusequote.platform.provisioning_agent import Connect

__all__ = ["HttpExchange", "check_address", "connect_to"]

#: Bytes of an answer at most: a SigRL of some 90,000 entries.
LIMIT = 16 << 20
#: Seconds to connect, and between two pieces of an answer.
TIMEOUT = 30.0
_BUSY = frozenset({429, 502, 503, 504})


class HttpExchange:
    """One server's address; called with a whole request message it gives the whole response message.

    ``tls``: what an HTTPS server is checked against, by default the system's authorities.
    Raises :class:`UsageError` for an address that is none, :class:`ServerUnreachable` when nothing of the protocol
    comes back, :class:`ServerTrouble` when the server has no time.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT, tls: ssl.SSLContext | None = None):
        check_address(url)
        self.url, self._timeout, self._verify = url, timeout, True if tls is None else tls

    def __call__(self, message: bytes) -> bytes:
        httpx = _httpx()
        headers = {"Content-Type": "text/plain", "Accept": "text/plain"}
        try:
            with (
                httpx.Client(timeout=self._timeout, verify=self._verify, follow_redirects=False) as client,
                client.stream("POST", self.url, content=to_text(message, RequestHeader), headers=headers) as response,
            ):
                if response.status_code != 200:
                    self._fail(response.status_code)
                text = bytearray()
                for piece in response.iter_bytes():
                    text += piece
                    if len(text) > LIMIT:
                        raise ServerUnreachable(f"{self.url} answers with more than {LIMIT >> 20} MiB")
        except httpx.InvalidURL as error:
            raise UsageError(f"{self.url!r} is no address: {error}") from error
        except httpx.HTTPError as error:
            raise ServerUnreachable(
                f"no answer from the provisioning server {self.url}: {error or type(error).__name__}",
                hint="is it running there, and is the network up?",
            ) from error
        try:
            return from_text(bytes(text), ResponseHeader)
        except FormatError as error:
            raise ServerUnreachable(f"{self.url} is no provisioning server: {error}") from error

    def _fail(self, status: int) -> None:
        if status in _BUSY:
            raise ServerTrouble(
                f"the provisioning server {self.url} has no time (HTTP {status})", hint="try again later"
            )
        raise ServerUnreachable(
            f"{self.url} answers with HTTP {status}", hint="is this a provisioning server's address?"
        )


def check_address(url: str) -> None:
    """Raises :class:`UsageError` for what cannot be a provisioning server's address."""
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is no address of a provisioning server", hint="give http://HOST:PORT/")


def connect_to(first: str | None, local: Exchange, tls: ssl.SSLContext | None = None) -> Connect:
    """The way to servers: by HTTP, ``first`` being the one asked for addresses; without one all goes to ``local``."""
    return (lambda url: local) if first is None else (lambda url: HttpExchange(url or first, tls=tls))


def _httpx() -> ModuleType:
    try:
        import httpx
    except ImportError as error:
        raise EnvironmentProblem(
            "provisioning over HTTP needs httpx", hint="pip install 'fusequote[server]'"
        ) from error
    return httpx
