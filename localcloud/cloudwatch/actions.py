"""What a change of an alarm's state sets off: SNS, Lambda, and an event."""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from localcloud.cloudwatch.alarm_requests import ACTION_LISTS, period_of
from localcloud.cloudwatch.alarms import Alarm, Alarms, Change, iso_milliseconds
from localcloud.core import ACCOUNT_ID, Core

REGION_NAMES = {"us-east-1": "US East (N. Virginia)"}
MAX_SUBJECT = 100  # SNS
_LIST_OF_STATE = dict(zip(("OK", "ALARM", "INSUFFICIENT_DATA"), ACTION_LISTS, strict=True))


class Actions:
    """Takes actions one after the other, on a thread of its own, so that a slow target delays no evaluation."""

    def __init__(self, core: Core, alarms: Alarms) -> None:
        self._core, self._alarms = core, alarms
        self._changes: queue.Queue[Change | None] = queue.Queue()

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._work, name="alarm-actions", daemon=True).start()

    def stop(self) -> None:
        """End it after what is queued."""
        self._changes.put(None)

    def __call__(self, change: Change) -> None:
        """Queue the actions of a change first, as whom they call counts most, and send its event."""
        self._changes.put(change)
        detail = change_detail(change)
        self._core.emit("aws.cloudwatch", "CloudWatch Alarm State Change", detail, [change.after.arn])

    def _work(self) -> None:
        while (change := self._changes.get()) is not None:
            request = change.after.request
            if not request.get("ActionsEnabled", True):
                continue
            for action in request.get(_LIST_OF_STATE[change.after.state]) or []:
                error = None
                try:
                    self._take(action, change)
                except Exception as failure:  # the actions of all alarms to come are taken by this thread
                    error = str(failure) or repr(failure)
                    sys.stderr.write(f"alarm {change.after.name}: action {action} failed: {error}\n")
                self._alarms.note_action(change.after, action, error, time.time())

    def _take(self, action: str, change: Change) -> None:
        service = action.split(":")[2]
        if service == "sns":
            alarm = change.after
            subject = f'{alarm.state}: "{alarm.name}" in {REGION_NAMES.get(self._core.region, self._core.region)}'
            message = json.dumps(sns_message(change, self._core.region))
            self._core.client("sns").publish(TopicArn=action, Subject=subject[:MAX_SUBJECT], Message=message)
        elif service == "lambda":
            parts = action.split(":")
            where = {"FunctionName": ":".join(parts[:7])} | ({"Qualifier": parts[7]} if len(parts) > 7 else {})
            payload = json.dumps(lambda_event(change, self._core.region)).encode()
            self._core.client("lambda").invoke(InvocationType="Event", Payload=payload, **where)
        else:
            raise NotImplementedError(f"the local cloud takes no {service} actions")


def sns_message(change: Change, region: str) -> dict[str, Any]:
    """Return the JSON that an alarm publishes to a topic."""
    alarm, request = change.after, change.after.request
    lists = {name: request.get(name) or [] for name in ACTION_LISTS}
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": request.get("AlarmDescription"),
        "AWSAccountId": ACCOUNT_ID,
        "AlarmConfigurationUpdatedTimestamp": iso_milliseconds(alarm.configured),
        "NewStateValue": alarm.state,
        "NewStateReason": alarm.reason,
        "StateChangeTime": iso_milliseconds(alarm.updated),
        "Region": REGION_NAMES.get(region, region),
        "AlarmArn": alarm.arn,
        "OldStateValue": change.before.state,
        **lists,
        "Trigger": {} if alarm.is_composite else _trigger(request),
    }


def change_detail(change: Change) -> dict[str, Any]:
    """Return the detail of "CloudWatch Alarm State Change"."""
    return {
        "alarmName": change.after.name,
        "state": _event_state(change.after),
        "previousState": _event_state(change.before),
        "configuration": _configuration(change.after),
    }


def lambda_event(change: Change, region: str) -> dict[str, Any]:
    """Return what a function gets that is an alarm's action."""
    return {
        "source": "aws.cloudwatch",
        "alarmArn": change.after.arn,
        "accountId": ACCOUNT_ID,
        "time": iso_milliseconds(change.after.updated),
        "region": region,
        "alarmData": change_detail(change),
    }


def _event_state(alarm: Alarm) -> dict[str, Any]:
    shown = {"value": alarm.state, "reason": alarm.reason, "timestamp": iso_milliseconds(alarm.updated)}
    return shown | ({"reasonData": alarm.reason_data} if alarm.reason_data else {})


def _configuration(alarm: Alarm) -> dict[str, Any]:
    request = alarm.request
    description = {"description": request["AlarmDescription"]} if request.get("AlarmDescription") else {}
    if alarm.is_composite:
        return {"alarmRule": request["AlarmRule"], **description}
    if request.get("Metrics"):
        return {"metrics": [_event_query(each) for each in request["Metrics"]], **description}
    stat = {
        "Metric": {
            "Namespace": request["Namespace"],
            "MetricName": request["MetricName"],
            "Dimensions": request.get("Dimensions") or [],
        },
        "Period": request["Period"],
        "Stat": request.get("Statistic") or request["ExtendedStatistic"],
        "Unit": request.get("Unit"),
    }
    return {"metrics": [_event_query({"Id": str(uuid.uuid4()), "MetricStat": stat, "ReturnData": True})], **description}


def _event_query(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return one metric of an alarm as events show it: camel case, dimensions as a map."""
    shown: dict[str, Any] = {"id": query["Id"], "returnData": bool(query.get("ReturnData", True))}
    if query.get("Expression"):
        return shown | {"expression": query["Expression"]} | ({"label": query["Label"]} if query.get("Label") else {})
    stat = query["MetricStat"]
    metric = stat["Metric"]
    shown["metricStat"] = {
        "metric": {
            "namespace": metric["Namespace"],
            "name": metric["MetricName"],
            "dimensions": {each["Name"]: each["Value"] for each in metric.get("Dimensions") or []},
        },
        "period": stat["Period"],
        "stat": stat["Stat"],
    } | ({"unit": stat["Unit"]} if stat.get("Unit") else {})
    return shown


def _trigger(request: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if request.get("MetricName"):
        extended = request.get("ExtendedStatistic")
        shown = {"MetricName": request["MetricName"], "Namespace": request["Namespace"]}
        shown |= (
            {"StatisticType": "ExtendedStatistic", "ExtendedStatistic": extended}
            if extended
            else {"StatisticType": "Statistic", "Statistic": request["Statistic"].upper()}
        )
        # SNS messages have these two keys in lower case, value first
        own = [{"value": each["Value"], "name": each["Name"]} for each in request.get("Dimensions") or []]
        shown |= {"Unit": request.get("Unit"), "Dimensions": own}
    else:
        shown["Metrics"] = request["Metrics"]
    shown["Period"] = period_of(request)
    shown["EvaluationPeriods"] = request["EvaluationPeriods"]
    if request.get("DatapointsToAlarm"):
        shown["DatapointsToAlarm"] = request["DatapointsToAlarm"]
    return shown | {
        "ComparisonOperator": request["ComparisonOperator"],
        "Threshold": float(request["Threshold"]),
        "TreatMissingData": request.get("TreatMissingData") or "missing",
        "EvaluateLowSampleCountPercentile": request.get("EvaluateLowSampleCountPercentile") or "",
    }
