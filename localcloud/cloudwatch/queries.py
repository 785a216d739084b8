"""Reading metrics: GetMetricData, GetMetricStatistics and ListMetrics."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from localcloud.cloudwatch import expressions
from localcloud.cloudwatch.errors import (
    InvalidNextToken,
    InvalidParameterCombination,
    InvalidParameterValue,
    ValidationError,
)
from localcloud.cloudwatch.expressions import Series, Value
from localcloud.cloudwatch.statistics import SIMPLE, is_known, statistic
from localcloud.cloudwatch.store import STORE, Bucket, series_key

FINE_PERIODS = (1, 5, 10, 20, 30)  # what GetMetricData allows below 60 s
MAX_QUERIES = 500
MAX_DATAPOINTS = 100_800
MAX_STATISTICS_POINTS = 1440
LIST_PAGE = 500
ACTIVE_SECONDS = 3 * 3600  # RecentlyActive: PT3H
MINUTE = 60


def get_metric_data(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer GetMetricData; only periods that have data are returned."""
    queries = list(params.get("MetricDataQueries") or [])
    start, end = unix(params["StartTime"]), unix(params["EndTime"])
    _check_queries(queries, start, end)
    series = evaluate_queries(queries, start, end)
    newest_first = params.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    shown = [query for query in queries if query.get("ReturnData", True)]
    size = max(1, int(params.get("MaxDatapoints") or MAX_DATAPOINTS) // max(1, len(shown)))
    first = read_token(params.get("NextToken"))
    results, more = [], False
    for query in shown:
        points = sorted(expressions.as_series(series[query["Id"]], ()).items(), reverse=newest_first)
        page, rest = points[first : first + size], len(points) > first + size
        more = more or rest
        results.append(
            {
                "Id": query["Id"],
                "Label": query.get("Label") or _label(query),
                "Timestamps": [datetime.fromtimestamp(moment, UTC) for moment, _ in page],
                "Values": [value for _, value in page],
                "StatusCode": "PartialData" if rest else "Complete",
            }
        )
    answer: dict[str, Any] = {"MetricDataResults": results, "Messages": []}
    return answer | ({"NextToken": make_token(first + size)} if more else {})


def evaluate_queries(
    queries: Sequence[Mapping[str, Any]], start: float, end: float, *, aligned: bool = True
) -> dict[str, Value]:
    """Return every query's value by id, metrics first, then expressions as what they need becomes known.

    aligned: periods begin on the clock's multiples, as GetMetricData has them; an alarm's window slides.
    """
    by_id = {query["Id"]: query for query in queries}
    metric_ids = tuple(each for each, query in by_id.items() if query.get("MetricStat"))
    known: dict[str, Value] = {each: _metric(by_id[each]["MetricStat"], start, end, aligned) for each in metric_ids}
    period = min((int(by_id[each]["MetricStat"]["Period"]) for each in metric_ids), default=MINUTE)
    first, last = span(start, end, period) if aligned else (int(start), end)
    context = expressions.Context(known, metric_ids, tuple(range(int(first), int(-(-last // 1)), period)), period)
    open_ids = [each for each in by_id if each not in known]
    while open_ids:
        ready = [each for each in open_ids if not (_needs(by_id[each]["Expression"]) & set(open_ids))]
        if not ready:
            raise ValidationError(f"Error in expressions: {', '.join(open_ids)} refer to each other")
        for each in ready:
            known[each] = expressions.compute(by_id[each]["Expression"], context)
        open_ids = [each for each in open_ids if each not in ready]
    for each in known:
        if not isinstance(known[each], dict) and each not in metric_ids and by_id[each].get("ReturnData", True):
            known[each] = expressions.as_series(known[each], context.times)
    return known


def span(start: float, end: float, period: int) -> tuple[int, float]:
    """Return the range in whole periods: a period under a minute also cuts off the one that is not over."""
    first = int(start // period * period)
    return first, (end // period * period if period < MINUTE else end)


def get_metric_statistics(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer GetMetricStatistics; periods begin at StartTime rounded down, not at the clock's."""
    simple, extended = params.get("Statistics") or [], params.get("ExtendedStatistics") or []
    if not simple and not extended:
        raise InvalidParameterCombination("Must specify either Statistics or ExtendedStatistics")
    if simple and extended:
        raise InvalidParameterCombination("Statistics and ExtendedStatistics are mutually exclusive")
    for name in [*simple, *extended]:
        if not is_known(name):
            raise InvalidParameterValue(f"The value {name} for parameter ExtendedStatistics is not supported.")
    period, start, end = int(params["Period"]), unix(params["StartTime"]), unix(params["EndTime"])
    check_period(period, "Period")
    if start >= end:
        raise InvalidParameterValue("The parameter StartTime must be less than the parameter EndTime.")
    if (end - start) / period > MAX_STATISTICS_POINTS:
        raise InvalidParameterCombination(
            f"You have requested up to {int((end - start) / period)} datapoints, which exceeds the limit of "
            f"{MAX_STATISTICS_POINTS}. You may reduce the datapoints requested by increasing Period, or decreasing the "
            "time range."
        )
    key = series_key(params["Namespace"], params["MetricName"], dimensions(params.get("Dimensions")))
    first = int(start // min(period, MINUTE) * min(period, MINUTE))
    points = []
    for unit in [params["Unit"]] if params.get("Unit") else STORE.units(key):
        for moment, bucket in sorted(STORE.read(key, first, end, period, unit).items()):
            points.append(_datapoint(moment, bucket, unit, simple, extended))
    return {"Label": params["MetricName"], "Datapoints": points}


def list_metrics(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer ListMetrics: by namespace, name and dimensions, of which a value may be left open."""
    wanted = [(each["Name"], each.get("Value")) for each in params.get("Dimensions") or []]
    found = []
    for (namespace, name, pairs), last in STORE.metrics():
        own = dict(pairs)
        if params.get("Namespace") not in (None, namespace) or params.get("MetricName") not in (None, name):
            continue
        if any(key not in own or value not in (None, own[key]) for key, value in wanted):
            continue
        if params.get("RecentlyActive") and last < time.time() - ACTIVE_SECONDS:
            continue
        listed = [{"Name": key, "Value": value} for key, value in pairs]
        found.append({"Namespace": namespace, "MetricName": name, "Dimensions": listed})
    first = read_token(params.get("NextToken"))
    answer: dict[str, Any] = {"Metrics": found[first : first + LIST_PAGE]}
    return answer | ({"NextToken": make_token(first + LIST_PAGE)} if len(found) > first + LIST_PAGE else {})


def check_period(period: int, where: str) -> None:
    """Refuse a period that is none of 1, 5, 10, 20, 30 or a multiple of 60 seconds."""
    if period not in FINE_PERIODS and (period <= 0 or period % MINUTE):
        raise InvalidParameterValue(f"The parameter {where} must be 1, 5, 10, 20, 30 or a multiple of 60.")


def dimensions(listed: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    """Return AWS's list of names and values as a mapping."""
    return {each["Name"]: each["Value"] for each in listed or []}


def unix(moment: Any) -> float:
    """Return a parameter's time as unix seconds; moto hands over naive UTC."""
    if isinstance(moment, int | float):
        return float(moment)
    known: datetime = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return known.timestamp()


def make_token(place: int) -> str:
    """Return an opaque token for the next page."""
    return base64.urlsafe_b64encode(json.dumps({"from": place}).encode()).decode()


def read_token(token: str | None) -> int:
    """Return where a page starts; raise InvalidNextToken for what is no token of ours."""
    if not token:
        return 0
    try:
        return int(json.loads(base64.urlsafe_b64decode(token.encode()))["from"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise InvalidNextToken(f"The token {token[:40]!r} is not valid.") from None


def _check_queries(queries: list[dict[str, Any]], start: float, end: float) -> None:
    if start >= end:
        raise ValidationError("The parameter StartTime must be less than the parameter EndTime.")
    if len(queries) > MAX_QUERIES:
        raise ValidationError(f"The collection MetricDataQueries must not have a size greater than {MAX_QUERIES}.")
    if len({query["Id"] for query in queries}) != len(queries):
        raise ValidationError("The values for parameter id in MetricDataQueries are not unique.")
    for place, query in enumerate(queries, start=1):
        where = f"MetricDataQueries.member.{place}"
        if not query["Id"][:1].islower():
            raise ValidationError(
                f"The value {query['Id']} for parameter {where}.Id is not matching the expected pattern "
                "^[a-z][a-zA-Z0-9_]*$."
            )
        if bool(query.get("MetricStat")) == bool(query.get("Expression")):
            raise ValidationError(f"The parameter {where} must have exactly one of MetricStat and Expression.")
        if query.get("MetricStat"):
            check_period(int(query["MetricStat"]["Period"]), f"{where}.MetricStat.Period")
            if not is_known(query["MetricStat"]["Stat"]):
                raise ValidationError(
                    f"The value {query['MetricStat']['Stat']} for parameter {where}.MetricStat.Stat is not supported."
                )


def _metric(stat: Mapping[str, Any], start: float, end: float, aligned: bool) -> Series:
    metric, period = stat["Metric"], int(stat["Period"])
    key = series_key(metric["Namespace"], metric["MetricName"], dimensions(metric.get("Dimensions")))
    first, last = span(start, end, period) if aligned else (int(start), end)
    buckets = STORE.read(key, first, last, period, stat.get("Unit"))
    values = {moment: statistic(bucket, stat["Stat"]) for moment, bucket in sorted(buckets.items())}
    return {moment: value for moment, value in values.items() if value is not None}


def _needs(expression: str) -> set[str]:
    return expressions.names_in(expression)


def _label(query: Mapping[str, Any]) -> str:
    return str(query["MetricStat"]["Metric"]["MetricName"]) if query.get("MetricStat") else str(query["Id"])


def _datapoint(
    moment: int, bucket: Bucket, unit: str, simple: Sequence[str], extended: Sequence[str]
) -> dict[str, Any]:
    point: dict[str, Any] = {"Timestamp": datetime.fromtimestamp(moment, UTC), "Unit": unit}
    point |= {name: statistic(bucket, name) for name in SIMPLE if name in simple}
    values = {name: statistic(bucket, name) for name in extended}
    if extended:
        point["ExtendedStatistics"] = {name: value for name, value in values.items() if value is not None}
    return point
