"""Bins that came without terms are judged as the policy's own plan would have been."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from modeldrop.handlers.judge_rollout import terms_of
from modeldrop.judge.bins import Bin, Counts
from modeldrop.judge.terms import assumed_terms
from modeldrop.policy.strategies import Canary, Linear, Rolling
from modeldrop.policy.strategy import CapacitySize, Strategy
from tests.unit.rollout_builders import ALL_AT_ONCE, CANARY, a_plan, a_policy

CANARY_STARTED = datetime(2026, 11, 23, 20, 10, tzinfo=UTC)
BINS = (Bin(CANARY_STARTED, 60, Counts(900, 9), Counts(100, 1)),)


@pytest.mark.parametrize(
    ("strategy", "share"),
    [
        (CANARY, 0.1),
        (Canary(CapacitySize(share=0.15), 600, 600), 0.2),
        (Linear(0.2, 300, 600), 0.2),
        (Linear(0.15, 300, 600), 0.2),
        (Rolling(0.25, 300), 0.3),
        (ALL_AT_ONCE, 1.0),
    ],
    ids=str,
)
def test_greens_share_and_bake_are_assumed_as_they_are_planned(strategy: Strategy, share: float) -> None:
    policy = a_policy(strategy=strategy)
    assumed, planned = assumed_terms(policy, BINS), terms_of(a_plan(policy=policy), policy, CANARY_STARTED)
    assert assumed.green_share == share
    assert (assumed.green_share, assumed.luck, assumed.expected_bins) == (
        planned.green_share,
        planned.luck,
        planned.expected_bins,
    )
