"""Which open releases nothing works on any more, and what is started for them: it must find every ending by itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from modeldrop.release.record import ReleaseRecord
from modeldrop.times import moment

# admission starts the execution in the same call
EXECUTION_LATE = timedelta(minutes=2)
# no function lives longer than 15 minutes: after that nothing that began before the outcome acts any more
PAST_ACTING = timedelta(minutes=20)
# EventBridge gives an event up after 24 hours, so a release that never began is not begun later either
BEGIN_LATE = timedelta(hours=24)


@dataclass(frozen=True)
class OpenRelease:
    """What the index tells of a release that may still act; times as in ReleaseRecord, empty where there is none."""

    endpoint: str
    release: str
    execution_arn: str = ""
    admitted_at: str = ""
    finished_at: str = ""
    outcome: str = ""
    message_sent: str = ""


def is_due(seen: OpenRelease, at: datetime) -> bool:
    """Say whether a release needs a run now, should none of its executions run; ValueError for what is no time."""
    if not seen.outcome:
        return at - moment(seen.admitted_at) >= EXECUTION_LATE
    return not seen.message_sent or at - moment(seen.finished_at) >= PAST_ACTING


def may_begin(record: ReleaseRecord, at: datetime) -> bool:
    """Say whether a release without an execution may still begin: it did nothing yet, and it is of the last day."""
    fresh = at - moment(record.admitted_at) < BEGIN_LATE
    return fresh and record.outcome is None and record.phase == "waiting" and not record.fence


def recovery_name(release: str, at: datetime) -> str:
    """Return the name of the run that ends a release: one an hour, and at most 80 characters (StartExecution)."""
    return f"{release}-end-{at:%y%m%d%H}"


def recovery_input(seen: OpenRelease) -> dict[str, Any]:
    """Return what starts the run: the event that a failed execution would have made."""
    ids = {"endpoint": seen.endpoint, "release": seen.release}
    cause = "no execution of it runs, and no event told of that"
    return {"detail": {"input": json.dumps(ids), "name": seen.release, "status": "LOST", "cause": cause}}
