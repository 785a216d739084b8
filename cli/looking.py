"""One look at a release on its way: its phase, and what blue and green do, from the endpoint and CloudWatch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.account import Stack
from modeldrop.artifact.progress import progress_text
from modeldrop.release.record import ReleaseRecord

NAMESPACE, VARIANT = "AWS/SageMaker", "AllTraffic"
STATISTICS = {
    "requests": ("Invocations", "Sum"),
    "model_errors": ("InvocationModelErrors", "Sum"),
    "server_errors": ("Invocation5XXErrors", "Sum"),
    "p50": ("ModelLatency", "p50"),
    "p99": ("ModelLatency", "p99"),
}


@dataclass(frozen=True)
class FleetLook:
    """One fleet since the release began, latency of its last period with data; None is unknown, not zero.

    derived: SageMaker does not tell this fleet apart (it does so from a fleet's own rollout on), so its counts are all
    traffic less green, and its latencies those of all traffic.
    """

    config: str
    requests: int | None = None
    errors: int | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    recent_requests: int | None = None
    derived: bool = False

    @property
    def error_rate(self) -> float | None:
        """Return errors by requests; None without requests."""
        return self.errors / self.requests if self.requests and self.errors is not None else None


@dataclass(frozen=True)
class Look:
    """A release and its fleets at one moment. share: of the last period's requests, green's part."""

    at: datetime
    record: ReleaseRecord
    status: str
    blue: FleetLook | None
    green: FleetLook

    @property
    def share(self) -> float | None:
        """Return which part of the last period's requests green had; None when nobody had any, or it is not known."""
        green = self.green.recent_requests
        blue = self.blue.recent_requests if self.blue else 0
        if green is None and not blue:
            return None
        total = (green or 0) + (blue or 0)
        return (green or 0) / total if total else None


def why(record: ReleaseRecord) -> str:
    """Return in one line why a release ended as it did: the message's headline without the names around it."""
    if record.problems:
        return record.problems[0].get("what", "")
    short = "" if record.headline.endswith("...") else record.headline.partition(": ")[2]
    return short or (record.reasons[0] if record.reasons else "")


def state(record: ReleaseRecord) -> str:
    """Return a release's outcome, or its phase with how far it is where that is known."""
    return progress(record) or record.outcome or record.phase


def progress(record: ReleaseRecord) -> str | None:
    """Return `validating, 1.2 of 2.0 GB, ...` while an artifact is read; None where nothing is known."""
    read = record.progress if record.phase == "validating" and not record.outcome else None
    return f"{record.phase}, {progress_text(read)}" if read else None


def look(stack: Stack, record: ReleaseRecord, began: datetime) -> Look:
    """Describe the endpoint and read both fleets' metrics since `began`."""
    now = datetime.now(UTC)
    previous = str(record.plan.get("previous_config") or "") if record.plan else ""
    period = int(record.policy.get("endpoint", {}).get("metrics_every_seconds", 60)) if record.policy else 60
    configs = {"green": record.release} | ({"blue": previous, "all": ""} if previous else {})
    fleets = read_fleets(stack, record.endpoint, configs, began, now, period)
    blue = blue_of(fleets["blue"], fleets["all"], fleets["green"]) if previous else None
    return Look(now, record, endpoint_status(stack, record.endpoint), blue, fleets["green"])


def blue_of(blue: FleetLook, everything: FleetLook, green: FleetLook) -> FleetLook:
    """Return blue's own figures, or what green leaves of all traffic where blue has none of its own."""
    if blue.requests is not None or everything.requests is None:
        return blue
    return replace(
        everything,
        config=blue.config,
        requests=max(0, everything.requests - (green.requests or 0)),
        errors=None if everything.errors is None else max(0, everything.errors - (green.errors or 0)),
        recent_requests=max(0, (everything.recent_requests or 0) - (green.recent_requests or 0)),
        derived=True,
    )


def endpoint_status(stack: Stack, endpoint: str) -> str:
    """Return SageMaker's status of the endpoint, or `absent`."""
    from botocore.exceptions import ClientError

    try:
        return str(stack.account.client("sagemaker").describe_endpoint(EndpointName=endpoint)["EndpointStatus"])
    except ClientError as error:
        if "Could not find" in str(error):
            return "absent"
        raise


def read_fleets(
    stack: Stack, endpoint: str, configs: Mapping[str, str], start: datetime, end: datetime, period_seconds: int
) -> dict[str, FleetLook]:
    """Return what each fleet, told apart by its endpoint config, did in a span; an empty config is all traffic."""
    queries = [
        {
            "Id": f"{fleet}_{name}",
            "MetricStat": {
                "Metric": {
                    "Namespace": NAMESPACE,
                    "MetricName": metric,
                    "Dimensions": [
                        {"Name": "EndpointName", "Value": endpoint},
                        {"Name": "VariantName", "Value": VARIANT},
                        *([{"Name": "EndpointConfigName", "Value": config}] if config else []),
                    ],
                },
                "Period": period_seconds,
                "Stat": statistic,
            },
        }
        for fleet, config in configs.items()
        for name, (metric, statistic) in STATISTICS.items()
    ]
    # whole periods: the one that is going on counts with what it has until now
    begin = start - timedelta(seconds=start.timestamp() % period_seconds)
    until = end + timedelta(seconds=-end.timestamp() % period_seconds)
    answer = stack.account.client("cloudwatch").get_metric_data(
        MetricDataQueries=queries, StartTime=begin, EndTime=until, ScanBy="TimestampAscending"
    )
    values = {one["Id"]: one["Values"] for one in answer["MetricDataResults"]}
    return {fleet: _fleet(fleet, config, values) for fleet, config in configs.items()}


def _fleet(fleet: str, config: str, values: Mapping[str, list[Any]]) -> FleetLook:
    series = {name: values.get(f"{fleet}_{name}", []) for name in STATISTICS}
    if not series["requests"]:
        return FleetLook(config)
    errors = [sum(series[name]) for name in ("model_errors", "server_errors") if series[name]]
    return FleetLook(
        config=config,
        requests=int(sum(series["requests"])),
        errors=int(max(errors)) if errors else None,
        p50_ms=series["p50"][-1] / 1000 if series["p50"] else None,
        p99_ms=series["p99"][-1] / 1000 if series["p99"] else None,
        recent_requests=int(series["requests"][-1]),
    )
