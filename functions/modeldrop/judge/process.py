"""E-processes: evidence, bin by bin, that green is worse than it may be, valid at whatever times one looks.

An e-process is a bet against the null hypothesis that cannot be expected to win while the null is true; by Ville's
inequality it ever reaches 1/alpha with probability at most alpha. Exact for independent requests whose green rate is
at most margin x blue's in each bin (or at most the floor in each); docs/judge.md says what it is not proof against.
All evidence is in natural logarithms here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# how many times worse than the margin green may be: the alternatives that are bet on, in equal parts (DESIGN 7)
RATIOS = (1.5, 3.0, 10.0, 20.0, 40.0)
# the same for the floor, which is small: 30 times it already wins a factor of 30 on each failure
FLOOR_RATIOS = (1.5, 3.0, 10.0, 30.0)
# against instance luck the nearest alternative is so many times the luck: 1.5 times would overlook what is just beyond
NEAREST = 1.1
# so many times less than was put in may be left of the bet against luck when the other has won: about what waits for
# later starts, so that a difference that luck cannot explain is not held up
LENIENCE = 3.0
# the part of the bet that is on "from the start"; the rest is on all later starts together (docs/judge.md says why)
FROM_THE_START = 0.7
# how the whole bet is spread over the acting metrics: failures lose users more than slowness does
METRIC_WEIGHTS = {"errors": 3.0}
# gains are capped here, far beyond any bar, and so cannot overflow; a cap only takes evidence away
MOST = 1e250
LOG_MOST = math.log(MOST)
# what must be ruled out before green is called safe
RULED_OUT_RATIO = 3.0


@dataclass(frozen=True)
class Tally:
    """One bin of one metric: bad events among requests, of green and of blue. Bad never exceeds requests."""

    green_bad: int
    green_requests: int
    blue_bad: int
    blue_requests: int


def ratio_steps(tally: Tally, margin: float, clump: int = 1, luck: float = 1.0) -> list[float]:
    """Log likelihood ratios of one bin against "green's rate is at most margin x blue's", one for each of RATIOS.

    Given how many events there are in all, each is green's with probability r w / (r w + 1 - w), w green's share of
    requests, r the ratio of rates; r above the margin is the alternative. A rate that rises for both cancels out.
    luck: where it is more than the margin, the claim is "at most luck x blue's"; the alternatives stay, but the first
    is NEAREST times the luck, and none is less.
    """
    if luck <= margin:
        return _ratio_steps(tally, margin, [ratio * margin for ratio in RATIOS], clump)
    nearest = NEAREST * luck
    return _ratio_steps(tally, luck, [nearest, *(max(ratio * margin, nearest) for ratio in RATIOS[1:])], clump)


def against_blue(
    tallies: Sequence[Tally], *, margin: float, luck: float, alpha: float, clump: int, expected_bins: int
) -> list[float]:
    """Log evidence after each bin that green is worse than blue by more than the margin, and not by instance luck.

    luck: see luck.instance_luck; of the same bet against that claim a third (1 / LENIENCE) must be left when the bar of
    1/alpha is reached. The lesser of two gains, so that it is an e-process for the margin whatever the luck.
    """
    plain = with_late_starts([ratio_steps(one, margin, clump) for one in tallies], expected_bins)
    if luck <= margin:
        return plain
    lucky = with_late_starts([ratio_steps(one, margin, clump, luck) for one in tallies], expected_bins)
    return [min(one, other + math.log(LENIENCE / alpha)) for one, other in zip(plain, lucky, strict=True)]


def floor_steps(tally: Tally, floor: float, clump: int = 1) -> list[float]:
    """Log likelihood ratios of one bin against "green's rate is at most the floor", one for each of FLOOR_RATIOS."""
    return [
        _rate_step(tally.green_bad, tally.green_requests, floor, min(ratio * floor, _below_one(floor))) / clump
        for ratio in FLOOR_RATIOS
    ]


def ruled_out_step(tally: Tally, clump: int = 1) -> list[float]:
    """Log likelihood ratio of one bin against "green's rate is 3x blue's or more", for green as good as blue."""
    return _ratio_steps(tally, RULED_OUT_RATIO, [1.0], clump)


def under_steps(tally: Tally, ceiling: float, clump: int = 1) -> list[float]:
    """Log likelihood ratios of one bin against "green's rate is the ceiling or more"; bets on 1/2, 1/5, 1/20."""
    return [
        _rate_step(tally.green_bad, tally.green_requests, ceiling, ceiling / part) / clump for part in (2.0, 5.0, 20.0)
    ]


def from_the_start(steps: Sequence[Sequence[float]]) -> list[float]:
    """Log evidence after each bin, betting from the first one on; alternatives in equal parts."""
    sums: list[float] = []
    path = []
    for step in steps:
        sums = [total + one for total, one in zip(sums, step, strict=True)] if sums else list(step)
        path.append(log_mean(sums))
    return path


def with_late_starts(steps: Sequence[Sequence[float]], expected_bins: int) -> list[float]:
    """Log evidence after each bin: most of the bet starts with the canary, the rest is spread over the later bins.

    expected_bins: bins of the bake, fixed beforehand. A defect that shows late is not drowned by the good time before.
    What has not started yet is worth what was put in. One recurrence a ratio carries all the starts together.
    """
    later = max(0, expected_bins - 1)
    each = (1 - FROM_THE_START) / later if later else 0.0
    at_start = FROM_THE_START if later else 1.0
    count = len(steps[0]) if steps else 0
    whole, running = [1.0] * count, [0.0] * count
    path = []
    for number, step in enumerate(steps):
        begins = each if 0 < number <= later else 0.0
        for place, one in enumerate(step):
            grown = math.exp(min(one, LOG_MOST))
            whole[place] = min(whole[place] * grown, MOST)
            running[place] = min((running[place] + begins) * grown, MOST)
        waiting = each * max(0, later - number)
        path.append(_log((at_start * math.fsum(whole) + math.fsum(running)) / count + waiting))
    return path


def _ratio_steps(tally: Tally, null: float, alternatives: Sequence[float], clump: int) -> list[float]:
    green, events = tally.green_bad, tally.green_bad + tally.blue_bad
    if not events or not tally.green_requests or not tally.blue_requests:
        return [0.0] * len(alternatives)
    share = tally.green_requests / (tally.green_requests + tally.blue_requests)
    usual = null * share + 1 - share
    return [
        (green * math.log(one / null) - events * math.log((one * share + 1 - share) / usual)) / clump
        for one in alternatives
    ]


def _rate_step(bad: int, requests: int, null: float, alternative: float) -> float:
    good = requests - bad
    return bad * math.log(alternative / null) + good * (math.log1p(-alternative) - math.log1p(-null))


def _below_one(floor: float) -> float:
    """The greatest rate that is bet on: certain failure would be ruined by one good answer."""
    return floor + (1 - floor) * 0.99


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def log_mean(values: Sequence[float]) -> float:
    """Return the logarithm of the mean of what the values are logarithms of, without overflow."""
    return log_sum(values) - math.log(len(values))


def bet_share(name: str, acting: Sequence[str]) -> float:
    """Return the part of the whole bet that is on one of the acting metrics; fixed, whatever is seen."""
    return METRIC_WEIGHTS.get(name, 1.0) / math.fsum(METRIC_WEIGHTS.get(one, 1.0) for one in acting)


def weighted_mean(acting: Sequence[str], values: Sequence[float]) -> float:
    """Return the log of the mean evidence of the acting metrics, each by its share of the bet."""
    return log_sum([value + math.log(bet_share(name, acting)) for name, value in zip(acting, values, strict=True)])


def log_sum(values: Sequence[float]) -> float:
    """Return the logarithm of the sum of what the values are logarithms of, without overflow."""
    highest = max(values)
    if highest == -math.inf:
        return highest
    return highest + math.log(math.fsum(math.exp(value - highest) for value in values))
