"""One fleet's model server: loads what lies in a model directory and answers /ping and /invocations."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from localcloud.model_server import container, layout
from localcloud.model_server.errors import LayoutError, ServingError
from localcloud.model_server.http import HttpConnection, Request, Response
from localcloud.model_server.servable import Servable

THREADS = 64  # requests in flight in one fleet; the container's nginx queues what is more


@dataclass(frozen=True)
class ServerSpec:
    """What a model server is started with.

    fault: "" or one of crash, never_healthy, slow_start (with fault_seconds).
    """

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    fault: str = ""
    fault_seconds: float = 0.0


class ModelServer:
    """The models of one directory, each version in its session."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        """Load every version of every model; raises LayoutError or what TensorFlow raises."""
        models = layout.find_models(directory)
        self._default = layout.default_model(models, environment)
        self._versions: dict[str, dict[int, Servable]] = {}
        for model in models:
            self._versions[model.name] = {number: Servable(path) for number, path in model.versions.items()}
        self._latest(self._default.name).warm()

    def answer(self, request: Request) -> Response:
        """Answer /invocations as nginx and TensorFlow Serving do together."""
        try:
            attributes = container.parse_attributes(request.headers.get(container.ATTRIBUTES_HEADER))
            text = container.to_tfs_json(request.headers.get("content-type"), request.body)
            servable = self._find(attributes)
            answer = servable.answer(attributes.get("tfs-method", "predict"), text)
            return Response(200, answer.encode(), container.answer_type(request.headers.get("accept")))
        except ServingError as error:
            return error_response(error)

    def _find(self, attributes: dict[str, str]) -> Servable:
        name = attributes.get("tfs-model-name") or self._default.name
        if name not in self._versions:
            raise ServingError(f"Servable not found for request: Latest({name})", 404)
        if "tfs-model-version" not in attributes:
            return self._latest(name)
        version = int(attributes["tfs-model-version"])
        if version not in self._versions[name]:
            raise ServingError(f"Servable not found for request: Specific({name}, {version})", 404)
        return self._versions[name][version]

    def _latest(self, name: str) -> Servable:
        return self._versions[name][max(self._versions[name])]


def error_response(error: ServingError) -> Response:
    """Return {"error": ...} with the error's status."""
    import json

    return Response(error.status, json.dumps({"error": error.message}).encode())


def serve(listener: socket.socket, spec: ServerSpec) -> int:
    """Load, then answer on the listening socket until SIGTERM; returns the process's exit status."""
    if spec.fault == "crash":
        print("the fault switch `crash` ends this container at its start", flush=True)  # noqa: T201 a container's log
        return 1
    if spec.fault == "slow_start":
        time.sleep(spec.fault_seconds)
    began = time.monotonic()
    try:
        server = ModelServer(spec.directory, spec.environment)
    except LayoutError as error:
        print(f"ValueError: {error}", flush=True)  # noqa: T201 a container's log
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    print(f"models loaded in {time.monotonic() - began:.2f} s", flush=True)  # noqa: T201 a container's log
    _run(listener, server, healthy=spec.fault != "never_healthy")
    return 0


def _run(listener: socket.socket, server: ModelServer, healthy: bool) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_forever(listener, server, healthy))


async def _serve_forever(listener: socket.socket, server: ModelServer, healthy: bool) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    executor = ThreadPoolExecutor(THREADS, "request")

    def quick(request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == "/ping":
            return Response(200 if healthy else 502)
        if path != "/invocations":
            return Response(404, b'{"error": "Not Found"}')
        return None if request.method == "POST" else Response(405, b'{"error": "Method Not Allowed"}')

    listening = await loop.create_server(lambda: HttpConnection(quick, server.answer, executor), sock=listener)
    async with listening:
        await stop.wait()
    executor.shutdown(wait=False, cancel_futures=True)
    sys.stdout.flush()
