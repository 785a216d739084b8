"""Drift: does green give some answer more often than blue does on the same traffic, beyond a tolerance.

One e-process a class of answers, each against "green's share of this class is at most blue's plus the tolerance", and
their mean over the classes, which is an e-process whatever ties the classes together. docs/judge.md has the proof.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from modeldrop.judge import process
from modeldrop.judge.answers import OTHER, AnswerBin, DriftTerms
from modeldrop.judge.interval import ratio_interval
from modeldrop.judge.process import Tally
from modeldrop.judge.verdict import LN10, MetricVerdict, totals
from modeldrop.policy.model import MetricName

# how much of what is left above blue's share and the tolerance green is bet to have taken, in equal parts
PARTS = (0.05, 0.15, 0.4, 0.75, 0.97)
# blue's share is guessed from what was seen of blue until then, and from the time before as if it were so many answers
PRIOR_ANSWERS = 50
# bets are made on shares inside these: a certain answer would be ruined by one other
LEAST, MOST = 0.002, 0.998
# green is cleared when no class can be more frequent than blue's by so many tolerances
RULED_OUT_TOLERANCES = 2.0
TINY = 1e-9


@dataclass(frozen=True)
class _Stream:
    """One class: its tallies (bad: answers of this class), its evidence after each, and blue's share as guessed."""

    name: str
    tallies: tuple[Tally, ...]
    guesses: tuple[float, ...]
    path: tuple[float, ...]


@dataclass(frozen=True)
class DriftCourse:
    """How the evidence for drift went, by the end of the period; natural logarithms."""

    terms: DriftTerms
    acting: bool
    ends: tuple[datetime, ...]
    streams: tuple[_Stream, ...]
    metric: MetricName = "drift"

    @cached_property
    def evidence(self) -> Mapping[datetime, float]:
        """Return the mean over the classes after each period."""
        return {
            end: process.log_mean([one.path[number] for one in self.streams]) for number, end in enumerate(self.ends)
        }

    def result(self, until: datetime | None, alpha: float) -> MetricVerdict:
        """Return what drift says at the end, or as it was at `until`; the counts are of the class that tells most."""
        seen = len([end for end in self.ends if until is None or end <= until])
        told = max(self.streams, key=lambda one: (one.path[seen - 1] if seen else 0.0, _growth(one.tallies[:seen])))
        tallies = told.tallies[:seen]
        own = told.path[seen - 1] / LN10 if seen else 0.0
        # the class was chosen after the counts were seen: the interval must hold for all of them at once
        low, high = ratio_interval(tallies, alpha / len(self.streams), self.terms.clump)
        return MetricVerdict(
            metric=self.metric,
            observed_only=not self.acting,
            **totals(tallies),
            margin=1.0,
            log10_evidence=(self.evidence[self.ends[seen - 1]] if seen else 0.0) / LN10,
            log10_ratio=own,
            log10_floor=own,
            safe=seen > 0 and all(_cleared(one, seen, self.terms, alpha) for one in self.streams),
            bins=seen,
            ratio_low=low,
            ratio_high=high,
            answer=told.name,
            tolerance=self.terms.tolerance,
        )


def drift_course(
    bins: Sequence[AnswerBin], terms: DriftTerms, *, canary_started: datetime, expected_bins: int, acting: bool
) -> DriftCourse:
    """Follow the evidence over the periods in which both fleets were captured and no traffic moved."""
    told: dict[datetime, AnswerBin] = {}
    for one in bins:
        if not one.shift and one.start >= canary_started and one.blue is not None and one.green is not None:
            told.setdefault(one.end, one)
    ends = tuple(sorted(told))
    ordered = [told[end] for end in ends]
    streams = tuple(_stream(name, ordered, terms, expected_bins) for name in (*terms.shares, OTHER))
    return DriftCourse(terms, acting, ends, streams)


def gap_step(tally: Tally, gap: float, green: float, blue: float) -> float:
    """Log likelihood ratio of one period against "green's share is at most `gap` above blue's".

    green, blue: the shares that are bet on, with green > blue + gap. They are held against the shares nearest to them
    (Kullback-Leibler) that the claim allows, which makes the ratio's mean at most 1 under all that it allows (Turner
    and Grünwald 2023, "Exact anytime-valid confidence intervals for contingency tables and beyond"; docs/judge.md).
    """
    if not tally.green_requests or not tally.blue_requests:
        return 0.0
    nearest = _nearest(tally.green_requests, tally.blue_requests, gap, green, blue)
    return _bernoulli(tally.green_bad, tally.green_requests, green, nearest + gap) + _bernoulli(
        tally.blue_bad, tally.blue_requests, blue, nearest
    )


