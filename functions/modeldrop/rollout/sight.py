"""What the judge will see: how soon a given error rate on green becomes a roll back at the traffic there is."""

from __future__ import annotations

import math

from modeldrop.judge import process
from modeldrop.judge.process import Tally
from modeldrop.policy.model import JudgePolicy
from modeldrop.rollout.model import RolloutPlan

CONFIDENCE = 0.99
# the standard normal's 1% quantile
LOW_Z = -2.3263
# the rates that a person has a feeling for
RATES = (0.01, 0.02, 0.05, 0.10, 0.20, 0.50, 1.0)


def seconds_until_seen(
    plan: RolloutPlan, policy: JudgePolicy, *, requests_per_second: float, blue_rate: float, green_rate: float
) -> int | None:
    """Return how long the canary must last until an error rate of green fires the alarm, with 99% probability.

    Failures that are independent and there from the start; green takes the unlucky 1% of its failures, blue what is
    expected. None: not within the bake.
    """
    period = plan.metrics_every
    delay = plan.metric_lag + plan.alarm_period + plan.look
    for bins in range(1, max(1, (plan.bake - delay) // period) + 1):
        requests = requests_per_second * period * bins
        green = int(requests * plan.canary_share)
        bad = _low_quantile(green, green_rate)
        tally = Tally(bad, green, round(blue_rate * (requests - green)), int(requests) - green)
        if bins * period + delay <= plan.bake and _is_bad(tally, plan, policy):
            return bins * period + delay
    return None


def sight(plan: RolloutPlan, policy: JudgePolicy, *, requests_per_second: float, blue_rate: float) -> str:
    """Say the smallest error rate that is seen within the bake, and how soon."""
    for rate in RATES:
        if rate <= blue_rate:
            continue
        seen = seconds_until_seen(
            plan, policy, requests_per_second=requests_per_second, blue_rate=blue_rate, green_rate=rate
        )
        if seen is not None:
            return (
                f"at {requests_per_second:.2g} requests/s an error rate of {rate:.0%} on green is seen "
                f"within {seen} s, with {CONFIDENCE:.0%} probability"
            )
    return (
        f"at {requests_per_second:.2g} requests/s the bake of {plan.bake} s is too short to see even a green that "
        f"always fails, with {CONFIDENCE:.0%} probability"
    )


def _is_bad(tally: Tally, plan: RolloutPlan, policy: JudgePolicy) -> bool:
    slow = plan.slow_ms is not None and "slow" not in policy.observe
    share = process.bet_share("errors", ("errors", "slow") if slow else ("errors",))
    expected = max(1, plan.bake // plan.metrics_every)
    ratio = process.with_late_starts([process.ratio_steps(tally, policy.margin, policy.clump or 1)], expected)[-1]
    floor = process.with_late_starts([process.floor_steps(tally, policy.floor_errors, policy.clump or 1)], expected)[-1]
    return min(ratio, floor) + math.log(share) >= -math.log(policy.alpha)


def _low_quantile(trials: int, rate: float) -> int:
    """Return the greatest count that a binomial reaches or passes with CONFIDENCE."""
    if rate >= 1:
        return trials
    spread = trials * rate * (1 - rate)
    if spread > 100:
        # so wide that the normal distribution is close enough, and adding up terms would take long
        return max(0, math.floor(trials * rate + LOW_Z * math.sqrt(spread)))
    term = trials * math.log1p(-rate)
    below = 0.0
    count = 0
    while count < trials:
        below += math.exp(term)
        if below > 1 - CONFIDENCE:
            break
        term += math.log((trials - count) / (count + 1)) + math.log(rate / (1 - rate))
        count += 1
    return count
