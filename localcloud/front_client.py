"""One client's connection to the front: requests are told apart, answered here, or passed to the core."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import httptools

from localcloud.front_invoke import MAX_BODY_BYTES, Answer, Invoker, endpoint_of_path, error_answer
from localcloud.front_proxy import CoreConnection, request_head, service_unavailable
from localcloud.patience import Patience

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
ADMIN_PREFIX = b"/_localcloud/"
MAX_LOCAL_BODY_BYTES = 64 * 1024 * 1024
MAX_HEAD_BYTES = 64 * 1024  # AWS refuses far smaller ones: S3 at 8 KB
MAX_HELD_BYTES = 256 * 1024  # of requests that wait for the answer to an earlier one
CORE_CONNECT_SECONDS = 5.0
TOO_LARGE = b"431 Request Header Fields Too Large"
DEFECT = "A defect of the local cloud: see front.log in its scratch directory."
_LOG = logging.getLogger(__name__)

# (path, body) -> the answer, or None when the path is the core's
Local = Callable[[bytes, bytes], Answer]


class ClientConnection(asyncio.Protocol):
    """Parses a client's requests; answers one at a time, in order."""

    # what makes the answer from the body; None: the core does
    _respond: Callable[[bytes], Awaitable[Answer]] | None

    def __init__(
        self,
        invoker: Invoker,
        local: dict[bytes, Local],
        core_port: int,
        clients: set[Any],
        patience_seconds: float,
    ) -> None:
        """clients: where it is listed while it is open. patience_seconds: how long it may stop in mid-request."""
        self._invoker, self._local, self._core_port, self._clients = invoker, local, core_port, clients
        self._patience = Patience(patience_seconds, self._give_up)
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._core: CoreConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.busy = False
        self._begun = self._in_head = self._received = self._broken = False
        self._slow = self._answered = False  # the client does not read its answers; the answer is written
        self._held: deque[bytes] = deque()
        self._begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer."""
        self._transport = transport
        self._clients.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Let go of what was being done for this client."""
        self._clients.discard(self)
        self._patience.end()
        for task in (self._task, self._connecting):
            if task is not None:
                task.cancel()
        if self._core is not None:
            self._core.close()

    def pause_writing(self) -> None:
        """The client is slower than its answers: it gets to ask nothing more until it has read them."""
        if self._core is not None and self._core.open:
            self._core.transport.pause_reading()
        self._slow = True
        if self._received and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._core is not None and self._core.open:
            self._core.transport.resume_reading()
        self._slow = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
        if self._answered:
            self._feed_held()

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Parse; the next request waits until this one is answered."""
        if self._received:
            self._held.append(data)
            if sum(map(len, self._held)) > MAX_HELD_BYTES and not self._transport.is_closing():
                self._transport.pause_reading()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(b"426 Upgrade Required")
        except httptools.HttpParserCallbackError:
            _LOG.exception("a request could not be taken in")
            self._refuse(b"500 Internal Server Error")
        except httptools.HttpParserError:
            self._refuse(b"400 Bad Request")
        else:
            self._look_at_the_rest(len(data))

    def on_message_begin(self) -> None:
        """Part of httptools' protocol."""
        if self._received:
            self._broken = True  # a second request in the same bytes: it is not answered, the connection will close
        else:
            self._begin()
            self._begun = self._in_head = True

    def on_url(self, url: bytes) -> None:
        """Part of httptools' protocol."""
        self._head_size += len(url)
        if not self._broken and self._head_size <= MAX_HEAD_BYTES:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Part of httptools' protocol."""
        self._head_size += len(name) + len(value)
        if not self._broken and self._head_size <= MAX_HEAD_BYTES:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Part of httptools' protocol: decide who answers."""
        if self._broken:
            return
        self._in_head = False
        if self._head_size > MAX_HEAD_BYTES:
            self._broken = True
            self._refuse(TOO_LARGE)
            return
        self.busy = True
        self._method = self._parser.get_method()
        self._keep_alive = self._parser.should_keep_alive()
        self._names = {n.lower().decode("latin-1"): v.decode("latin-1") for n, v in self._headers}
        if self._names.get("expect", "").lower() == "100-continue":
            self._transport.write(CONTINUE)
        path = self._url.partition(b"?")[0]
        if path.startswith(ADMIN_PREFIX) and "origin" in self._names:
            # a web page must not steer a cloud that listens on this machine
            self._respond = _refuse_web_page
        elif path in self._local:
            self._respond = self._answer_local
        elif path.startswith(b"/endpoints/") and self._method == b"POST" and self._is_runtime():
            self._respond = self._answer_runtime
        else:
            self._respond = None
            self._chunked = "chunked" in self._names.get("transfer-encoding", "").lower()
            self._connecting = asyncio.get_running_loop().create_task(self._reach_core())

    def on_body(self, body: bytes) -> None:
        """Part of httptools' protocol."""
        if self._broken:
            return
        if self._respond is not None:
            self._size += len(body)
            if self._size <= MAX_LOCAL_BODY_BYTES:
                self._chunks.append(body)
            return
        self._to_core(b"%x\r\n%s\r\n" % (len(body), body) if self._chunked else body)

    def on_message_complete(self) -> None:
        """Part of httptools' protocol: the request is whole."""
        if self._broken:
            return
        self._received = True
        if self._respond is not None:
            self._task = asyncio.get_running_loop().create_task(self._answer(self._respond(b"".join(self._chunks))))
        elif self._chunked:
            self._to_core(b"0\r\n\r\n")

    def _begin(self) -> None:
        self._url, self._headers, self._head_size = b"", list[tuple[bytes, bytes]](), 0
        self._chunks, self._size, self._chunked = list[bytes](), 0, False
        self._pending: list[bytes] | None = []
        self._respond = None
        self._keep_alive = True
        self._unended = 0

    def _look_at_the_rest(self, size: int) -> None:
        """Wait for what is missing of the request, within bounds. size: bytes that came just now."""
        if self._received or not self._begun:
            self._patience.end()
            return
        # a header that has no end yet is nowhere else counted
        self._unended = self._unended + size if self._in_head else 0
        if self._unended > MAX_HEAD_BYTES:
            self._refuse(TOO_LARGE)
        else:
            self._patience.renew()

    def _give_up(self) -> None:
        if not self._transport.is_closing() and not self._transport.is_reading():
            self._patience.renew()  # it is we who do not read: the core has not caught up
            return
        _LOG.warning("a client sent nothing more in the middle of %s %s", *self._named())
        self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
            self._transport.close()

    def _named(self) -> tuple[str, str]:
        return self._parser.get_method().decode("latin-1"), self._url[:200].decode("latin-1")

    def _is_runtime(self) -> bool:
        return endpoint_of_path(self._url.decode("latin-1")) is not None

    async def _answer_local(self, body: bytes) -> Answer:
        return self._local[self._url.partition(b"?")[0]](self._method, body)

    async def _answer_runtime(self, body: bytes) -> Answer:
        found = endpoint_of_path(self._url.decode("latin-1"))
        if found is None:
            raise AssertionError("the path was looked at before")
        name, operation = found
        if operation != "InvokeEndpoint":
            return error_answer(
                501, "NotImplemented", f"sagemaker-runtime {operation} is not covered by the local cloud"
            )
        if self._size > MAX_BODY_BYTES:
            body = b"\0" * (MAX_BODY_BYTES + 1) if len(body) != self._size else body
        return await self._invoker.invoke(name, self._names, body)

    async def _answer(self, answer: Awaitable[Answer]) -> None:
        try:
            data = (await answer).encode(self._keep_alive)
        except Exception:  # whatever a handler trips over, its caller gets an answer
            _LOG.exception("no answer to %s %s", *self._named())
            self._keep_alive = False
            data = error_answer(500, "InternalFailure", DEFECT).encode(False)
        if not self._transport.is_closing():
            self._transport.write(data)
        self._finished(self._keep_alive)

    async def _reach_core(self) -> None:
        try:
            await self._send_to_core()
        except (OSError, TimeoutError):
            if not self._transport.is_closing():
                self._transport.write(service_unavailable())
                self._transport.close()
        except Exception:  # as in _answer
            _LOG.exception("%s %s did not reach the core", *self._named())
            self._refuse(b"500 Internal Server Error")

    async def _send_to_core(self) -> None:
        """Send the head, and what came of the body; raises OSError or TimeoutError when the core accepts nothing."""
        head = request_head(self._method, self._url, self._headers)
        if self._core is None or not self._core.open:
            self._transport.pause_reading()
            try:
                async with asyncio.timeout(CORE_CONNECT_SECONDS):
                    _, self._core = await asyncio.get_running_loop().create_connection(
                        lambda: CoreConnection(self._transport, self._finished), "127.0.0.1", self._core_port
                    )
            finally:
                if not self._transport.is_closing():
                    self._transport.resume_reading()
        self._core.expect_answer(self._method == b"HEAD", self._keep_alive)
        waiting, self._pending = self._pending or [], None
        self._core.write(b"".join((head, *waiting)))

    def _to_core(self, data: bytes) -> None:
        if self._pending is not None:
            self._pending.append(data)
        elif self._core is not None:
            self._core.write(data)

    def _finished(self, keep_alive: bool) -> None:
        self.busy = False
        if not keep_alive or not self._received or self._broken:
            # an answer before the request's end leaves the connection in the middle of a body
            self._transport.close()
        elif self._slow:
            self._answered = True  # the next request waits until this answer is read
        elif self._held:
            asyncio.get_running_loop().call_soon(self._feed_held)  # what comes before then waits behind it
        else:
            self._received = self._begun = False

    def _feed_held(self) -> None:
        self._received = self._begun = self._answered = False
        if self._transport.is_closing():
            return
        self._transport.resume_reading()
        while self._held and not self._received:
            self.data_received(self._held.popleft())


async def _refuse_web_page(_body: bytes) -> Answer:
    return error_answer(403, "AccessDenied", "no admin calls from web pages")
