"""Statistics over the values of one period, as CloudWatch defines them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from localcloud.cloudwatch.store import Bucket

SIMPLE = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")

_PERCENTILE = re.compile(r"p(\d{1,3}(?:\.\d{1,10})?)")
_SHORT = re.compile(r"(tm|tc|ts|wm)(\d{1,3}(?:\.\d{1,10})?)")
_RANGE = re.compile(r"(TM|TC|TS|WM|PR)\((-?[\d.eE+]*)(%?):(-?[\d.eE+]*)(%?)\)")

Pairs = list[tuple[float, float]]


class UnknownStatisticError(ValueError):
    """The text is no statistic of CloudWatch."""


@dataclass(frozen=True)
class _Span:
    """What a trimmed statistic keeps: bounds in values or in percent of the samples; None is open."""

    low: float | None
    high: float | None
    percent: bool


def statistic(bucket: Bucket, name: str) -> float | None:
    """Return one statistic of a period's values; None where CloudWatch would have no data point.

    A percentile or a trimmed statistic needs the values: a statistic set that hides them makes it None. Raises
    UnknownStatisticError for a text that is none.
    """
    if name in SIMPLE:
        return _simple(bucket, name)
    compute = parse(name)
    # "Percentile statistics are not available for metrics when any of the metric values are negative numbers"
    if bucket.hidden or (name.startswith("p") and bucket.minimum < 0):
        return None
    pairs = sorted((value, count) for value, count in zip(bucket.values, bucket.counts, strict=True) if count > 0)
    return compute(pairs) if pairs else None


def parse(name: str) -> Callable[[Pairs], float | None]:
    """Return the function of an extended statistic, such as p99.9, tm95, IQM, TC(:100000), PR(10:20)."""
    if percentile := _PERCENTILE.fullmatch(name):
        percent = float(percentile[1])
        if percent <= 100:
            return lambda pairs: _percentile(pairs, percent)
    elif (short := _SHORT.fullmatch(name)) and float(short[2]) <= 100:
        span = _Span(None, float(short[2]), percent=True)
        return _trimmed(short[1].upper(), span)
    elif name == "IQM":
        return _trimmed("TM", _Span(25.0, 75.0, percent=True))
    elif bounds := _RANGE.fullmatch(name):
        percent_given = bool(bounds[3] or bounds[5])
        # TM(10%:90%) or TM(:500): a mixture, and PR in percent, are not defined
        one_kind = not (percent_given and ((bounds[2] and not bounds[3]) or (bounds[4] and not bounds[5])))
        low, high = (float(bounds[place]) if bounds[place] else None for place in (2, 4))
        if one_kind and not (low is None and high is None) and not (bounds[1] == "PR" and percent_given):
            return _trimmed(bounds[1], _Span(low, high, percent_given))
    raise UnknownStatisticError(f"The value {name} for parameter Stat is not supported.")


def is_known(name: str) -> bool:
    """Return whether the text is a statistic."""
    if name in SIMPLE:
        return True
    try:
        parse(name)
    except ValueError:
        return False
    return True


def samples_needed(name: str) -> float:
    """Return how many samples make a percentile significant: 10/(1-p) above the median, 10/p below; else 0.

    Source: "Percentile-based CloudWatch alarms and low data samples".
    """
    found = _PERCENTILE.fullmatch(name)
    if not found:
        return 0.0
    share = float(found[1]) / 100
    distance = 1 - share if share >= 0.5 else share
    return 10 / distance if distance > 0 else float("inf")


def _simple(bucket: Bucket, name: str) -> float | None:
    if bucket.sample_count <= 0:
        return None
    return {
        "SampleCount": bucket.sample_count,
        "Average": bucket.total / bucket.sample_count,
        "Sum": bucket.total,
        "Minimum": bucket.minimum,
        "Maximum": bucket.maximum,
    }[name]


def _percentile(pairs: Pairs, percent: float) -> float:
    """Return the smallest value at or under which lie percent of the samples, between neighbours interpolated."""
    total = sum(count for _, count in pairs)
    rank, seen = (total - 1) * percent / 100, 0.0
    for place, (value, count) in enumerate(pairs):
        last = seen + count - 1
        if rank <= last or place == len(pairs) - 1:
            return value
        if rank < last + 1:
            following = pairs[place + 1][0]
            return value + (following - value) * (rank - last)
        seen += count
    raise AssertionError("a rank lies within the samples")


def _trimmed(kind: str, span: _Span) -> Callable[[Pairs], float | None]:
    def compute(pairs: Pairs) -> float | None:
        total = sum(count for _, count in pairs)
        kept = _kept(pairs, span)
        count = sum(each for _, each in kept)
        if kind == "TC":
            return count
        if kind == "PR":
            return 100 * count / total
        if kind == "TS":
            return sum(value * each for value, each in kept)
        if kind == "WM":
            return _winsorized(pairs, kept, span, total)
        return sum(value * each for value, each in kept) / count if count else None

    return compute


def _kept(pairs: Pairs, span: _Span) -> Pairs:
    """Return the samples inside the span: values above low up to and with high, or by share of the samples."""
    if not span.percent:
        low = float("-inf") if span.low is None else span.low
        high = float("inf") if span.high is None else span.high
        # the lower bound is exclusive, the upper inclusive: TC(:100) and TC(100:) add up to all
        return [(value, count) for value, count in pairs if low < value <= high]
    total = sum(count for _, count in pairs)
    first, last = total * (span.low or 0.0) / 100, total * (100.0 if span.high is None else span.high) / 100
    kept, seen = [], 0.0
    for value, count in pairs:
        inside = min(seen + count, last) - max(seen, first)
        if inside > 0:
            kept.append((value, inside))
        seen += count
    return kept


def _winsorized(pairs: Pairs, kept: Pairs, span: _Span, total: float) -> float | None:
    """Return the mean with what lies outside set to the nearest bound, not dropped."""
    if not kept:
        return None
    lowest, highest = kept[0][0], kept[-1][0]
    if not span.percent:
        lowest = lowest if span.low is None else span.low
        highest = highest if span.high is None else span.high
        return sum(min(max(value, lowest), highest) * count for value, count in pairs) / total
    below = total * (span.low or 0.0) / 100
    above = total - sum(count for _, count in kept) - below
    return (sum(value * count for value, count in kept) + lowest * below + highest * above) / total
