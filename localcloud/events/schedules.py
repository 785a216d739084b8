"""Rules with a schedule: rate(...) and cron(...), looked at once a second."""

from __future__ import annotations

import calendar
import re
import sys
import threading
import time
import traceback
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from localcloud.core import ACCOUNT_ID, Core

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)}


@dataclass
class _Planned:
    """When a rule as it stands fires next (unix s)."""

    rule: Any
    due: float | None


def install(core: Core, delivery: Any) -> None:
    """Look at every rule's schedule once a second while the core is up."""
    stopped = threading.Event()
    ticker = Ticker(core.region, delivery)

    core.on_start(
        lambda: threading.Thread(
            target=tick_until, args=(ticker, stopped), name="events-schedules", daemon=True
        ).start()
    )
    core.on_stop(stopped.set)


def tick_until(ticker: Ticker, stopped: threading.Event, every_seconds: float = 1.0) -> None:
    """Look again and again, whatever one look trips over: without it nothing that has a schedule ever runs."""
    while not stopped.wait(every_seconds):
        try:
            ticker.tick(time.time())
        except Exception:
            sys.stderr.write(f"the schedules' ticker failed:\n{traceback.format_exc()}")


class Ticker:
    """Fires the rules that are due."""

    def __init__(self, region: str, delivery: Any) -> None:
        self._region, self._delivery = region, delivery
        self._planned: dict[str, _Planned] = {}

    def tick(self, now: float) -> None:
        """Fire what is due at now (unix s) and plan it anew; a new or changed rule starts from now."""
        from moto.events.models import events_backends

        rules = list(events_backends[ACCOUNT_ID][self._region].event_buses["default"].rules.values())
        current = {rule.name: rule for rule in rules if rule.scheduled_expression and rule.state != "DISABLED"}
        self._planned = {name: planned for name, planned in self._planned.items() if current.get(name) is planned.rule}
        for name, rule in current.items():
            planned = self._planned.get(name)
            if planned is None:
                self._planned[name] = _Planned(rule, self._plan(rule, now))
            elif planned.due is not None and planned.due <= now:
                due, planned.due = planned.due, self._plan(rule, planned.due)
                try:
                    self._delivery.to_targets(self._event(rule, due), rule)
                except Exception:  # the rules behind it are due as well
                    sys.stderr.write(f"rule {name} did not fire:\n{traceback.format_exc()}")

    def _plan(self, rule: Any, after: float) -> float | None:
        try:
            return next_time(rule.scheduled_expression, after)
        except ValueError as error:
            sys.stderr.write(f"rule {rule.name} will not fire: {error}\n")
            return None

    def _event(self, rule: Any, moment: float) -> dict[str, Any]:
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": ACCOUNT_ID,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)),
            "region": self._region,
            "resources": [rule.arn],
            "detail": {},
        }


def next_time(expression: str, after: float) -> float | None:
    """Return the first time (unix s) after the given one; None when there is none within four years.

    Raises ValueError for what is neither a rate nor a cron with numbers, lists, ranges and steps (L, W and # are not
    there).
    """
    rate = _RATE.fullmatch(expression)
    if rate and int(rate[1]) > 0:
        return after + int(rate[1]) * _SECONDS[rate[2]]
    cron = _CRON.fullmatch(expression)
    if not cron:
        raise ValueError(f"{expression!r} is not a schedule the local cloud knows")
    minutes, hours = _field(cron[1], 0, 59), _field(cron[2], 0, 23)
    days, months = _field(cron[3], 1, 31), _field(cron[4], 1, 12, _MONTHS)
    weekdays, years = _field(cron[5], 1, 7, _DAYS), _field(cron[6], 1970, 2199)
    moment = datetime.fromtimestamp(after // 60 * 60 + 60, UTC)
    limit = moment + timedelta(days=4 * 366)
    while moment < limit:
        weekday = moment.isoweekday() % 7 + 1  # Sunday is 1
        if moment.year not in years or moment.month not in months or moment.day not in days or weekday not in weekdays:
            moment = moment.replace(hour=0, minute=0) + timedelta(days=1)
        elif moment.hour not in hours:
            moment = moment.replace(minute=0) + timedelta(hours=1)
        elif moment.minute not in minutes:
            moment += timedelta(minutes=1)
        else:
            return moment.timestamp()
    return None


def _field(text: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    """Return the numbers that one field of a cron expression allows."""
    allowed: set[int] = set()
    for part in text.upper().split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if span in ("*", "?"):
            start, end = low, high
        else:
            start = _number(first, names)
            end = _number(last, names) if last else (high if step else start)
        if not low <= start <= end <= high:
            raise ValueError(f"{part!r} is outside {low}-{high}")
        allowed |= set(range(start, end + 1, int(step) if step else 1))
    return allowed


def _number(text: str, names: dict[str, int] | None) -> int:
    if names and text in names:
        return names[text]
    if not text.isdigit():
        raise ValueError(f"{text!r} is not understood in a cron expression of the local cloud")
    return int(text)
