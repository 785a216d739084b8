"""The verdict: what the judge found, in numbers and in words, and its JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypedDict

from modeldrop.judge.bins import stamp
from modeldrop.judge.process import Tally
from modeldrop.policy.model import MetricName

VerdictOutcome = Literal["bad", "safe", "inconclusive", "blind"]

# points of the evidence's path that are kept for the chart: one a pixel is enough
MAX_PATH = 240
EVIDENT = 1_000_000
LN10 = math.log(10)


@dataclass(frozen=True)
class MetricVerdict:
    """One metric at the end of the bins.

    Counts are of the bins that were judged for it. rates: fractions of 1, None without requests. ratio: green's rate
    over blue's, None where blue had none. margin: what was really asked of green, after max_excess. log10_evidence:
    the lesser of log10_ratio (worse than blue) and log10_floor (above the floor). safe: 3x blue is ruled out, or
    green is under its SLO. observed_only: shown, not acted on. ratio_low, ratio_high: with probability 1 - alpha the
    true ratio of rates, while it stays the same, lies between them at every look at once; None: no upper limit.
    Of drift, bad events are answers of the class `answer`, the one that tells most; log10_evidence is the mean over all
    classes, log10_ratio and log10_floor are this class's alone, and in place of margin (1) and floor stands tolerance:
    by how much of all answers the class may be more frequent.
    """

    metric: MetricName
    observed_only: bool
    green_bad: int
    green_requests: int
    blue_bad: int
    blue_requests: int
    green_rate: float | None
    blue_rate: float | None
    ratio: float | None
    margin: float
    log10_evidence: float
    log10_ratio: float
    log10_floor: float
    safe: bool
    bins: int
    ratio_low: float = 0.0
    ratio_high: float | None = None
    answer: str = ""
    tolerance: float | None = None

    @property
    def evidence(self) -> str:
        """The evidence as odds, `2622:1`."""
        return odds(self.log10_evidence)


class Totals(TypedDict):
    """The counts of a metric over its bins, as MetricVerdict has them."""

    green_bad: int
    green_requests: int
    blue_bad: int
    blue_requests: int
    green_rate: float | None
    blue_rate: float | None
    ratio: float | None


def totals(tallies: Sequence[Tally]) -> Totals:
    """Add up the counts of a metric's bins."""
    green_bad, green = sum(one.green_bad for one in tallies), sum(one.green_requests for one in tallies)
    blue_bad, blue = sum(one.blue_bad for one in tallies), sum(one.blue_requests for one in tallies)
    return {
        "green_bad": green_bad,
        "green_requests": green,
        "blue_bad": blue_bad,
        "blue_requests": blue,
        "green_rate": green_bad / green if green else None,
        "blue_rate": blue_bad / blue if blue else None,
        "ratio": (green_bad / green) / (blue_bad / blue) if green and blue_bad else None,
    }


@dataclass(frozen=True)
class Verdict:
    """What the judge says of green, and why.

    log10_evidence: of the acting metrics together, at its highest when bad, else now; bad from log10_bar on.
    decided_at: end of the bin that made it bad. reasons: most important first. warnings: what was odd in the input.
    path: the end of each judged bin and the evidence then (log10), for the chart.
    """

    outcome: VerdictOutcome
    reasons: tuple[str, ...]
    metrics: tuple[MetricVerdict, ...]
    log10_evidence: float
    log10_bar: float
    decided_at: datetime | None
    decided_after_seconds: int | None
    green_requests: int
    bins: int
    bins_skipped: int
    warnings: tuple[str, ...] = ()
    path: tuple[tuple[datetime, float], ...] = ()

    @property
    def reason(self) -> str:
        """The reasons as one line."""
        return "; ".join(self.reasons)

    @property
    def evidence(self) -> str:
        """The evidence of the acting metrics as odds."""
        return odds(self.log10_evidence)

    @property
    def bar(self) -> str:
        """The odds that a roll back needs."""
        return odds(self.log10_bar)


