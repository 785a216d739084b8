"""PutMetricData: what AWS checks, and into the store with it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from localcloud.cloudwatch.errors import (
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
    NotCovered,
)
from localcloud.cloudwatch.queries import dimensions, unix
from localcloud.cloudwatch.store import STORE

MAX_METRICS = 1000
MAX_VALUES = 150
MAX_DIMENSIONS = 30
LARGEST = 2.0**360
OLDEST_SECONDS, NEWEST_SECONDS = 14 * 86400, 2 * 3600


def put_metric_data(params: Mapping[str, Any]) -> dict[str, Any]:
    """Check every datum, then store all of them: one bad datum refuses the request."""
    if params.get("EntityMetricData"):
        raise NotCovered("EntityMetricData of PutMetricData is not in the local cloud.")
    namespace, data = params["Namespace"], list(params.get("MetricData") or [])
    if not data:
        raise MissingParameter("The parameter MetricData is required.")
    if len(data) > MAX_METRICS:
        raise InvalidParameterValue(
            f"The collection MetricData must not have a size greater than {MAX_METRICS}. It has {len(data)}."
        )
    for place, datum in enumerate(data, start=1):
        _check(datum, f"MetricData.member.{place}")
    for datum in data:
        _store(namespace, datum)
    return {}


def _check(datum: Mapping[str, Any], where: str) -> None:
    given = [name for name in ("Value", "Values", "StatisticValues") if datum.get(name) not in (None, [], {})]
    if len(given) > 1:
        raise InvalidParameterCombination(
            f"The parameters {where}.{given[0]} and {where}.{given[1]} are mutually exclusive and you have specified "
            "both."
        )
    if not given:
        raise MissingParameter(f"The parameter {where}.Value is required.")
    values, counts = datum.get("Values") or [], datum.get("Counts")
    if len(values) > MAX_VALUES:
        raise InvalidParameterValue(f"The collection {where}.Values must not have a size greater than {MAX_VALUES}.")
    if counts and len(counts) != len(values):
        raise InvalidParameterValue(f"The parameters {where}.Values and {where}.Counts must be of the same size.")
    numbers = [*values, *(counts or []), *(datum.get("StatisticValues") or {}).values()]
    if datum.get("Value") is not None:
        numbers.append(datum["Value"])
    for number in numbers:
        if not math.isfinite(float(number)) or abs(float(number)) > LARGEST:
            raise InvalidParameterValue(f"The value {number} for parameter {where}.Value is invalid.")
    if len(datum.get("Dimensions") or []) > MAX_DIMENSIONS:
        raise InvalidParameterValue(
            f"The collection {where}.Dimensions must not have a size greater than {MAX_DIMENSIONS}."
        )
    if datum.get("StorageResolution", 60) not in (1, 60):
        raise InvalidParameterValue(f"The parameter {where}.StorageResolution must be 1 or 60.")
    if datum.get("Timestamp") is not None:
        age = time.time() - unix(datum["Timestamp"])
        if not -NEWEST_SECONDS <= age <= OLDEST_SECONDS:
            raise InvalidParameterValue(
                f"The parameter {where}.Timestamp must specify a time no more than two weeks in the past and no more "
                "than two hours in the future."
            )


def _store(namespace: str, datum: Mapping[str, Any]) -> None:
    name, own = datum["MetricName"], dimensions(datum.get("Dimensions"))
    moment = unix(datum["Timestamp"]) if datum.get("Timestamp") is not None else time.time()
    unit, resolution = datum.get("Unit") or "None", int(datum.get("StorageResolution") or 60)
    sets = datum.get("StatisticValues")
    if sets:
        four = (sets["SampleCount"], sets["Sum"], sets["Minimum"], sets["Maximum"])
        STORE.put_set(namespace, name, own, moment, four, unit, storage_resolution=resolution)
        return
    values = datum.get("Values") or [datum["Value"]]
    STORE.put(namespace, name, own, moment, values, datum.get("Counts") or None, unit, storage_resolution=resolution)
