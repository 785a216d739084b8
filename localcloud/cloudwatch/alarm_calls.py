"""The alarm calls of CloudWatch: describe, delete, set, history."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from localcloud.cloudwatch import alarm_requests
from localcloud.cloudwatch.alarms import ALARMS, Alarm, HistoryItem
from localcloud.cloudwatch.errors import InvalidFormat, NotCovered, ValidationError
from localcloud.cloudwatch.queries import make_token, read_token, unix

DESCRIBE_PAGE = 50
HISTORY_PAGE = 100
MAX_DELETE = 100

_LISTS = ("OKActions", "AlarmActions", "InsufficientDataActions")


def put_metric_alarm(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer PutMetricAlarm."""
    alarm_requests.check(params)
    ALARMS.put(params, time.time())
    return {}


def put_composite_alarm(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer PutCompositeAlarm: stored and described; its rule is not evaluated."""
    if not params.get("AlarmRule"):
        raise ValidationError("AlarmRule must not be empty.")
    ALARMS.put(params, time.time())
    return {}


def describe_alarms(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer DescribeAlarms; composite alarms only when AlarmTypes asks for them."""
    for field in ("ChildrenOfAlarmName", "ParentsOfAlarmName"):
        if params.get(field):
            raise NotCovered(f"{field} of DescribeAlarms is not in the local cloud.")
    names, prefix = params.get("AlarmNames") or [], params.get("AlarmNamePrefix")
    if names and prefix:
        raise ValidationError("AlarmNames and AlarmNamePrefix are mutually exclusive.")
    types = params.get("AlarmTypes") or ["MetricAlarm"]
    found = [
        alarm
        for alarm in ALARMS.all()
        if ("CompositeAlarm" if alarm.is_composite else "MetricAlarm") in types
        and (not names or alarm.name in names)
        and (not prefix or alarm.name.startswith(prefix))
        and params.get("StateValue") in (None, alarm.state)
        and _acts_on(alarm, params.get("ActionPrefix"))
    ]
    size, first = int(params.get("MaxRecords") or max(DESCRIBE_PAGE, len(names))), read_token(params.get("NextToken"))
    page = found[first : first + size]
    answer: dict[str, Any] = {
        "MetricAlarms": [described(alarm) for alarm in page if not alarm.is_composite],
        "CompositeAlarms": [described(alarm) for alarm in page if alarm.is_composite],
    }
    return answer | ({"NextToken": make_token(first + size)} if len(found) > first + size else {})


def describe_alarms_for_metric(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer DescribeAlarmsForMetric."""
    own = {(each["Name"], each["Value"]) for each in params.get("Dimensions") or []}
    asked = ("Namespace", "MetricName", "Statistic", "ExtendedStatistic", "Period", "Unit")
    found = [
        alarm
        for alarm in ALARMS.all()
        if not alarm.is_composite
        and all(params.get(name) in (None, alarm.request.get(name)) for name in asked)
        and own == {(each["Name"], each["Value"]) for each in alarm.request.get("Dimensions") or []}
    ]
    return {"MetricAlarms": [described(alarm) for alarm in found]}


def delete_alarms(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer DeleteAlarms; names that do not exist are passed over."""
    names = params.get("AlarmNames") or []
    if len(names) > MAX_DELETE:
        raise ValidationError(f"The collection AlarmNames must not have a size greater than {MAX_DELETE}.")
    ALARMS.delete(names, time.time())
    return {}


def set_alarm_state(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer SetAlarmState; a metric alarm goes back at its next evaluation."""
    if params.get("StateValue") not in ("OK", "ALARM", "INSUFFICIENT_DATA"):
        raise ValidationError(
            f"Value '{params.get('StateValue')}' at 'stateValue' failed to satisfy constraint: Member must satisfy "
            "enum value set: [INSUFFICIENT_DATA, ALARM, OK]"
        )
    data = params.get("StateReasonData")
    if data:
        try:
            json.loads(data)
        except ValueError:
            raise InvalidFormat("StateReasonData is not valid JSON") from None
    ALARMS.set_state(params["AlarmName"], params["StateValue"], params["StateReason"], data, time.time())
    return {}


def enable_alarm_actions(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer EnableAlarmActions."""
    ALARMS.enable_actions(params.get("AlarmNames") or [], True, time.time())
    return {}


def disable_alarm_actions(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer DisableAlarmActions."""
    ALARMS.enable_actions(params.get("AlarmNames") or [], False, time.time())
    return {}


def describe_alarm_history(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer DescribeAlarmHistory; deleted alarms keep theirs."""
    types = params.get("AlarmTypes") or ["MetricAlarm"]
    start = unix(params["StartDate"]) if params.get("StartDate") else float("-inf")
    end = unix(params["EndDate"]) if params.get("EndDate") else float("inf")
    found = [
        item
        for item in ALARMS.history()
        if params.get("AlarmName") in (None, item.name)
        and ("CompositeAlarm" if item.composite else "MetricAlarm") in types
        and params.get("HistoryItemType") in (None, item.kind)
        and start <= item.moment <= end
    ]
    if params.get("ScanBy", "TimestampDescending") == "TimestampDescending":
        found.reverse()
    size, first = int(params.get("MaxRecords") or HISTORY_PAGE), read_token(params.get("NextToken"))
    answer: dict[str, Any] = {"AlarmHistoryItems": [_history_item(item) for item in found[first : first + size]]}
    return answer | ({"NextToken": make_token(first + size)} if len(found) > first + size else {})


def described(alarm: Alarm) -> dict[str, Any]:
    """Return an alarm as DescribeAlarms shows it."""
    shown = {key: value for key, value in alarm.request.items() if value is not None}
    shown |= {name: alarm.request.get(name) or [] for name in _LISTS}
    shown |= {
        "AlarmArn": alarm.arn,
        "ActionsEnabled": bool(alarm.request.get("ActionsEnabled", True)),
        "AlarmConfigurationUpdatedTimestamp": _moment(alarm.configured),
        "StateValue": alarm.state,
        "StateReason": alarm.reason,
        "StateUpdatedTimestamp": _moment(alarm.updated),
        "StateTransitionedTimestamp": _moment(alarm.transitioned),
    }
    if alarm.reason_data:
        shown["StateReasonData"] = alarm.reason_data
    if not alarm.is_composite and alarm.request.get("MetricName"):
        shown["Dimensions"] = alarm.request.get("Dimensions") or []
    return shown


def _acts_on(alarm: Alarm, prefix: str | None) -> bool:
    return prefix is None or any(
        action.startswith(prefix) for name in _LISTS for action in alarm.request.get(name) or []
    )


def _history_item(item: HistoryItem) -> dict[str, Any]:
    return {
        "AlarmName": item.name,
        "AlarmType": "CompositeAlarm" if item.composite else "MetricAlarm",
        "Timestamp": _moment(item.moment),
        "HistoryItemType": item.kind,
        "HistorySummary": item.summary[:255],
        "HistoryData": json.dumps(item.detail)[:4095],
    }


def _moment(unix_time: float) -> datetime:
    return datetime.fromtimestamp(unix_time, UTC)
