"""PrepareRollout: model, endpoint config and alarms of the release, and a heartbeat until every alarm is OK."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from modeldrop.aws import alarms, endpoints, signals
from modeldrop.aws.alarms import AlarmView
from modeldrop.aws.releases import ReleaseTable
from modeldrop.aws.steps import begin_as_owner
from modeldrop.entry import entry
from modeldrop.release.record import ReleaseRecord
from modeldrop.rollout.alarms import alarm_names, alarm_requests
from modeldrop.rollout.plan import RolloutPlan, plan_from_json
from modeldrop.rollout.requests import create_endpoint_config_request, create_model_request
from modeldrop.times import iso, moment

# soon, since most alarms are OK within seconds, and never so late that the heartbeat alarm misses a beat
MIN_LOOK_SECONDS, MAX_LOOK_SECONDS = 3, 10
# a new alarm is evaluated within a minute (60 s periods) and may lack data for one more
MAX_WAIT = timedelta(minutes=6)


class AlarmNotOkError(Exception):
    """An alarm of the rollout did not come to OK: with it in ALARM, SageMaker would roll back at once."""


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Answer {ready, wait_seconds}; every call makes what is missing, so that a retry loses nothing."""
    table, record, at = begin_as_owner(event)
    plan = plan_from_json(record.plan)
    record = make(table, note(table, record, {"preparing_since": iso(at)}), plan, at)
    waiting = [] if plan.first_release else alarms_not_ok(plan, at)
    if not waiting:
        return {"ready": True, "wait_seconds": 0}
    waited = at - moment(record.rollout["preparing_since"])
    if waited > MAX_WAIT:
        told = "; ".join(f"{alarm.name} is {alarm.state}: {alarm.reason}" for alarm in waiting)
        raise AlarmNotOkError(f"not OK after {MAX_WAIT.seconds} s: {told}")
    return {"ready": False, "wait_seconds": wait_seconds(waited.total_seconds())}


def make(table: ReleaseTable, record: ReleaseRecord, plan: RolloutPlan, at: datetime) -> ReleaseRecord:
    """Make model and config, until a mark that is written after them says that both are there."""
    if record.rollout.get("made_at"):
        return record
    endpoints.ensure_model(create_model_request(plan))
    endpoints.ensure_config(create_endpoint_config_request(plan))
    return note(table, record, {"made_at": iso(at)})


def note(table: ReleaseTable, record: ReleaseRecord, facts: dict[str, Any]) -> ReleaseRecord:
    """Add facts to the record where they are not there yet; LeaseLostError when the release is no longer ours."""
    if facts.keys() <= record.rollout.keys():
        return record
    return table.change(record, fenced=True, phase="preparing", rollout={**facts, **record.rollout})


def alarms_not_ok(plan: RolloutPlan, at: datetime) -> list[AlarmView]:
    """Make the alarms that are missing; those that are not OK yet."""
    # before the alarms: where missing data is breaching, an alarm without a first beat fires at once
    signals.beat(plan, at)
    names = alarm_names(plan)
    missing = set(names) - {alarm.name for alarm in alarms.look(names)}
    alarms.put([request for request in alarm_requests(plan) if request["AlarmName"] in missing])
    there = {alarm.name: alarm for alarm in alarms.look(names)}
    unseen = [AlarmView(name, "not there yet", "", at) for name in names if name not in there]
    return [*unseen, *(alarm for alarm in there.values() if alarm.state != "OK")]


def wait_seconds(waited: float) -> int:
    """Return how long to wait before looking at the alarms again."""
    return max(MIN_LOOK_SECONDS, min(MAX_LOOK_SECONDS, int(waited / 8)))
