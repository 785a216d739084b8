"""What a count of rare events says of their rate."""

from __future__ import annotations

import math

CONFIDENCE = 0.95


def upper_limit(events: int, runs: int) -> float:
    """Return the one-sided 95% upper limit of a rate (Clopper-Pearson), by bisection."""
    if events >= runs:
        return 1.0
    low, high = events / runs, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(events, runs, middle) > 1 - CONFIDENCE else (low, middle)
    return high


def at_most(events: int, runs: int, rate: float) -> float:
    """Return P(X <= events) of a binomial."""
    logs = [
        math.lgamma(runs + 1) - math.lgamma(x + 1) - math.lgamma(runs - x + 1)
        + x * math.log(rate) + (runs - x) * math.log1p(-rate)
        for x in range(events + 1)
    ]  # fmt: skip
    return math.fsum(math.exp(one) for one in logs)
