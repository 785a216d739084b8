"""E-processes: the figures of the design, and what makes them valid."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeldrop.judge import process
from modeldrop.judge.bins import Counts
from modeldrop.judge.clump import clump_size
from modeldrop.judge.process import Tally

# the grid with which DESIGN 7's worked examples were computed; the judge bets on process.RATIOS
EXAMPLE_RATIOS = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)


@pytest.mark.parametrize(
    ("tally", "odds"),
    [
        (Tally(3, 3, 0, 27), 55.9),
        (Tally(4, 4, 0, 36), 278),
        (Tally(2, 300, 0, 3000), 13.7),
        (Tally(4, 300, 0, 3000), 360),
    ],
)
def test_the_designs_examples_come_from_its_earlier_grid(
    tally: Tally, odds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "RATIOS", EXAMPLE_RATIOS)
    path = process.from_the_start([process.ratio_steps(tally, 1.5)])
    assert math.exp(path[-1]) == pytest.approx(odds, rel=0.002)


def test_the_designs_message_comes_from_the_judges_grid() -> None:
    path = process.from_the_start([process.ratio_steps(Tally(14, 310, 14, 2790), 1.5)])
    assert math.exp(path[-1]) == pytest.approx(2657, abs=0.5)


@pytest.mark.parametrize(
    ("tally", "odds"),
    [
        (Tally(3, 3, 0, 27), 96.2),
        (Tally(4, 4, 0, 36), 523),
        (Tally(2, 300, 0, 3000), 21.0),
        (Tally(4, 300, 0, 3000), 688),
    ],
)
def test_the_designs_examples_with_the_judges_grid(tally: Tally, odds: float) -> None:
    steps = [process.ratio_steps(tally, 1.5)]
    assert math.exp(process.from_the_start(steps)[-1]) == pytest.approx(odds, rel=0.002)
    # the part of the bet that waits for a later start is worth what was put in
    assert math.exp(process.with_late_starts(steps, 30)[-1]) == pytest.approx(0.7 * odds + 0.3, rel=0.002)


def test_evidence_does_not_depend_on_how_requests_are_split_into_bins() -> None:
    whole = process.from_the_start([process.ratio_steps(Tally(6, 60, 3, 540), 1.5)])
    parts = process.from_the_start([process.ratio_steps(Tally(2, 20, 1, 180), 1.5)] * 3)
    assert parts[-1] == pytest.approx(whole[-1])


def test_the_recurrence_is_the_sum_over_all_starts() -> None:
    chance = random.Random(5)
    steps = [[chance.uniform(-2, 2) for _ in range(3)] for _ in range(6)]
    later = 9  # ten bins are expected, six have come
    expected = []
    for now in range(1, 7):
        starts = [sum(math.exp(sum(step[ratio] for step in steps[:now])) for ratio in range(3)) / 3 * 0.7]
        for start in range(1, 10):
            grown = (
                sum(math.exp(sum(step[ratio] for step in steps[start:now])) for ratio in range(3)) / 3
                if start < now
                else 1.0
            )
            starts.append(0.3 / later * grown)
        expected.append(math.log(sum(starts)))
    assert process.with_late_starts(steps, 10) == pytest.approx(expected)


def test_one_expected_bin_bets_everything_on_the_start() -> None:
    steps = [[1.0], [1.0]]
    assert process.with_late_starts(steps, 1) == pytest.approx([1.0, 2.0])


def test_more_bins_than_expected_add_no_new_starts() -> None:
    path = process.with_late_starts([[0.0]] * 50, 10)
    assert path == pytest.approx([0.0] * 50)


@given(
    green=st.integers(1, 12),
    blue=st.integers(1, 12),
    margin=st.floats(1.0, 3.0),
    events=st.integers(0, 12),
)
def test_the_bet_on_the_ratio_is_fair_at_the_margin(green: int, blue: int, margin: float, events: int) -> None:
    """Given the number of events, green's are binomial at the margin; the mean of each likelihood ratio is 1."""
    chance = margin * green / (margin * green + blue)
    for ratio in range(len(process.RATIOS)):
        mean = math.fsum(
            math.comb(events, bad)
            * chance**bad
            * (1 - chance) ** (events - bad)
            * math.exp(process.ratio_steps(Tally(bad, green, events - bad, blue), margin)[ratio])
            for bad in range(events + 1)
        )
        assert mean == pytest.approx(1.0, rel=1e-6)


@given(green=st.integers(1, 6), blue=st.integers(1, 6), margin=st.floats(1.0, 3.0), rate=st.floats(0.001, 0.999))
def test_the_bet_on_the_ratio_gains_nothing_on_single_requests(
    green: int, blue: int, margin: float, rate: float
) -> None:
    """Requests that each fail or not, green at the margin: the mean is at most 1 without knowing the total."""
    worse = min(1.0, margin * rate)
    for ratio in range(len(process.RATIOS)):
        mean = math.fsum(
            math.comb(green, x) * worse**x * (1 - worse) ** (green - x)
            * math.comb(blue, y) * rate**y * (1 - rate) ** (blue - y)
            * math.exp(process.ratio_steps(Tally(x, green, y, blue), margin)[ratio])
            for x in range(green + 1)
            for y in range(blue + 1)
        )  # fmt: skip
        assert mean <= 1 + 1e-9


@given(requests=st.integers(1, 30), rate=st.floats(0.0001, 0.9))
def test_the_bet_on_the_floor_is_fair_at_the_floor(requests: int, rate: float) -> None:
    for ratio in range(len(process.FLOOR_RATIOS)):
        mean = math.fsum(
            math.comb(requests, bad)
            * rate**bad
            * (1 - rate) ** (requests - bad)
            * math.exp(process.floor_steps(Tally(bad, requests, 0, 0), rate)[ratio])
            for bad in range(requests + 1)
        )
        assert mean == pytest.approx(1.0, rel=1e-6)


def test_a_clump_counts_as_one_failure() -> None:
    single = process.ratio_steps(Tally(1, 10, 0, 90), 1.5)
    clumped = process.ratio_steps(Tally(5, 50, 0, 450), 1.5, clump=5)
    assert clumped == pytest.approx(single)


@pytest.mark.parametrize("tally", [Tally(0, 0, 0, 0), Tally(0, 0, 5, 10), Tally(5, 10, 0, 0), Tally(0, 10, 0, 10)])
def test_a_bin_that_compares_nothing_is_no_evidence(tally: Tally) -> None:
    assert process.ratio_steps(tally, 1.5) == [0.0] * len(process.RATIOS)


def test_independent_failures_are_no_clumps() -> None:
    chance = random.Random(3)
    counts = [Counts(500, chance.binomialvariate(500, 0.02)) for _ in range(60)]
    assert clump_size(counts) == 1


def test_failures_in_fives_are_clumps_of_about_five() -> None:
    chance = random.Random(4)
    counts = [Counts(500, 5 * chance.binomialvariate(100, 0.02)) for _ in range(60)]
    assert 4 <= clump_size(counts) <= 7


def test_a_handful_of_failures_does_not_tell_how_they_come() -> None:
    assert clump_size([Counts(100, 4), Counts(100, 0), Counts(100, 0)]) == 1
    assert clump_size([]) == 1
