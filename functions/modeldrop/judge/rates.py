"""Errors and slow requests: how the evidence on one rate of green against blue's goes, bin by bin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from modeldrop.judge import process
from modeldrop.judge.interval import ratio_interval
from modeldrop.judge.process import Tally
from modeldrop.judge.verdict import LN10, MetricVerdict, totals
from modeldrop.policy.model import MetricName, RateName


@dataclass(frozen=True)
class RateCase:
    """Everything one rate is judged with, and its usable bins in order."""

    metric: RateName
    acting: bool
    margin: float
    luck: float
    floor: float
    ceiling: float | None
    clump: int
    expected_bins: int
    tallies: tuple[tuple[datetime, Tally], ...]


@dataclass(frozen=True)
class RateCourse:
    """The course of a rate. gains: against blue and against the floor; the lesser is the evidence."""

    case: RateCase
    gains: Mapping[datetime, tuple[float, float]]

    @property
    def metric(self) -> MetricName:
        """Return the rate's name."""
        return self.case.metric

    @property
    def acting(self) -> bool:
        """Say whether it may roll back."""
        return self.case.acting

    @cached_property
    def evidence(self) -> Mapping[datetime, float]:
        """Return the lesser gain after each bin."""
        return {end: min(both) for end, both in self.gains.items()}

    def result(self, until: datetime | None, alpha: float) -> MetricVerdict:
        """Return what the rate says at the end of the bins, or as it was at `until`."""
        case = self.case
        tallies = [tally for end, tally in case.tallies if until is None or end <= until]
        ratio, floor = self.gains[case.tallies[len(tallies) - 1][0]] if tallies else (0.0, 0.0)
        low, high = ratio_interval(tallies, alpha, case.clump)
        return MetricVerdict(
            metric=case.metric,
            observed_only=not case.acting,
            **totals(tallies),
            margin=case.margin,
            log10_evidence=min(ratio, floor) / LN10,
            log10_ratio=ratio / LN10,
            log10_floor=floor / LN10,
            safe=_cleared(case, tallies, alpha),
            bins=len(tallies),
            ratio_low=low,
            ratio_high=high,
        )


def rate_course(case: RateCase, alpha: float) -> RateCourse:
    """Follow the evidence over the bins of the case."""
    tallies = [tally for _, tally in case.tallies]
    ratio = process.against_blue(
        tallies,
        margin=case.margin,
        luck=case.luck,
        alpha=alpha,
        clump=case.clump,
        expected_bins=case.expected_bins,
    )
    floor = [math.inf] * len(tallies)
    if case.floor > 0:
        floor = process.with_late_starts(
            [process.floor_steps(tally, case.floor, case.clump) for tally in tallies], case.expected_bins
        )
    both = {end: (one, other) for (end, _), one, other in zip(case.tallies, ratio, floor, strict=True)}
    return RateCourse(case, both)


def limits(course: RateCourse, alpha: float) -> list[str]:
    """Say where the comparison ends: blue is too bad for it, or green worse by what its instances may owe to luck."""
    case, bar = course.case, -math.log(alpha)
    if _beyond_comparison([tally for _, tally in case.tallies]):
        what = "failed" if case.metric == "errors" else "were slow"
        return [f"a third of blue's requests or more {what}: nothing can be 3x worse, so green is not shown to be safe"]
    if not case.tallies or case.luck <= case.margin or course.gains[case.tallies[-1][0]][0] >= bar:
        return []
    tallies = [tally for _, tally in case.tallies]
    green_bad, green = sum(one.green_bad for one in tallies), sum(one.green_requests for one in tallies)
    blue_bad, blue = sum(one.blue_bad for one in tallies), sum(one.blue_requests for one in tallies)
    if green_bad * blue <= case.margin * blue_bad * green:
        return []
    plain = process.against_blue(
        tallies, margin=case.margin, luck=1.0, alpha=alpha, clump=case.clump, expected_bins=case.expected_bins
    )
    if plain[-1] < bar:
        return []
    return [
        f"{case.metric} are over {case.margin:.2g}x blue, but instances that are not alike may bring {case.luck:.2g}x "
        "to so few of them: not held against green"
    ]


def _cleared(case: RateCase, tallies: Sequence[Tally], alpha: float) -> bool:
    """Say whether 3x blue is ruled out, or green shown under its SLO, and still is: green may turn bad late."""
    if not tallies:
        return False
    proofs = []
    if not _beyond_comparison(tallies):
        proofs.append(process.from_the_start([process.ruled_out_step(tally, case.clump) for tally in tallies]))
    if case.ceiling:
        ceiling = case.ceiling
        proofs.append(process.from_the_start([process.under_steps(tally, ceiling, case.clump) for tally in tallies]))
    return any(proof[-1] >= -math.log(alpha) for proof in proofs)


def _beyond_comparison(tallies: Sequence[Tally]) -> bool:
    """Say whether blue is so bad that nothing can be 3x worse: to rule that out would show nothing of green."""
    blue_bad, blue = sum(one.blue_bad for one in tallies), sum(one.blue_requests for one in tallies)
    return blue > 0 and blue_bad * process.RULED_OUT_RATIO >= blue
