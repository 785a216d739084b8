"""The judge's evidence for many rollouts at once, in numpy; a test holds it equal to the judge that ships."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modeldrop.judge import clump as clump_rule
from modeldrop.judge import process

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Bet:
    """What is bet on, in equal parts; the judge's own is Bet(). ratios: times the margin."""

    ratios: tuple[float, ...] = process.RATIOS
    floor_ratios: tuple[float, ...] = process.FLOOR_RATIOS
    from_the_start: float = process.FROM_THE_START


@dataclass(frozen=True)
class Rules:
    """The judge's policy as numbers, and the bins it expects."""

    margin: float = 1.5
    floor: float = 0.001
    luck: float = 1.0
    alpha: float = 0.01
    expected_bins: int = 30
    bet: Bet = Bet()


def metric_evidence(
    green_bad: Counts, green: Counts, blue_bad: Counts, blue: Counts, clump: Counts, rules: Rules
) -> Floats:
    """Return one metric's log evidence after each bin, (runs, bins): the lesser of both claims' gains."""
    counts = green_bad, green, blue_bad, blue
    worse = late_starts(ratio_steps(*counts, rules) / clump[:, None, None], rules)
    if rules.luck > rules.margin:
        beyond = late_starts(ratio_steps(*counts, rules, rules.luck) / clump[:, None, None], rules)
        worse = np.minimum(worse, beyond + np.log(process.LENIENCE / rules.alpha))
    above = late_starts(floor_steps(green_bad, green, rules) / clump[:, None, None], rules)
    return np.minimum(worse, above)


def ratio_steps(
    green_bad: Counts, green: Counts, blue_bad: Counts, blue: Counts, rules: Rules, luck: float = 1.0
) -> Floats:
    """Return (runs, bins, ratios)."""
    both = green + blue
    share = np.divide(green, both, out=np.zeros(green.shape), where=both > 0)[..., None]
    usable = ((green > 0) & (blue > 0))[..., None]
    null, alternatives = rules.margin, np.asarray(rules.bet.ratios) * rules.margin
    if luck > rules.margin:
        null, alternatives = luck, np.maximum(alternatives, process.NEAREST * luck)
        alternatives[0] = process.NEAREST * luck
    spread = np.log((alternatives * share + 1 - share) / (null * share + 1 - share))
    events = (green_bad + blue_bad)[..., None]
    return np.where(usable, green_bad[..., None] * np.log(alternatives / null) - events * spread, 0.0)


def floor_steps(green_bad: Counts, green: Counts, rules: Rules) -> Floats:
    """Return (runs, bins, floor ratios)."""
    alternatives = np.minimum(np.asarray(rules.bet.floor_ratios) * rules.floor, rules.floor + (1 - rules.floor) * 0.99)
    good = (green - green_bad)[..., None]
    lost = np.log1p(-alternatives) - np.log1p(-rules.floor)
    return green_bad[..., None] * np.log(alternatives / rules.floor) + good * lost


def late_starts(steps: Floats, rules: Rules) -> Floats:
    """Return the log evidence after each bin, half of the bet on the start, half on all later starts."""
    runs, bins, _ = steps.shape
    later = max(0, rules.expected_bins - 1)
    at_start = rules.bet.from_the_start if later else 1.0
    each = (1 - rules.bet.from_the_start) / later if later else 0.0
    whole = np.zeros(steps[:, 0].shape)
    running = np.full(whole.shape, -np.inf)
    path = np.empty((runs, bins))
    for number in range(bins):
        step = steps[:, number]
        whole = whole + step
        begins = np.log(each) if 0 < number <= later and each else -np.inf
        running = np.logaddexp(running, begins) + step
        waiting = each * max(0, later - number)
        kept = np.log(waiting) if waiting > 0 else -np.inf
        sums = np.logaddexp(np.log(at_start) + log_mean(whole), log_mean(running))
        path[:, number] = np.logaddexp(sums, kept)
    return path


def log_mean(values: Floats) -> Floats:
    """Return the log of the mean over the last axis of what the values are logs of."""
    highest = values.max(axis=-1, keepdims=True)
    highest = np.where(np.isfinite(highest), highest, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(values - highest).mean(axis=-1)) + highest[..., 0]


def together(errors: Floats, slow: Floats) -> Floats:
    """Return the log of the mean evidence of the two metrics, each by its share of the bet."""
    shares = [np.log(process.bet_share(name, ("errors", "slow"))) for name in ("errors", "slow")]
    return np.logaddexp(errors + shares[0], slow + shares[1])


def ruled_out(green_bad: Counts, green: Counts, blue_bad: Counts, blue: Counts, clump: Counts) -> Floats:
    """Return the log evidence against "green's rate is 3x blue's or more" at the end, (runs,)."""
    as_good = Rules(margin=process.RULED_OUT_RATIO, bet=Bet(ratios=(1 / process.RULED_OUT_RATIO,)))
    return ratio_steps(green_bad, green, blue_bad, blue, as_good)[..., 0].sum(axis=1) / clump


def clump_sizes(requests: Counts, failures: Counts) -> Counts:
    """Return clump.clump_size of each run's hour, (runs,)."""
    told = requests > 0
    bins = told.sum(axis=1)
    total, failed = requests.sum(axis=1), np.minimum(failures, requests).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = failed / total
        spread = np.where(told, (np.minimum(failures, requests) - requests * rate[:, None]) ** 2 / requests, 0.0)
        dispersion = spread.sum(axis=1) / (rate * (1 - rate)) / (bins - 1)
        noise = 2 * np.sqrt(2 / (bins - 1) + 1 / failed)
    known = (failed >= clump_rule.MIN_FAILURES) & (bins >= 2) & (failed < total) & (dispersion > 1 + noise)
    rounded = np.ceil(np.where(known, dispersion, 1.0)).astype(np.int64)
    return np.minimum(clump_rule.MAX_CLUMP, rounded)
