"""The effect's size: a confidence interval for green's rate over blue's that holds at whatever times one looks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modeldrop.judge.process import Tally, log_sum

# log ratios beyond this are told as 0 or as no limit: e^35 times worse is more than any count can show
FURTHEST = 35.0
# points of the integral over the log ratio, spread as sinh so that they are dense at the peak and reach far
POINTS = 12
WIDTH = 5.0


@dataclass(frozen=True)
class _Likelihood:
    """Log likelihood of the log ratio of rates, given how many bad events each bin had; concave."""

    green_bad: float
    events: tuple[float, ...]
    odds: tuple[float, ...]

    def at(self, log_ratio: float) -> float:
        ratio = math.exp(log_ratio)
        lost = math.fsum(k * math.log1p(o * ratio) for k, o in zip(self.events, self.odds, strict=True))
        return self.green_bad * log_ratio - lost

    def slope(self, log_ratio: float) -> tuple[float, float]:
        """First derivative, and the second with its sign turned."""
        ratio = math.exp(log_ratio)
        first, second = self.green_bad, 0.0
        for k, o in zip(self.events, self.odds, strict=True):
            chance = o * ratio / (1 + o * ratio)
            first -= k * chance
            second += k * chance * (1 - chance)
        return first, second


def ratio_interval(tallies: Sequence[Tally], alpha: float, clump: int = 1) -> tuple[float, float | None]:
    """Return the lowest and the highest ratio of rates that the counts allow; None: no upper limit.

    With probability 1 - alpha a ratio that stays the same is inside at every look at once: what lies outside is what
    a bet against it, spread over all ratios, has won 1/alpha from (a mixture e-process, inverted). The spread is fixed
    beforehand: r / (1 + r) uniform. (0, None) where nothing is known.
    """
    told = [one for one in tallies if one.green_requests and one.blue_requests and one.green_bad + one.blue_bad]
    if not told:
        return 0.0, None
    events = tuple((one.green_bad + one.blue_bad) / clump for one in told)
    likelihood = _Likelihood(
        green_bad=sum(one.green_bad for one in told) / clump,
        events=events,
        odds=tuple(one.green_requests / one.blue_requests for one in told),
    )
    bar = _spread_bet(likelihood) + math.log(alpha)
    likeliest = _root(likelihood.slope)
    low, high = (_crossing(likelihood, bar, likeliest, side) for side in (-FURTHEST, FURTHEST))
    return (0.0 if low <= -FURTHEST else math.exp(low), None if high >= FURTHEST else math.exp(high))


def _spread_bet(likelihood: _Likelihood) -> float:
    """Return the log of the likelihood's mean over the prior, which is logistic in the log ratio."""

    def slope(x: float) -> tuple[float, float]:
        first, second = likelihood.slope(x)
        chance = 1 / (1 + math.exp(-x))
        return first + 1 - 2 * chance, second + 2 * chance * (1 - chance)

    peak = _root(slope)
    scale = 1 / math.sqrt(max(slope(peak)[1], 1e-3))
    step = WIDTH / POINTS
    terms = []
    for number in range(-POINTS, POINTS + 1):
        u = number * step
        x = peak + scale * math.sinh(u)
        if abs(x) <= 2 * FURTHEST:
            prior = -abs(x) - 2 * math.log1p(math.exp(-abs(x)))
            terms.append(likelihood.at(x) + prior + math.log(scale * math.cosh(u) * step))
    return log_sum(terms)


def _root(slope: Callable[[float], tuple[float, float]]) -> float:
    """Return where a falling function is zero, by Newton's steps kept inside what is known."""
    low, high, x = -FURTHEST, FURTHEST, 0.0
    for _ in range(60):
        first, second = slope(x)
        if first > 0:
            low = x
        else:
            high = x
        guess = x + first / second if second > 0 else math.inf
        following = guess if low < guess < high else (low + high) / 2
        if abs(following - x) < 1e-10:
            break
        x = following
    return x


def _crossing(likelihood: _Likelihood, bar: float, inside: float, outside: float) -> float:
    """Return where the log likelihood falls to the bar between its maximum and an end; that end if it never does."""
    if likelihood.at(outside) > bar:
        return outside
    x = inside + math.copysign(min(1.0, abs(outside - inside) / 2), outside - inside)
    for _ in range(80):
        value = likelihood.at(x) - bar
        if value > 0:
            inside = x
        else:
            outside = x
        first, _ = likelihood.slope(x)
        guess = x - value / first if first else math.inf
        between = min(inside, outside) < guess < max(inside, outside)
        following = guess if between else (inside + outside) / 2
        if abs(following - x) < 1e-9:
            break
        x = following
    return x
