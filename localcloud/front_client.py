"""One client's connection to the front: requests are told apart, answered here, or passed to the core."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httptools

from localcloud.front_invoke import MAX_BODY_BYTES, Answer, Invoker, endpoint_of_path, error_answer
from localcloud.front_proxy import CoreConnection, request_head, service_unavailable

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
ADMIN_PREFIX = b"/_localcloud/"
MAX_LOCAL_BODY_BYTES = 64 * 1024 * 1024

# (path, body) -> the answer, or None when the path is the core's
Local = Callable[[bytes, bytes], Answer]


class ClientConnection(asyncio.Protocol):
    """Parses a client's requests; answers one at a time, in order."""

    # what makes the answer from the body; None: the core does
    _respond: Callable[[bytes], Awaitable[Answer]] | None

    def __init__(self, invoker: Invoker, local: dict[bytes, Local], core_port: int, clients: set[Any]) -> None:
        self._invoker, self._local, self._core_port, self._clients = invoker, local, core_port, clients
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._core: CoreConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.busy = False
        self._received = self._broken = False
        self._held = b""
        self._begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer."""
        self._transport = transport
        self._clients.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Let go of what was being done for this client."""
        self._clients.discard(self)
        for task in (self._task, self._connecting):
            if task is not None:
                task.cancel()
        if self._core is not None:
            self._core.close()

    def pause_writing(self) -> None:
        """The client is slower than the core."""
        if self._core is not None and self._core.open:
            self._core.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._core is not None and self._core.open:
            self._core.transport.resume_reading()

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Parse; the next request waits until this one is answered."""
        if self._received:
            self._held += data
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._transport.write(_refusal(b"426 Upgrade Required"))
            self._transport.close()
        except httptools.HttpParserError:
            self._transport.write(_refusal(b"400 Bad Request"))
            self._transport.close()

    def on_message_begin(self) -> None:
        """Part of httptools' protocol."""
        if self._received:
            self._broken = True  # a second request in the same bytes: it is not answered, the connection will close
        else:
            self._begin()

    def on_url(self, url: bytes) -> None:
        """Part of httptools' protocol."""
        if not self._broken:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Part of httptools' protocol."""
        if not self._broken:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Part of httptools' protocol: decide who answers."""
        if self._broken:
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
        self._url, self._headers = b"", list[tuple[bytes, bytes]]()
        self._chunks, self._size, self._chunked = list[bytes](), 0, False
        self._pending: list[bytes] | None = []
        self._respond = None
        self._keep_alive = True

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
        result = await answer
        if not self._transport.is_closing():
            self._transport.write(result.encode(self._keep_alive))
        self._finished(self._keep_alive)

    async def _reach_core(self) -> None:
        head = request_head(self._method, self._url, self._headers)
        if self._core is None or not self._core.open:
            self._transport.pause_reading()
            try:
                _, self._core = await asyncio.get_running_loop().create_connection(
                    lambda: CoreConnection(self._transport, self._finished), "127.0.0.1", self._core_port
                )
            except OSError:
                self._transport.write(service_unavailable())
                self._transport.close()
                return
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
        whole, self.busy, self._received = self._received, False, False
        if not keep_alive or not whole or self._broken:
            # an answer before the request's end leaves the connection in the middle of a body
            self._transport.close()
            return
        held, self._held = self._held, b""
        if held:
            asyncio.get_running_loop().call_soon(self.data_received, held)


async def _refuse_web_page(_body: bytes) -> Answer:
    return error_answer(403, "AccessDenied", "no admin calls from web pages")


def _refusal(status: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status
