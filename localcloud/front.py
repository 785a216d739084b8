"""The front: the one public port. InvokeEndpoint goes straight to the fleets, all else to the core.

`python -m localcloud.front --port PUBLIC --core-port CORE`. Talks to the core by two routes: the core pushes the
routing table to POST /_localcloud/routes, and the front reports what it saw to the core's /_localcloud/observations
once a second; the core's answer carries the table when the front's is not the newest. Captured requests go to the
core's /_localcloud/captures, a file a call, and from there to S3.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sys
from typing import Any

import uvloop

from localcloud.front_capture import FLUSH_SECONDS, CaptureFile
from localcloud.front_client import ClientConnection
from localcloud.front_invoke import Answer, Invoker, error_answer
from localcloud.front_routes import table_from_json

REPORT_SECONDS = 1.0
CORE_ANSWER_SECONDS = 10.0
LAST_REQUESTS_SECONDS = 2.0
LAST_CAPTURES_SECONDS = 2.0
LISTEN_BACKLOG = 1024
PATIENCE_SECONDS = 60.0
JSON_HEADERS = (("Content-Type", "application/json"),)
_LOG = logging.getLogger(__name__)


class Front:
    """The public listener and its talk with the core."""

    def __init__(self, core_port: int, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """patience_seconds: how long a client may stop in the middle of a request."""
        self.invoker = Invoker()
        self.core_port = core_port
        self.patience_seconds = patience_seconds
        self.clients: set[Any] = set()

    def connection(self) -> ClientConnection:
        """Return the protocol for a new client."""
        local = {b"/_localcloud/routes": self._routes, b"/_localcloud/inflight": self._inflight}
        return ClientConnection(self.invoker, local, self.core_port, self.clients, self.patience_seconds)

    async def report_forever(self) -> None:
        """Send the core what was seen, once a second; what can't be sent is tried again."""
        kept: list[dict[str, object]] = []
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            kept += self.invoker.observations.take()
            try:
                if await self._report(kept):
                    kept = []
            except Exception:  # without reports there are no metrics, and no alarm sees anything
                _LOG.exception("a report to the core failed")
                kept = []

    async def capture_forever(self) -> None:
        """Have captured requests written, every five seconds or when they are due."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self.invoker.captures.due.wait()
            try:
                await self.write_captures()
            except Exception:  # what is captured later must be written
                _LOG.exception("captured requests could not be written")

    async def write_captures(self) -> None:
        """Have all that is captured written now; what can't be sent is tried again at the next call."""
        captures = self.invoker.captures
        captures.close_files()
        while captures.waiting and await self._write(captures.waiting[0], captures.dropped):
            captures.written()

    async def _write(self, file: CaptureFile, dropped: int) -> bool:
        """Send one file; the same file twice is the same object. dropped: requests to be told as lost."""
        rule = file.rule
        try:
            document = {"bucket": rule.bucket, "key": file.key, "kms_key_id": rule.kms_key_id, "dropped": dropped}
            document["body"] = await file.lines()
        except Exception:  # one file that can't be made must not stop those behind it
            _LOG.exception("%d captured requests of %s are lost", len(file.records), file.fleet)
            self.invoker.captures.dropped += len(file.records)
            return True
        try:
            async with asyncio.timeout(CORE_ANSWER_SECONDS):
                await _post_json(self.core_port, "/_localcloud/captures", document)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            return False
        self.invoker.captures.dropped -= dropped
        return True

    async def _report(self, observations: list[dict[str, object]]) -> bool:
        """Return whether the core was asked: what it refused once it would refuse for ever."""
        document = {"routes_version": self.invoker.table.version, "observations": observations}
        try:
            async with asyncio.timeout(CORE_ANSWER_SECONDS):
                answer = await _post_json(self.core_port, "/_localcloud/observations", document)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            return False
        if answer is None:
            _LOG.error("the core refused what was observed; see core.log")
        elif (routes := answer.get("routes")) is not None:
            self._swap(routes)
        return True

    def _routes(self, method: bytes, body: bytes) -> Answer:
        if method != b"POST":
            return error_answer(405, "MethodNotAllowed", "the routing table is pushed with POST")
        try:
            self._swap(json.loads(body))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return error_answer(400, "ValidationError", f"malformed routing table: {error!r}")
        return Answer(200, json.dumps({"version": self.invoker.table.version}).encode(), JSON_HEADERS)

    def _swap(self, document: dict[str, Any]) -> None:
        table = table_from_json(document)
        if table.version >= self.invoker.table.version:  # two pushes may overtake each other
            self.invoker.swap(table)

    def _inflight(self, _method: bytes, _body: bytes) -> Answer:
        return Answer(200, json.dumps({"fleets": dict(self.invoker.in_flight)}).encode(), JSON_HEADERS)


async def _post_json(port: int, path: str, document: object) -> dict[str, Any] | None:
    """Call an admin route of the core; None when it refuses (it says why in its own log)."""
    body = json.dumps(document).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = (
            f"POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        )
        writer.write(head.encode() + b"\r\n\r\n" + body)
        answer = await reader.read()
    finally:
        writer.close()
    head_bytes, _, payload = answer.partition(b"\r\n\r\n")
    if head_bytes.split(b" ", 2)[1:2] != [b"200"]:
        return None
    found = json.loads(payload)
    return found if isinstance(found, dict) else {}


async def serve(port: int, core_port: int) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight get two seconds to end."""
    front = Front(core_port)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    server = await loop.create_server(front.connection, "127.0.0.1", port, backlog=LISTEN_BACKLOG)
    tasks = [loop.create_task(front.report_forever()), loop.create_task(front.capture_forever())]
    await stop.wait()
    server.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_REQUESTS_SECONDS):
            while any(client.busy for client in front.clients):
                await asyncio.sleep(0.02)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_CAPTURES_SECONDS):
            await front.write_captures()
    for client in list(front.clients):
        client.close()


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="localcloud.front", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="the public port")
    parser.add_argument("--core-port", type=int, required=True, help="where the core listens")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(options.port, options.core_port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
