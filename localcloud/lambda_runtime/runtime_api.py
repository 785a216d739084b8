"""AWS's Lambda Runtime API for one execution environment: the next event out, its answer in.

Documented in the Lambda developer guide, "Using the Lambda runtime API for custom runtimes".
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal


@dataclass(frozen=True)
class Invocation:
    """One event on its way to the handler, which has timeout_seconds from when it takes the event."""

    request_id: str
    payload: bytes
    function_arn: str
    trace_id: str
    timeout_seconds: float


@dataclass(frozen=True)
class Signal:
    """What happened to the runtime: it took the event, posted a result or an error document, or ended."""

    kind: Literal["taken", "response", "error", "init_error", "exited"]
    payload: bytes = b""


@dataclass
class RuntimeApi:
    """Serves one runtime process on a port of its own."""

    signals: queue.SimpleQueue[Signal] = field(default_factory=queue.SimpleQueue)
    ready: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._events: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._current: str | None = None
        api = self

        class Handler(_RuntimeHandler):
            """The routes of one environment."""

            def do_GET(self) -> None:
                """Hand out the next event; blocks until there is one."""
                if self.path.strip("/").split("/")[-2:] == ["invocation", "next"]:
                    api._next(self)
                else:  # it would take an event away from the runtime
                    self.refuse(404)

            def do_POST(self) -> None:
                """Take an answer in."""
                try:
                    body = self.body()
                except ValueError:
                    self.close_connection = True  # nobody knows where the next request begins
                    self.refuse(400)
                    return
                api._take(self, body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="runtime-api", daemon=True).start()

    @property
    def address(self) -> str:
        """host:port, the value of AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def submit(self, invocation: Invocation) -> None:
        """Queue an event for the runtime."""
        self._events.put(invocation)

    def close(self) -> None:
        """Let a waiting runtime go and free the port."""
        self._events.put(None)
        self._server.shutdown()
        self._server.server_close()

    def _next(self, request: _RuntimeHandler) -> None:
        self.ready.set()
        invocation = self._events.get()
        if invocation is None:
            request.close_connection = True
            return
        self._current = invocation.request_id
        self.signals.put(Signal("taken"))
        deadline_ms = int((time.time() + invocation.timeout_seconds) * 1000)
        request.answer(
            200,
            invocation.payload,
            {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
                "Lambda-Runtime-Trace-Id": invocation.trace_id,
                "Content-Type": "application/json",
            },
        )

    def _take(self, request: _RuntimeHandler, body: bytes) -> None:
        parts = request.path.strip("/").split("/")  # 2018-06-01/runtime/invocation/ID/response
        if parts[-2:] == ["init", "error"]:
            self.signals.put(Signal("init_error", body))
        elif len(parts) != 5 or parts[-1] not in ("response", "error"):
            request.refuse(404)
            return
        elif parts[-2] != self._current:
            request.answer(400, b'{"errorType": "InvalidRequestID", "errorMessage": "Invalid request ID"}', {})
            return
        else:
            self._current = None
            self.signals.put(Signal("response" if parts[-1] == "response" else "error", body))
        request.answer(202, b'{"status": "OK"}', {"Content-Type": "application/json"})


class _RuntimeHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # small answers leave in one packet, at once: 11 instead of 55 ms a warm call
    disable_nagle_algorithm = True
    wbufsize = 65536

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the name is the standard library's
        """Write no line a request."""

    def handle(self) -> None:
        """Serve one connection; a runtime that was killed is no fault here."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def refuse(self, status: int) -> None:
        self.answer(status, b'{"errorType": "InvalidRequest", "errorMessage": "no such route or body"}', {})

    def answer(self, status: int, payload: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(payload))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)
