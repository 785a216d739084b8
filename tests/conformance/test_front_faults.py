"""The front under faults, on loopback and without a cloud: each request is answered or its connection is closed.

What must hold for every connection: an answer within a bound, or its end within one, and nothing left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvloop

from localcloud import front as front_module
from localcloud.front import Front
from localcloud.front_capture import CaptureFile
from localcloud.front_client import ClientConnection
from localcloud.front_fleet import FleetConnection, FleetGoneError
from localcloud.front_invoke import Answer, Invoker
from localcloud.front_proxy import CoreConnection
from localcloud.front_routes import CaptureRule, EndpointRoute, RouteTable, VariantRoute, table_from_json

PATIENCE_SECONDS = 60.0  # no test waits this long; it is how a hang is told from a busy machine
QUICK_SECONDS = 0.2  # how long the front of these tests waits for the rest of a message
INVOKE = b"POST /endpoints/e/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]"
PING = b"GET /_localcloud/inflight HTTP/1.1\r\nHost: x\r\n\r\n"
FLOOD_BYTES = 32 * 1024 * 1024
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run[T](work: Awaitable[T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await work

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(bounded())


@contextlib.asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[int]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()  # not waited for: a connection that hangs is what these tests look for


@contextlib.asynccontextmanager
async def a_front(core_port: int = 1, fleet_port: int | None = None) -> AsyncIterator[tuple[Front, int]]:
    front = Front(core_port, patience_seconds=QUICK_SECONDS)
    if fleet_port is not None:
        fleet = {"fleet": "f", "port": fleet_port, "weight": 1, "config": "c", "published_config": True}
        variant = {"name": "AllTraffic", "weight": 1, "instances": 1, "fleets": [fleet]}
        front.invoker.swap(table_from_json({"version": 1, "endpoints": [{"name": "e", "variants": [variant]}]}))
    server = await asyncio.get_running_loop().create_server(front.connection, "127.0.0.1", 0)
    try:
        yield front, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for client in list(front.clients):
            client.close()
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def a_client(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def exchange(port: int, data: bytes) -> bytes:
    """Send bytes and return all that comes until the connection ends."""
    async with a_client(port) as (reader, writer):
        writer.write(data)
        return await reader.read()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def close_at_once(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()


def test_a_handler_that_raises_is_answered_with_500_and_told(caplog):
    async def work() -> tuple[bytes, bool]:
        async with a_front() as (front, port):
            nobody = VariantRoute("AllTraffic", 1.0, 1, ())  # a table that table_from_json would never make
            front.invoker.table = RouteTable(1, {"e": EndpointRoute("e", (nobody,))})
            answer = await exchange(port, INVOKE)
            await until(lambda: not front.clients)
            return answer, bool(front.invoker.in_flight)

    answer, in_flight = run(work())
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"x-amzn-ErrorType: InternalFailure" in answer
    assert not in_flight
    assert "POST /endpoints/e/invocations" in caplog.text
    assert "IndexError" in caplog.text


def test_a_routing_table_of_wrong_types_is_refused():
    async def work() -> bytes:
        body = json.dumps({"version": 2, "endpoints": [{"name": 5, "variants": [VARIANT]}]}).encode()
        head = b"POST /_localcloud/routes HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body)
        async with a_front() as (_, port):
            return await exchange(port, head + body)

    answer = run(work())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"malformed routing table" in answer


VARIANT = {
    "name": "AllTraffic",
    "weight": 1,
    "instances": 1,
    "fleets": [{"fleet": "f", "port": 1, "weight": 1, "config": "c", "published_config": True}],
}


def test_a_core_that_closes_before_it_is_asked_is_unavailable():
    async def work() -> list[bytes]:
        async with listening(close_at_once) as core_port, a_front(core_port) as (_, port):
            return [await exchange(port, b"GET /anything HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(50)]

    assert all(answer.startswith(b"HTTP/1.1 503 ") for answer in run(work()))


def test_a_fleet_that_closes_before_it_is_asked_is_a_model_error():
    async def work() -> list[bytes]:
        async with listening(close_at_once) as fleet_port, a_front(fleet_port=fleet_port) as (_, port):
            once = INVOKE.replace(b"Host: x", b"Host: x\r\nConnection: close")
            return [await exchange(port, once) for _ in range(50)]

    assert all(answer.startswith(b"HTTP/1.1 424 ") for answer in run(work()))


class ATransport:
    """Keeps what is written; open until it is aborted."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...


