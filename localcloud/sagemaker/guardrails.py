"""Deployment guardrails as a pure plan: which share of the traffic goes to green, in which steps, with which bakes.

Sources: SageMaker API reference (BlueGreenUpdatePolicy, TrafficRoutingConfig, CapacitySize, RollingUpdatePolicy) and
the developer guide's pages on canary, linear and rolling deployments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from localcloud.sagemaker.errors import ValidationError

MAX_CANARY_PERCENT = 50
LINEAR_PERCENT = (10, 50)
ROLLING_PERCENT = (5, 50)
DEFAULT_TIMEOUT_SECONDS = 28800  # the longest that MaximumExecutionTimeoutInSeconds allows
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """Traffic goes to this many green instances of each variant, then a bake.

    capacity: the words of the status message (`canary`, `full`); wait_name: the field that set the bake's length.
    """

    green: Mapping[str, int]
    bake_seconds: int
    capacity: str
    wait_name: str


@dataclass(frozen=True)
class Plan:
    """A whole rollout. totals: green instances of each variant when it is done."""

    kind: Literal["blue_green", "rolling"]
    steps: tuple[Step, ...]
    totals: Mapping[str, int]
    alarms: tuple[str, ...]
    timeout_seconds: int
    rollback_batch_percent: int = 100


def plan(deployment: Json | None, totals: Mapping[str, int]) -> Plan:
    """Return the plan for a DeploymentConfig; raises ValidationError for one that AWS refuses.

    totals: instances of each variant of the new config (1 for a serverless one).
    """
    config = deployment or {}
    blue_green, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    if blue_green and rolling:
        raise ValidationError("DeploymentConfig takes one of BlueGreenUpdatePolicy and RollingUpdatePolicy, not both.")
    alarms = tuple(a["AlarmName"] for a in (config.get("AutoRollbackConfiguration") or {}).get("Alarms") or [])
    if rolling:
        return _rolling(rolling, totals, alarms)
    return _blue_green(blue_green or {}, totals, alarms)


def instances_of(size: Json, total: int) -> int:
    """Return how many of total instances a CapacitySize means; a share is rounded up."""
    value = int(size["Value"])
    return value if size["Type"] == "INSTANCE_COUNT" else math.ceil(total * value / 100)


def _blue_green(policy: Json, totals: Mapping[str, int], alarms: tuple[str, ...]) -> Plan:
    routing = policy.get("TrafficRoutingConfiguration") or {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    kind, wait = routing["Type"], int(routing["WaitIntervalInSeconds"])
    final = int(policy.get("TerminationWaitInSeconds") or 0)
    last = Step(dict(totals), final, "full", "TerminationWaitInSeconds")
    if kind == "CANARY":
        _only("CANARY", routing, "CanarySize", "LinearStepSize")
        steps = [_canary(routing["CanarySize"], totals, wait), last]
    elif kind == "LINEAR":
        _only("LINEAR", routing, "LinearStepSize", "CanarySize")
        steps = [*_linear(routing["LinearStepSize"], totals, wait), last]
    else:
        for name in ("CanarySize", "LinearStepSize"):
            if routing.get(name):
                raise ValidationError(f"{name} must not be set when the traffic routing type is ALL_AT_ONCE.")
        steps = [last]
    timeout = _timeout(policy, sum(step.bake_seconds for step in steps))
    return Plan("blue_green", tuple(steps), dict(totals), alarms, timeout)


def _canary(size: Json, totals: Mapping[str, int], wait: int) -> Step:
    green = {}
    for name, total in totals.items():
        green[name] = instances_of(size, total)
        # a share above half is refused as such; one instance is more than half of one
        share = int(size["Value"]) if size["Type"] == "CAPACITY_PERCENT" else green[name] * 100 / total
        if share > MAX_CANARY_PERCENT or (total < 2 and size["Type"] == "INSTANCE_COUNT"):
            raise ValidationError(
                f"CanarySize must be less than or equal to {MAX_CANARY_PERCENT}% of the total instance count "
                f"{total} of variant {name}, but is {green[name]} instance(s)."
            )
        if total < 2:
            raise ValidationError(
                f"CANARY needs at least 2 instances, but variant {name} has {total}: "
                f"CanarySize must be less than or equal to {MAX_CANARY_PERCENT}% of the total instance count."
            )
    return Step(green, wait, "canary", "WaitIntervalInSeconds")


def _linear(size: Json, totals: Mapping[str, int], wait: int) -> list[Step]:
    low, high = LINEAR_PERCENT
    step = {name: instances_of(size, total) for name, total in totals.items()}
    for name, total in totals.items():
        share = int(size["Value"]) if size["Type"] == "CAPACITY_PERCENT" else step[name] * 100 / total
        if not low <= share <= high or step[name] >= total:
            raise ValidationError(
                f"LinearStepSize must be between {low}% and {high}% of the total instance count {total} of variant "
                f"{name}, but is {step[name]} instance(s)."
            )
    count = max(math.ceil(total / step[name]) for name, total in totals.items())
    return [
        Step({n: min(t, step[n] * number) for n, t in totals.items()}, wait, "linear", "WaitIntervalInSeconds")
        for number in range(1, count)
    ]


def _rolling(policy: Json, totals: Mapping[str, int], alarms: tuple[str, ...]) -> Plan:
    if len(totals) > 1:
        raise ValidationError("Rolling deployments are not supported for endpoints with multiple production variants.")
    low, high = ROLLING_PERCENT
    size, wait = policy["MaximumBatchSize"], int(policy["WaitIntervalInSeconds"])
    (name, total), *_ = totals.items()
    batch = instances_of(size, total)
    share = int(size["Value"]) if size["Type"] == "CAPACITY_PERCENT" else batch * 100 / total
    if not low <= share <= high:
        raise ValidationError(
            f"MaximumBatchSize must be between {low}% and {high}% of the total instance count {total} of variant "
            f"{name}, but is {batch} instance(s)."
        )
    steps = tuple(
        Step({name: min(total, batch * number)}, wait, "batch", "WaitIntervalInSeconds")
        for number in range(1, math.ceil(total / batch) + 1)
    )
    back = policy.get("RollbackMaximumBatchSize")
    percent = 100 if not back else math.ceil(instances_of(back, total) * 100 / total)
    return Plan("rolling", steps, dict(totals), alarms, _timeout(policy, wait * len(steps)), percent)


def _only(kind: str, routing: Json, wanted: str, unwanted: str) -> None:
    if not routing.get(wanted) or routing.get(unwanted):
        raise ValidationError(f"{wanted}, and not {unwanted}, must be set when the traffic routing type is {kind}.")


def _timeout(policy: Json, waits_seconds: int) -> int:
    timeout = int(policy.get("MaximumExecutionTimeoutInSeconds") or DEFAULT_TIMEOUT_SECONDS)
    if timeout <= waits_seconds:
        raise ValidationError(
            f"MaximumExecutionTimeoutInSeconds {timeout} must be greater than the sum of the wait intervals "
            f"{waits_seconds}."
        )
    return timeout
