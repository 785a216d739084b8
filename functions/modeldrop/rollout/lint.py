"""Alarms and bakes that cannot do what they are for: refused, or told; and what the judge will see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modeldrop.errors import Problem
from modeldrop.policy.model import JudgePolicy
from modeldrop.rollout.alarm_lint import lint_all
from modeldrop.rollout.alarms import alarm_requests
from modeldrop.rollout.model import RolloutPlan, Traffic
from modeldrop.rollout.preview import delay_seconds
from modeldrop.rollout.sight import sight

# AutoRollbackConfiguration.Alarms
MAX_ALARMS = 10
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
    return [*problems, *lint_all(requests, watched_seconds=watched_seconds, lag_seconds=lag_seconds)]


def _warnings(plan: RolloutPlan, traffic: Traffic) -> list[str]:
    """Say where green would be rolled back for being as good as blue, and where the judge has no time."""
    warnings = []
    needs = plan.metrics_every + delay_seconds(plan)
    if plan.strategy == "canary" and needs > plan.bake:
        warnings.append(
            f"a verdict needs {needs} s and the canary bakes {plan.bake} s: a bad green may meet all users "
            "before it is rolled back"
        )
    return [*warnings, *broken_ceilings(plan, traffic)]


def broken_ceilings(plan: RolloutPlan, traffic: Traffic) -> list[str]:
    """Say which of the policy's ceilings blue itself broke in the last hour."""
    warnings = []
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