def test_a_connection_that_is_lost_before_it_is_used_fails_its_request():
    """The loss can come between the connecting and the asking; it is told once only."""
    client, lost, finished = ATransport(), ATransport(), list[bool]()
    core = CoreConnection(client, finished.append)
    core.connection_made(lost)  # type: ignore[arg-type] what of a transport is used
    lost.abort()
    core.connection_lost(None)
    core.expect_answer(to_head=False, keep_alive=True)
    core.write(b"GET / HTTP/1.1\r\n\r\n")
    assert finished == [False]
    assert client.written[0].startswith(b"HTTP/1.1 503 ")

    fleet = FleetConnection()
    fleet.connection_made(lost)  # type: ignore[arg-type] what of a transport is used
    fleet.connection_lost(None)
    with pytest.raises(FleetGoneError) as gone:
        run(fleet.request(b"POST /invocations HTTP/1.1\r\n\r\n"))
    assert gone.value.refused


@pytest.mark.parametrize(
    "part",
    [
        b"POST /endpoints/e/invoc",
        b"POST /endpoints/e/invocations HTTP/1.1\r\nHost: x\r\nContent-Le",
        b"POST /endpoints/e/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n[[1,",
        b"PUT /bucket/key HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nabc",
    ],
)
def test_a_request_that_stops_in_the_middle_is_ended(part):
    async def work() -> bytes:
        async with listening(say_nothing) as core_port, a_front(core_port, fleet_port=1) as (front, port):
            answer = await exchange(port, part)
            await until(lambda: not front.clients)
            return answer

    assert run(work()).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_pauses_between_requests_is_kept():
    async def work() -> list[bytes]:
        async with a_front() as (_, port), a_client(port) as (reader, writer):
            answers = []
            for _ in range(2):
                writer.write(PING)
                head = await reader.readuntil(b"\r\n\r\n")
                answers.append(head + await reader.readexactly(len(b'{"fleets": {}}')))
                await asyncio.sleep(QUICK_SECONDS * 2)
            return answers

    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in run(work()))


def test_a_slow_upload_that_goes_on_is_not_ended():
    async def work() -> bytes:
        async with a_front() as (_, port), a_client(port) as (reader, writer):
            writer.write(b"POST /_localcloud/routes HTTP/1.0\r\nContent-Length: 8\r\n\r\n")
            for _ in range(8):
                writer.write(b"x")
                await asyncio.sleep(QUICK_SECONDS / 4)
            return await reader.read()

    assert run(work()).startswith(b"HTTP/1.1 400 ")  # eight letters are no table


def test_a_body_shorter_than_its_length_leaves_nothing_behind():
    async def work() -> bytes:
        async with a_front(fleet_port=1) as (front, port), a_client(port) as (reader, writer):
            writer.write(INVOKE.replace(b"Length: 2", b"Length: 9"))
            writer.write_eof()
            answer = await reader.read()
            await until(lambda: not front.clients)
            return answer

    assert run(work()) == b""


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: a\r\n" * 40_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 600_000,  # it never ends
    ],
    ids=["path", "header", "headers", "endless"],
)
def test_an_oversized_head_is_refused(head):
    async def work() -> bytes:
        async with listening(say_nothing) as core_port, a_front(core_port) as (front, port):
            async with a_client(port) as (reader, writer):
                writer.write(head)
                answer = await reader.read(100)
            await until(lambda: not front.clients)
            return answer

    assert run(work()).startswith(b"HTTP/1.1 431 ")


def test_a_client_that_goes_away_leaves_nothing_in_flight():
    async def work() -> None:
        async with listening(say_nothing) as fleet_port, a_front(fleet_port=fleet_port) as (front, port):
            async with a_client(port) as (_, writer):
                writer.write(INVOKE)
                await until(lambda: front.invoker.in_flight["f"] == 1)
            await until(lambda: not front.invoker.in_flight and not front.clients)

    run(work())


