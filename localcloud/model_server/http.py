"""A small HTTP/1.1 server for one process: requests are read on the event loop and answered in threads."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httptools

MAX_BODY_BYTES = 100 * 1024 * 1024  # nginx client_max_body_size of the TensorFlow Serving container


@dataclass(frozen=True)
class Request:
    """A whole request; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """A whole answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self, keep_alive: bool) -> bytes:
        """Return the bytes on the wire."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [
            f"HTTP/1.1 {self.status} {phrase}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        if not keep_alive:
            lines.append("Connection: close")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


Handler = Callable[[Request], Response]


class HttpConnection(asyncio.Protocol):
    """One client: its requests are answered one after the other, each in a thread of the executor."""

    def __init__(self, quick: Callable[[Request], Response | None], handler: Handler, executor: Executor) -> None:
        """quick answers on the loop at once, or returns None; then handler answers in a thread."""
        self._quick, self._handler, self._executor = quick, handler, executor
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._busy = False
        self._reset()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse; what is no HTTP ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.write(Response(400, b'{"error": "not HTTP"}').encode(False))
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        """Part of httptools' protocol."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Part of httptools' protocol."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Part of httptools' protocol."""
        self._size += len(body)
        if self._size > MAX_BODY_BYTES:
            self._transport.write(Response(413, b'{"error": "request entity too large"}').encode(False))
            self._transport.close()
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """Part of httptools' protocol: a request is whole."""
        method = self._parser.get_method().decode()
        request = Request(method, self._url.decode("latin-1"), self._headers, b"".join(self._chunks))
        self._waiting.append((request, self._parser.should_keep_alive()))
        self._reset()
        if not self._busy:
            self._next()

    def _reset(self) -> None:
        self._url, self._headers, self._size = b"", dict[str, str](), 0
        self._chunks: list[bytes] = []

    def _next(self) -> None:
        while self._waiting and not self._transport.is_closing():
            request, keep_alive = self._waiting.popleft()
            response = self._quick(request)
            if response is None:
                self._busy = True
                future = self._loop.run_in_executor(self._executor, self._handler, request)
                future.add_done_callback(lambda done, keep=keep_alive: self._finish(done, keep))  # type: ignore[misc]
                return
            self._send(response, keep_alive)

    def _finish(self, done: asyncio.Future[Response], keep_alive: bool) -> None:
        self._busy = False
        error = done.exception()
        if error is not None:
            response = Response(500, b'{"error": "internal error of the model server"}')
            self._loop.call_exception_handler({"message": "request failed", "exception": error})
        else:
            response = done.result()
        self._send(response, keep_alive)
        self._next()

    def _send(self, response: Response, keep_alive: bool) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(response.encode(keep_alive))
        if not keep_alive:
            self._transport.close()
