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

from localcloud.patience import Patience

MAX_HEAD_BYTES = 64 * 1024
MAX_WAITING = 16  # requests of one client that wait for the answer to an earlier one
PATIENCE_SECONDS = 60.0  # nginx client_header_timeout and client_body_timeout
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

    def __init__(
        self,
        quick: Callable[[Request], Response | None],
        handler: Handler,
        executor: Executor,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """quick answers on the loop at once, or returns None; then handler answers in a thread.

        patience_seconds: how long a client may stop in the middle of a request.
        """
        self._quick, self._handler, self._executor = quick, handler, executor
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._busy = self._slow = False
        self._reading = True
        self._patience = Patience(patience_seconds, self._give_up)
        self._reset()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse; what is no HTTP ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            self._defect(error)
        except httptools.HttpParserError:
            self._refuse(Response(400, b'{"error": "not HTTP"}'))
        else:
            self._look_at_the_rest(len(data))

    def connection_lost(self, error: Exception | None) -> None:
        """Let go of what waits for this client."""
        self._patience.end()
        self._waiting.clear()

    def pause_writing(self) -> None:
        """The client does not read its answers: it gets to ask nothing more until it has."""
        self._slow = True
        self._choose_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._slow = False
        if not self._busy:
            self._next()
        self._choose_reading()

    def on_message_begin(self) -> None:
        """Part of httptools' protocol."""
        self._begun = self._in_head = True

    def on_headers_complete(self) -> None:
        """Part of httptools' protocol."""
        self._in_head = False
        if self._head_size > MAX_HEAD_BYTES:
            self._refuse(Response(431))

    def on_url(self, url: bytes) -> None:
        """Part of httptools' protocol."""
        self._head_size += len(url)
        if self._head_size <= MAX_HEAD_BYTES:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Part of httptools' protocol."""
        self._head_size += len(name) + len(value)
        if self._head_size > MAX_HEAD_BYTES:
            return
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Part of httptools' protocol."""
        self._size += len(body)
        if self._size > MAX_BODY_BYTES:
            self._refuse(Response(413, b'{"error": "request entity too large"}'))
            return
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """Part of httptools' protocol: a request is whole."""
        method = self._parser.get_method().decode()
        request = Request(method, self._url.decode("latin-1"), self._headers, b"".join(self._chunks))
        self._reset()
        if self._transport.is_closing():
            return
        self._waiting.append((request, self._parser.should_keep_alive()))
        if not self._busy:
            self._next()
        self._choose_reading()

    def _reset(self) -> None:
        self._url, self._headers, self._size, self._head_size = b"", dict[str, str](), 0, 0
        self._chunks: list[bytes] = []
        self._begun = self._in_head = False
        self._unended = 0

    def _look_at_the_rest(self, size: int) -> None:
        """Wait for what is missing of a request, within bounds. size: bytes that came just now."""
        if not self._begun:
            self._patience.end()
            return
        self._unended = self._unended + size if self._in_head else 0
        if self._unended > MAX_HEAD_BYTES:
            self._refuse(Response(431))
        else:
            self._patience.renew()

    def _give_up(self) -> None:
        if self._reading:
            self._refuse(Response(408))
        else:
            self._patience.renew()  # it is we who do not read

    def _next(self) -> None:
        while self._waiting and not self._slow and not self._transport.is_closing():
            request, keep_alive = self._waiting.popleft()
            try:
                response = self._quick(request)
                if response is None:
                    future = self._loop.run_in_executor(self._executor, self._handler, request)
            except Exception as error:  # its caller gets an answer, whatever is wrong here
                self._defect(error)
                return
            if response is None:
                self._busy = True
                future.add_done_callback(lambda done, keep=keep_alive: self._finish(done, keep))  # type: ignore[misc]
                return
            self._send(response, keep_alive)

    def _finish(self, done: asyncio.Future[Response], keep_alive: bool) -> None:
        self._busy = False
        try:
            self._send(done.result(), keep_alive)
        except (Exception, asyncio.CancelledError) as error:  # cancelled: the server ends before the request began
            self._defect(error)
        self._next()
        self._choose_reading()

    def _choose_reading(self) -> None:
        wanted = not self._slow and len(self._waiting) < MAX_WAITING
        if wanted == self._reading or self._transport.is_closing():
            return
        self._reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _defect(self, error: BaseException) -> None:
        self._loop.call_exception_handler({"message": "request failed", "exception": error})
        self._refuse(Response(500, b'{"error": "internal error of the model server"}'))

    def _refuse(self, response: Response) -> None:
        """Answer and end the connection."""
        self._send(response, False)

    def _send(self, response: Response, keep_alive: bool) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(response.encode(keep_alive))
        if not keep_alive:
            self._transport.close()
