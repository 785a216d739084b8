"""Tell the front who answers, and know when it does so."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlparse

from localcloud.sagemaker.records import TAKES_TRAFFIC, Endpoint, Fleet, Json, Variant

PUSH_SECONDS = 5.0
ACKNOWLEDGE_SECONDS = 10.0
DRAIN_SECONDS = 61.0  # an answer may take 60 s


class Router:
    """Publishes routing tables, numbered, and waits for the front to use them."""

    def __init__(self, front_url: str, endpoints: Callable[[], Iterable[Endpoint]], lock: threading.RLock) -> None:
        """lock guards the endpoints."""
        parsed = urlparse(front_url)
        self._address = (parsed.hostname or "localhost", parsed.port or 80)
        self._endpoints, self._lock = endpoints, lock
        self._version = 0
        self._table: Json = {"version": 0, "endpoints": []}
        self._used = threading.Condition()
        self._used_version = 0

    def publish(self) -> None:
        """Push the table as it is now; returns when the front uses it, or after ten seconds without a front."""
        with self._lock:
            self._version += 1
            table = self._table = {"version": self._version, "endpoints": [_route(e) for e in self._endpoints()]}
        try:
            answer = self._call("POST", "/_localcloud/routes", table)
        except (OSError, ValueError, http.client.HTTPException):
            answer = {}
        if int(answer.get("version", -1)) >= table["version"]:
            self.front_uses(table["version"])
            return
        with self._used:  # the front asks once a second and then gets it
            self._used.wait_for(lambda: self._used_version >= table["version"], ACKNOWLEDGE_SECONDS)

    def front_uses(self, version: int) -> Json | None:
        """Note which table the front has; return the newest if that is another."""
        with self._used:
            self._used_version = max(self._used_version, version)
            self._used.notify_all()
        with self._lock:
            return self._table if version != self._version else None

    def drain(self, fleets: Iterable[Fleet]) -> None:
        """Wait until no request is under way at fleets that are no longer routed to."""
        names = {fleet.name for fleet in fleets}
        deadline = time.monotonic() + DRAIN_SECONDS
        while names and time.monotonic() < deadline:
            try:
                busy = self._call("GET", "/_localcloud/inflight", None)["fleets"]
            except (OSError, ValueError, KeyError, http.client.HTTPException):
                return
            if not names & set(busy):
                return
            time.sleep(0.05)

    def _call(self, method: str, path: str, document: Json | None) -> Any:
        connection = http.client.HTTPConnection(*self._address, timeout=PUSH_SECONDS)
        try:
            body = json.dumps(document) if document is not None else None
            connection.request(method, path, body, {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def _route(endpoint: Endpoint) -> Json:
    if endpoint.status not in TAKES_TRAFFIC:
        return {"name": endpoint.name, "variants": []}
    variants = dict(endpoint.variants)
    if endpoint.pending is not None:
        # a variant that only the new config has takes traffic once its fleet has a share
        variants = {**endpoint.pending.variants, **variants}
    return {"name": endpoint.name, "variants": [_variant(endpoint, variant) for variant in variants.values()]}


def _variant(endpoint: Endpoint, variant: Variant) -> Json:
    new = endpoint.pending.variants.get(variant.name) if endpoint.pending is not None else None
    fleets = [*variant.fleets, *(new.fleets if new is not None and new is not variant else [])]
    return {
        "name": variant.name,
        "weight": variant.weight,
        "instances": max(1, variant.instances),
        "fleets": [
            {
                "fleet": fleet.name,
                "port": fleet.process.port,
                "weight": fleet.share,
                "config": fleet.config,
                "published_config": fleet.published_config,
                "capture": fleet.capture,
            }
            for fleet in fleets
            if fleet.process is not None and fleet.share > 0
        ],
    }
