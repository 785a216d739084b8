"""An interval for a failure rate that holds at every moment one looks, not only at a moment chosen beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable


def rate_interval(bad: int, requests: int, alpha: float, clump: int = 1) -> tuple[float, float]:
    """Return the rates that the counts do not contradict, as fractions of 1; (0, 1) without requests.

    With probability 1 - alpha the true rate is inside at all looks together, if requests fail independently (or in
    clumps of at most `clump`) at a steady rate: Ville's inequality for the mixture of binomial likelihood ratios over
    Beta(1/2, 1/2) (Robbins 1970). No approximation for few requests.
    """
    if requests <= 0:
        return 0.0, 1.0
    bad = min(bad, requests)
    mixed = _log_beta(bad + 0.5, requests - bad + 0.5) - _log_beta(0.5, 0.5)
    bar = -math.log(alpha) * max(1, clump)

    def inside(rate: float) -> bool:
        return mixed - _log_power(rate, bad) - _log_power(1 - rate, requests - bad) < bar

    seen = bad / requests
    low = 0.0 if bad == 0 else _edge(0.0, seen, inside)
    high = 1.0 if bad == requests else _edge(1.0, seen, inside)
    return low, high


def _edge(outside: float, inside_at: float, inside: Callable[[float], bool]) -> float:
    for _ in range(40):
        middle = (outside + inside_at) / 2
        if inside(middle):
            inside_at = middle
        else:
            outside = middle
    return outside


def _log_power(rate: float, times: int) -> float:
    if not times:
        return 0.0
    return times * math.log(rate) if rate > 0 else -math.inf


def _log_beta(one: float, other: float) -> float:
    return math.lgamma(one) + math.lgamma(other) - math.lgamma(one + other)
