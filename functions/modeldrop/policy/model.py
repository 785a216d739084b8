"""The policy as values: what `rollout.yaml` says once defaults are filled in and limits are checked.

Durations are seconds, shares and rates are fractions of 1, latencies are milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from modeldrop.policy.strategy import Strategy

# what CloudWatch counts, and what is counted in captured answers
RateName = Literal["errors", "slow"]
MetricName = Literal["errors", "slow", "drift"]


@dataclass(frozen=True)
class Autoscaling:
    """Target tracking on invocations per instance and minute, between `min` and `max` instances."""

    min: int
    max: int
    invocations_per_instance_per_minute: int


@dataclass(frozen=True)
class EndpointPolicy:
    """What the production variant is made of."""

    instance_type: str
    instance_count: int
    autoscaling: Autoscaling | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    metrics_every_seconds: int = 60


@dataclass(frozen=True)
class SloPolicy:
    """Optional ceilings for green: an error rate, and latencies by percentile ("p99" -> milliseconds)."""

    error_rate: float | None = None
    latency_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class JudgePolicy:
    """How green is compared with blue; DESIGN section 7 gives the meaning of each number."""

    alpha: float = 0.01
    margin: float = 1.5
    floor_errors: float = 0.001
    floor_slow: float = 0.01
    max_excess: float = 0.05
    clump: int | None = None  # None: measured from an hour of blue
    slow_ms: float | None = None  # None: blue's p95 over the last hour
    warm_up_seconds: int = 60
    min_green: int = 30
    observe: tuple[MetricName, ...] = ()
    dead_man_seconds: int = 180
    metric_lag_seconds: int | None = None  # None: by metric period, see rollout.timing


@dataclass(frozen=True)
class QualityPolicy:
    """Whether green's answers are compared with blue's: the output that is looked at (empty: off) and how.

    every: the fraction of requests whose answers SageMaker captures. tolerance: by how much a class of answers may be
    more frequent on green, as a fraction of all answers. lag_seconds: when a period's answers are taken as complete;
    None: see rollout.timing.
    """

    output: str = ""
    every: float = 0.1
    tolerance: float = 0.1
    lag_seconds: int | None = None


@dataclass(frozen=True)
class ArtifactPolicy:
    """What an artifact may contain."""

    code: Literal["refuse", "allow"] = "refuse"
    breaking: Literal["refuse", "allow"] = "refuse"
    max_size_bytes: int = 10 * 1024**3


@dataclass(frozen=True)
class GatesPolicy:
    """What must happen before users meet the model: rehearsal is an instance type, "serverless" or "off"."""

    rehearsal: str = "ml.c5.large"
    approval: Literal["none", "before_rollout"] = "none"


@dataclass(frozen=True)
class SignaturePolicy:
    """Whether the artifact must be signed, where the public key is ("ssm:/..." or "kms:..."), and may it be older."""

    required: bool = False
    key: str = ""
    older: Literal["refuse", "allow"] = "refuse"


@dataclass(frozen=True)
class Policy:
    """A whole `rollout.yaml`, resolved.

    strategy_chosen: the user named the strategy, it is not the default. for_one_instance: what the default becomes on a
    fleet of one, which cannot be split.
    """

    endpoint: EndpointPolicy
    strategy: Strategy
    for_one_instance: Strategy
    slo: SloPolicy
    judge: JudgePolicy
    on_inconclusive: Literal["promote", "rollback"]
    on_blind: Literal["promote", "rollback"]
    artifact: ArtifactPolicy
    gates: GatesPolicy
    retain: int
    strategy_chosen: bool = False
    signature: SignaturePolicy = field(default_factory=SignaturePolicy)
    quality: QualityPolicy = field(default_factory=QualityPolicy)
