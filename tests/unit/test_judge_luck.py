"""Instances are not alike: what a fleet of few may owe to that is not held against its model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeldrop.judge import process
from modeldrop.judge.bins import Bin, Counts
from modeldrop.judge.judge import judge
from modeldrop.judge.luck import instance_luck
from modeldrop.judge.process import Tally
from modeldrop.judge.verdict import Verdict
from modeldrop.policy.model import JudgePolicy

START = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)


def judged(green: tuple[int, int], blue: tuple[int, int], luck: float, bins: int = 20) -> Verdict:
    """Judge so many equal bins of (requests, errors)."""
    minutes = [Bin(START + timedelta(minutes=at), 60, Counts(*blue), Counts(*green)) for at in range(bins)]
    return judge(minutes, JudgePolicy(), canary_started=START, luck=luck)


@pytest.mark.parametrize(
    ("share", "instances", "luck"), [(0.5, 2, 2.34), (0.1, 10, 1.88), (0.05, 20, 1.85), (0.5, 10, 1.46)]
)
def test_the_fewer_instances_the_more_luck(share: float, instances: int, luck: float) -> None:
    assert instance_luck(share, instances) == pytest.approx(luck, abs=0.005)


@pytest.mark.parametrize(("share", "instances"), [(1.0, 1), (1.0, 4), (0.01, 2), (0.0, 1)])
def test_a_fleet_without_a_rest_has_luck_all_the_same(share: float, instances: int) -> None:
    assert 1 < instance_luck(share, instances) < 3


def test_a_proven_difference_that_luck_may_explain_is_told_and_not_acted_on() -> None:
    green, blue = (3000, 57), (27000, 270)
    assert judged(green, blue, luck=1.0).outcome == "bad"
    verdict = judged(green, blue, luck=instance_luck(0.1, 10))
    assert verdict.outcome != "bad"
    assert "errors are over 1.5x blue, but instances that are not alike may bring 1.9x" in verdict.warnings[0]


def test_what_luck_cannot_explain_is_bad_at_once() -> None:
    verdict = judged((3000, 90), (27000, 270), luck=instance_luck(0.1, 10), bins=2)
    assert verdict.outcome == "bad"
    assert not verdict.warnings


def test_luck_costs_a_quiet_endpoint_nothing() -> None:
    alike, unlike = (judged((1, 1), (9, 0), luck=luck, bins=4) for luck in (1.0, instance_luck(0.5, 2)))
    assert alike.outcome == unlike.outcome == "bad"
    assert alike.log10_evidence == unlike.log10_evidence


def test_luck_is_capped_like_the_margin_where_blue_is_bad() -> None:
    """At 40% of errors on blue 1.9x would be 75%: max_excess allows 45%, whatever the instances."""
    minutes = [Bin(START + timedelta(minutes=at), 60, Counts(27000, 10800), Counts(3000, 1950)) for at in range(5)]
    verdict = judge(minutes, JudgePolicy(), canary_started=START, luck=1.9, blue_rates={"errors": 0.4})
    assert verdict.outcome == "bad"


@given(
    counts=st.lists(st.tuples(*(st.integers(0, 5000),) * 4), min_size=1, max_size=8),
    luck=st.floats(1.0, 4.0),
    clump=st.integers(1, 5),
)
def test_luck_only_takes_evidence_away(counts: list[tuple[int, int, int, int]], luck: float, clump: int) -> None:
    tallies = [Tally(min(a, b), max(a, b), min(c, d), max(c, d)) for a, b, c, d in counts]
    alike, unlike = (
        process.against_blue(tallies, margin=1.5, luck=one, alpha=0.01, clump=clump, expected_bins=8)
        for one in (1.0, luck)
    )
    assert all(less <= more for less, more in zip(unlike, alike, strict=True))
