"""Where a rollout is, for people; and when its bakes end, for the decision."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from modeldrop.aws.bins import Frozen
from modeldrop.handlers.judge_rollout import Seen, as_look, phase
from modeldrop.policy.strategies import Linear
from modeldrop.policy.strategy import Strategy
from modeldrop.release.observe import ABSENT, Passage
from modeldrop.rollout.model import RolloutPlan
from tests.unit.aws_builders import a_release
from tests.unit.rollout_builders import ALL_AT_ONCE, CANARY, LINEAR, ROLLING, a_plan, a_policy

BEGAN = datetime(2026, 11, 23, 20, 10, tzinfo=UTC)
SHIFT = timedelta(seconds=5)


def after(plan: RolloutPlan, seconds_of_bakes: list[int]) -> Seen:
    """A look just after the last of these bakes began, each of which followed the one before."""
    begins = [BEGAN + timedelta(seconds=sum(seconds_of_bakes[:n])) + n * SHIFT for n in range(len(seconds_of_bakes))]
    shifts = [(begin - SHIFT, begin) for begin in begins]
    return Seen(begins[-1], ABSENT, Passage(tuple(begins), tuple(shifts)), Frozen(), None, "")


def each_look(strategy: Strategy) -> list[tuple[RolloutPlan, Seen]]:
    plan = a_plan(policy=a_policy(strategy=strategy))
    bakes = [stage.bake_seconds for stage in strategy.stages(plan.instance_count)]
    return [(plan, after(plan, bakes[: number + 1])) for number in range(len(bakes))]


@pytest.mark.parametrize(
    ("strategy", "phases"),
    [
        (CANARY, ["canary", "final_bake"]),
        (LINEAR, ["canary", "baking", "baking", "baking", "final_bake"]),
        (ROLLING, ["canary", "baking", "baking", "final_bake"]),
        (ALL_AT_ONCE, ["final_bake"]),
    ],
    ids=str,
)
def test_the_phase_is_final_bake_in_the_final_bake_only(strategy: Strategy, phases: list[str]) -> None:
    assert [phase(seen, plan) for plan, seen in each_look(strategy)] == phases


def test_traffic_that_moves_between_two_bakes_is_shifting() -> None:
    plan, seen = each_look(LINEAR)[1]
    later = seen.at + timedelta(seconds=300)
    moving = Passage(seen.passage.bakes, (*seen.passage.shifts, (later, later)))
    assert phase(Seen(later, ABSENT, moving, Frozen(), None, ""), plan) == "shifting"


@pytest.mark.parametrize("strategy", [CANARY, LINEAR, ROLLING, ALL_AT_ONCE], ids=str)
def test_the_end_of_the_rollout_is_known_in_the_final_bake_only(strategy: Strategy) -> None:
    looks = [as_look(a_release(), plan, a_policy(strategy=strategy), seen) for plan, seen in each_look(strategy)]
    assert [look.rollout_ends is None for look in looks] == [True] * (len(looks) - 1) + [False]
    last = strategy.stages(10)[-1].bake_seconds
    assert looks[-1].rollout_ends == looks[-1].now + timedelta(seconds=last)


def test_a_bake_that_no_look_saw_does_not_hide_the_end_of_the_rollout() -> None:
    strategy = Linear(0.2, 60, 600)
    plan = a_plan(policy=a_policy(strategy=strategy))
    seen = after(plan, [120, 120, 600])  # two bakes of 60 s and a look that came too late for the second, twice
    look = as_look(a_release(), plan, a_policy(strategy=strategy), seen)
    assert look.rollout_ends == seen.at + timedelta(seconds=600)
