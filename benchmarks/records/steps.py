"""The steps that read the release table, and a client that counts what they read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from modeldrop.aws.releases import ReleaseTable
from modeldrop.aws.rows import to_item
from modeldrop.clock import now
from modeldrop.handlers import acquire_lease, reconcile
from modeldrop.release.record import ReleaseRecord
from modeldrop.times import iso

BIG = "sentiment"
FIRST = datetime(2020, 1, 1, tzinfo=UTC)
# as a release of a day with 60 looks, 8 golden requests and 4 checks leaves it: JSON in bytes by document
DOCUMENT_BYTES = {"policy": 3_000, "artifact": 4_000, "plan": 5_000, "rollout": 9_000, "verdict": 1_500}
EVIDENCE_BYTES = 14_000
BATCH = 25


@dataclass
class Reads:
    """What was asked of DynamoDB: calls by name, and of what came back the number of items and their bytes as JSON."""

    calls: list[str] = field(default_factory=list)
    items: int = 0
    item_bytes: int = 0

    def __sub__(self, before: Reads) -> Reads:
        calls = self.calls[len(before.calls) :]
        return Reads(calls, self.items - before.items, self.item_bytes - before.item_bytes)


class Counted:
    """A DynamoDB client that notes what it reads."""

    def __init__(self, client: Any) -> None:
        self._client, self.reads = client, Reads()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(**request: Any) -> Any:
            answer = method(**request)
            items = answer.get("Items", [answer["Item"]] if "Item" in answer else [])
            self.reads.calls.append(name)
            self.reads.items += len(items)
            self.reads.item_bytes += len(json.dumps(items))
            return answer

        return call

    def during(self, step: Callable[[], Any]) -> Reads:
        """Return what one step reads."""
        before = Reads(list(self.reads.calls), self.reads.items, self.reads.item_bytes)
        step()
        return self.reads - before


def a_document(size: int) -> dict[str, Any]:
    """Give a document of about this many bytes as JSON, of many small parts, as the real ones are."""
    line = {"at": "2026-11-23T20:10:00.000Z", "green": 1234, "blue": 12340, "verdict": "inconclusive"}
    return {"lines": [line] * (size // len(json.dumps(line)))}


DOCUMENTS = {name: a_document(size) for name, size in DOCUMENT_BYTES.items()}
EVIDENCE = a_document(EVIDENCE_BYTES)


def a_record(endpoint: str, number: int) -> ReleaseRecord:
    """Give the release of this number of an endpoint, four hours after the one before it, as it ended."""
    at = FIRST + timedelta(hours=4 * number)
    stamp = at.strftime("%Y%m%d%H%M%S")
    release = f"{endpoint}-{stamp}-{number:06x}"
    return ReleaseRecord(
        endpoint,
        release,
        "uploads",
        f"{endpoint}/model.tar.gz",
        f"v{number}",
        uploaded_at=iso(at),
        order=f"{stamp}|0|{release}",
        admitted_at=iso(at),
        phase="done",
        outcome="promoted",
        headline=f"modeldrop PROMOTED {endpoint}: as good as the live model",
        reasons=("no alarm fired in 30 min",),
        finished_at=iso(at),
        execution_arn=f"arn:aws:states:eu-central-1:123456789012:execution:modeldrop-release:{release}",
        evidence=EVIDENCE,
        **DOCUMENTS,
    )


def fill(client: Any, table: str, endpoint: str, numbers: range) -> None:
    """Write ended and closed releases, as many at a time as DynamoDB takes."""
    for batch in _batches(numbers):
        puts = [{"PutRequest": {"Item": an_item(endpoint, number)}} for number in batch]
        left = client.batch_write_item(RequestItems={table: puts})["UnprocessedItems"]
        if left:
            raise RuntimeError(f"{len(left[table])} of {len(puts)} items were not written")
    named = {"endpoint": {"S": "#endpoints"}, "release": {"S": endpoint}, "name": {"S": endpoint}}
    client.put_item(TableName=table, Item=named)


def an_item(endpoint: str, number: int) -> dict[str, Any]:
    """Give the row of a release that ended, whose message was sent."""
    message = {"subject": "s", "body": "b" * 1_500, "severity": "info"}
    return to_item(a_record(endpoint, number)) | {
        "message": {"S": json.dumps(message)},
        "message_sent": {"S": "00000000-0000-0000-0000-000000000000"},
    }


def _batches(numbers: range) -> Iterator[range]:
    for start in range(numbers.start, numbers.stop, BATCH):
        yield range(start, min(start + BATCH, numbers.stop))


def newcomer(table: ReleaseTable) -> ReleaseRecord:
    """Make the release that the steps are about: validated, newer than all others, and open."""
    stamp = "20991231235959"
    release = f"{BIG}-{stamp}-ffffff"
    record = ReleaseRecord(
        BIG, release, "uploads", f"{BIG}/model.tar.gz", "v", order=f"{stamp}|0|{release}", admitted_at=iso(now()),
        phase="validating", policy=DOCUMENTS["policy"], artifact=DOCUMENTS["artifact"],
    )  # fmt: skip
    table.create(record)
    return record


def acquire(record: ReleaseRecord) -> None:
    """Take the lease, as the workflow does."""
    event = {"endpoint": record.endpoint, "release": record.release, "execution_arn": "arn:own"}
    answer = acquire_lease.handler.__wrapped__(event)  # type: ignore[attr-defined]  # the step without Lambda's decorator
    if not answer["acquired"]:
        raise RuntimeError("the lease is not free")


def promote(table: ReleaseTable, record: ReleaseRecord) -> None:
    """Make a release live and forget the oldest of those that are kept, as its end does."""
    lease = table.lease(record.endpoint)
    if not table.set_live(record.endpoint, record.release, lease.fence):
        raise RuntimeError("the fence is old")
    live = table.live(record.endpoint)
    table.forget_retained(record.endpoint, live.retained[3:], 99)


def status(table: ReleaseTable, record: ReleaseRecord) -> None:
    """Read what `modeldrop status ENDPOINT` shows."""
    table.live(record.endpoint)
    (newest,) = table.recent(record.endpoint, 1, summary=True)
    table.get(record.endpoint, newest.release)


def every_step(client: Counted, table: ReleaseTable, record: ReleaseRecord) -> dict[str, Reads]:
    """Take each step once and return what it read; the handlers reach the same client."""
    return {
        "AcquireLease": client.during(lambda: acquire(record)),
        "promote": client.during(lambda: promote(table, record)),
        "status": client.during(lambda: status(table, record)),
        "Reconcile": client.during(lambda: reconcile.handler.__wrapped__({})),  # type: ignore[attr-defined]  # as above
    }


def acquire_alone() -> None:
    """Run AcquireLease in this process and print its peak memory before the call and after it, in MB."""
    table = ReleaseTable(os.environ["RELEASE_TABLE"])
    record = newcomer(table)
    idle = peak_mb()
    acquire(record)
    print(idle, peak_mb())
    table.release_lease(record.endpoint, record.release, table.lease(record.endpoint).fence)


def peak_mb() -> int:
    """Return the most memory that this process ever had resident, from Linux's /proc."""
    # ru_maxrss would be the parent's, which a child begins with
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024
