"""Data capture: sampled requests and their answers, kept here until they are written to S3 as JSON lines.

Sources: developer guide, "Capture data from real-time endpoint" (layout of keys and lines); API reference,
DataCaptureConfig (encoding). What is not documented: ASSUMPTIONS.md.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.front_fleet import FleetAnswer
from localcloud.front_routes import CaptureRule, FleetRoute

FLUSH_SECONDS = 5.0  # AWS: "a couple of minutes"
FILE_BYTES = 1024 * 1024  # of payloads; small enough that a file is no pause for the requests
MAX_WAITING_BYTES = 64 * 1024 * 1024
RECORD_BYTES = 512  # what a record takes besides its payloads
UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Captured:
    """A request and its answer. moment: unix time of the answer; a payload that is not asked for is None."""

    event_id: str
    moment: float
    request_type: str
    request: bytes | None
    answer_type: str
    answer: bytes | None
    custom_attributes: str | None
    inference_id: str | None

    @property
    def size(self) -> int:
        """Bytes that it keeps in memory."""
        return len(self.request or b"") + len(self.answer or b"") + RECORD_BYTES


@dataclass
class CaptureFile:
    """What becomes one object: captured requests of one fleet within one hour. size: bytes in memory."""

    rule: CaptureRule
    folder: str
    fleet: str
    name: str
    records: list[Captured] = field(default_factory=list)
    size: int = 0

    @property
    def key(self) -> str:
        """The object's key, by the time of the first record."""
        return object_key(self.rule.prefix, self.folder, self.records[0].moment, self.name)

    async def lines(self) -> str:
        """Return the object's content; requests go on between two lines."""
        lines = []
        for record in self.records:
            lines.append(line(self.rule, record))
            await asyncio.sleep(0)
        return "".join(lines)


class Captures:
    """What was captured and is not yet in S3, at most 64 MiB. dropped: requests that did not fit.

    due: set when there is a reason to write before the interval is over.
    """

    def __init__(self) -> None:
        self.waiting: deque[CaptureFile] = deque()
        self.dropped = 0
        self.due = asyncio.Event()
        self._open: dict[tuple[str, int], CaptureFile] = {}
        self._routed: frozenset[str] = frozenset()
        self._bytes = 0

    def add(
        self,
        endpoint: str,
        variant: str,
        fleet: FleetRoute,
        request: tuple[Mapping[str, str], bytes],
        answer: FleetAnswer,
    ) -> None:
        """Keep a request that was answered, if its fleet captures and chance takes it. request: headers and body."""
        rule = fleet.capture
        if rule is None or random.random() * 100 >= rule.percent:  # noqa: S311 a sample is no secret
            return
        headers, body = request
        record = Captured(
            str(uuid.uuid4()),
            time.time(),
            headers.get("content-type", UNKNOWN_TYPE),
            body if rule.input else None,
            answer.headers.get("content-type", UNKNOWN_TYPE),
            answer.body if rule.output else None,
            headers.get("x-amzn-sagemaker-custom-attributes"),
            headers.get("x-amzn-sagemaker-inference-id"),
        )
        if self._bytes + record.size > MAX_WAITING_BYTES:
            self.dropped += 1
            return
        self._put(f"{endpoint}/{variant}", fleet.fleet, rule, record)
        if fleet.fleet not in self._routed:  # its last answers came after it was taken out of the routes
            self.due.set()

    def keep_only(self, fleets: frozenset[str]) -> None:
        """Note which fleets are routed to; what the others left is due."""
        self._routed = fleets
        if any(file.fleet not in fleets for file in self._open.values()):
            self.due.set()

    def close_files(self) -> None:
        """Let all that is captured wait for S3; what comes from now on begins new files."""
        self.due.clear()
        self.waiting.extend(self._open.values())
        self._open = {}

    def written(self) -> None:
        """Forget the first file that waits."""
        self._bytes -= self.waiting.popleft().size

    def _put(self, folder: str, fleet: str, rule: CaptureRule, record: Captured) -> None:
        place = (fleet, int(record.moment // 3600))
        file = self._open.get(place)
        if file is None:
            file = self._open[place] = CaptureFile(rule, folder, fleet, str(uuid.uuid4()))
        file.records.append(record)
        file.size += record.size
        self._bytes += record.size
        if file.size >= FILE_BYTES:
            self.waiting.append(self._open.pop(place))
            self.due.set()


def object_key(prefix: str, folder: str, moment: float, name: str) -> str:
    """Return prefix/endpoint/variant/yyyy/mm/dd/hh/mm-ss-mmm-name.jsonl in UTC. folder: endpoint/variant."""
    seconds, milliseconds = divmod(round(moment * 1000), 1000)
    date = time.strftime("%Y/%m/%d/%H/%M-%S", time.gmtime(seconds))
    parts = (prefix, folder, f"{date}-{milliseconds:03}-{name}.jsonl")
    return "/".join(part for part in parts if part)


def line(rule: CaptureRule, record: Captured) -> str:
    """Return a record as one line of JSON, with its line break."""
    data: dict[str, Any] = {}
    if record.request is not None:
        data["endpointInput"] = _payload(rule, "INPUT", record.request_type, record.request)
    if record.answer is not None:
        data["endpointOutput"] = _payload(rule, "OUTPUT", record.answer_type, record.answer)
    event: dict[str, Any] = {"eventId": record.event_id}
    if record.custom_attributes is not None:
        event["customAttributes"] = [record.custom_attributes]
    if record.inference_id is not None:
        event["inferenceId"] = record.inference_id
    event["inferenceTime"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.moment))
    document = {"captureData": data, "eventMetadata": event, "eventVersion": "0"}
    return json.dumps(document, separators=(",", ":")) + "\n"


def encoding_of(rule: CaptureRule, content_type: str) -> str:
    """Return CSV or JSON where the rule lists the type (its parameters do not count), else BASE64."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in rule.csv_types:
        return "CSV"
    return "JSON" if kind in rule.json_types else "BASE64"


def _payload(rule: CaptureRule, mode: str, content_type: str, body: bytes) -> dict[str, str]:
    encoding, text = encoding_of(rule, content_type), ""
    if encoding != "BASE64":
        try:
            text = body.decode()
        except UnicodeDecodeError:  # whatever the type says, these bytes are no text that JSON could hold
            encoding = "BASE64"
    if encoding == "BASE64":
        text = base64.b64encode(body).decode()
    return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}
