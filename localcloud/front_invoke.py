"""InvokeEndpoint: choose a fleet, ask it, and answer as SageMaker Runtime does.

Sources: SageMaker Runtime API reference, InvokeEndpoint (errors, headers, limits); "Use your own inference code with
hosting services" (60 s for an answer).
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from localcloud.core import ACCOUNT_ID
from localcloud.front_capture import Captures
from localcloud.front_fleet import FleetAnswer, FleetGoneError, FleetPool
from localcloud.front_routes import EMPTY, EndpointRoute, FleetRoute, RouteTable, VariantRoute, pick_fleet

REGION = "us-east-1"
MAX_BODY_BYTES = 6 * 1024 * 1024  # SageMaker Runtime's service model: Body, max 6291456
ANSWER_SECONDS = 60.0
VARIANT_HEADER = "x-amzn-sagemaker-target-variant"
# "Amazon SageMaker strips all POST headers except those supported by the API"
PASSED_HEADERS = (
    "content-type",
    "accept",
    "x-amzn-sagemaker-custom-attributes",
    "x-amzn-sagemaker-target-model",
    "x-amzn-sagemaker-inference-id",
    "x-amzn-sagemaker-session-id",
)


@dataclass(frozen=True)
class Answer:
    """What the client gets."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self, keep_alive: bool) -> bytes:
        """Return the bytes on the wire."""
        lines = [f"HTTP/1.1 {self.status} {_PHRASES.get(self.status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines += [f"x-amzn-RequestId: {uuid.uuid4()}", f"Content-Length: {len(self.body)}"]
        if not keep_alive:
            lines.append("Connection: close")
        return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + self.body


_PHRASES = {
    200: "OK",
    400: "Bad Request",
    424: "Failed Dependency",
    500: "Internal Server Error",
    501: "Not Implemented",
}

# (unix time, model latency us, overhead us, status of the model; 0 = none)
Row = tuple[float, int, int, int]
SeriesKey = tuple[str, str, str, bool, int]


class Observations:
    """What was seen since the last report, a row a request."""

    def __init__(self) -> None:
        self._rows: dict[SeriesKey, list[Row]] = {}

    def add(self, key: SeriesKey, row: Row) -> None:
        """Note one request. key: endpoint, variant, config, published_config, instances."""
        self._rows.setdefault(key, []).append(row)

    def take(self) -> list[dict[str, object]]:
        """Return and forget all rows, in the form that the core's admin route `observations` takes."""
        rows, self._rows = self._rows, {}
        names = ("endpoint", "variant", "config", "published_config", "instances")
        return [{**dict(zip(names, key, strict=True)), "rows": found} for key, found in rows.items()]


class Invoker:
    """Answers InvokeEndpoint from the current routing table."""

    def __init__(self) -> None:
        self.table: RouteTable = EMPTY
        self.pool = FleetPool()
        self.in_flight: Counter[str] = Counter()
        self.observations = Observations()
        self.captures = Captures()

    def swap(self, table: RouteTable) -> None:
        """Route by another table from the next request on; requests in flight end where they are."""
        self.table = table
        fleets = [f for e in table.endpoints.values() for v in e.variants for f in v.fleets]
        self.pool.keep_only({fleet.port for fleet in fleets})
        self.captures.keep_only(frozenset(fleet.fleet for fleet in fleets))

    async def invoke(self, name: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request; never raises for what AWS has an error for."""
        began = time.perf_counter()
        endpoint = self.table.find(name)
        if endpoint is None:
            return error_answer(400, "ValidationError", f"Endpoint {name} of account {ACCOUNT_ID} not found.")
        if len(body) > MAX_BODY_BYTES:
            return error_answer(
                413, "ValidationError", f"Payload of {len(body)} bytes is over the limit of {MAX_BODY_BYTES} bytes."
            )
        target = headers.get(VARIANT_HEADER)
        variant = endpoint.variant(target) if target else endpoint.pick_variant()
        if variant is None:
            return error_answer(400, "ValidationError", f"Variant {target} not found for Request-Endpoint {name}.")
        data = _request_bytes(headers, body)
        fleet = pick_fleet(variant)
        answer, model_seconds, gone = await self._ask(fleet, data)
        if gone is not None and gone.refused and (moved := self._moved(name, variant, fleet)) is not None:
            # the table changed between the choice and the call: not the model's fault, so not the user's problem
            variant, fleet = moved
            answer, model_seconds, gone = await self._ask(fleet, data)
        result = self._finish(endpoint, variant, fleet, answer, model_seconds, began, gone)
        if answer is not None and result.status == 200:
            self.captures.add(endpoint.name, variant.name, fleet, (headers, body), answer)
        return result

    def _moved(self, name: str, variant: VariantRoute, fleet: FleetRoute) -> tuple[VariantRoute, FleetRoute] | None:
        """Choose again if the fleet is no longer routed to; None when it is, or nothing else is."""
        endpoint = self.table.find(name)
        current = endpoint.variant(variant.name) if endpoint else None
        if current is None or any(other.port == fleet.port for other in current.fleets):
            return None
        return current, pick_fleet(current)

    async def _ask(self, fleet: FleetRoute, data: bytes) -> tuple[FleetAnswer | None, float, FleetGoneError | None]:
        self.in_flight[fleet.fleet] += 1
        began = time.perf_counter()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._exchange(fleet, data), time.perf_counter() - began, None
        except FleetGoneError as gone:
            return None, time.perf_counter() - began, gone
        except TimeoutError:
            return None, time.perf_counter() - began, FleetGoneError(_TIMED_OUT)
        finally:
            self.in_flight[fleet.fleet] -= 1
            if not self.in_flight[fleet.fleet]:
                del self.in_flight[fleet.fleet]

    async def _exchange(self, fleet: FleetRoute, data: bytes) -> FleetAnswer:
        connection = await self.pool.take(fleet.port)
        try:
            answer = await connection.request(data)
        except BaseException:
            connection.close()
            raise
        self.pool.give_back(fleet.port, connection)
        return answer

    def _finish(
        self,
        endpoint: EndpointRoute,
        variant: VariantRoute,
        fleet: FleetRoute,
        answer: FleetAnswer | None,
        model_seconds: float,
        began: float,
        gone: FleetGoneError | None,
    ) -> Answer:
        status = answer.status if answer is not None else 0
        if answer is not None and 200 <= status < 300:
            headers = [("Content-Type", answer.headers.get("content-type", "application/octet-stream"))]
            headers.append(("x-Amzn-Invoked-Production-Variant", variant.name))
            if attributes := answer.headers.get("x-amzn-sagemaker-custom-attributes"):
                headers.append(("X-Amzn-SageMaker-Custom-Attributes", attributes))
            result = Answer(200, answer.body, tuple(headers))
        else:
            result = _model_error(endpoint.name, variant.name, answer, gone)
        overhead = time.perf_counter() - began - model_seconds
        key = (endpoint.name, variant.name, fleet.config, fleet.published_config, variant.instances)
        self.observations.add(key, (time.time(), round(model_seconds * 1e6), max(0, round(overhead * 1e6)), status))
        return result


_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)


def error_answer(status: int, code: str, message: str, **members: object) -> Answer:
    """Return an error in the form of the REST-JSON protocol."""
    body = json.dumps({"Message": message, **members}).encode()
    return Answer(status, body, (("Content-Type", "application/json"), ("x-amzn-ErrorType", code)))


def _model_error(endpoint: str, variant: str, answer: FleetAnswer | None, gone: FleetGoneError | None) -> Answer:
    status = answer.status if answer is not None else 0
    original = answer.body.decode("utf-8", "replace") if answer is not None else str(gone)
    kind = "client" if 400 <= status < 500 else "server"
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    message = (
        f'Received {kind} error ({status}) from primary with message "{original}". See '
        f"https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}#logEventViewer:group={group} "
        f"in account {ACCOUNT_ID} for more information."
    )
    members = {
        "OriginalStatusCode": status,
        "OriginalMessage": original,
        "LogStreamArn": f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:{group}",
    }
    answer_ = error_answer(424, "ModelError", message, **members)
    return Answer(answer_.status, answer_.body, (*answer_.headers, ("x-Amzn-Invoked-Production-Variant", variant)))


def _request_bytes(headers: Mapping[str, str], body: bytes) -> bytes:
    lines = ["POST /invocations HTTP/1.1", "Host: model", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {headers[name]}" for name in PASSED_HEADERS if name in headers]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


def endpoint_of_path(path: str) -> tuple[str, str] | None:
    """Return (endpoint, operation) for a SageMaker Runtime path, or None for any other."""
    parts = path.partition("?")[0].split("/")
    if len(parts) == 4 and parts[1] == "endpoints" and parts[3] in OPERATIONS:
        return unquote(parts[2]), OPERATIONS[parts[3]]
    return None


OPERATIONS = {
    "invocations": "InvokeEndpoint",
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
}
