"""Kept-open connections from the front to the fleets' model servers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import httptools

CONNECT_SECONDS = 2.0
IDLE_CONNECTIONS = 64  # kept a fleet; more are opened under load and closed after it


class FleetGoneError(Exception):
    """The fleet closed the connection, or accepts none (refused: it has not seen the request)."""

    def __init__(self, message: str, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


@dataclass(frozen=True)
class FleetAnswer:
    """A whole answer of a model server; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class FleetConnection(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._answer: asyncio.Future[FleetAnswer] | None = None
        self._start()

    @property
    def open(self) -> bool:
        """Whether another request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to send."""
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the request that waits."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(FleetGoneError("the connection was closed before the answer"))

    async def request(self, data: bytes) -> FleetAnswer:
        """Send a whole request and return the whole answer; raises FleetGoneError."""
        if not self.open:  # lost between the connecting and now: nothing else would ever tell
            raise FleetGoneError("the connection was closed before the request", refused=True)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        try:
            return await self._answer
        finally:
            self._answer = None

    def close(self) -> None:
        """End it, also in the middle of an answer."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse; what is no HTTP fails the request."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(FleetGoneError(f"malformed answer: {error}"))
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Part of httptools' protocol."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Part of httptools' protocol."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Part of httptools' protocol: the answer is whole."""
        answer = FleetAnswer(self._parser.get_status_code(), self._headers, b"".join(self._body))
        if not self._parser.should_keep_alive():
            self._transport.close()
        self._start()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def _start(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []


class FleetPool:
    """Idle connections by port."""

    def __init__(self) -> None:
        self._idle: dict[int, list[FleetConnection]] = defaultdict(list)

    async def take(self, port: int) -> FleetConnection:
        """Return an idle connection or a new one; raises FleetGoneError when the fleet accepts none."""
        idle = self._idle[port]
        while idle:
            connection = idle.pop()
            if connection.open:
                return connection
        return await self.connect(port)

    async def connect(self, port: int) -> FleetConnection:
        """Return a new connection; raises FleetGoneError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(FleetConnection, "127.0.0.1", port)
        except (OSError, TimeoutError) as error:
            raise FleetGoneError(f"port {port} accepts no connection: {error}", refused=True) from None
        return connection

    def give_back(self, port: int, connection: FleetConnection) -> None:
        """Keep a connection for the next request."""
        idle = self._idle[port]
        if connection.open and len(idle) < IDLE_CONNECTIONS:
            idle.append(connection)
        else:
            connection.close()

    def keep_only(self, ports: set[int]) -> None:
        """Close what leads to fleets that are no longer routed to."""
        for port in [port for port in self._idle if port not in ports]:
            for connection in self._idle.pop(port):
                connection.close()
