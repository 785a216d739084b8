"""The judge: from frozen bins to a verdict on green, a pure function that gives the same answer in a replay."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from modeldrop.judge import process
from modeldrop.judge.answers import AnswerBin, DriftTerms
from modeldrop.judge.bins import Bin
from modeldrop.judge.drift import RULED_OUT_TOLERANCES, drift_course
from modeldrop.judge.rates import RateCase, limits, rate_course
from modeldrop.judge.tallies import lost_answers, measured, oddities, tallies_of, usable_bins
from modeldrop.judge.verdict import (
    LN10,
    MetricVerdict,
    Verdict,
    VerdictOutcome,
    odds,
    verdict_from_json,
    verdict_to_json,
)
from modeldrop.judge.words import describe, headline
from modeldrop.policy.model import JudgePolicy, MetricName, RateName

__all__ = ["MetricVerdict", "Verdict", "judge", "odds", "verdict_from_json", "verdict_to_json"]

# a bake of 30 metric periods, where the caller knows no better
EXPECTED_BINS = 30
# green is blind when its share of this many requests left no trace
BLIND_REQUESTS = 30


class _Course(Protocol):
    """How the evidence of one metric went, by the end of the bin, in natural logarithms."""

    @property
    def metric(self) -> MetricName: ...
    @property
    def acting(self) -> bool: ...
    @property
    def evidence(self) -> Mapping[datetime, float]: ...
    def result(self, until: datetime | None, alpha: float) -> MetricVerdict:
        """Return what the metric says at the end of the bins, or as it was at the bin that decided."""


@dataclass(frozen=True)
class _Facts:
    """What the outcome is decided from; evidence and bar in natural logarithms.

    owed: requests that green should have had since its last data, where that is too many to be chance.
    """

    results: tuple[MetricVerdict, ...]
    crossed: datetime | None
    after: int | None
    evidence: float
    bar: float
    owed: float | None
    green_requests: int
    min_green: int


def judge(
    bins: Sequence[Bin],
    policy: JudgePolicy,
    *,
    canary_started: datetime,
    clump: int = 1,
    luck: float = 1.0,
    green_share: float | None = None,
    expected_bins: int = EXPECTED_BINS,
    metrics: Sequence[RateName] | None = None,
    blue_rates: Mapping[RateName, float] | None = None,
    error_ceiling: float | None = None,
    answers: Sequence[AnswerBin] = (),
    drift: DriftTerms | None = None,
) -> Verdict:
    """Judge green by every bin so far, as if one had looked after each.

    canary_started: when green first kept traffic; what lies before is not judged. clump: how many failures come
    together (judge.clump, or clump.clump_size of blue's last hour). luck: the ratio that unequal instances alone may
    bring (luck.instance_luck). green_share: the share of requests that green should have, for noticing blindness;
    None, 0 or 1: not known. expected_bins: bins of the bake, the same at each look. metrics: what is measured, the
    same at each look; None: errors, and slow where any bin has it. blue_rates: rates of the hour before, which cap
    margin and luck. error_ceiling: green's SLO as a rate. drift: what captured answers are judged with, the same at
    each look; None: they are not.
    """
    usable, skipped, warnings = usable_bins(bins, canary_started)
    courses: list[_Course] = []
    for name in measured(usable) if metrics is None else metrics:
        late = timedelta(seconds=policy.warm_up_seconds if name == "slow" else 0)
        case = RateCase(
            metric=name,
            acting=name not in policy.observe,
            margin=_capped(policy.margin, policy, (blue_rates or {}).get(name)),
            luck=_capped(luck, policy, (blue_rates or {}).get(name)),
            floor=policy.floor_errors if name == "errors" else policy.floor_slow,
            ceiling=error_ceiling if name == "errors" else None,
            clump=max(1, clump),
            expected_bins=expected_bins,
            tallies=tallies_of(usable, name, canary_started + late),
        )
        course = rate_course(case, policy.alpha)
        courses.append(course)
        warnings += [*oddities(usable, name), *limits(course, policy.alpha)]
    if drift is not None:
        acts = "drift" not in policy.observe
        courses.append(
            drift_course(answers, drift, canary_started=canary_started, expected_bins=expected_bins, acting=acts)
        )
        warnings += lost_answers(answers)
    path = _together([one for one in courses if one.acting], usable)
    crossed = _crossing(path, policy.alpha)
    facts = _Facts(
        # what made it bad is told as it was then: what came after the decision did not make it
        results=tuple(one.result(crossed, policy.alpha) for one in courses),
        crossed=crossed,
        after=None if crossed is None else round((crossed - canary_started).total_seconds()),
        evidence=dict(path)[crossed] if crossed is not None else path[-1][1] if path else 0.0,
        bar=-math.log(policy.alpha),
        owed=_owed_by_green(usable, green_share),
        green_requests=sum(one.green.requests for one in usable if one.green),
        min_green=policy.min_green,
    )
    outcome, reasons = _outcome(facts)
    return Verdict(
        outcome=outcome,
        reasons=reasons,
        metrics=facts.results,
        log10_evidence=facts.evidence / LN10,
        log10_bar=facts.bar / LN10,
        decided_at=crossed,
        decided_after_seconds=facts.after,
        green_requests=facts.green_requests,
        bins=len(usable),
        bins_skipped=skipped,
        warnings=tuple(warnings),
        path=tuple((end, value / LN10) for end, value in path),
    )


def _capped(ratio: float, policy: JudgePolicy, blue_rate: float | None) -> float:
    """The ratio, smaller where blue itself is bad: 1.5 x 40% would be 20 points of harm."""
    return min(ratio, 1 + policy.max_excess / blue_rate) if blue_rate else ratio


def _together(courses: Sequence[_Course], bins: Sequence[Bin]) -> list[tuple[datetime, float]]:
    """Return the weighted mean evidence of the acting metrics after each bin, in natural logarithms.

    A metric that has no bin yet is worth what was put in, 1: weights are fixed beforehand, not by what was seen.
    """
    latest = [0.0 for _ in courses]
    names = [course.metric for course in courses]
    path = []
    for end in sorted({one.end for one in bins}.union(*(course.evidence for course in courses))):
        latest = [course.evidence.get(end, value) for course, value in zip(courses, latest, strict=True)]
        path.append((end, process.weighted_mean(names, latest) if latest else 0.0))
    return path


def _crossing(path: Sequence[tuple[datetime, float]], alpha: float) -> datetime | None:
    # 1e-9: a sum of logarithms that equals the bar must not fall short of it by rounding
    return next((end for end, value in path if value >= -math.log(alpha) - 1e-9), None)


def _owed_by_green(bins: Sequence[Bin], green_share: float | None) -> float | None:
    """Return how many requests green should have had since its last data, if that is too many to be chance."""
    if not green_share or green_share >= 1:
        return None
    owed = 0.0
    for one in bins:
        if one.green is not None and one.green.requests > 0:
            owed = 0.0
        elif one.blue is not None:
            owed += one.blue.requests * green_share / (1 - green_share)
    return owed if owed >= BLIND_REQUESTS else None


def _outcome(facts: _Facts) -> tuple[VerdictOutcome, tuple[str, ...]]:
    acting = sorted((one for one in facts.results if not one.observed_only), key=lambda one: -one.log10_evidence)
    told = tuple(describe(one) for one in acting)
    green, found, needed = facts.green_requests, odds(facts.evidence / LN10), odds(facts.bar / LN10)
    if facts.crossed is not None:
        proof = f"evidence {found} (needs {needed})"
        return "bad", (f"{headline(acting[0])} after {facts.after} s of canary", f"{told[0]}, {proof}", *told[1:])
    if facts.owed is not None:
        return "blind", (f"no data on green, which should have had {facts.owed:.0f} requests since its last", *told)
    if not acting:
        return "inconclusive", ("no metric acts: every one is only observed",)
    if not green:
        return "inconclusive", ("green has no judged requests yet",)
    if green < facts.min_green:
        return "inconclusive", (f"green had {green} requests, and {facts.min_green} are needed", *told)
    if all(one.safe for one in acting):
        shown = f"green is shown to be under 3x blue, or under its SLO, on {green} requests"
        drift = next((one for one in acting if one.metric == "drift"), None)
        if drift is not None and drift.tolerance is not None:
            shown += f", and to give no answer more often by {RULED_OUT_TOLERANCES * drift.tolerance:.0%} of all"
        return "safe", (shown, *told)
    return "inconclusive", (f"nothing sure on {green} requests, evidence {found} (a roll back needs {needed})", *told)
