"""What is asked of CloudWatch for a card's latency chart."""

from __future__ import annotations

import pytest

from modeldrop.aws.measurements import MAX_LATENCY_POINTS, chart_period


@pytest.mark.parametrize(
    ("span", "metrics_every", "period"),
    [(30, 10, 10), (1200, 10, 10), (1201, 10, 30), (3601, 10, 60), (7201, 10, 120), (30, 60, 60), (28_800, 10, 240)],
)
def test_a_longer_rollout_has_longer_periods(span: int, metrics_every: int, period: int) -> None:
    assert chart_period(span, metrics_every) == period
    assert span / period <= MAX_LATENCY_POINTS


def test_data_that_is_no_longer_kept_in_seconds_is_read_in_minutes() -> None:
    assert chart_period(4 * 3600, 10) % 60 == 0
