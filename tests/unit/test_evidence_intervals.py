"""The interval around a failure rate: honest at every look."""

from __future__ import annotations

import math
import random

import pytest

from modeldrop.evidence.intervals import rate_interval


def test_nothing_seen_rules_nothing_out() -> None:
    assert rate_interval(0, 0, 0.01) == (0.0, 1.0)


@pytest.mark.parametrize(("bad", "requests"), [(0, 1), (1, 1), (0, 3000), (14, 310), (310, 310), (5, 2_000_000)])
def test_the_rate_that_was_seen_is_inside(bad: int, requests: int) -> None:
    low, high = rate_interval(bad, requests, 0.01)
    assert 0 <= low <= bad / requests <= high <= 1
    assert low < high


def test_it_agrees_with_the_likelihood_ratio_by_hand() -> None:
    # no failure of one: the mixture is 1/2, (1 - p) is the likelihood, their quotient is 100 at p = 0.995
    assert rate_interval(0, 1, 0.01) == (0.0, pytest.approx(0.995))


def test_more_counts_narrow_it_and_clumps_widen_it() -> None:
    def width(bad: int, requests: int, clump: int = 1) -> float:
        low, high = rate_interval(bad, requests, 0.01, clump)
        return high - low

    assert width(1400, 31_000) < width(14, 310) < width(14, 310, clump=3)


def test_errors_above_the_requests_are_cut() -> None:
    assert rate_interval(9, 3, 0.01) == rate_interval(3, 3, 0.01)


def test_it_holds_at_all_looks_together_where_the_usual_interval_does_not() -> None:
    chance, alpha, true_rate = random.Random(4), 0.1, 0.05
    left = left_usual = 0
    for _ in range(200):
        bad = requests = 0
        outside = outside_usual = False
        for _ in range(40):
            bad += sum(chance.random() < true_rate for _ in range(10))
            requests += 10
            low, high = rate_interval(bad, requests, alpha)
            outside |= not low <= true_rate <= high
            seen = bad / requests
            # 90% by the normal distribution, with the true spread
            spread = 1.645 * math.sqrt(true_rate * (1 - true_rate) / requests)
            outside_usual |= abs(seen - true_rate) > spread
        left, left_usual = left + outside, left_usual + outside_usual
    assert left <= alpha * 200
    assert left_usual > 2 * alpha * 200
