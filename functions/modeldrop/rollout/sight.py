"""What the judge will see: how soon a given error rate on green becomes a roll back at the traffic there is."""

from __future__ import annotations

from modeldrop.policy.model import JudgePolicy
from modeldrop.rollout.model import RolloutPlan
from modeldrop.rollout.preview import seconds_until_found

CONFIDENCE = 0.99
# the rates that a person has a feeling for
RATES = (0.01, 0.02, 0.05, 0.10, 0.20, 0.50, 1.0)


def sight(plan: RolloutPlan, policy: JudgePolicy, *, requests_per_second: float, blue_rate: float) -> str:
    """Say the smallest error rate that is seen within the bake, and how soon."""
    for rate in RATES:
        if rate <= blue_rate:
            continue
        seen = seconds_until_found(
            plan,
            policy,
            "errors",
            requests_per_second=requests_per_second,
            blue_rate=blue_rate,
            green_rate=rate,
            chance=CONFIDENCE,
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
