"""Counts and rates from CloudWatch: what AWS/SageMaker metrics say of one fleet or of the whole endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from modeldrop.judge.bins import Counts
from modeldrop.rollout.model import VARIANT

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

NAMESPACE = "AWS/SageMaker"

Series = dict[datetime, float]
# points of a latency chart: more would not be seen, and the card travels as an event of at most 256 KB
MAX_LATENCY_POINTS = 120
# CloudWatch keeps data of less than a minute for three hours
FINE_DATA_SECONDS = 3 * 3600


@dataclass(frozen=True)
class Scope:
    """Whose metrics: the whole production variant, or with a config only the fleet of that config."""

    endpoint: str
    config: str = ""

    @property
    def dimensions(self) -> list[dict[str, str]]:
        """Return the metric's dimensions; EndpointConfigName tells green from blue (deployment guardrails guide)."""
        named = {"EndpointName": self.endpoint, "VariantName": VARIANT}
        if self.config:
            named["EndpointConfigName"] = self.config
        return [{"Name": name, "Value": value} for name, value in named.items()]


def counts(
    cloudwatch: CloudWatchClient,
    scopes: Mapping[str, Scope],
    start: datetime,
    end: datetime,
    period_seconds: int,
    slow_ms: float | None,
) -> dict[str, dict[datetime, Counts]]:
    """Return, by scope and by period start, requests, errors and slow requests; a period without data is absent.

    errors is the greater of model errors and 5XX, since counts do not tell their union; a period that has invocations
    but neither error metric is absent too, for it is not known to be good. slow is None where latency counts are
    missing.
    """
    stats = {
        "requests": ("Invocations", "Sum"),
        "model": ("InvocationModelErrors", "Sum"),
        "server": ("Invocation5XXErrors", "Sum"),
    }
    if slow_ms is not None:
        # ModelLatency is in microseconds; TC counts the requests at or under the limit
        stats |= {"timed": ("ModelLatency", "SampleCount"), "quick": ("ModelLatency", f"TC(:{slow_ms * 1000:.0f})")}
    wanted = {f"{scope}_{stat}": (scopes[scope], *stats[stat]) for scope in scopes for stat in stats}
    series = _read(cloudwatch, wanted, start, end, period_seconds)
    return {
        scope: _fleet({stat: series[f"{scope}_{stat}"] for stat in stats}, with_slow=slow_ms is not None)
        for scope in scopes
    }


def percentiles(
    cloudwatch: CloudWatchClient, scopes: Mapping[str, Scope], start: datetime, end: datetime, period_seconds: int
) -> dict[str, Any]:
    """Return {since, every, and by scope {p50: [...], p99: [...]}} of the model's latency in milliseconds.

    One number for every `every` seconds, None where there was no data; a scope without any is None: percentiles of
    two fleets cannot be told apart afterwards. Periods grow so that there are at most MAX_LATENCY_POINTS.
    """
    every = chart_period((end - start).total_seconds(), period_seconds)
    since = datetime.fromtimestamp(int(start.timestamp()) // every * every, UTC)
    wanted = {f"{name}_{stat}": (scopes[name], "ModelLatency", stat) for name in scopes for stat in ("p50", "p99")}
    series = _read(cloudwatch, wanted, since, end, every)
    moments = [
        since + timedelta(seconds=every * number) for number in range(ceil((end - since).total_seconds() / every))
    ]
    found: dict[str, Any] = {"since": since.isoformat().replace("+00:00", "Z"), "every": every}
    for name in scopes:
        by_stat = {stat: [_ms(series[f"{name}_{stat}"].get(at)) for at in moments] for stat in ("p50", "p99")}
        found[name] = by_stat if any(one is not None for one in by_stat["p99"]) else None
    return found


def chart_period(span_seconds: float, period_seconds: int) -> int:
    """Return a period that CloudWatch knows (10, 30, or minutes) and still has, for a chart of so long a span."""
    fine = span_seconds <= FINE_DATA_SECONDS and period_seconds < 60
    least = max(period_seconds if fine else 60, span_seconds / MAX_LATENCY_POINTS)
    if fine and least <= 30:
        return 10 if least <= 10 else 30
    return 60 * ceil(least / 60)


def _ms(microseconds: float | None) -> float | None:
    return None if microseconds is None else float(f"{microseconds / 1000:.3g}")


@dataclass(frozen=True)
class LastHour:
    """The endpoint's last hour: requests and errors, p95 of the model's latency, and the busiest minute's rate.

    minutes: the counts of each of its minutes that had data.
    """

    requests: int
    errors: int
    p95_ms: float | None
    peak_per_second: float | None
    minutes: tuple[Counts, ...] = ()


def last_hour(cloudwatch: CloudWatchClient, endpoint: str, now: datetime) -> LastHour:
    """Read what the live model did in the hour before a release; days of minutes give the peak."""
    scope = Scope(endpoint)
    start = now - timedelta(hours=1)
    wanted = {
        "requests": (scope, "Invocations", "Sum"),
        "model": (scope, "InvocationModelErrors", "Sum"),
        "server": (scope, "Invocation5XXErrors", "Sum"),
        "p95": (scope, "ModelLatency", "p95"),
    }
    hour = _read(cloudwatch, wanted, start, now, 3600)
    busy = _read(cloudwatch, {"busy": (scope, "Invocations", "Sum")}, now - timedelta(days=3), now, 60)["busy"]
    minutes = counts(cloudwatch, {"blue": scope}, start, now, 60, None)["blue"]
    p95 = max(hour["p95"].values(), default=None)
    return LastHour(
        requests=int(sum(hour["requests"].values())),
        errors=int(max(sum(hour["model"].values()), sum(hour["server"].values()))),
        p95_ms=p95 / 1000 if p95 is not None else None,
        peak_per_second=max(busy.values()) / 60 if busy else None,
        minutes=tuple(minutes.values()),
    )


def _fleet(series: Mapping[str, Series], *, with_slow: bool) -> dict[datetime, Counts]:
    found = {}
    for start, requests in series["requests"].items():
        errors = [series[name][start] for name in ("model", "server") if start in series[name]]
        if not errors:
            continue
        slow = None
        if with_slow and start in series["timed"] and start in series["quick"]:
            slow = max(0, round(series["timed"][start] - series["quick"][start]))
        found[start] = Counts(round(requests), round(max(errors)), slow)
    return found


def _read(
    cloudwatch: CloudWatchClient,
    wanted: Mapping[str, tuple[Scope, str, str]],
    start: datetime,
    end: datetime,
    period_seconds: int,
) -> dict[str, Series]:
    queries: Any = [
        {
            "Id": name,
            "MetricStat": {
                "Metric": {"Namespace": NAMESPACE, "MetricName": metric, "Dimensions": scope.dimensions},
                "Period": period_seconds,
                "Stat": stat,
            },
        }
        for name, (scope, metric, stat) in wanted.items()
    ]
    pages: Iterable[Any] = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=start, EndTime=end
    )  # fmt: skip
    series: dict[str, Series] = {name: {} for name in wanted}
    for page in pages:
        for result in page["MetricDataResults"]:
            series[result["Id"]].update(zip(result["Timestamps"], result["Values"], strict=True))
    return series