def test_a_flood_behind_a_slow_answer_is_not_kept_in_memory():
    async def work() -> int:
        async with (
            listening(say_nothing) as fleet_port,
            a_front(fleet_port=fleet_port) as (front, port),
            a_client(port) as (_, writer),
        ):
            writer.write(INVOKE)
            await until(lambda: front.invoker.in_flight["f"] == 1)
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < FLOOD_BYTES:
                    writer.write(b"x" * 1_000_000)
                    async with asyncio.timeout(QUICK_SECONDS):
                        await writer.drain()
                    sent += 1_000_000
            return sent

    assert run(work()) < FLOOD_BYTES  # what the sockets hold, and the little that the front keeps


def test_requests_that_wait_are_answered_before_those_that_come_later():
    def known(name: str) -> bytes:
        return INVOKE.replace(b"/e/", b"/%s/" % name.encode())

    async def work() -> list[bytes]:
        connection = Front(1).connection()
        transport = ATransport()
        connection.connection_made(transport)  # type: ignore[arg-type] what of a transport is used
        connection.data_received(known("first"))
        connection.data_received(known("second"))
        while not transport.written:
            await asyncio.sleep(0)
        connection.data_received(known("third"))  # comes before the loop came round to the second
        await until(lambda: len(transport.written) == 3)
        return transport.written

    answers = run(work())
    assert [b"first" in answers[0], b"second" in answers[1], b"third" in answers[2]] == [True] * 3


def a_core(answers: list[bytes], asked: list[dict[str, Any]]) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        asked.append(json.loads(await reader.readexactly(length)))
        writer.write(answers.pop(0) if answers else b"HTTP/1.0 200 OK\r\n\r\n{}")
        writer.close()

    return handle


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.0 200 OK\r\n\r\n" + b'{"routes": {"version": 1, "endpoints": 5}}', b"HTTP/1.0 400 Bad\r\n\r\n{}"],
    ids=["a table of wrong types", "refused"],
)
def test_reports_go_on_after_an_answer_that_makes_no_sense(answer, monkeypatch, caplog):
    monkeypatch.setattr(front_module, "REPORT_SECONDS", 0.01)
    asked: list[dict[str, Any]] = []

    async def work() -> None:
        async with listening(a_core([answer], asked)) as core_port, a_front(core_port) as (front, _):
            front.invoker.observations.add(("e", "v", "c", True, 1), (1.0, 1, 1, 200))
            task = asyncio.create_task(front.report_forever())
            await until(lambda: len(asked) >= 3)
            task.cancel()

    run(work())
    assert len(asked[0]["observations"]) == 1
    assert asked[1]["observations"] == []  # taken or refused: sent again it would be counted twice, or refused for ever
    assert caplog.records


def test_a_captured_file_that_can_not_be_written_costs_only_itself(caplog):
    asked: list[dict[str, Any]] = []
    rule = CaptureRule(100, "b", "p", None, True, True, (), ())
    broken = CaptureFile(rule, "e/v", "f", "broken")  # without a record it has no key

    async def work() -> None:
        async with listening(a_core([], asked)) as core_port, a_front(core_port) as (front, _):
            front.invoker.captures.waiting.append(broken)
            await front.write_captures()
            assert not front.invoker.captures.waiting

    run(work())
    assert not asked
    assert "IndexError" in caplog.text


def test_answers_that_nobody_reads_are_not_kept_in_memory():
    big = Answer(200, b"x" * 1_000_000)
    asked: list[int] = []

    def answer(_method: bytes, _body: bytes) -> Answer:
        asked.append(1)
        return big

    async def work() -> None:
        clients: set[Any] = set()
        local = {b"/big": answer}
        server = await asyncio.get_running_loop().create_server(
            lambda: ClientConnection(Invoker(), local, 1, clients, QUICK_SECONDS), "127.0.0.1", 0
        )
        async with a_client(server.sockets[0].getsockname()[1]) as (reader, writer):
            reader._transport.pause_reading()  # type: ignore[attr-defined] this client does not read
            for _ in range(60):
                writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
                await asyncio.sleep(0.01)
        server.close()
        for client in list(clients):
            client.close()
        await asyncio.sleep(0.01)

    run(work())
    assert 1 <= len(asked) < 30