def _stream(name: str, bins: Sequence[AnswerBin], terms: DriftTerms, expected_bins: int) -> _Stream:
    share = terms.shares.get(name, max(0.0, 1 - math.fsum(terms.shares.values())))
    tallies, guesses, steps = [], [], []
    seen_bad, seen = share * PRIOR_ANSWERS, float(PRIOR_ANSWERS)
    for one in bins:
        green, blue = one.green or {}, one.blue or {}
        tally = Tally(_count(green, name, terms), sum(green.values()), _count(blue, name, terms), sum(blue.values()))
        guess = min(MOST, max(LEAST, seen_bad / seen))
        tallies.append(tally)
        guesses.append(guess)
        steps.append(class_steps(tally, guess, terms))
        seen_bad, seen = seen_bad + tally.blue_bad, seen + tally.blue_requests
    return _Stream(name, tuple(tallies), tuple(guesses), tuple(process.with_late_starts(steps, expected_bins)))


def class_steps(tally: Tally, blue: float, terms: DriftTerms) -> list[float]:
    """Log likelihood ratios of one period and class, one for each of PARTS, when blue's share is guessed as `blue`."""
    allowed = blue + terms.tolerance
    if allowed >= MOST:  # a class that nearly every answer of blue has cannot grow by more than the tolerance
        return [0.0] * len(PARTS)
    bets = [allowed + part * (MOST - allowed) for part in PARTS]
    return [gap_step(tally, terms.tolerance, green, blue) / terms.clump for green in bets]


def _cleared(stream: _Stream, seen: int, terms: DriftTerms, alpha: float) -> bool:
    """Say whether "more frequent by RULED_OUT_TOLERANCES tolerances" is ruled out for this class, betting on equality.

    It is the claim of gap_step with shares of all other answers, and the gap's sign turned.
    """
    gap = terms.tolerance * RULED_OUT_TOLERANCES
    steps = []
    for tally, guess in zip(stream.tallies[:seen], stream.guesses[:seen], strict=True):
        if guess + gap >= MOST:
            return True
        others = Tally(
            tally.green_requests - tally.green_bad,
            tally.green_requests,
            tally.blue_requests - tally.blue_bad,
            tally.blue_requests,
        )
        steps.append([gap_step(others, -gap, 1 - guess, 1 - guess) / terms.clump])
    return bool(steps) and process.from_the_start(steps)[-1] >= -math.log(alpha)


def _nearest(green_requests: int, blue_requests: int, gap: float, green: float, blue: float) -> float:
    """Return blue's share at the nearest pair (share + gap, share): the root of a rising function.

    Newton's steps, kept inside what is known.
    """
    # a share below 0 or above 1 is none, neither blue's nor green's
    low, high = max(blue, TINY - gap), min(green - gap, 1 - TINY)
    share = (low + high) / 2
    for _ in range(60):
        first, first_rise = _pull(green_requests, green, share + gap)
        second, second_rise = _pull(blue_requests, blue, share)
        if first + second < 0:
            low = share
        else:
            high = share
        guess = share - (first + second) / (first_rise + second_rise)
        following = guess if low < guess < high else (low + high) / 2
        if abs(following - share) < 1e-13:
            break
        share = following
    return share


def _pull(requests: int, wanted: float, share: float) -> tuple[float, float]:
    """Return the slope of `requests` times the divergence of `share` from what is wanted, and the slope's own."""
    spread = share * (1 - share)
    rise = (spread - (share - wanted) * (1 - 2 * share)) / (spread * spread)
    return requests * (share - wanted) / spread, requests * rise


def _bernoulli(bad: int, requests: int, alternative: float, null: float) -> float:
    return bad * math.log(alternative / null) + (requests - bad) * (math.log1p(-alternative) - math.log1p(-null))


def _count(counts: Mapping[str, int], name: str, terms: DriftTerms) -> int:
    if name != OTHER:
        return counts.get(name, 0)
    return sum(count for one, count in counts.items() if one not in terms.shares)


def _growth(tallies: Sequence[Tally]) -> float:
    green, blue = sum(one.green_requests for one in tallies), sum(one.blue_requests for one in tallies)
    if not green or not blue:
        return 0.0
    return sum(one.green_bad for one in tallies) / green - sum(one.blue_bad for one in tallies) / blue
