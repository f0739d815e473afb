"""HTTP/1.1 by httptools's parser under uvicorn's protocol, and what these two leave open.

* Names of headers leave as the application spells them: some clients compare them as text.
* A request's line and headers have a limit, and so have trailers, chunk extensions and requests sent ahead.
* Nothing but HTTP/1.1 is spoken: who offers another protocol is answered in this one.
* Head and body of an answer leave in one write.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

__all__ = ["protocol"]

#: Requests of one connection that may wait for the one before them.
_AHEAD = 16
#: Bytes of a body that are worth a copy to be written together with the head.
_SMALL = 1 << 16


class _TooMuch(Exception):
    """A client sends more than it may before anybody looks at it."""


class _Protocol(HttpToolsProtocol):
    """One connection. Errors in the parser's calls become 400, and the connection ends."""

    #: Bytes of a request's line and headers, and of what is no body after them.
    head_limit = 32 << 10
    _counted = 0
    #: Bytes since the parser called last: it keeps them until a header is complete.
    _kept = 0
    _in_body = False

    def data_received(self, data: bytes) -> None:
        """What the client sent, by one read."""
        self._unset_keepalive_if_required()
        self._kept += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse("Invalid HTTP request received.")
        if self._kept > self.head_limit:
            self._refuse("Too long.")

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":
                    raise httptools.HttpParserError("not a proxy") from None
                # For the parser the rest is of another protocol; we speak no other, so it is this request's body and
                # what follows. Once more, without the header that asks.
                data = self._without_upgrade() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)

    def _without_upgrade(self) -> bytes:
        parser = self.parser
        lines = [parser.get_method(), b" ", self.url, b" HTTP/%b\r\n" % parser.get_http_version().encode()]
        for name, value in self.headers:
            if name != b"upgrade":
                lines += (name, b": ", value, b"\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)

    def _refuse(self, why: str) -> None:
        if not self.transport.is_closing():
            self.logger.warning(why)
            self.send_400_response(why)

    def on_message_begin(self) -> None:
        """Another request begins."""
        super().on_message_begin()
        self._counted, self._kept, self._in_body = 0, 0, False
        if len(self.pipeline) >= _AHEAD:
            raise _TooMuch

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        self._count(len(url))
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody wants."""
        self._count(len(name) + len(value) + 4)
        if not self._in_body:
            super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._counted += size
        self._kept = 0
        if self._counted > self.head_limit:
            raise _TooMuch

    def on_headers_complete(self) -> None:
        """The application may begin, unless another request of this connection is worked on."""
        self._kept, self._in_body = 0, True
        scope, parser = self.scope, self.parser
        if parser.should_upgrade():
            return
        version = parser.get_http_version()
        target = httptools.parse_url(self.url)
        path = target.path.decode("ascii")
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"] = self.root_path + (unquote(path) if "%" in path else path)
        scope["raw_path"] = self.root_path.encode("ascii") + target.path
        scope["query_string"] = target.query or b""
        limit = self.limit_concurrency
        busy = limit is not None and (len(self.connections) >= limit or len(self.tasks) >= limit)
        before = self.cycle
        self.cycle = _Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        application = service_unavailable if busy else self.app
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, application)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, application))

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._kept = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has come to its end."""
        self._kept = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()


class _Cycle(RequestResponseCycle):
    """One request and its answer."""

    _head: bytes | None = None

    async def send(self, message: Any) -> None:
        """The application's answer; its head waits for the first part of the body."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if not self.response_started and kind == "http.response.start":
            self._head = self._made_head(message["status"], message.get("headers", ()))
            self.response_started, self.waiting_for_100_continue = True, False
        elif self.response_started and not self.response_complete and kind == "http.response.body":
            self._send_body(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"no message {kind!r} is expected now")

    def _made_head(self, status: int, headers: Any) -> bytes:
        lines = [STATUS_LINE[status]]
        closing = False
        for name, value in [*self.default_headers, *headers]:
            if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
                raise RuntimeError("a header with characters that are not for one")
            lowered = name.lower()
            if lowered == b"content-length" and self.chunked_encoding is None:
                self.expected_content_length, self.chunked_encoding = int(value), False
            elif lowered == b"transfer-encoding" and value.lower() == b"chunked":
                self.expected_content_length, self.chunked_encoding = 0, True
            elif lowered == b"connection" and b"close" in value.lower():
                self.keep_alive, closing = False, True
            lines += (name, b": ", value, b"\r\n")
        if not self.keep_alive and not closing:
            lines.append(b"connection: close\r\n")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in (204, 304):
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)

    def _send_body(self, body: bytes, more: bool) -> None:
        data = body
        if self.scope["method"] == "HEAD":
            data, self.expected_content_length = b"", 0
        elif self.chunked_encoding:
            data = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            data += b"" if more else b"0\r\n\r\n"
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (self.expected_content_length and not more):
                raise RuntimeError("a body of another length than its header says")
        head, self._head = self._head or b"", None
        if head and len(data) > _SMALL:
            self.transport.write(head)
            head = b""
        if head or data:
            self.transport.write(head + data)
        if not more:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()


def protocol(head_limit: int) -> type[asyncio.Protocol]:
    """The class of a server's connections; a request's line and headers have ``head_limit`` bytes at most."""
    return type("Connection", (_Protocol,), {"head_limit": head_limit})
