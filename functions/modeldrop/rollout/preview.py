"""The power of a rollout's judge, before it begins: which defects are found within the bake, when, and at what harm.

Exact up to two simplifications, both on the careful side: the evidence is looked at bin by bin but a run that was
over the bar and fell under it again is not counted, and another metric adds nothing. Failures are independent and
there from the start; blue's count is averaged over its distribution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

from modeldrop.judge import process
from modeldrop.judge.answers import DriftTerms
from modeldrop.judge.drift import class_steps
from modeldrop.judge.luck import instance_luck
from modeldrop.judge.process import Tally
from modeldrop.policy.model import JudgePolicy, MetricName
from modeldrop.rollout.alarms import verdict_period
from modeldrop.rollout.model import RolloutPlan

CHANCES = (0.5, 0.9, 0.99)
# equally probable values that stand for blue's count, and times at which the evidence is looked at
BLUE_POINTS = 25
MAX_TIMES = 30
NORMAL = NormalDist()


@dataclass(frozen=True)
class Power:
    """The smallest defect of one metric that is found with `chance` within the bake.

    green_rate: bad requests of green, None when even certain failure is not found. ratio: to blue's. seconds: until
    the alarm fires, with that chance.
    """

    metric: MetricName
    chance: float
    green_rate: float | None
    ratio: float | None = None
    seconds: int | None = None


@dataclass(frozen=True)
class _Time:
    """One moment of the bake: seconds until the alarm, green's requests, and what green needs for each blue count."""

    seconds: int
    green: int
    needed: tuple[int | None, ...]


def preview(
    plan: RolloutPlan, policy: JudgePolicy, *, requests_per_second: float, blue_rates: dict[MetricName, float]
) -> list[Power]:
    """Return the powers of every acting metric with a known rate of blue; none where no blue is beside green.

    Of drift: the smallest share of green's answers that blue's most frequent class must grow to.
    """
    if not plan.compares:
        return []
    found = []
    for metric, blue in blue_rates.items():
        if metric in policy.observe or metric not in plan.metrics:
            continue
        times = _times(plan, policy, metric, requests_per_second, blue)
        found += [_power(times, metric, blue, chance) for chance in CHANCES]
    if plan.drift is not None and "drift" not in policy.observe:
        share = max(plan.drift.shares.values())
        times = _answer_times(plan, plan.drift, policy, requests_per_second, share)
        found += [_power(times, "drift", share, chance) for chance in CHANCES]
    return found


def delay_seconds(plan: RolloutPlan) -> int:
    """Return what passes from a bin's end until the alarm has fired: metric lag, a look, one period of the alarm."""
    return plan.metric_lag + plan.look + verdict_period(plan)


def seconds_until_found(
    plan: RolloutPlan,
    policy: JudgePolicy,
    metric: MetricName,
    *,
    requests_per_second: float,
    blue_rate: float,
    green_rate: float,
    chance: float,
) -> int | None:
    """Return how soon a given rate of green fires the alarm with that chance; None: not within the bake."""
    moment = _when(_times(plan, policy, metric, requests_per_second, blue_rate), green_rate, chance)
    return None if moment is None else moment.seconds


def latency_shift(slow_rate: float, blue_slow: float, spread: float) -> float:
    """Return by what factor all latencies grew when `slow_rate` is over what `blue_slow` of blue exceeded.

    spread: blue's p95 over p50; latencies are taken to be log-normal.
    """
    sigma = math.log(spread) / NORMAL.inv_cdf(0.95)
    return math.exp(sigma * (NORMAL.inv_cdf(1 - blue_slow) - NORMAL.inv_cdf(1 - min(slow_rate, 0.9999))))


def _bar(plan: RolloutPlan, policy: JudgePolicy, metric: MetricName) -> float:
    """Return the evidence that one metric needs while the others add nothing."""
    acting = [name for name in plan.metrics if name not in policy.observe]
    return -math.log(policy.alpha) - (math.log(process.bet_share(metric, acting)) if metric in acting else 0.0)


def _answer_times(plan: RolloutPlan, drift: DriftTerms, policy: JudgePolicy, rps: float, share: float) -> list[_Time]:
    period = plan.metrics_every
    # answers are known later than counts
    delay = plan.capture_lag + plan.look + verdict_period(plan)
    bins, expected = (plan.bake - delay) // period, max(1, plan.bake // period)
    # the mean over the classes, of which one tells
    bar = _bar(plan, policy, "drift") + math.log(len(drift.shares) + 1)
    times = []
    for number in sorted({math.ceil(bins * part / MAX_TIMES) for part in range(1, MAX_TIMES + 1)} if bins > 0 else ()):
        answers = rps * period * number * plan.capture_percent / 100
        green = int(answers * plan.canary_share)
        others = int(answers) - green

        def enough(blue_bad: int, bad: int, green: int = green, others: int = others) -> bool:
            steps = class_steps(Tally(bad, green, blue_bad, others), share, drift)
            return process.with_late_starts([steps], expected)[-1] >= bar

        counts = [_quantile(others, share, (point + 0.5) / BLUE_POINTS) for point in range(BLUE_POINTS)]
        needed = {count: _least(green, partial(enough, count)) for count in set(counts)}
        times.append(_Time(number * period + delay, green, tuple(needed[count] for count in counts)))
    return times


