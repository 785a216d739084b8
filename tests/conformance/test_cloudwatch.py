"""Metrics of the local cloud: publishing, statistics and metric math.

Sources: botocore's service model of CloudWatch (PutMetricData, GetMetricData, GetMetricStatistics, ListMetrics) and the
user guide, "CloudWatch statistics definitions" and "Using metric math".
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.cloudwatch import expressions, statistics
from localcloud.cloudwatch.store import FINE_SECONDS, Bucket, MetricStore, series_key

Client = Callable[[str], Any]
Unique = Callable[[str], str]


def a_bucket(*values: float) -> Bucket:
    bucket = Bucket()
    for value in values:
        bucket.add(value, 1)
    return bucket


def query(namespace: str, name: str, stat: str, each: str = "m", period: int = 10, **more: Any) -> dict[str, Any]:
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": more.pop("dimensions", [])}
    return {"Id": each, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}, **more}


def hundred() -> Bucket:
    return a_bucket(*(float(value) for value in range(1, 101)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SampleCount", 100),
        ("Sum", 5050),
        ("Average", 50.5),
        ("Minimum", 1),
        ("Maximum", 100),
        ("p0", 1),
        ("p50", 50.5),
        ("p100", 100),
        ("TC(:80)", 80),
        ("TC(80:)", 20),
        ("TC(10:20)", 10),
        ("TC(10%:90%)", 80),
        ("PR(:80)", 80),
        ("PR(80:)", 20),
        ("TM(10%:90%)", 50.5),
        ("tm90", 45.5),
        ("tc90", 90),
        ("ts90", 4095),
        ("TS(:10)", 55),
        ("IQM", 50.5),
        ("WM(:10)", 9.55),
    ],
)
def test_statistics_of_one_to_a_hundred(name: str, value: float) -> None:
    assert statistics.statistic(hundred(), name) == pytest.approx(value)


@pytest.mark.parametrize("name", ["p101", "p", "tm101", "TC()", "TC(:)", "PR(10%:20%)", "TM(5:10%)", "median", "pp9"])
def test_what_is_no_statistic_is_refused(name: str) -> None:
    assert not statistics.is_known(name)


def test_counts_below_and_above_a_bound_add_up_to_all() -> None:
    bucket = a_bucket(99, 100, 100, 101)
    parts = [statistics.statistic(bucket, name) for name in ("TC(:100)", "TC(100:)")]
    assert parts == [3, 1]


def test_a_statistic_set_that_hides_its_values_has_no_percentile() -> None:
    hidden, shown = Bucket(), Bucket()
    hidden.add_set(2, 3, 1, 2)
    shown.add_set(2, 4, 2, 2)
    assert statistics.statistic(hidden, "p50") is None
    assert statistics.statistic(hidden, "Sum") == 3
    assert statistics.statistic(shown, "p50") == 2


def test_data_older_than_three_hours_is_kept_by_the_minute() -> None:
    store, now = MetricStore(), time.time()
    old = (now - FINE_SECONDS - 600) // 60 * 60
    store.put("n", "m", {}, old + 17, [1.0])
    store.put("n", "m", {}, old + 43, [2.0])
    assert list(store.read(series_key("n", "m", {}), old, old + 60, 10)) == [int(old)]
    assert store.read(series_key("n", "m", {}), old, old + 60, 60)[int(old)].total == 3


def test_compaction_keeps_totals_and_bounds_values() -> None:
    bucket = a_bucket(*(1000 + value / 1000 for value in range(1000)))
    rounded = bucket.rounded()
    assert rounded.total == bucket.total
    assert rounded.values == array("d", [1000.0])


def test_values_and_counts_are_added_up(client: Client, unique: Unique) -> None:
    cloudwatch, namespace, now = client("cloudwatch"), unique("tests/counts"), time.time() // 10 * 10 - 20
    datum = {"MetricName": "m", "Timestamp": now, "Values": [1.0, 5.0], "Counts": [3.0, 1.0], "StorageResolution": 1}
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=[datum])
    answer = cloudwatch.get_metric_data(
        StartTime=now,
        EndTime=now + 10,
        MetricDataQueries=[
            query(namespace, "m", stat, f"m{place}") for place, stat in enumerate(("Sum", "p50", "TC(:1)"))
        ],
    )
    assert [result["Values"] for result in answer["MetricDataResults"]] == [[8.0], [1.0], [3.0]]


def test_periods_without_data_are_absent_and_the_newest_comes_first(client: Client, unique: Unique) -> None:
    cloudwatch, namespace, start = client("cloudwatch"), unique("tests/gaps"), time.time() // 60 * 60 - 120
    data = [
        {"MetricName": "m", "Timestamp": start + second, "Value": second, "StorageResolution": 1}
        for second in (1, 2, 25)
    ]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)

    def read(**more: Any) -> tuple[list[float], list[float]]:
        answer = cloudwatch.get_metric_data(
            StartTime=start, EndTime=start + 60, MetricDataQueries=[query(namespace, "m", "Sum")], **more
        )
        (result,) = answer["MetricDataResults"]
        return [moment.timestamp() - start for moment in result["Timestamps"]], result["Values"]

    assert read() == ([20, 0], [25.0, 3.0])
    assert read(ScanBy="TimestampAscending") == ([0, 20], [3.0, 25.0])


def test_a_period_under_a_minute_that_is_not_over_is_cut_off(client: Client, unique: Unique) -> None:
    """GetMetricData: a query at 01:05:23 for the last 10 s gets 01:05:10 to 01:05:20."""
    cloudwatch, namespace, start = client("cloudwatch"), unique("tests/cut"), time.time() // 60 * 60 - 60
    data = [
        {"MetricName": "m", "Timestamp": start + second, "Value": second, "StorageResolution": 1} for second in (12, 22)
    ]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    answer = cloudwatch.get_metric_data(
        StartTime=start + 13, EndTime=start + 23, MetricDataQueries=[query(namespace, "m", "Sum")]
    )
    assert answer["MetricDataResults"][0]["Values"] == [12.0]


def test_standard_resolution_lies_at_the_start_of_its_minute(client: Client, unique: Unique) -> None:
    cloudwatch, namespace, start = client("cloudwatch"), unique("tests/minute"), time.time() // 60 * 60 - 60
    cloudwatch.put_metric_data(
        Namespace=namespace, MetricData=[{"MetricName": "m", "Timestamp": start + 31, "Value": 1.0}]
    )
    answer = cloudwatch.get_metric_data(
        StartTime=start, EndTime=start + 60, MetricDataQueries=[query(namespace, "m", "Sum")]
    )
    assert [moment.timestamp() for moment in answer["MetricDataResults"][0]["Timestamps"]] == [start]


def test_metric_math_divides_and_fills(client: Client, unique: Unique) -> None:
    cloudwatch, namespace, start = client("cloudwatch"), unique("tests/math"), time.time() // 60 * 60 - 60
    data = [
        {"MetricName": name, "Timestamp": start + second, "Value": value, "StorageResolution": 1}
        for name, second, value in (("errors", 0, 2), ("requests", 0, 8), ("requests", 10, 4))
    ]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    answer = cloudwatch.get_metric_data(
        StartTime=start,
        EndTime=start + 20,
        ScanBy="TimestampAscending",
        MetricDataQueries=[
            query(namespace, "errors", "Sum", "errors", ReturnData=False),
            query(namespace, "requests", "Sum", "requests", ReturnData=False),
            {"Id": "twice", "Expression": "rate * 2"},
            {"Id": "rate", "Expression": "FILL(errors, 0) / requests"},
            {"Id": "all", "Expression": "SUM(METRICS())"},
            {"Id": "busy", "Expression": "IF(requests > 5, requests, 0)"},
        ],
    )
    values = {result["Id"]: result["Values"] for result in answer["MetricDataResults"]}
    assert values == {"rate": [0.25, 0.0], "twice": [0.5, 0.0], "all": [10.0, 4.0], "busy": [8.0, 0.0]}


def test_a_division_by_zero_leaves_no_point() -> None:
    context = expressions.Context({"a": {0: 1.0, 10: 1.0}, "b": {0: 0.0, 10: 2.0}}, ("a", "b"), (0, 10), 10)
    assert expressions.compute("a / b", context) == {10: 0.5}


def test_math_that_is_not_covered_says_so(client: Client, unique: Unique) -> None:
    with pytest.raises(ClientError, match="ANOMALY_DETECTION_BAND") as refused:
        client("cloudwatch").get_metric_data(
            StartTime=time.time() - 60,
            EndTime=time.time(),
            MetricDataQueries=[query("tests/x", "m", "Sum"), {"Id": "e", "Expression": "ANOMALY_DETECTION_BAND(m, 2)"}],
        )
    assert refused.value.response["Error"]["Code"] == "NotImplemented"


def test_long_answers_come_in_pages(client: Client, unique: Unique) -> None:
    cloudwatch, namespace, start = client("cloudwatch"), unique("tests/pages"), time.time() // 60 * 60 - 60
    data = [
        {"MetricName": "m", "Timestamp": start + second, "Value": second, "StorageResolution": 1} for second in range(5)
    ]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        StartTime=start,
        EndTime=start + 10,
        MaxDatapoints=2,
        ScanBy="TimestampAscending",
        MetricDataQueries=[query(namespace, "m", "Sum", period=1)],
    )
    assert [page["MetricDataResults"][0]["Values"] for page in pages] == [[0.0, 1.0], [2.0, 3.0], [4.0]]


def test_get_metric_statistics_has_simple_and_extended_ones(client: Client, unique: Unique) -> None:
    cloudwatch, namespace, start = client("cloudwatch"), unique("tests/statistics"), time.time() // 60 * 60 - 60
    cloudwatch.put_metric_data(
        Namespace=namespace,
        MetricData=[{"MetricName": "m", "Timestamp": start, "Values": [1.0, 3.0], "Unit": "Microseconds"}],
    )
    asked = {"Namespace": namespace, "MetricName": "m", "StartTime": start, "EndTime": start + 60, "Period": 60}
    (simple,) = cloudwatch.get_metric_statistics(**asked, Statistics=["Average", "Maximum"])["Datapoints"]
    assert (simple["Average"], simple["Maximum"], simple["Unit"]) == (2.0, 3.0, "Microseconds")
    (extended,) = cloudwatch.get_metric_statistics(**asked, ExtendedStatistics=["p100"])["Datapoints"]
    assert extended["ExtendedStatistics"] == {"p100": 3.0}


def test_metrics_are_listed_by_dimension(client: Client, unique: Unique) -> None:
    cloudwatch, namespace = client("cloudwatch"), unique("tests/listed")
    for variant in ("blue", "green"):
        own = [{"Name": "Fleet", "Value": variant}, {"Name": "Endpoint", "Value": "sentiment"}]
        cloudwatch.put_metric_data(Namespace=namespace, MetricData=[{"MetricName": "m", "Dimensions": own, "Value": 1}])
    everything = cloudwatch.list_metrics(Namespace=namespace, Dimensions=[{"Name": "Fleet"}])["Metrics"]
    green = cloudwatch.list_metrics(Namespace=namespace, Dimensions=[{"Name": "Fleet", "Value": "green"}])["Metrics"]
    assert (len(everything), len(green)) == (2, 1)


@pytest.mark.parametrize(
    ("datum", "code"),
    [
        ({"Value": 1.0, "Values": [1.0]}, "InvalidParameterCombination"),
        ({}, "MissingParameter"),
        ({"Values": [1.0] * 151}, "InvalidParameterValue"),
        ({"Values": [1.0], "Counts": [1.0, 2.0]}, "InvalidParameterValue"),
        ({"Value": 1e300}, "InvalidParameterValue"),
        ({"Value": 1.0, "StorageResolution": 10}, "InvalidParameterValue"),
        ({"Value": 1.0, "Timestamp": 1_000_000_000}, "InvalidParameterValue"),
    ],
)
def test_bad_data_is_refused(client: Client, unique: Unique, datum: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as refused:
        client("cloudwatch").put_metric_data(Namespace=unique("tests/bad"), MetricData=[{"MetricName": "m", **datum}])
    assert refused.value.response["Error"]["Code"] == code


def test_dashboards_are_kept(client: Client, unique: Unique) -> None:
    cloudwatch, name = client("cloudwatch"), unique("dashboard")
    cloudwatch.put_dashboard(DashboardName=name, DashboardBody='{"widgets": []}')
    assert cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"] == '{"widgets": []}'
