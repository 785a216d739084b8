"""Compensate: bring a rollout whose workflow broke to rest, so that nothing is left in flight."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from modeldrop.aws import endpoints, measurements
from modeldrop.aws.releases import ReleaseTable
from modeldrop.clock import iso, moment, now
from modeldrop.observability import entry, logger
from modeldrop.release import rehearsal
from modeldrop.release.observe import EndpointView
from modeldrop.release.record import ReleaseRecord
from modeldrop.settings import settings

# what is left of a rollout when all of its waits are over: a bound on our own waiting, not on SageMaker's
MAX_SETTLE = timedelta(hours=9)
# at most MAX_SECONDS / this looks for a throw-away endpoint that is being made
REHEARSAL_LOOK = 10


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Answer {settled, wait_seconds}; settled when the endpoint is not moving on this release's account."""
    table, at = ReleaseTable(settings().release_table), now()
    record = table.require(event["endpoint"], event["release"])
    seen = endpoints.describe(record.endpoint)
    if record.outcome is not None or not (in_flight(record, seen) or rehearses(record, at)):
        return {"settled": True, "wait_seconds": 0}
    if rehearses(record, at):
        return {"settled": False, "wait_seconds": REHEARSAL_LOOK}
    since = moment(record.rollout.get("compensating_since") or iso(at))
    if at - since > MAX_SETTLE:
        logger.error("gave up waiting for the endpoint to come to rest", extra={"status": seen.status})
        return {"settled": True, "wait_seconds": 0}
    ask_for_roll_back(table, record, at)
    return {"settled": False, "wait_seconds": wait_seconds((at - since).total_seconds())}


def rehearses(record: ReleaseRecord, at: datetime) -> bool:
    """Say whether the throw-away endpoint is still being made: until then it can't be deleted."""
    since = record.rollout.get("rehearsing_since")
    if not since or (at - moment(since)).total_seconds() > rehearsal.MAX_SECONDS:
        return False
    return endpoints.describe(rehearsal.rehearsal_name(record.release)).status == "Creating"


def wait_seconds(waited: float) -> int:
    """Return how long to wait before looking again: soon at first, then ever longer, to bound the history."""
    return max(5, min(120, int(waited / 8)))


def in_flight(record: ReleaseRecord, seen: EndpointView) -> bool:
    """Say whether SageMaker still works on this release's deployment."""
    if not record.rollout.get("started_at") or seen.standing != "moving":
        return False
    return record.release in (seen.pending_config, seen.config) or seen.status in ("RollingBack", "Updating")


def ask_for_roll_back(table: ReleaseTable, record: ReleaseRecord, at: datetime) -> None:
    """Publish the verdict that trips the rollback alarm: SageMaker has no stop call."""
    moments = [at, at - timedelta(seconds=10)]
    measurements.publish(settings().metric_namespace, record.endpoint, record.release, {"Verdict": 1.0}, moments)
    if not record.rollout.get("compensating_since"):
        table.update(record.endpoint, record.release, rollout={**record.rollout, "compensating_since": iso(at)})
