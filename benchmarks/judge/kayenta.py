"""Kayenta's NetflixACAJudge, ported: Mann-Whitney with its published defaults, one metric or many rollouts at once.

Source: github.com/spinnaker/kayenta at a69573be (kayenta-judge, kayenta-mannwhitney): confidence 0.98, tolerance 0.25,
effect size mean ratio with allowedIncrease 1.0, NaN removed, outliers kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Classification = Literal["Pass", "High", "Low", "Nodata"]

CONFIDENCE = 0.98
TOLERANCE = 0.25
NOISE_SCALE = 1e-5
# runs whose median of differences is taken at once: 900 differences each
CHUNK = 4000


@dataclass(frozen=True)
class MannWhitney:
    """Confidence limits and the estimate of the shift of the experiment against the control."""

    lower: float
    upper: float
    estimate: float


def classify(
    control: Floats,
    experiment: Floats,
    *,
    tolerance: float = TOLERANCE,
    confidence: float = CONFIDENCE,
    allowed: tuple[float, float] = (1.0, 1.0),
    direction: Literal["increase", "decrease", "either"] = "either",
) -> Classification:
    """Classify one metric as Kayenta does; allowed: (allowedDecrease, allowedIncrease) of the mean ratio."""
    control, experiment = control[~np.isnan(control)], experiment[~np.isnan(experiment)]
    if not len(control) or not len(experiment):
        return "Nodata"
    if np.array_equal(np.sort(control), np.sort(experiment)):
        return "Pass"
    if len(np.unique(np.concatenate([control, experiment]))) == 1:
        return "Pass"
    if len(np.unique(control)) == 1 and len(np.unique(experiment)) == 1:
        control, experiment = _with_noise(control, 1), _with_noise(experiment, 2)
    found = mann_whitney(experiment, control, confidence)
    bound = tolerance * abs(found.estimate)
    ratio = mean_ratio(control.mean(), experiment.mean())
    if direction != "decrease" and found.lower > bound and (np.isnan(ratio) or ratio >= allowed[1]):
        return "High"
    if direction != "increase" and found.upper < -bound and (np.isnan(ratio) or ratio <= allowed[0]):
        return "Low"
    return "Pass"


def mean_ratio(control: float, experiment: float) -> float:
    """Return experiment over control, NaN where either is zero (the effect size is then ignored)."""
    return float("nan") if control == 0 or experiment == 0 else experiment / control


def mann_whitney(experiment: Floats, control: Floats, confidence: float) -> MannWhitney:
    """Return the shift and its limits: where the corrected z of the shifted samples crosses the quantile."""
    quantile = NormalDist().inv_cdf((1 - confidence) / 2)
    low, high = float(experiment.min() - control.max()), float(experiment.max() - control.min())

    def root(at: float) -> float:
        if z_of_shift(low, experiment, control) - at <= 0:
            return low
        if z_of_shift(high, experiment, control) - at >= 0:
            return high
        left, right = low, high
        for _ in range(80):
            middle = (left + right) / 2
            left, right = (middle, right) if z_of_shift(middle, experiment, control) > at else (left, middle)
        return (left + right) / 2

    return MannWhitney(root(-quantile), root(quantile), root(0.0))


def z_of_shift(shift: float, experiment: Floats, control: Floats) -> float:
    """Return the rank-sum z, tie-corrected and continuity-corrected, of experiment - shift against control."""
    moved = experiment - shift
    n, m = len(experiment), len(control)
    wins = (moved[:, None] > control).sum() + 0.5 * (moved[:, None] == control).sum() - n * m / 2
    _, ties = np.unique(np.concatenate([moved, control]), return_counts=True)
    pooled = n + m
    sigma = np.sqrt(n * m / 12 * ((pooled + 1) - float((ties**3 - ties).sum()) / (pooled * (pooled - 1))))
    return float((wins - np.sign(wins) * 0.5) / sigma) if sigma > 0 else 0.0


def high_ratios(green: Floats, blue: Floats) -> Floats:
    """Return for each run and look the mean ratio where Kayenta says High at allowedIncrease 0, else 0.

    green, blue: rates by bin, NaN where a bin had no requests, (runs, bins); a look takes all bins so far. Infinite
    where the effect size is NaN, for Kayenta then ignores it. High at allowedIncrease a is a value of a or more.
    """
    runs, bins = green.shape
    z, sizes = _z_of_looks(green, blue)
    total = np.cumsum(np.nan_to_num(green), axis=1)
    means = total / np.maximum(sizes[0], 1)
    blue_means = np.cumsum(np.nan_to_num(blue), axis=1) / np.maximum(sizes[1], 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((means == 0) | (blue_means == 0), np.inf, means / blue_means)
    quantile = -NormalDist().inv_cdf((1 - CONFIDENCE) / 2)
    found = np.zeros((runs, bins))
    for look in range(bins):
        passing = np.flatnonzero(z[:, look] > quantile)
        for part in np.array_split(passing, max(1, -(-len(passing) // CHUNK))):
            if len(part):
                sure = _beyond_tolerance(green[part, : look + 1], blue[part, : look + 1], quantile)
                found[part[sure], look] = ratio[part[sure], look]
    return found


def _with_noise(values: Floats, seed: int) -> Floats:
    return values + np.random.default_rng(seed).normal(0, abs(values[0]) * NOISE_SCALE, len(values))


def _z_of_looks(green: Floats, blue: Floats) -> tuple[Floats, tuple[Floats, Floats]]:
    """Return z without shift after each bin, (runs, bins), and how many values each side has."""
    bins = green.shape[1]
    here, there = ~np.isnan(green), ~np.isnan(blue)
    n, m = np.cumsum(here, axis=1).astype(float), np.cumsum(there, axis=1).astype(float)
    # NaN compares as false, so missing bins win and tie with nobody
    wins = (green[:, :, None] > blue[:, None, :]) + 0.5 * (green[:, :, None] == blue[:, None, :])
    upto = np.cumsum(np.cumsum(wins, axis=1), axis=2)[:, np.arange(bins), np.arange(bins)] - n * m / 2
    pooled = np.concatenate([green, blue], axis=1)
    place = np.concatenate([np.arange(bins), np.arange(bins)])
    equal = pooled[:, :, None] == pooled[:, None, :]
    # how often each value occurs among the bins up to a look; sum of (t^3 - t) over ties = sum of t^2 - 1 over values
    counts = np.cumsum((equal[:, :, :bins].astype(np.int16) + equal[:, :, bins:]), axis=2)
    present = (~np.isnan(pooled))[:, :, None] & (place[:, None] <= np.arange(bins))
    ties = np.where(present, counts.astype(float) ** 2 - 1, 0.0).sum(axis=1)
    size = n + m
    with np.errstate(divide="ignore", invalid="ignore"):
        sigma = np.sqrt(n * m / 12 * ((size + 1) - ties / (size * (size - 1))))
        z = np.where(sigma > 0, (upto - np.sign(upto) * 0.5) / sigma, 0.0)
    return np.nan_to_num(z), (n, m)


def _beyond_tolerance(green: Floats, blue: Floats, quantile: float) -> NDArray[np.bool_]:
    """Say which runs' lower limit is over TOLERANCE times the Hodges-Lehmann estimate: z there is still high."""
    estimate = np.nanmedian((green[:, :, None] - blue[:, None, :]).reshape(len(green), -1), axis=1)
    shifted = green - (TOLERANCE * np.abs(estimate))[:, None]
    z, _ = _z_of_looks(shifted, blue)
    return z[:, -1] > quantile
