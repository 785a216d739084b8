"""From bins to what is judged: which bins are usable, what was odd about them, and what each says of one metric."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import assert_never

from modeldrop.judge.answers import AnswerBin
from modeldrop.judge.bins import Bin, Counts
from modeldrop.judge.process import Tally
from modeldrop.policy.model import RateName

METRICS: tuple[RateName, ...] = ("errors", "slow")
# more requests in one period than any endpoint answers; sums of them still are exact
MOST_REQUESTS = 10**12
# a fleet that has none while the other has so many is not captured, whatever its share of the traffic
ENOUGH_ANSWERS = 500


def usable_bins(bins: Sequence[Bin], canary_started: datetime) -> tuple[list[Bin], int, list[str]]:
    """Return the bins to judge in order of time, how many were left out, and what was odd about the rest."""
    seen: dict[datetime, Bin] = {}
    warnings, impossible = [], 0
    for one in bins:
        if not (_possible(one.blue) and _possible(one.green)):
            impossible += 1
            continue
        if one.start in seen:
            warnings.append(f"two bins begin at {one.start:%H:%M:%S}: the first one counts, for it was frozen first")
        seen.setdefault(one.start, one)
    if impossible:
        warnings.append(f"{impossible} bins were not judged: a count is below zero, no whole number or over 10^12")
    ordered = [seen[start] for start in sorted(seen)]
    usable = [one for one in ordered if not one.shift and one.start >= canary_started]
    missing = _missing(ordered)
    if missing:
        warnings.append(f"{missing} periods between the first bin and the last have no bin, and were not judged")
    return usable, len(bins) - len(usable), warnings


def measured(bins: Sequence[Bin]) -> tuple[RateName, ...]:
    """Return the metrics that any bin has."""
    fleets = [fleet for one in bins for fleet in (one.blue, one.green) if fleet is not None]
    return METRICS if any(fleet.slow is not None for fleet in fleets) else ("errors",)


def oddities(bins: Sequence[Bin], metric: RateName) -> list[str]:
    """Say what was cut or left out of one metric's counts."""
    odd = missing = 0
    for one in bins:
        for fleet in (one.blue, one.green):
            if fleet is None:
                continue
            found = fleet.errors if metric == "errors" else fleet.slow
            missing += found is None
            odd += found is not None and found > fleet.requests
    warnings = []
    if odd:
        warnings.append(f"{metric} exceeded requests in {odd} counts and was cut to them")
    if missing:
        warnings.append(f"{metric} was missing in {missing} counts, which were not judged for it")
    return warnings


def lost_answers(bins: Sequence[AnswerBin]) -> list[str]:
    """Say where one fleet's answers are captured and the other's are not: what is not seen is not healthy."""
    told = [one for one in bins if not one.shift]
    blue, green = (sum(sum((getattr(one, fleet) or {}).values()) for one in told) for fleet in ("blue", "green"))
    if blue >= ENOUGH_ANSWERS and not green:
        return [f"no answers of green were captured, and {blue} of blue: green's were not judged"]
    if green >= ENOUGH_ANSWERS and not blue:
        return [f"no answers of blue were captured, and {green} of green: green's were not judged"]
    return []


def tallies_of(bins: Sequence[Bin], metric: RateName, since: datetime) -> tuple[tuple[datetime, Tally], ...]:
    """Return what each bin says of the metric: a silent blue compares nothing, but green may still pass the floor."""
    found = []
    for one in bins:
        if one.start < since or one.green is None:
            continue
        green, blue = _bad(one.green, metric), 0
        if one.blue is not None:
            told = _bad(one.blue, metric)
            if told is None:
                continue
            blue = told
        if green is None:
            continue
        found.append((one.end, Tally(green, one.green.requests, blue, one.blue.requests if one.blue else 0)))
    return tuple(found)


def _bad(counts: Counts, metric: RateName) -> int | None:
    match metric:
        case "errors":
            found: int | None = counts.errors
        case "slow":
            found = counts.slow
        case _:
            assert_never(metric)
    # more bad events than requests: the two counts come from different metrics, which may lag apart
    return None if found is None else min(found, counts.requests)


def _possible(counts: Counts | None) -> bool:
    """Say whether the counts can be counts; a counter that shrank leaves a difference below zero."""
    if counts is None:
        return True
    told = (counts.requests, counts.errors, *(() if counts.slow is None else (counts.slow,)))
    return all(isinstance(one, int) and 0 <= one <= MOST_REQUESTS for one in told)


def _missing(ordered: Sequence[Bin]) -> int:
    gaps = ((later.start - earlier.end) // timedelta(seconds=earlier.seconds) for earlier, later in pairwise(ordered))
    return sum(max(0, gap) for gap in gaps)
