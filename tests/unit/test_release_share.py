"""Green's share of the traffic: of equal times, beside what is planned for them, and unknown where it is not known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from modeldrop.judge.bins import Bin, Counts, blue_of, closed_until
from modeldrop.policy.strategies import AllAtOnce, Canary, Linear, Rolling
from modeldrop.policy.strategy import CapacitySize, Strategy
from modeldrop.release.observe import Passage
from modeldrop.release.share import MIN_REQUESTS, Share, planned_share, seen_share, share_of
from tests.unit.rollout_builders import a_plan, a_policy

START = datetime(2026, 11, 23, 20, 10, tzinfo=UTC)
BAKING = Passage((START,), ((START - timedelta(seconds=5), START),))


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def a_bin(start: int, blue: int | None, green: int | None) -> Bin:
    return Bin(at(start), 10, counts(blue), counts(green))


def counts(requests: int | None) -> Counts | None:
    return None if requests is None else Counts(requests, 0)


def test_green_s_share_is_that_of_the_newest_bin_beside_the_planned_one() -> None:
    bins = [a_bin(10, 100, 100), a_bin(20, 182, 18)]
    assert share_of(a_plan(), BAKING, bins) == Share(planned=0.1, seen=0.09, at=at(30))


@pytest.mark.parametrize(
    ("blue", "green"), [(None, 18), (182, None), (None, None), (0, 0), (MIN_REQUESTS - 2, 1), (0, MIN_REQUESTS - 1)]
)
def test_where_nothing_can_be_said_the_share_is_not_known(blue: int | None, green: int | None) -> None:
    assert seen_share(a_bin(10, blue, green)) is None


def test_a_fleet_that_was_counted_without_a_request_has_no_share() -> None:
    assert (seen_share(a_bin(10, 100, 0)), seen_share(a_bin(10, 0, 100))) == (0.0, 1.0)


def test_no_plan_stands_for_a_period_in_which_traffic_moved() -> None:
    passage = Passage((START, at(35)), (*BAKING.shifts, (at(31), at(35))))
    assert share_of(a_plan(), passage, [a_bin(30, 60, 140)]) == Share(None, 0.7, at(40), moving=True)
    back = Passage((START,), BAKING.shifts, rolling_back_since=at(22))
    assert share_of(a_plan(), back, [a_bin(20, 190, 10)]).planned is None


def test_the_planned_share_is_that_of_the_period_that_was_seen() -> None:
    passage = Passage((START, at(45)), (*BAKING.shifts, (at(41), at(45))))
    assert share_of(a_plan(), passage, [a_bin(20, 90, 10)]).planned == 0.1
    assert share_of(a_plan(), passage, [a_bin(60, 0, 100)]).planned == 1.0


def test_before_green_has_a_period_nothing_is_seen() -> None:
    assert share_of(a_plan(), BAKING, []) == Share(0.1, None, None)
    assert share_of(a_plan(), BAKING, [a_bin(-20, 200, None)]) == Share(0.1, None, None)
    assert share_of(a_plan(), Passage(shifts=BAKING.shifts), []) == Share(None, None, None)


@pytest.mark.parametrize(
    ("strategy", "shares"),
    [
        (Canary(CapacitySize(1), 600, 600), [0.1, 1, 1]),
        (Canary(CapacitySize(1), 0, 600), [1, 1, 1]),
        (Linear(0.4, 300, 600), [0.4, 0.8, 1]),
        (Rolling(0.5, 300), [0.5, 1, 1]),
        (AllAtOnce(600), [1, 1, 1]),
    ],
    ids=str,
)
def test_each_strategy_plans_a_share_for_each_bake(strategy: Strategy, shares: list[float]) -> None:
    plan = a_plan(policy=a_policy(strategy=strategy))
    assert [planned_share(plan, number) for number in (1, 2, 3)] == shares


def test_blue_is_its_own_counts_or_what_green_leaves_of_the_same_period() -> None:
    whole, green = Counts(200, 9, 20), Counts(20, 2, 5)
    assert blue_of(Counts(170, 1), whole, green) == Counts(170, 1)
    assert blue_of(None, whole, green) == Counts(180, 7, 15)
    assert blue_of(None, Counts(200, 1), green) == Counts(180, 0)
    assert blue_of(None, whole, None) == whole
    assert blue_of(None, None, green) is None


def test_a_green_that_is_counted_before_the_whole_says_nothing_of_blue() -> None:
    assert blue_of(None, Counts(15, 0), Counts(20, 0)) is None
    assert blue_of(None, Counts(20, 0), Counts(20, 0)) == Counts(0, 0)


@pytest.mark.parametrize(
    ("now", "lag", "period", "end"), [(29, 0, 10, 20), (30, 0, 10, 30), (32, 3, 10, 20), (210, 90, 60, 120)]
)
def test_a_period_is_closed_when_it_is_over_for_the_metric_lag(now: int, lag: int, period: int, end: int) -> None:
    assert closed_until(at(now), lag, period) == at(end)