def _times(plan: RolloutPlan, policy: JudgePolicy, metric: MetricName, rps: float, blue: float) -> list[_Time]:
    period, delay = plan.metrics_every, delay_seconds(plan)
    late = policy.warm_up_seconds if metric == "slow" else 0
    bins = (plan.bake - delay - late) // period
    expected = max(1, plan.bake // period)
    cap = 1 + policy.max_excess / blue if blue else math.inf
    margin, luck = min(policy.margin, cap), min(instance_luck(plan.canary_share, plan.instance_count), cap)
    floor = policy.floor_errors if metric == "errors" else policy.floor_slow
    bar = _bar(plan, policy, metric)
    times = []
    for number in sorted({math.ceil(bins * part / MAX_TIMES) for part in range(1, MAX_TIMES + 1)} if bins > 0 else ()):
        requests = rps * period * number
        green = int(requests * plan.canary_share)
        others = int(requests) - green

        def enough(blue_bad: int, bad: int, green: int = green, others: int = others) -> bool:
            tally = Tally(bad, green, blue_bad, others)
            ratio = process.against_blue(
                [tally], margin=margin, luck=luck, alpha=policy.alpha, clump=plan.clump, expected_bins=expected
            )[-1]
            if floor <= 0:
                return ratio >= bar
            least = process.with_late_starts([process.floor_steps(tally, floor, plan.clump)], expected)[-1]
            return min(ratio, least) >= bar

        quantiles = [(point + 0.5) / BLUE_POINTS for point in range(BLUE_POINTS)]
        needed: dict[int, int | None] = {}
        counts = [_quantile(others, blue, one) for one in quantiles]
        for count in counts:
            if count not in needed:
                needed[count] = _least(green, partial(enough, count))
        times.append(_Time(late + number * period + delay, green, tuple(needed[count] for count in counts)))
    return times


def _power(times: list[_Time], metric: MetricName, blue: float, chance: float) -> Power:
    if _when(times, 1.0, chance) is None:
        return Power(metric, chance, None)
    low, high = blue, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (low, middle) if _when(times, middle, chance) else (middle, high)
    moment = _when(times, high, chance)
    seconds = moment.seconds if moment else None
    return Power(metric, chance, high, high / blue if blue else None, seconds)


def _when(times: list[_Time], rate: float, chance: float) -> _Time | None:
    return next((one for one in times if _found(one, rate) >= chance), None)


def _found(time: _Time, rate: float) -> float:
    return math.fsum(0.0 if one is None else at_least(time.green, rate, one) for one in time.needed) / BLUE_POINTS


def _least(green: int, enough: Callable[[int], bool]) -> int | None:
    """Return the fewest bad requests of green that are enough; more are more evidence."""
    if not enough(green):
        return None
    low, high = 0, green
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def at_least(trials: int, rate: float, count: int) -> float:
    """Return the chance that a binomial is `count` or more."""
    if count <= 0 or rate >= 1:
        return 1.0 if count <= trials else 0.0
    if trials * rate * (1 - rate) > 100:
        return 1 - NORMAL.cdf((count - 0.5 - trials * rate) / math.sqrt(trials * rate * (1 - rate)))
    return max(0.0, 1 - math.fsum(_terms(trials, rate, count)))


def _terms(trials: int, rate: float, until: int) -> list[float]:
    term, terms = trials * math.log1p(-rate), []
    for number in range(min(until, trials + 1)):
        terms.append(math.exp(term))
        if number < trials:
            term += math.log((trials - number) / (number + 1)) + math.log(rate / (1 - rate))
    return terms


def _quantile(trials: int, rate: float, chance: float) -> int:
    """Return the count under or at which a binomial is with that chance."""
    if rate <= 0 or trials <= 0:
        return 0
    if rate >= 1:
        return trials
    if trials * rate * (1 - rate) > 100:
        wide = math.sqrt(trials * rate * (1 - rate))
        return min(trials, max(0, round(trials * rate + NORMAL.inv_cdf(chance) * wide)))
    below = 0.0
    most = min(trials, int(trials * rate + 12 * math.sqrt(trials * rate + 1) + 12))
    for count, term in enumerate(_terms(trials, rate, most)):
        below += term
        if below >= chance:
            return count
    return most
