"""The numpy port of the benchmark says what the judge says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from benchmarks.judge import port
from modeldrop.judge.bins import Bin, Counts
from modeldrop.judge.clump import clump_size
from modeldrop.judge.judge import judge
from modeldrop.policy.model import JudgePolicy

START = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
RUNS, BINS = 12, 30


@pytest.mark.parametrize("luck", [1.0, 1.9])
@pytest.mark.parametrize("mean", [0.3, 20, 4000])
def test_the_port_and_the_judge_find_the_same_evidence(mean: float, luck: float) -> None:
    chance = np.random.default_rng(int(mean * 10))
    green, blue = chance.poisson(mean, (RUNS, BINS)), chance.poisson(9 * mean, (RUNS, BINS))
    green_bad, blue_bad = chance.binomial(green, 0.03), chance.binomial(blue, 0.01)
    green_slow, blue_slow = chance.binomial(green, 0.06), chance.binomial(blue, 0.05)
    clump = chance.integers(1, 4, RUNS)
    errors = port.metric_evidence(green_bad, green, blue_bad, blue, clump, port.Rules(floor=0.001, luck=luck))
    slow = port.metric_evidence(
        green_slow[:, 1:], green[:, 1:], blue_slow[:, 1:], blue[:, 1:], clump, port.Rules(floor=0.01, luck=luck)
    )
    slow = np.concatenate([np.zeros((RUNS, 1)), slow], axis=1)
    found = port.together(errors, slow) / np.log(10)
    for run in range(RUNS):
        bins = [
            Bin(
                START + timedelta(minutes=at),
                60,
                Counts(int(blue[run, at]), int(blue_bad[run, at]), int(blue_slow[run, at])),
                Counts(int(green[run, at]), int(green_bad[run, at]), int(green_slow[run, at])),
            )
            for at in range(BINS)
        ]
        verdict = judge(bins, JudgePolicy(), canary_started=START, clump=int(clump[run]), luck=luck, expected_bins=30)
        assert [value for _, value in verdict.path] == pytest.approx(list(found[run]), abs=1e-6)


def test_the_port_and_the_judge_measure_the_same_clumps() -> None:
    chance = np.random.default_rng(3)
    requests = chance.poisson(50, (40, 60))
    failures = np.minimum(requests, chance.integers(1, 6, (40, 1)) * chance.poisson(0.3, (40, 60)))
    expected = [
        clump_size([Counts(int(n), int(x)) for n, x in zip(*pair, strict=True)])
        for pair in zip(requests, failures, strict=True)
    ]
    assert port.clump_sizes(requests, failures).tolist() == expected
    assert len(set(expected)) > 2
