"""CloudWatch alarms of a release: put, look at, remove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modeldrop.aws import clients


@dataclass(frozen=True)
class AlarmView:
    """One alarm now: state OK, ALARM or INSUFFICIENT_DATA, why, and since when."""

    name: str
    state: str
    reason: str
    since: datetime


def put(requests: Sequence[Mapping[str, Any]]) -> None:
    """Create the alarms; an alarm that exists is overwritten with the same."""
    for request in requests:
        clients.cloudwatch().put_metric_alarm(**request)


def look(names: Sequence[str]) -> list[AlarmView]:
    """Describe alarms; one that does not exist is not in the answer."""
    if not names:
        return []
    answer = clients.cloudwatch().describe_alarms(AlarmNames=list(names), AlarmTypes=["MetricAlarm"])
    return [
        AlarmView(one["AlarmName"], one["StateValue"], one.get("StateReason", "")[:500], one["StateUpdatedTimestamp"])
        for one in answer["MetricAlarms"]
    ]


def remove(names: Sequence[str]) -> None:
    """Delete alarms; those that are gone are no error."""
    there = [alarm.name for alarm in look(names)]
    if there:
        clients.cloudwatch().delete_alarms(AlarmNames=there)
