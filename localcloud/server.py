"""The core process: moto and its extensions behind one internal port (`python -m localcloud.server`)."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from localcloud.apigateway import refuse_calls
from localcloud.core import Core
from localcloud.refusal import cover

# In this order: later ones may patch what earlier ones put in place.
EXTENSIONS = (
    "policies",
    "cloudformation",
    "lambda_runtime",
    "stepfunctions",
    "events",
    "cloudwatch",
    "sagemaker",
    "autoscaling",
)


def install_extensions(core: Core) -> list[str]:
    """Install every extension and return their names; one that fails to import stops the start."""
    for name in EXTENSIONS:
        importlib.import_module(f"localcloud.{name}").install(core)
    return list(EXTENSIONS)


def make_application(core: Core) -> Any:
    """Return moto's WSGI application with the admin routes in front."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    def create_known(backend: Any) -> Any:
        if backend is None:
            raise NotImplementedError("moto has no such service")
        core.prepare_service(backend)
        return create_backend_app(backend)

    return core.wrap(refuse_calls(cover(DomainDispatcherApplication(create_known))))


def make_server(core: Core, listener: socket.socket) -> Any:
    """Return a threaded HTTP server for the application on an open, listening socket."""
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server as make_werkzeug_server

    class QuietHandler(MotoRequestHandler):
        """Keeps connections open, sends small answers at once, and logs failures only."""

        disable_nagle_algorithm = True

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Write no line a request."""

        def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
            """Take a client that left before its answer for what it is: no fault of ours."""

        def handle(self) -> None:
            """Serve one connection; a reset while reading or writing ends it without a trace."""
            try:
                super().handle()
            except (ConnectionError, TimeoutError):
                self.close_connection = True

    return make_werkzeug_server(
        "127.0.0.1",
        core.port,
        make_application(core),
        threaded=True,
        request_handler=QuietHandler,
        fd=listener.fileno(),
    )


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT or the admin call `shutdown`."""
    parser = argparse.ArgumentParser(prog="localcloud.server", description=__doc__)
    parser.add_argument("--listen-fd", type=int, required=True, help="an inherited, listening socket")
    parser.add_argument("--public-url", required=True, help="what users reach")
    parser.add_argument("--directory", type=Path, required=True, help="scratch space")
    options = parser.parse_args(arguments)

    listener = socket.socket(fileno=options.listen_fd)
    port = listener.getsockname()[1]
    # moto reads these at import: its Step Functions interpreter calls back over its own port
    os.environ |= {"MOTO_PORT": str(port), "S3_IGNORE_SUBDOMAIN_BUCKETNAME": "true"}
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")

    core = Core(port=port, public_url=options.public_url, directory=options.directory)
    done = threading.Event()
    installed = install_extensions(core)
    core.admin("health", lambda _body: {"status": "ok" if ready.is_set() else "starting", "extensions": installed})
    core.admin("shutdown", lambda _body: done.set())
    ready = threading.Event()

    def finish(_signum: int, _frame: FrameType | None) -> None:
        done.set()

    signal.signal(signal.SIGTERM, finish)
    signal.signal(signal.SIGINT, finish)
    server = make_server(core, listener)
    threading.Thread(target=server.serve_forever, name="wsgi", daemon=True).start()
    try:
        core.start()
        ready.set()
        done.wait()
    finally:
        try:
            core.stop()
        except Exception:
            traceback.print_exc()
        server.shutdown()
    return 0


if __name__ == "__main__":
    # threads that still serve a request are daemons; nothing of them is worth waiting for
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