def odds(log10: float) -> str:
    """Say evidence as odds: `2622:1`, `1.4:1`, or `1:50` where it speaks for green."""
    if log10 >= math.log10(EVIDENT):
        return "over 1000000:1"
    if log10 <= -math.log10(EVIDENT):
        return "under 1:1000000"
    value = 10**log10
    if value >= 1:
        return f"{value:.0f}:1" if value >= 9.95 else f"{value:.2g}:1"
    return f"1:{1 / value:.0f}" if value <= 1 / 9.95 else f"1:{1 / value:.2g}"


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as JSON for the record; the path thinned, its last point kept. No infinities, no NaN."""
    return {
        "outcome": verdict.outcome,
        "reasons": list(verdict.reasons),
        "metrics": [_metric_to_json(one) for one in verdict.metrics],
        "evidence": verdict.evidence,
        "log10_evidence": _finite(verdict.log10_evidence),
        "bar": verdict.bar,
        "log10_bar": _finite(verdict.log10_bar),
        "decided_at": None if verdict.decided_at is None else stamp(verdict.decided_at),
        "decided_after_seconds": verdict.decided_after_seconds,
        "green_requests": verdict.green_requests,
        "bins": verdict.bins,
        "bins_skipped": verdict.bins_skipped,
        "warnings": list(verdict.warnings),
        "path": [[stamp(moment), _finite(log10)] for moment, log10 in _thinned(verdict.path)],
    }


def verdict_from_json(data: Mapping[str, Any]) -> Verdict:
    """Read what `verdict_to_json` wrote."""
    decided = data["decided_at"]
    return Verdict(
        outcome=data["outcome"],
        reasons=tuple(data["reasons"]),
        metrics=tuple(
            MetricVerdict(**{name: value for name, value in one.items() if name != "evidence"})
            for one in data["metrics"]
        ),
        log10_evidence=float(data["log10_evidence"]),
        log10_bar=float(data["log10_bar"]),
        decided_at=None if decided is None else datetime.fromisoformat(decided),
        decided_after_seconds=data["decided_after_seconds"],
        green_requests=data["green_requests"],
        bins=data["bins"],
        bins_skipped=data["bins_skipped"],
        warnings=tuple(data["warnings"]),
        path=tuple((datetime.fromisoformat(moment), float(log10)) for moment, log10 in data["path"]),
    )


def _metric_to_json(one: MetricVerdict) -> dict[str, Any]:
    return {
        "metric": one.metric,
        "observed_only": one.observed_only,
        "green_bad": one.green_bad,
        "green_requests": one.green_requests,
        "blue_bad": one.blue_bad,
        "blue_requests": one.blue_requests,
        "green_rate": one.green_rate,
        "blue_rate": one.blue_rate,
        "ratio": one.ratio,
        "ratio_low": round(one.ratio_low, 4),
        "ratio_high": None if one.ratio_high is None else round(one.ratio_high, 4),
        "margin": one.margin,
        "evidence": one.evidence,
        "log10_evidence": _finite(one.log10_evidence),
        "log10_ratio": _finite(one.log10_ratio),
        "log10_floor": _finite(one.log10_floor),
        "safe": one.safe,
        "bins": one.bins,
        "answer": one.answer,
        "tolerance": one.tolerance,
    }


def _finite(value: float) -> float:
    """JSON has no infinity: a floor of 0% is beaten without end, and 10^300 says the same."""
    return round(max(-300.0, min(300.0, value)), 4)


def _thinned(path: tuple[tuple[datetime, float], ...]) -> list[tuple[datetime, float]]:
    if len(path) <= MAX_PATH:
        return list(path)
    stride = math.ceil(len(path) / MAX_PATH)
    return [point for number, point in enumerate(path) if number % stride == 0 or number == len(path) - 1]
