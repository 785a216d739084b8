"""The front's way to the core: a client's requests go through unchanged, streamed in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httptools

# what concerns one hop only, and Expect, which the front has already answered
DROPPED_REQUEST_HEADERS = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"expect"))
DROPPED_RESPONSE_HEADERS = frozenset((b"connection", b"keep-alive"))
CORE_GONE = (
    b'{"__type": "ServiceUnavailable", "message": "the core of the local cloud does not answer; see core.log in its '
    b'scratch directory"}'
)


class CoreConnection(asyncio.Protocol):
    """One connection to the core, owned by one client connection: answers go straight to that client."""

    def __init__(self, client: Any, finished: Callable[[bool], None]) -> None:
        """client: the transport to answer on. finished(keep_alive) is called when an answer is whole."""
        self._client = client
        self._finished = finished
        self._transport: Any = None
        self._active = False

    @property
    def open(self) -> bool:
        """Whether another request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def transport(self) -> Any:
        """The transport to the core."""
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to send."""
        self._transport = transport

    def expect_answer(self, to_head: bool, keep_alive: bool) -> None:
        """Get ready for the answer to the request that is sent now."""
        self._parser = httptools.HttpResponseParser(self)
        self._to_head, self._keep_alive = to_head, keep_alive
        self._active, self._started, self._chunked = True, False, False
        self._phrase = b""
        self._headers: list[tuple[bytes, bytes]] = []

    def write(self, data: bytes) -> None:
        """Send more of the request; a core that is gone before it answered fails it."""
        if self.open:
            self._transport.write(data)
        elif self._active and not self._started:
            self._fail()  # it was lost before an answer was expected: connection_lost will not come again

    def close(self) -> None:
        """Drop the connection: the client is gone, or broke off."""
        self._active = False
        if self._transport is not None:
            self._transport.abort()

    def pause_writing(self) -> None:
        """The core is slower than the client."""
        if not self._client.is_closing():
            self._client.pause_reading()

    def resume_writing(self) -> None:
        """The core has caught up."""
        if not self._client.is_closing():
            self._client.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Parse and pass on."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail()

    def connection_lost(self, error: Exception | None) -> None:
        """End an answer that is delimited by the end of the connection, or fail the request."""
        if not self._active:
            return
        if self._started and self._until_close:
            self._complete(False)
        else:
            self._fail()

    def on_status(self, phrase: bytes) -> None:
        """Part of httptools' protocol."""
        self._phrase += phrase

    def on_header(self, name: bytes, value: bytes) -> None:
        """Part of httptools' protocol."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Part of httptools' protocol: send the head of the answer on."""
        status = self._parser.get_status_code()
        if status < 200:
            return
        names = {name.lower(): value.lower() for name, value in self._headers}
        self._chunked = b"chunked" in names.get(b"transfer-encoding", b"")
        bodiless = self._to_head or status in (204, 304)
        self._until_close = not (self._chunked or b"content-length" in names or bodiless)
        kept = [(n, v) for n, v in self._headers if n.lower() not in DROPPED_RESPONSE_HEADERS]
        if self._until_close or not self._keep_alive:
            kept.append((b"Connection", b"close"))
        head = b"HTTP/1.1 %d %s\r\n" % (status, self._phrase)
        head += b"".join(b"%s: %s\r\n" % pair for pair in kept) + b"\r\n"
        self._started = True
        self._client.write(head)
        if self._to_head:
            self._complete(self._keep_alive)

    def on_body(self, body: bytes) -> None:
        """Part of httptools' protocol: send a piece on."""
        if self._active:
            self._client.write(b"%x\r\n%s\r\n" % (len(body), body) if self._chunked else body)

    def on_message_complete(self) -> None:
        """Part of httptools' protocol."""
        if not self._active or not self._started:  # a HEAD is done already, a 1xx is not the answer
            return
        if self._chunked:
            self._client.write(b"0\r\n\r\n")
        self._complete(self._keep_alive and not self._until_close)

    _until_close = False

    def _complete(self, keep_alive: bool) -> None:
        self._active = False
        # what is left of a message that the core did not read or end would poison the next one
        if self._transport is not None and (self._to_head or not self._parser.should_keep_alive()):
            self._transport.close()
        self._finished(keep_alive)

    def _fail(self) -> None:
        self._active = False
        if self._transport is not None:
            self._transport.abort()
        if not self._started and not self._client.is_closing():
            self._client.write(service_unavailable())
        self._finished(False)


def service_unavailable() -> bytes:
    """Return the answer when the core is not to be reached; SDKs try again."""
    return (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/x-amz-json-1.1\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(CORE_GONE), CORE_GONE)
    )


def request_head(method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return the head of a request for the core: all headers as they came, Host by name."""
    lines = [b"%s %s HTTP/1.1" % (method, url)]
    for name, value in headers:
        lower = name.lower()
        if lower in DROPPED_REQUEST_HEADERS:
            continue
        if lower == b"host" and value.startswith(b"127.0.0.1"):
            value = b"localhost" + value.removeprefix(b"127.0.0.1")
        lines.append(b"%s: %s" % (name, value))
    return b"\r\n".join(lines) + b"\r\n\r\n"
