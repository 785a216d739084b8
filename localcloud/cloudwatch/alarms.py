"""Alarms: kept, evaluated on the clock, with history, and acting on every change of state."""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from localcloud.cloudwatch import queries
from localcloud.cloudwatch.alarm_requests import period_of, watched
from localcloud.cloudwatch.errors import ResourceNotFound
from localcloud.cloudwatch.evaluation import INSUFFICIENT_DATA, Datapoint, Evaluation, Rule, evaluate
from localcloud.cloudwatch.expressions import as_series
from localcloud.cloudwatch.statistics import samples_needed, statistic
from localcloud.cloudwatch.store import STORE, series_key
from localcloud.core import ACCOUNT_ID

FINE_CADENCE_SECONDS, CADENCE_SECONDS = 10, 60  # how often alarms with a period under, and from, 60 s are looked at
LAG_SECONDS = 3.0  # after a period's end, so that what was measured in it has arrived
HISTORY_LENGTH = 5000
MAX_REASON_DATA = 4000


@dataclass(frozen=True)
class Alarm:
    """One alarm: the request it was made with, and its state. Times are unix seconds."""

    name: str
    arn: str
    request: Mapping[str, Any]
    configured: float
    state: str = INSUFFICIENT_DATA
    reason: str = "Unchecked: Initial alarm creation"
    reason_data: str | None = None
    updated: float = 0.0
    transitioned: float = 0.0

    @property
    def is_composite(self) -> bool:
        """Return whether the alarm watches other alarms."""
        return "AlarmRule" in self.request

    @property
    def cadence(self) -> int:
        """Return how often the alarm is evaluated, in seconds."""
        return FINE_CADENCE_SECONDS if period_of(self.request) < CADENCE_SECONDS else CADENCE_SECONDS


@dataclass(frozen=True)
class Change:
    """A change of state, for whom it concerns."""

    before: Alarm
    after: Alarm


@dataclass(frozen=True)
class HistoryItem:
    """One line of an alarm's history."""

    name: str
    composite: bool
    moment: float
    kind: str
    summary: str
    detail: Mapping[str, Any]


