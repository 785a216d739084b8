"""What the front saw, as metrics of namespace AWS/SageMaker.

Source: developer guide, "Amazon SageMaker AI metrics in Amazon CloudWatch" (names, units, 0 or 1 a request), and
"Auto-Rollback Configuration and Monitoring" (EndpointConfigName).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

NAMESPACE = "AWS/SageMaker"


def put_observations(observations: list[dict[str, Any]]) -> int:
    """Publish rows (unix time, model latency us, overhead us, status) and return how many there were."""
    from localcloud.cloudwatch import store

    count = 0
    for series in observations:
        seconds: dict[int, list[list[float]]] = defaultdict(list)
        for row in series["rows"]:
            seconds[int(row[0])].append(row)
            count += 1
        for second, rows in sorted(seconds.items()):
            for dimensions in _dimension_sets(series):
                for name, unit, values in _metrics(rows, int(series["instances"])):
                    store.put(
                        NAMESPACE, name, dimensions, float(second), list(values.keys()), list(values.values()), unit
                    )
    return count


def _dimension_sets(series: dict[str, Any]) -> list[dict[str, str]]:
    plain = {"EndpointName": series["endpoint"], "VariantName": series["variant"]}
    # documented for fleets of UpdateEndpoint, "after the new fleet starts receiving traffic"
    return [plain, {**plain, "EndpointConfigName": series["config"]}] if series["published_config"] else [plain]


def _metrics(rows: list[list[float]], instances: int) -> list[tuple[str, str, Counter[float]]]:
    """Return (name, unit, {value: count}) for requests of one second."""
    statuses = [int(row[3]) for row in rows]

    def share(of: Any) -> Counter[float]:
        return Counter(1.0 if of(status) else 0.0 for status in statuses)

    return [
        ("Invocations", "None", Counter({1.0: len(rows)})),
        ("InvocationsPerInstance", "None", Counter({1.0 / instances: len(rows)})),
        ("Invocation4XXErrors", "None", share(lambda status: 400 <= status < 500)),
        ("Invocation5XXErrors", "None", share(lambda status: status >= 500)),
        ("InvocationModelErrors", "None", share(lambda status: not 200 <= status < 300)),
        ("ModelLatency", "Microseconds", Counter(float(row[1]) for row in rows)),
        ("OverheadLatency", "Microseconds", Counter(float(row[2]) for row in rows)),
    ]
