"""When to look, how long things take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from modeldrop.policy.model import EndpointPolicy, JudgePolicy
from modeldrop.policy.strategies import Canary, Linear
from modeldrop.policy.strategy import CapacitySize
from modeldrop.rollout import timing
from tests.unit.rollout_builders import GPU, a_demo_policy, a_policy

MINUTE = datetime(2026, 11, 23, 20, 10, tzinfo=UTC)


def a_wait(now: datetime = MINUTE, **overrides: object) -> int:
    values = {"look": 30, "period": 60, "lag": 90, "judging": True, "looks": 0, "remaining": 3600.0}
    return timing.next_look_seconds(now, **(values | overrides))  # type: ignore[arg-type]


@pytest.mark.parametrize(("every", "lag"), [(10, 10), (30, 20), (60, 90), (300, 90)])
def test_the_metric_lag_follows_the_period(every: int, lag: int) -> None:
    assert timing.metric_lag_seconds(a_policy(endpoint=EndpointPolicy(GPU, 2, metrics_every_seconds=every))) == lag


def test_the_policy_may_say_the_metric_lag() -> None:
    assert timing.metric_lag_seconds(a_policy(judge=JudgePolicy(metric_lag_seconds=0))) == 0


def test_a_look_comes_just_after_a_bin_closes() -> None:
    # the bin that ended at :10 is final 90 s later
    assert a_wait(MINUTE + timedelta(seconds=80)) == 11
    assert a_wait(MINUTE + timedelta(seconds=80), judging=False) == 30


def test_looks_are_never_closer_than_two_seconds() -> None:
    assert a_wait(MINUTE + timedelta(seconds=89.9)) == 2


def test_looks_are_spared_only_when_many_are_used() -> None:
    assert a_wait(looks=299, remaining=30_000.0) <= 31
    assert a_wait(looks=300, remaining=30_000.0) == 125


def test_the_looks_last_for_the_longest_rollout() -> None:
    policy = a_policy(strategy=Linear(0.1, 2600, 600))
    now, looks, end = MINUTE, 0, MINUTE + timedelta(seconds=timing.deadline_seconds(policy))
    while now < end:
        wait = a_wait(now, look=timing.look_seconds(policy), looks=looks, remaining=(end - now).total_seconds())
        now, looks = now + timedelta(seconds=wait), looks + 1
    assert looks <= timing.MAX_LOOKS


def test_a_heartbeat_is_never_missed_for_want_of_looks() -> None:
    policy = a_demo_policy()
    assert timing.slowest_look_seconds(policy) <= timing.silence_seconds(policy) / 2
    assert timing.look_seconds(policy) <= timing.silence_seconds(policy) / 3


def test_a_rollout_is_stuck_after_its_own_final_bake_not_after_that_of_another_strategy() -> None:
    short, long = (a_policy(strategy=Linear(0.5, 300, final)) for final in (60, 3600))
    assert timing.deadline_seconds(long) - timing.deadline_seconds(short) == 2 * (3600 - 60)


def test_a_dead_judge_is_noticed_after_dead_man_but_not_under_three_periods() -> None:
    assert timing.silence_seconds(a_policy(judge=JudgePolicy(dead_man_seconds=300))) == 300
    assert timing.silence_seconds(a_policy(judge=JudgePolicy(dead_man_seconds=60))) == 180


def test_time_limits_stay_within_what_sagemaker_takes() -> None:
    longest = a_policy(strategy=Canary(CapacitySize(1), 3600, 3600))
    assert 7200 < timing.execution_timeout_seconds(longest) <= 28_800
    assert timing.deadline_seconds(longest) > timing.execution_timeout_seconds(longest)
