"""PrepareRollout: model, endpoint config and alarms of the release, and a heartbeat until every alarm is OK."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from modeldrop.aws import alarms, endpoints, measurements
from modeldrop.aws.releases import ReleaseTable
from modeldrop.clock import iso, moment, now
from modeldrop.errors import LeaseLostError
from modeldrop.observability import entry
from modeldrop.rollout.alarms import alarm_names, alarm_requests
from modeldrop.rollout.plan import plan_from_json
from modeldrop.rollout.requests import create_endpoint_config_request, create_model_request
from modeldrop.settings import settings

LOOK_SECONDS = 3
# a new alarm is evaluated within a minute (60 s periods) and may lack data for one more
MAX_WAIT = timedelta(minutes=6)


class AlarmNotOkError(Exception):
    """An alarm of the rollout did not come to OK: with it in ALARM, SageMaker would roll back at once."""


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Answer {ready, wait_seconds}; every call makes what is missing, so that a retry loses nothing."""
    table, at = ReleaseTable(settings().release_table), now()
    record = table.require(event["endpoint"], event["release"])
    if not table.renew(record.endpoint, record.fence, int(at.timestamp())):
        raise LeaseLostError(f"the lease of {record.endpoint} is no longer this release's")
    plan = plan_from_json(record.plan)
    since = moment(record.rollout.get("preparing_since") or iso(at))
    if not record.rollout.get("preparing_since"):
        table.update(record.endpoint, record.release, phase="preparing", rollout={"preparing_since": iso(at)})
        endpoints.ensure_model(create_model_request(plan))
        endpoints.ensure_config(create_endpoint_config_request(plan))
    if plan.first_release:
        return {"ready": True, "wait_seconds": 0}
    # before the alarms: where missing data is breaching, an alarm without a first beat fires at once
    measurements.publish(settings().metric_namespace, record.endpoint, record.release, {"Heartbeat": 1.0}, [at])
    names = alarm_names(plan)
    missing = set(names) - {alarm.name for alarm in alarms.look(names)}
    alarms.put([request for request in alarm_requests(plan) if request["AlarmName"] in missing])
    waiting = [alarm for alarm in alarms.look(names) if alarm.state != "OK"]
    if not waiting:
        return {"ready": True, "wait_seconds": 0}
    if at - since > MAX_WAIT:
        told = "; ".join(f"{alarm.name} is {alarm.state}: {alarm.reason}" for alarm in waiting)
        raise AlarmNotOkError(f"not OK after {MAX_WAIT.seconds} s: {told}")
    return {"ready": False, "wait_seconds": LOOK_SECONDS}
