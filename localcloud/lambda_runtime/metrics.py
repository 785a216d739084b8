"""What Lambda tells CloudWatch about an invocation, and metrics that a handler embeds in its log (EMF)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from localcloud.cloudwatch import store
from localcloud.lambda_runtime.environment import Outcome

MINUTE = 60  # these are stored at one-minute resolution, as on AWS


def count_invocation(function: Any, outcome: Outcome) -> None:
    """Put Invocations, Errors and Duration of AWS/Lambda, by function."""
    values = (("Invocations", 1.0, "Count"), ("Errors", float(outcome.error), "Count"))
    for name, value, unit in (*values, ("Duration", outcome.duration_ms, "Milliseconds")):
        _put(function.function_name, name, value, unit)


def count_throttle(function: Any) -> None:
    """Put Throttles of AWS/Lambda."""
    _put(function.function_name, "Throttles", 1.0, "Count")


def put_embedded(log: str) -> None:
    """Put every metric that a line of a log holds in the embedded metric format."""
    for line in log.splitlines():
        if '"CloudWatchMetrics"' not in line:
            continue
        try:
            document = json.loads(line)
            found = list(embedded_metrics(document))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # AWS too leaves a line that is not quite EMF as a line of the log
        for namespace, name, dimensions, values, unit, resolution, at in found:
            store.put(namespace, name, dimensions, at, values, unit=unit, storage_resolution=resolution)


def embedded_metrics(
    document: Mapping[str, Any],
) -> Iterator[tuple[str, str, dict[str, str], list[float], str, int, float]]:
    """Yield namespace, name, dimensions, values, unit, resolution (s) and time (Unix s) of each embedded metric.

    CloudWatch user guide, "Specification: Embedded metric format".
    """
    about = document["_aws"]
    for directive in about["CloudWatchMetrics"]:
        for names in directive.get("Dimensions") or [[]]:
            dimensions = {name: str(document[name]) for name in names}
            for metric in directive["Metrics"]:
                value = document[metric["Name"]]
                values = [float(one) for one in (value if isinstance(value, list) else [value])]
                unit, resolution = metric.get("Unit", "None"), int(metric.get("StorageResolution", MINUTE))
                yield (
                    directive["Namespace"],
                    metric["Name"],
                    dimensions,
                    values,
                    unit,
                    resolution,
                    about["Timestamp"] / 1000,
                )


def _put(function: str, name: str, value: float, unit: str) -> None:
    store.put(
        "AWS/Lambda", name, {"FunctionName": function}, time.time(), [value], unit=unit, storage_resolution=MINUTE
    )
