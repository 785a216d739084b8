"""Alarms and bakes that cannot do what they are for: refused, or told; and what the judge will see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modeldrop.errors import Problem
from modeldrop.policy.model import JudgePolicy
from modeldrop.rollout.alarms import alarm_requests
from modeldrop.rollout.model import RolloutPlan, Traffic
from modeldrop.rollout.sight import sight

# AutoRollbackConfiguration.Alarms
MAX_ALARMS = 10
# 0 or 1 a request, so that their average is a rate (CloudWatch metrics for SageMaker endpoints)
RATE_METRICS = frozenset({"InvocationModelErrors", "Invocation4XXErrors", "Invocation5XXErrors"})
# a container must answer within 60 s, so no latency is longer
MAX_LATENCY_US = 60_000_000
# an hour with fewer requests does not tell blue's error rate
MIN_RATE_REQUESTS = 100


@dataclass(frozen=True)
class Lint:
    """problems: refused. warnings: told. sights: what error rate is seen how soon."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    sights: tuple[str, ...] = ()


def lint(plan: RolloutPlan, policy: JudgePolicy, traffic: Traffic) -> Lint:
    """Check a plan's alarms and times against each other and against what blue did in the last hour."""
    requests = alarm_requests(plan)
    problems = [*lint_alarms(requests, watched_seconds=watched_seconds(plan), lag_seconds=plan.metric_lag)]
    return Lint(
        tuple(problems),
        (*_warnings(plan, traffic), *_noisy(plan, traffic)),
        tuple(_sights(plan, policy, traffic)),
    )


def watched_seconds(plan: RolloutPlan) -> int:
    """Return how long alarms act on green at a stretch: the bake, or the final bake where that is longer."""
    return plan.bake if plan.strategy == "rolling" else max(plan.bake, plan.final_bake)


def lint_alarms(requests: list[dict[str, Any]], *, watched_seconds: int, lag_seconds: int) -> list[Problem]:
    """Return what is wrong with rollback alarms, as PutMetricAlarm takes them."""
    problems = []
    if len(requests) > MAX_ALARMS:
        what = f"{len(requests)} rollback alarms, and UpdateEndpoint takes {MAX_ALARMS}"
        problems.append(Problem("TOO_MANY_ALARMS", what, "slo.latency", "Keep the percentiles that matter."))
    for request in requests:
        problems += _cannot_fire(request)
        problems += _diluted(request)
        problems += _too_slow(request, watched_seconds, lag_seconds)
    return problems


def _cannot_fire(request: Mapping[str, Any]) -> list[Problem]:
    """AWS's own sample alarm is one: an average of zeros and ones that must exceed 1."""
    name, threshold, metric = request["AlarmName"], request["Threshold"], request["MetricName"]
    strict = request["ComparisonOperator"] == "GreaterThanThreshold"
    if (
        metric in RATE_METRICS
        and request.get("Statistic") == "Average"
        and (threshold > 1 or (strict and threshold == 1))
    ):
        what = f"alarm {name} waits for an error rate over {threshold:.0%}, and there is none"
        return [Problem("ALARM_CANNOT_FIRE", what, "slo.error_rate", "Use a rate below 100%.")]
    if metric == "ModelLatency" and threshold >= MAX_LATENCY_US:
        what = f"alarm {name} waits for a latency over {threshold / 1e6:g} s, and SageMaker ends a request after 60 s"
        return [Problem("ALARM_CANNOT_FIRE", what, "slo.latency", "Use a latency below 60s.")]
    if request["DatapointsToAlarm"] > request["EvaluationPeriods"]:
        what = (
            f"alarm {name} wants {request['DatapointsToAlarm']} breaching periods of "
            f"{request['EvaluationPeriods']} evaluated ones"
        )
        return [Problem("ALARM_CANNOT_FIRE", what, name, "Evaluate at least as many periods.")]
    return []


def _diluted(request: Mapping[str, Any]) -> list[Problem]:
    """Without the config's dimension an alarm sees all traffic: 10% of it that always fails is 10%."""
    dimensions = {one["Name"] for one in request["Dimensions"]}
    if request["Namespace"] != "AWS/SageMaker" or "EndpointConfigName" in dimensions:
        return []
    what = f"alarm {request['AlarmName']} watches {request['MetricName']} of both fleets, so blue dilutes green's"
    return [Problem("ALARM_DILUTED", what, request["AlarmName"], "Add the dimension EndpointConfigName.")]


def _too_slow(request: Mapping[str, Any], watched_seconds: int, lag_seconds: int) -> list[Problem]:
    # missing data is no data to wait for; the heartbeat's own check is against all bakes (rollout.plan)
    if request["TreatMissingData"] == "breaching":
        return []
    needs = request["Period"] * request["DatapointsToAlarm"] + lag_seconds
    if needs <= watched_seconds:
        return []
    what = (
        f"alarm {request['AlarmName']} needs {needs} s to fire ({request['DatapointsToAlarm']} x {request['Period']} s "
        f"and {lag_seconds} s of metric lag), and the longest bake is {watched_seconds} s"
    )
    fix = "Lengthen the bake, or use a shorter endpoint.metrics_every."
    return [Problem("ALARM_TOO_SLOW", what, "bake", fix)]


def _warnings(plan: RolloutPlan, traffic: Traffic) -> list[str]:
    """Say where green would be rolled back for being as good as blue, and where the judge has no time."""
    warnings = []
    needs = plan.metrics_every + plan.metric_lag + plan.alarm_period + plan.look
    if plan.strategy == "canary" and needs > plan.bake:
        warnings.append(
            f"a verdict needs {needs} s and the canary bakes {plan.bake} s: a bad green may meet all users "
            "before it is rolled back"
        )
    blue = traffic.errors / traffic.requests if traffic.requests >= MIN_RATE_REQUESTS else None
    if plan.error_ceiling is not None and blue is not None and blue > plan.error_ceiling:
        warnings.append(
            f"slo.error_rate is {plan.error_ceiling:.2%} and blue had {blue:.2%} in the last hour: "
            "a green as good as blue will be rolled back"
        )
    for percentile, limit in plan.latency_ceilings_ms.items():
        above = float(percentile.removeprefix("p")) >= 95
        if above and traffic.p95_ms is not None and traffic.p95_ms > limit:
            warnings.append(
                f"slo.latency {percentile} is {limit:g} ms and blue's p95 was {traffic.p95_ms:.0f} ms in the last "
                "hour: a green as good as blue will be rolled back"
            )
    return warnings


def _noisy(plan: RolloutPlan, traffic: Traffic) -> list[str]:
    """Say where a single failed request is an error rate over the ceiling."""
    if plan.error_ceiling is None or not traffic.requests:
        return []
    green = traffic.requests / 3600 * plan.canary_share * plan.alarm_period
    if green * plan.error_ceiling >= 1:
        return []
    return [
        f"green gets about {green:.0f} requests in {plan.alarm_period} s, so that one failure is over slo.error_rate "
        f"{plan.error_ceiling:.2%}; the judge alone would wait for proof"
    ]


def _sights(plan: RolloutPlan, policy: JudgePolicy, traffic: Traffic) -> list[str]:
    if plan.strategy != "canary" or not traffic.requests or "errors" in policy.observe:
        return []
    blue = traffic.errors / traffic.requests
    return [sight(plan, policy, requests_per_second=traffic.requests / 3600, blue_rate=blue)]
