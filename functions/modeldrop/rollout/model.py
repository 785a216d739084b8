"""What a rollout is planned from, and the plan: values only, with their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import timedelta
from typing import Any

from modeldrop.judge.answers import DriftTerms, drift_terms_from_json
from modeldrop.policy.model import MetricName, Policy
from modeldrop.policy.strategies import strategy_from_json, strategy_to_json
from modeldrop.policy.strategy import Strategy

# the one production variant of every endpoint
VARIANT = "AllTraffic"


def quota_name(instance_type: str) -> str:
    """Return the name of SageMaker's quota of instances in endpoints (Service Quotas)."""
    return f"{instance_type} for endpoint usage"


@dataclass(frozen=True)
class LiveState:
    """The endpoint as it is now. config: the endpoint config that serves; count: instances desired now."""

    config: str
    instance_type: str
    instance_count: int
    scales: bool = False


@dataclass(frozen=True)
class Traffic:
    """Blue's last hour: requests, errors, p95 of the model's latency, and the busiest minute of the last days.

    clump: how many of its failures came together (judge.clump). measured: seen in CloudWatch, not supposed by a
    person who asks what would be.
    """

    requests: int = 0
    errors: int = 0
    p95_ms: float | None = None
    peak_per_second: float | None = None
    clump: int = 1
    measured: bool = True


@dataclass(frozen=True)
class LiveAnswers:
    """What the live model answered in the last hour, where SageMaker captures it.

    captured_to: the prefix (s3://...) below which the live endpoint config captures, empty where it does not. shares:
    the fractions of its classes (judge.answers). clump: how many equal answers came together.
    """

    captured_to: str = ""
    answers: int = 0
    shares: Mapping[str, float] = field(default_factory=dict)
    clump: int = 1


@dataclass(frozen=True)
class Stack:
    """What the stack gives: images, roles, tags, the namespace of our own metrics, where answers are captured to."""

    image_gpu: str
    image_cpu: str
    inference_ami_gpu: str
    endpoint_role_arn: str
    rehearsal_role_arn: str
    metric_namespace: str
    name: str
    capture_prefix: str = ""


@dataclass(frozen=True)
class PlanInputs:
    """Everything a plan is made from. live None: there is no endpoint yet. quota None: not known.

    outputs: of the new model's serving_default. archive_bytes, unpacked_bytes: its size. None where they are not known.
    roll_back: an operator brings an earlier model back, so that what is wrong with the live one is no reason to refuse
    it.
    """

    endpoint: str
    release: str
    model_data_url: str
    policy: Policy
    stack: Stack
    live: LiveState | None = None
    traffic: Traffic = field(default_factory=Traffic)
    answers: LiveAnswers = field(default_factory=LiveAnswers)
    outputs: tuple[str, ...] | None = None
    quota: int | None = None
    archive_bytes: int | None = None
    unpacked_bytes: int | None = None
    roll_back: bool = False

    def unknown(self) -> tuple[str, ...]:
        """Say what a plan is made without, and does not check."""
        rehearsal, output = self.policy.gates.rehearsal, self.policy.quality.output
        without_size = rehearsal != "off" and (self.archive_bytes is None or self.unpacked_bytes is None)
        return (
            *([f"whether the model fits where it is rehearsed ({rehearsal})"] if without_size else []),
            *([f"whether the model has the output {output}"] if output and self.outputs is None else []),
            *([f"the quota '{quota_name(self.policy.endpoint.instance_type)}'"] if self.quota is None else []),
        )


@dataclass(frozen=True)
class RolloutPlan:
    """A rollout, decided. Counts are instances, shares fractions of 1, times seconds, latencies milliseconds.

    strategy, instance_count: how the traffic goes, and the fleet that it is counted on. blue_error_rate,
    blue_slow_rate: of the last hour, None when not known; they cap the judge's margin. clump: how many failures come
    together, as the policy says or as blue's last hour had it. capture_to: where SageMaker writes green's answers
    (s3://...), empty where it does not; captured_to the same of blue. quality_output: the output that is looked at.
    drift: what the answers are judged with, None where they are not judged.
    """

    endpoint: str
    release: str
    model_data_url: str
    image: str
    inference_ami: str
    role_arn: str
    rehearsal_image: str
    rehearsal_role_arn: str
    rehearsal_instance_type: str
    environment: Mapping[str, str]
    instance_type: str
    instance_count: int
    metrics_every: int
    metric_namespace: str
    tags: Mapping[str, str]
    first_release: bool
    previous_config: str
    instance_type_changed: bool
    count_changed: bool
    strategy: Strategy
    execution_timeout: int
    deadline: int
    alarm_period: int
    metric_lag: int
    look: int
    notice: int
    silence: int
    heartbeat_periods: int
    slow_ms: float | None
    error_ceiling: float | None
    latency_ceilings_ms: Mapping[str, float]
    scaling_min: int | None
    scaling_max: int | None
    scaling_target_per_minute: int | None
    notes: tuple[str, ...]
    blue_error_rate: float | None = None
    blue_slow_rate: float | None = None
    rehearsal_note: str = ""
    clump: int = 1
    capture_to: str = ""
    capture_percent: int = 0
    captured_to: str = ""
    capture_lag: int = 0
    quality_output: str = ""
    drift: DriftTerms | None = None

    @property
    def canary_instances(self) -> int:
        """Return the canary's instances; 0 where there is no canary."""
        return 0 if self.first_release else self.strategy.canary_instances(self.instance_count)

    @property
    def canary_share(self) -> float:
        """Return green's part of the instances, hence of the traffic, when it first has any."""
        return self.strategy.first_share(self.instance_count)

    @property
    def bake(self) -> int:
        """Return the seconds of the first bake with blue beside green; 0 where there is none."""
        return self.strategy.first_bake_seconds(self.instance_count)

    @property
    def final_bake(self) -> int:
        """Return the seconds of the bake with all traffic on green."""
        return self.strategy.final_bake_seconds_of(self.instance_count)

    @property
    def compares(self) -> bool:
        """Say whether blue is beside green at any time."""
        return not self.first_release and self.strategy.compares(self.instance_count)

    def may_end_with(self, bakes_seen: int, since_first: timedelta) -> bool:
        """Say whether the bake that was seen last, so long after the first one, may be the final one."""
        return self.strategy.may_be_last(self.instance_count, bakes_seen, since_first.total_seconds())

    @property
    def metrics(self) -> tuple[MetricName, ...]:
        """Return what is measured of green and blue."""
        slow: tuple[MetricName, ...] = ("slow",) if self.slow_ms is not None else ()
        return ("errors", *slow, *(("drift",) if self.drift is not None else ()))


def plan_to_json(plan: RolloutPlan) -> dict[str, Any]:
    """Return the plan as JSON for the record."""
    return asdict(plan) | strategy_to_json(plan.strategy)


def plan_from_json(data: Mapping[str, Any]) -> RolloutPlan:
    """Read what `plan_to_json` wrote, also before strategies were values: then it had more fields."""
    drift = data.get("drift")
    known = {one.name: data[one.name] for one in fields(RolloutPlan) if one.name in data}
    return RolloutPlan(
        **{
            **known,
            "strategy": strategy_from_json(data),
            "notes": tuple(data["notes"]),
            "drift": None if drift is None else drift_terms_from_json(drift),
        }
    )