@dataclass
class Alarms:
    """All alarms of the account and region. on_change is called for each change of state, outside the lock."""

    region: str = "us-east-1"
    on_change: Callable[[Change], None] | None = None
    _alarms: dict[str, Alarm] = field(default_factory=dict)
    _slots: dict[str, int] = field(default_factory=dict)
    _history: deque[HistoryItem] = field(default_factory=lambda: deque(maxlen=HISTORY_LENGTH))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def put(self, request: Mapping[str, Any], now: float) -> Alarm:
        """Create an alarm, or give one a new configuration; the state of an existing one stays."""
        name = request["AlarmName"]
        stored = {key: value for key, value in request.items() if key != "Tags"}
        with self._lock:
            known = self._alarms.get(name)
            if known:
                alarm = replace(known, request=stored, configured=now)
            else:
                arn = f"arn:aws:cloudwatch:{self.region}:{ACCOUNT_ID}:alarm:{name}"
                alarm = Alarm(name, arn, stored, now, updated=now, transitioned=now)
            self._alarms[name] = alarm
            if not alarm.is_composite:
                # the first look is at the end of the interval that runs now, not at one from before the alarm
                self._slots[name] = int(now // alarm.cadence)
            word = "updated" if known else "created"
            self._note(
                alarm, now, "ConfigurationUpdate", f'Alarm "{name}" {word}', {"type": "Update" if known else "Create"}
            )
            return alarm

    def get(self, name: str) -> Alarm | None:
        """Return an alarm, or None."""
        with self._lock:
            return self._alarms.get(name)

    def all(self) -> list[Alarm]:
        """Return all alarms by name."""
        with self._lock:
            return [self._alarms[name] for name in sorted(self._alarms)]

    def delete(self, names: Iterable[str], now: float) -> None:
        """Delete those that exist; their history stays."""
        with self._lock:
            for name in names:
                alarm = self._alarms.pop(name, None)
                self._slots.pop(name, None)
                if alarm:
                    self._note(alarm, now, "ConfigurationUpdate", f'Alarm "{name}" deleted', {"type": "Delete"})

    def enable_actions(self, names: Iterable[str], enabled: bool, now: float) -> None:
        """Switch the actions of alarms on or off; names that do not exist are passed over."""
        with self._lock:
            for name in names:
                alarm = self._alarms.get(name)
                if alarm:
                    self._alarms[name] = replace(
                        alarm, request={**alarm.request, "ActionsEnabled": enabled}, configured=now
                    )

    def set_state(self, name: str, state: str, reason: str, reason_data: str | None, now: float) -> None:
        """Set a state by hand; the next evaluation sets it right again."""
        with self._lock:
            if name not in self._alarms:
                raise ResourceNotFound(f"Alarm {name} does not exist")
        self._move(name, state, reason, reason_data, now)

    def history(self) -> list[HistoryItem]:
        """Return all history, oldest first."""
        with self._lock:
            return list(self._history)

    def note_action(self, alarm: Alarm, action: str, error: str | None, now: float) -> None:
        """Write into the history that an action was, or was not, taken."""
        summary = f"Failed to execute action {action}" if error else f"Successfully executed action {action}"
        detail = {"actionState": "Failed" if error else "Succeeded", "notificationResource": action}
        with self._lock:
            self._note(alarm, now, "Action", summary, detail | ({"error": error} if error else {}))

    def evaluate_due(self, now: float) -> None:
        """Evaluate every metric alarm whose next look has come."""
        for alarm in self.all():
            if alarm.is_composite:
                continue
            slot = _slot(now, alarm.cadence)
            with self._lock:
                if self._slots.get(alarm.name, slot) >= slot:
                    continue
                self._slots[alarm.name] = slot
            try:
                self.evaluate_one(alarm, slot * alarm.cadence, now)
            except Exception:  # one alarm that can't be evaluated must not stop the others
                sys.stderr.write(f"alarm {alarm.name} could not be evaluated:\n{traceback.format_exc()}")

    def evaluate_one(self, alarm: Alarm, end: float, now: float) -> None:
        """Set the state that the periods up to end (unix s) ask for."""
        rule = rule_of(alarm.request)
        points = datapoints(alarm.request, rule, end)
        found = evaluate(points, rule, alarm.state)
        if found is not None and found.state != alarm.state:
            data = _reason_data(alarm, rule, found, points, now)
            self._move(alarm.name, found.state, found.reason, data, now)

    def _move(self, name: str, state: str, reason: str, reason_data: str | None, now: float) -> None:
        with self._lock:
            before = self._alarms.get(name)
            if before is None:
                return
            changed = before.state != state
            after = replace(
                before,
                state=state,
                reason=reason,
                reason_data=reason_data,
                updated=now,
                transitioned=now if changed else before.transitioned,
            )
            self._alarms[name] = after
            if changed:
                summary = f"Alarm updated from {before.state} to {state}"
                detail = {"oldState": state_json(before), "newState": state_json(after)}
                self._note(after, now, "StateUpdate", summary, detail)
        if changed and self.on_change:
            self.on_change(Change(before, after))

    def _note(self, alarm: Alarm, now: float, kind: str, summary: str, detail: Mapping[str, Any]) -> None:
        item = HistoryItem(alarm.name, alarm.is_composite, now, kind, summary, {"version": "1.0", **detail})
        self._history.append(item)


ALARMS = Alarms()


def state(name: str) -> str | None:
    """Return an alarm's state (OK, ALARM, INSUFFICIENT_DATA), or None when there is no such alarm."""
    alarm = ALARMS.get(name)
    return alarm.state if alarm else None


def rule_of(request: Mapping[str, Any]) -> Rule:
    """Return what of a request decides the state."""
    needed = request.get("DatapointsToAlarm")
    extended = request.get("ExtendedStatistic")
    # the guide: alarms on AWS/DynamoDB ignore missing data unless told otherwise
    default = "ignore" if request.get("Namespace") == "AWS/DynamoDB" else "missing"
    ignore_few = request.get("EvaluateLowSampleCountPercentile") == "ignore"
    return Rule(
        comparison=request["ComparisonOperator"],
        threshold=float(request["Threshold"]),
        evaluation_periods=int(request["EvaluationPeriods"]),
        datapoints_to_alarm=int(needed) if needed else None,
        treat_missing=request.get("TreatMissingData") or default,
        samples_needed=samples_needed(extended) if extended and ignore_few else 0.0,
    )


def datapoints(request: Mapping[str, Any], rule: Rule, end: float) -> list[Datapoint | None]:
    """Return the evaluation range that ends at end (unix s), oldest first; None where there is no data."""
    period = period_of(request)
    start = int(end) - rule.evaluation_range * period
    times = range(start, int(end), period)
    if request.get("Metrics"):
        wanted = watched(request)["Id"]
        values = as_series(
            queries.evaluate_queries(request["Metrics"], start, end, aligned=False)[wanted], tuple(times)
        )
        return [Datapoint(at, values[at]) if at in values else None for at in times]
    own = queries.dimensions(request.get("Dimensions"))
    key = series_key(request["Namespace"], request["MetricName"], own)
    buckets = STORE.read(key, start, end, period, request.get("Unit"))
    name = request.get("Statistic") or request["ExtendedStatistic"]
    points: list[Datapoint | None] = []
    for at in times:
        value = statistic(buckets[at], name) if at in buckets else None
        points.append(None if value is None else Datapoint(at, value, buckets[at].sample_count))
    return points


def state_json(alarm: Alarm) -> dict[str, Any]:
    """Return a state as history and events show it."""
    shown = {"stateValue": alarm.state, "stateReason": alarm.reason}
    data = _parsed(alarm.reason_data)
    return shown | ({"stateReasonData": data} if data else {})


def iso_milliseconds(moment: float) -> str:
    """Return a unix time as CloudWatch writes it: 2026-11-23T20:10:00.000+0000."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return f"{whole}.{int(moment % 1 * 1000):03d}+0000"


def _reason_data(alarm: Alarm, rule: Rule, found: Evaluation, points: list[Datapoint | None], now: float) -> str:
    request = alarm.request
    recent = [point.value for point in points if point is not None][-rule.evaluation_periods :]
    data: dict[str, Any] = {"version": "1.0", "queryDate": iso_milliseconds(now)}
    if found.evaluated:
        data["startDate"] = iso_milliseconds(found.evaluated[0].timestamp)
    if request.get("MetricName"):
        data["statistic"] = request.get("Statistic") or request["ExtendedStatistic"]
        if request.get("Unit"):
            data["unit"] = request["Unit"]
    data |= {"period": period_of(request), "recentDatapoints": recent, "threshold": rule.threshold}
    shown = []
    for point in reversed(found.evaluated):
        one: dict[str, Any] = {"timestamp": iso_milliseconds(point.timestamp), "value": point.value}
        shown.append(one | ({} if point.sample_count is None else {"sampleCount": point.sample_count}))
    data["evaluatedDatapoints"] = shown
    text = json.dumps(data)
    if len(text) > MAX_REASON_DATA:
        text = json.dumps({**data, "recentDatapoints": [], "evaluatedDatapoints": []})
    return text


def _slot(now: float, cadence: int) -> int:
    """Return the number of the last period boundary that is old enough to look at."""
    return int((now - LAG_SECONDS) // cadence)


def _parsed(text: str | None) -> dict[str, Any] | None:
    """Return reason data as an object; what somebody set by hand need not be one."""
    try:
        found = json.loads(text or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
