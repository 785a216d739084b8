"""The interval around the effect: against an independent library, by simulation, and at the ends."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from modeldrop.judge.interval import ratio_interval
from modeldrop.judge.process import Tally

ORACLE = json.loads((Path(__file__).parent / "judge_oracle.json").read_text())


@pytest.mark.parametrize("row", ORACLE, ids=lambda row: f"{row['green']}-{row['blue']}-{row['alpha']}")
def test_the_limits_are_those_of_an_independent_library(row: dict[str, float]) -> None:
    low, high = ratio_interval([Tally(row["green"], 5000, row["blue"], 5000)], row["alpha"])
    assert low == pytest.approx(row["low"], rel=2e-3, abs=1e-9)
    assert high is None if row["high"] is None else high == pytest.approx(row["high"], rel=2e-3)


def test_the_split_into_bins_does_not_matter() -> None:
    whole = ratio_interval([Tally(6, 60, 3, 540)], 0.01)
    assert ratio_interval([Tally(2, 20, 1, 180)] * 3, 0.01) == pytest.approx(whole, rel=1e-4)


def test_the_truth_is_inside_at_every_look() -> None:
    chance = random.Random(41)
    missed = 0
    for _ in range(200):
        tallies: list[Tally] = []
        outside = False
        for _ in range(12):
            share = chance.choice((20, 60))  # traffic moves
            tallies.append(Tally(chance.binomialvariate(share, 0.06), share, chance.binomialvariate(300, 0.02), 300))
            low, high = ratio_interval(tallies, 0.1)
            outside = outside or low > 3.0 or (high is not None and high < 3.0)
        missed += outside
    assert missed <= 0.1 * 200


def test_what_bad_events_came_in_clumps_widens_the_interval() -> None:
    low, high = ratio_interval([Tally(30, 300, 30, 2700)], 0.01)
    wide_low, wide_high = ratio_interval([Tally(30, 300, 30, 2700)], 0.01, clump=5)
    assert wide_low < low
    assert high is not None
    assert wide_high is not None
    assert wide_high > high


@pytest.mark.parametrize("tallies", [[], [Tally(0, 10, 0, 90)], [Tally(5, 10, 0, 0)], [Tally(0, 0, 5, 90)]])
def test_nothing_known_is_no_limit(tallies: list[Tally]) -> None:
    assert ratio_interval(tallies, 0.01) == (0.0, None)


def test_no_failure_on_blue_leaves_the_upper_end_open() -> None:
    low, high = ratio_interval([Tally(4, 4, 0, 36)], 0.01)
    assert low == pytest.approx(1.41, abs=0.01)
    assert high is None


def test_huge_counts_give_a_narrow_interval() -> None:
    low, high = ratio_interval([Tally(3 * 10**9, 10**11, 9 * 10**9, 9 * 10**11)], 0.01)
    assert high is not None
    assert 2.99 < low < 3.0 < high < 3.01
