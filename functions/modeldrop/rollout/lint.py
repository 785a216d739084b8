"""Alarms and bakes that cannot do what they are for: refused, or told; and what the judge will see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modeldrop.errors import Problem
from modeldrop.policy.model import JudgePolicy
from modeldrop.rollout.alarm_lint import lint_all
from modeldrop.rollout.alarms import alarm_requests
from modeldrop.rollout.model import RolloutPlan, Traffic
from modeldrop.rollout.preview import at_least, delay_seconds
from modeldrop.rollout.sight import sight

# AutoRollbackConfiguration.Alarms
MAX_ALARMS = 10
# an hour with fewer requests does not tell blue's p95
MIN_RATE_REQUESTS = 100
# a ceiling that blue kept to would have been passed like that by chance less often than this
MAX_CHANCE = 0.01


@dataclass(frozen=True)
class Lint:
    """problems: refused. warnings: told. sights: what error rate is seen how soon."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    sights: tuple[str, ...] = ()


def lint(plan: RolloutPlan, policy: JudgePolicy, traffic: Traffic, *, roll_back: bool = False) -> Lint:
    """Check a plan's alarms and times against each other and against what blue did in the last hour.

    roll_back: an earlier model is brought back because of what blue does: ceilings that blue broke are only told.
    """
    requests = alarm_requests(plan)
    alarms = lint_alarms(
        requests,
        watched_seconds=watched_seconds(plan),
        lag_seconds=plan.metric_lag,
        bake_fields=plan.strategy.all_bake_fields,
    )
    broken, doubts = broken_ceilings(plan, traffic)
    if roll_back:
        broken, doubts = [], [*(one.what for one in broken), *doubts]
    return Lint(
        (*alarms, *broken),
        (*_warnings(plan), *doubts, *_noisy(plan, traffic)),
        tuple(_sights(plan, policy, traffic)),
    )


def watched_seconds(plan: RolloutPlan) -> int:
    """Return how long alarms act on green at a stretch."""
    return plan.strategy.longest_bake_seconds(plan.instance_count)


def lint_alarms(
    requests: list[dict[str, Any]], *, watched_seconds: int, lag_seconds: int, bake_fields: str = "the bake"
) -> list[Problem]:
    """Return what is wrong with rollback alarms, as PutMetricAlarm takes them."""
    problems = []
    if len(requests) > MAX_ALARMS:
        what = f"{len(requests)} rollback alarms, and UpdateEndpoint takes {MAX_ALARMS}"
        problems.append(Problem("TOO_MANY_ALARMS", what, "slo.latency", "Keep the percentiles that matter."))
    beside = {"watched_seconds": watched_seconds, "lag_seconds": lag_seconds}
    return [*problems, *lint_all(requests, **beside, bake_fields=bake_fields)]


def _warnings(plan: RolloutPlan) -> list[str]:
    """Say where the judge has no time."""
    needs = plan.metrics_every + delay_seconds(plan)
    if not plan.strategy.decides_in_one_bake(plan.instance_count) or needs <= plan.bake:
        return []
    return [
        f"a verdict needs {needs} s and the canary bakes {plan.bake} s: a bad green may meet all users "
        "before it is rolled back"
    ]


def broken_ceilings(plan: RolloutPlan, traffic: Traffic) -> tuple[list[Problem], list[str]]:
    """Return which of the policy's ceilings blue broke in the last hour: refused, or told where it may be chance.

    A green as good as blue would be rolled back for it. Failures that come in clumps are counted by the clump.
    """
    problems: list[Problem] = []
    doubts: list[str] = []
    if not traffic.measured:
        return problems, doubts
    requests, errors = traffic.requests, traffic.errors
    limit = plan.error_ceiling
    if limit is not None and requests and errors / requests > limit:
        what = f"slo.error_rate is {limit:.2%} and blue had {errors / requests:.2%} of {requests} requests"
        by_chance = at_least(requests // plan.clump, limit, errors // plan.clump)
        _sort(problems, doubts, what, "slo.error_rate", sure=by_chance < MAX_CHANCE)
    for percentile, limit_ms in plan.latency_ceilings_ms.items():
        p95 = traffic.p95_ms
        if float(percentile.removeprefix("p")) >= 95 and p95 is not None and p95 > limit_ms:
            what = f"slo.latency {percentile} is {limit_ms:g} ms and blue's p95 was {p95:.0f} ms on {requests} requests"
            _sort(problems, doubts, what, f"slo.latency.{percentile}", sure=requests >= MIN_RATE_REQUESTS)
    return problems, doubts


def _sort(problems: list[Problem], doubts: list[str], what: str, where: str, *, sure: bool) -> None:
    told = f"{what} in the last hour: a green as good as blue will be rolled back"
    if sure:
        fix = (
            "Raise it above what blue does, or leave it out, also where green is to mend blue: the judge compares both."
        )
        problems.append(Problem("SLO_BELOW_BLUE", told, where, fix))
    else:
        doubts.append(f"{told}, if that was no chance")


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
    if not plan.strategy.decides_in_one_bake(plan.instance_count):
        return []
    if not traffic.requests or "errors" in policy.observe:
        return []
    blue = traffic.errors / traffic.requests
    return [sight(plan, policy, requests_per_second=traffic.requests / 3600, blue_rate=blue)]
