"""The model server's HTTP under faults, on loopback and without TensorFlow: an answer, or the connection's end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvloop

from localcloud.model_server.http import HttpConnection, Request, Response

BOUND_SECONDS = 10.0
QUICK_SECONDS = 0.2
ASK = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]"


def run[T](work: Awaitable[T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(BOUND_SECONDS):
            return await work

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(bounded())


@contextlib.asynccontextmanager
async def asked(
    data: bytes, quick: Callable[[Request], Response | None], handler: Callable[[Request], Response]
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    with ThreadPoolExecutor(2) as executor:
        server = await asyncio.get_running_loop().create_server(
            lambda: HttpConnection(quick, handler, executor, QUICK_SECONDS), "127.0.0.1", 0
        )
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(data)
        try:
            yield reader, writer
        finally:
            server.close()
            writer.transport.abort()
            await asyncio.sleep(0.01)


async def everything(data: bytes, quick=lambda _: None, handler=lambda _: Response(200)) -> bytes:
    async with asked(data, quick, handler) as (reader, _):
        return await reader.read()


def broken(_request: Request) -> Response:
    raise AttributeError("a defect")


def sometimes(request: Request) -> Response | None:
    return None if request.path == "/invocations" else broken(request)


@pytest.mark.parametrize(("quick", "handler"), [(lambda _: None, broken), (broken, broken)], ids=["thread", "loop"])
def test_a_handler_that_raises_is_answered_with_500(quick, handler):
    assert run(everything(ASK, quick, handler)).startswith(b"HTTP/1.1 500 ")


def test_a_defect_behind_another_request_is_answered_too():
    behind = ASK + b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n"
    answers = run(everything(behind, sometimes))
    assert answers.count(b"HTTP/1.1 200 ") == 1
    assert answers.count(b"HTTP/1.1 500 ") == 1


@pytest.mark.parametrize("part", [b"POST /invoc", ASK[:-30], ASK[:-1]], ids=["line", "head", "body"])
def test_a_request_that_stops_in_the_middle_is_ended(part):
    assert run(everything(part)).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "head",
    [b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"a" * 400_000],
    ids=["path", "endless"],
)
def test_an_oversized_head_is_refused(head):
    async def work() -> bytes:
        async with asked(head, lambda _: None, lambda _: Response(200)) as (reader, _):
            return await reader.read(60)

    assert run(work()).startswith(b"HTTP/1.1 431 ")


def test_a_flood_behind_a_slow_answer_is_not_kept_in_memory():
    held = threading.Event()
    sent = 0

    def wait(_request: Request) -> Response:
        held.wait(BOUND_SECONDS)
        return Response(200)

    async def work() -> None:
        nonlocal sent
        async with asked(ASK, lambda _: None, wait) as (_, writer):
            with contextlib.suppress(TimeoutError):
                while sent < 32:
                    writer.write(ASK.replace(b"Length: 2\r\n\r\n[]", b"Length: 1000000\r\n\r\n" + b" " * 1_000_000))
                    async with asyncio.timeout(QUICK_SECONDS):
                        await writer.drain()
                    sent += 1
            held.set()

    run(work())
    assert sent < 32
