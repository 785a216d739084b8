"""Compensate: bring a rollout whose workflow broke to rest, so that nothing is left in flight."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from modeldrop.aws import clients, endpoints, signals
from modeldrop.aws.attempts import attempt
from modeldrop.aws.holding import hold
from modeldrop.aws.releases import ReleaseTable
from modeldrop.aws.steps import begin
from modeldrop.entry import entry
from modeldrop.observability import logger
from modeldrop.release import rehearsal
from modeldrop.release.ending import MAX_WAIT, moves_for
from modeldrop.release.record import ReleaseRecord
from modeldrop.rollout.plan import plan_from_json
from modeldrop.times import iso, moment

# at most rehearsal.MAX_SECONDS / this looks for a throw-away endpoint that is being made
REHEARSAL_LOOK = 10


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Answer {settled, wait_seconds}; settled when nothing moves on this release's account.

    It fails on a status or a record that it can't read, and on nothing else that lasts: what can't be asked for is left
    to the dead-man alarm, which needs none of us.
    """
    table, record, at = begin(event)
    if record.outcome is not None:
        return {"settled": True, "wait_seconds": 0}
    attempt("to hold the lease", lambda: hold(table, record, event["execution_arn"], at))
    seen = endpoints.describe(clients.sagemaker(), record.endpoint)
    if not moves_for(record.release, seen, started=bool(record.rollout.get("started_at"))):
        creating = rehearses(record, at)
        return {"settled": not creating, "wait_seconds": REHEARSAL_LOOK if creating else 0}
    since = moment(record.rollout.get("compensating_since") or record.rollout.get("started_at") or iso(at))
    if at - since > MAX_WAIT:
        logger.error("gave up waiting for the endpoint to come to rest", extra={"status": seen.status})
        return {"settled": True, "wait_seconds": 0}
    attempt("to ask for the roll back (the dead-man alarm will)", lambda: ask_for_roll_back(record, at))
    attempt("to note that the rollout moves", lambda: note(table, record, at))
    return {"settled": False, "wait_seconds": wait_seconds((at - since).total_seconds())}


def rehearses(record: ReleaseRecord, at: datetime) -> bool:
    """Say whether the throw-away endpoint is still being made: until then it can't be deleted."""
    since = record.rollout.get("rehearsing_since")
    if not since or (at - moment(since)).total_seconds() > rehearsal.MAX_SECONDS:
        return False
    return endpoints.describe(clients.sagemaker(), rehearsal.rehearsal_name(record.release)).status == "Creating"


def wait_seconds(waited: float) -> int:
    """Return how long to wait before looking again: soon at first, then ever longer, to bound the history."""
    return max(5, min(120, int(waited / 8)))


def note(table: ReleaseTable, record: ReleaseRecord, at: datetime) -> None:
    """Note that the rollout was seen to move, and since when it is being brought to rest."""
    if not record.rollout.get("compensating_since"):
        rollout = {**record.rollout, "moved": True, "compensating_since": iso(at)}
        table.change(record, fenced=False, rollout=rollout)


def ask_for_roll_back(record: ReleaseRecord, at: datetime) -> None:
    """Trip the rollback alarm, where the release has one."""
    if record.plan:
        signals.trip(plan_from_json(record.plan), at)
