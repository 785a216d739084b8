"""The rivals of the benchmark do what their makers' own examples say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.judge import kayenta, methods
from benchmarks.judge.binomial import upper_limit
from benchmarks.judge.cells import Cell
from benchmarks.judge.traffic import simulate

# the small cases of kayenta-judge's ClassifierSuite (control, experiment, allowed effect, result), at a69573be
KAYENTA = [
    ([1.0, 2.2, 1.1, 2.5, 3.0], [20.0, 22.0, 21.0, 25.0, 30.0], (0.8, 1.2), "High"),
    ([20.0, 22.0, 21.0, 25.0, 30.0], [10.0, 12.2, 10.1, 12.5, 23.0], (0.5, 1.0), "Pass"),
    ([1.0, 1.0], [1.0, 1.0, 1.0], (1.0, 1.0), "Pass"),
    ([5.0, 4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0], (1.0, 1.0), "Pass"),
    ([1.0] * 5, [0.0, 1.0, 1.0, 1.0, 1.0], (1.0, 1.0), "Pass"),
    ([1.0] * 5, [1.0, 1.0, 1.0, 1.0, 10.0], (1.0, 1.0), "Pass"),
    ([1.0] * 5, [10.0] * 5, (1.0, 1.0), "High"),
    ([0.0] * 5, [10.0] * 5, (1.0, 1.0), "High"),
    ([0.0] * 5, [54.9, 54.5, 55.1, 55.6, 57.4], (0.8, 1.2), "High"),
    ([54.9, 54.5, 55.1, 55.6, 57.4], [0.0] * 5, (0.8, 1.2), "Low"),
    ([1.0, 2.0, 3.0, 4.0, 5.0], [], (1.0, 1.0), "Nodata"),
]


@pytest.mark.parametrize(("control", "experiment", "allowed", "expected"), KAYENTA)
def test_kayentas_own_examples(
    control: list[float], experiment: list[float], allowed: tuple[float, float], expected: str
) -> None:
    found = kayenta.classify(np.array(control), np.array(experiment), tolerance=0.10, confidence=0.95, allowed=allowed)
    assert found == expected


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(Cell("step", 5, 0.1, 0.05, 3.0), marks=pytest.mark.long),
        Cell("iid", 0.5, 0.1, 0.05),
        pytest.param(Cell("stall", 5, 0.5, 0.01), marks=pytest.mark.long),
    ],
)
def test_many_rollouts_at_once_are_classified_like_one(cell: Cell) -> None:
    runs = simulate(cell, 25, 3)
    green, blue = (
        np.where(n > 0, bad / np.maximum(n, 1), np.nan)
        for bad, n in ((runs.errors.green_told, runs.green), (runs.errors.blue_told, runs.blue))
    )
    found = kayenta.high_ratios(green, blue)
    for run in range(len(green)):
        for look in (4, 9, 17, 29):
            # Kayenta's noise is for constant samples only, which decide nothing here
            kept = green[run, : look + 1], blue[run, : look + 1]
            if any(len(np.unique(one[~np.isnan(one)])) == 1 for one in kept):
                continue
            said = kayenta.classify(kept[1], kept[0], direction="increase", allowed=(0.0, 0.0))
            assert (found[run, look] > 0) == (said == "High")


@pytest.mark.parametrize(
    ("bad", "drawn", "marked", "everything"), [(3, 10, 4, 40), (4, 4, 4, 40), (0, 10, 4, 40), (9, 200, 20, 2000)]
)
def test_fishers_tail_is_the_sum_of_its_terms(bad: int, drawn: int, marked: int, everything: int) -> None:
    exact = sum(
        math.comb(marked, x) * math.comb(everything - marked, drawn - x) for x in range(bad, min(marked, drawn) + 1)
    ) / math.comb(everything, drawn)
    found = methods.log_tail(*(np.array([one]) for one in (bad, drawn, marked, everything)))
    assert math.exp(found[0]) == pytest.approx(exact, rel=1e-9)


def test_the_guides_sample_alarm_cannot_fire_even_in_an_outage() -> None:
    runs = simulate(Cell("outage", 50, 0.5, 0.01, 0.0), 20, 1)
    alarm = next(one for one in methods.METHODS if one.name == "aws sample")
    assert not (alarm.score(runs) >= alarm.shipped).any()


def test_two_of_three_needs_requests_and_two_bins() -> None:
    runs = simulate(Cell("outage", 5, 0.1, 0.01, 0.0), 20, 1)
    assert (methods.threshold_twice(runs) >= 1).argmax(axis=1).min() >= 1
    few = simulate(Cell("outage", 0.05, 0.1, 0.01, 0.0), 20, 1)
    assert not (methods.threshold_twice(few) >= 1).any()


@pytest.mark.parametrize(("events", "runs", "limit"), [(0, 1000, 0.00299), (4, 1000, 0.00913), (5, 1000, 0.01048)])
def test_the_upper_limit_is_clopper_pearsons(events: int, runs: int, limit: float) -> None:
    assert upper_limit(events, runs) == pytest.approx(limit, abs=2e-5)
