"""The core process of the local cloud: moto behind one WSGI port, and the hooks its extensions use.

An extension is a module with `install(core)`: it patches moto, may add admin routes, and may ask for calls at start
and stop. Extensions know only `Core`, never each other's insides.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import boto3
from botocore.config import Config

ACCOUNT_ID = "123456789012"
ADMIN_PREFIX = "/_localcloud/"

Admin = Callable[[dict[str, Any]], Any]
# source, detail type, detail and resources of an event
Emit = Callable[[str, str, Mapping[str, Any], Sequence[str]], None]


@dataclass
class Core:
    """What an extension may use.

    port: the internal port of moto. public_url: what users reach (the front). directory: scratch space, removed at the
    end. region: the one region that is served. emit: puts an event of an AWS service on the default bus, for what
    EventBridge itself builds on; it reaches nobody until EventBridge is installed.
    """

    port: int
    public_url: str
    directory: Path
    region: str = "us-east-1"
    account_id: str = ACCOUNT_ID
    emit: Emit = lambda *_: None
    _admin: dict[str, Admin] = field(default_factory=dict)
    _starters: list[Callable[[], None]] = field(default_factory=list)
    _stoppers: list[Callable[[], None]] = field(default_factory=list)
    _services: dict[str, list[Callable[[], None]]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Moto's own address, for calls from inside (S3 needs the name localhost, not 127.0.0.1)."""
        return f"http://localhost:{self.port}"

    def client(self, service: str) -> Any:
        """Return a boto3 client of this cloud, made once a service."""
        return _client(service, self.url, self.region)

    def admin(self, path: str, handler: Admin) -> None:
        """Serve POST /_localcloud/PATH: the JSON body in, the JSON answer out."""
        self._admin[path] = handler

    def on_start(self, call: Callable[[], None]) -> None:
        """Call once the port is open; for threads and child processes."""
        self._starters.append(call)

    def on_stop(self, call: Callable[[], None]) -> None:
        """Call at the end, last come first served; must not raise for what is already gone."""
        self._stoppers.append(call)

    def on_service(self, name: str, call: Callable[[], None]) -> None:
        """Call before the first request of one of moto's services; for patches whose imports are slow."""
        self._services.setdefault(name, []).append(call)

    def prepare_service(self, name: str) -> None:
        """Run what waits for the first request of a service."""
        for call in self._services.pop(name, []):
            call()

    def start(self) -> None:
        """Run what asked to be run once the port is open."""
        for call in self._starters:
            call()

    def stop(self) -> None:
        """Run what asked to be run at the end."""
        for call in reversed(self._stoppers):
            call()

    def wrap(self, app: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]) -> Any:
        """Put the admin routes in front of moto's application."""

        def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            path = environ.get("PATH_INFO", "")
            if not path.startswith(ADMIN_PREFIX):
                return app(environ, start_response)
            handler = self._admin.get(path.removeprefix(ADMIN_PREFIX))
            length = int(environ.get("CONTENT_LENGTH") or 0)
            body = environ["wsgi.input"].read(length) if length else b"{}"
            if handler is None:
                status, answer = "404 Not Found", {"message": f"no admin route {path}; there are {sorted(self._admin)}"}
            else:
                try:
                    status, answer = "200 OK", handler(json.loads(body))
                except (ValueError, KeyError, TypeError) as error:
                    status, answer = "400 Bad Request", {"message": f"{type(error).__name__}: {error}"}
            payload = json.dumps(answer, default=str).encode()
            start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(payload)))])
            return [payload]

        return application


_client_lock = threading.Lock()


def _client(service: str, url: str, region: str) -> Any:
    with _client_lock:
        return _cached_client(service, url, region)


@cache
def _cached_client(service: str, url: str, region: str) -> Any:
    # many extensions call back from many threads: a pool as wide as they are
    config = Config(max_pool_connections=64, retries={"mode": "standard", "max_attempts": 2})
    credentials = {
        "aws_access_key_id": os.environ.get("AWS_ACCESS_KEY_ID", "test"),
        "aws_secret_access_key": os.environ.get("AWS_SECRET_ACCESS_KEY", "test"),
    }
    made: Any = boto3.client  # any service, by its name
    return made(service, endpoint_url=url, region_name=region, config=config, **credentials)
