"""The methods compared: each gives one number at each look, and rolls back when it reaches the method's one knob."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.judge import kayenta, port
from benchmarks.judge.traffic import FLEETS, Runs, Stream
from modeldrop.judge.luck import instance_luck

Floats = NDArray[np.float64]

LAG_SECONDS = 90  # how old a bin of 60 s must be, for every method
LOOK_SECONDS = 5  # a look comes when a bin closes (rollout.timing.next_look_seconds) and takes its time
PUBLISH_SECONDS = 5
VERDICT_ALARM_SECONDS = 30  # one whole period of the verdict's alarm (rollout.alarms)
ALARM_SECONDS = 60  # the same of an alarm on SageMaker's own metrics

ERROR_LIMIT, SLOW_LIMIT = 0.05, 0.10
MIN_REQUESTS = 20
MIN_GREEN = 30
AWS_WINDOW = 10
BOTH_METRICS = 2


@dataclass(frozen=True)
class Method:
    """A method. knob: what it is called; shipped: its usual value; score: (runs, bins), roll back when >= knob.

    delay_seconds: from the end of the bin that decides until all traffic is back on blue.
    """

    name: str
    knob: str
    shipped: float
    score: Callable[[Runs], Floats]
    delay_seconds: int


JUDGED = LAG_SECONDS + LOOK_SECONDS + PUBLISH_SECONDS + VERDICT_ALARM_SECONDS
ALARMED = LAG_SECONDS + ALARM_SECONDS


def known(stream: Stream) -> tuple[Floats, Floats]:
    """Return cumulative bad counts of green and blue at each look: the newest bin as told, older ones revised."""
    green = np.cumsum(stream.green_final, axis=1) - stream.green_final + stream.green_told
    blue = np.cumsum(stream.blue_final, axis=1) - stream.blue_final + stream.blue_told
    return green, blue


def judge(runs: Runs) -> Floats:
    """Return the judge's log10 evidence: frozen bins, errors and slow requests acting, warm-up for slow."""
    clump = port.clump_sizes(runs.hour_requests, runs.hour_errors)
    luck = instance_luck(runs.cell.share, sum(FLEETS[runs.cell.share]))
    errors = port.metric_evidence(
        runs.errors.green_told, runs.green, runs.errors.blue_told, runs.blue, clump, port.Rules(floor=0.001, luck=luck)
    )
    warm = slice(1, None)
    slow = port.metric_evidence(
        runs.slow.green_told[:, warm],
        runs.green[:, warm],
        runs.slow.blue_told[:, warm],
        runs.blue[:, warm],
        clump,
        port.Rules(floor=0.01, luck=luck),
    )
    slow = np.concatenate([np.zeros((len(slow), 1)), slow], axis=1)
    return port.together(errors, slow) / np.log(10)


def judge_says_nothing(runs: Runs) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which runs, had they not been bad, would end inconclusive and which blind."""
    clump = port.clump_sizes(runs.hour_requests, runs.hour_errors)
    bar = -np.log(0.01)
    safe = runs.green.sum(axis=1) >= MIN_GREEN
    for stream, start in ((runs.errors, 0), (runs.slow, 1)):
        counts = (stream.green_told, runs.green, stream.blue_told, runs.blue)
        safe &= port.ruled_out(*(one[:, start:] for one in counts), clump) >= bar
    last = np.where(runs.green > 0, np.arange(1, runs.green.shape[1] + 1), 0).max(axis=1)
    since = np.arange(runs.green.shape[1]) >= last[:, None]
    share = runs.cell.share
    blind = np.where(since, runs.blue, 0).sum(axis=1) * share / (1 - share) >= MIN_GREEN
    return ~safe & ~blind, blind


def threshold_once(runs: Runs) -> Floats:
    """Return how many times its limit green's rate was in each bin; the greater of errors and slow."""
    return _over_limits(runs)


def threshold_twice(runs: Runs) -> Floats:
    """Return the second highest of the last three bins that had enough requests."""
    each = np.where(runs.green >= MIN_REQUESTS, 1.0, 0.0)
    found = np.zeros(runs.green.shape)
    for stream, limit, start in ((runs.errors, ERROR_LIMIT, 0), (runs.slow, SLOW_LIMIT, 1)):
        rate = _rates(stream.green_told, runs.green) / limit * each
        rate[:, :start] = 0.0
        padded = np.concatenate([np.zeros((len(rate), 2)), rate], axis=1)
        three = np.sort(np.stack([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]]), axis=0)
        found = np.maximum(found, three[1])
    return found


def aws_sample(runs: Runs) -> Floats:
    """Return the endpoint's mean error rate over 600 s, the lower of the last two: the guide's 2 x 600 s alarm."""
    bad = runs.errors.green_told + runs.errors.blue_told
    rate = np.zeros(runs.green.shape)
    sums = _window(bad), _window(runs.green + runs.blue)
    mean = np.divide(sums[0], sums[1], out=np.zeros(rate.shape), where=sums[1] > 0)
    # periods are aligned: an alarm of 600 s is evaluated on whole ones
    for end in range(2 * AWS_WINDOW - 1, rate.shape[1], AWS_WINDOW):
        rate[:, end] = np.minimum(mean[:, end], mean[:, end - AWS_WINDOW])
    return rate


def z_test(runs: Runs) -> Floats:
    """Return the pooled two-proportion z of all counts so far; the greater of errors and slow."""
    found = np.zeros(runs.green.shape)
    for stream, green, blue, bad in _cumulative(runs):
        del stream
        with np.errstate(divide="ignore", invalid="ignore"):
            pooled = (bad[0] + bad[1]) / (green + blue)
            spread = np.sqrt(pooled * (1 - pooled) * (1 / green + 1 / blue))
            z = (bad[0] / green - bad[1] / blue) / spread
        found = np.maximum(found, np.nan_to_num(z, nan=0.0, posinf=0.0, neginf=0.0))
    return found


def fisher(runs: Runs) -> Floats:
    """Return -log10 p of Fisher's exact test (one-sided) on all counts so far; the greater of errors and slow."""
    found = np.zeros(runs.green.shape)
    for _, green, blue, bad in _cumulative(runs):
        found = np.maximum(found, -log_tail(bad[0], green, bad[0] + bad[1], green + blue) / np.log(10))
    return found


def kayenta_judge(runs: Runs) -> Floats:
    """Return the mean ratio where Kayenta says High, for errors or slow; bins without requests are missing."""
    found = np.zeros(runs.green.shape)
    for stream, start in ((runs.errors, 0), (runs.slow, 1)):
        green, blue = (
            np.where(n > 0, bad / np.maximum(n, 1), np.nan)
            for bad, n in ((stream.green_told, runs.green), (stream.blue_told, runs.blue))
        )
        found[:, start:] = np.maximum(found[:, start:], kayenta.high_ratios(green[:, start:], blue[:, start:]))
    return found


LOG_FACTORIALS = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, 1_300_000)))])
TAIL_TERMS = 80


def log_tail(bad: Floats, drawn: Floats, marked: Floats, everything: Floats) -> Floats:
    """Return log P(X >= bad), X hypergeometric: `drawn` of `everything`, of which `marked` are bad.

    The first terms are summed, what follows is closed as a geometric series: exact below TAIL_TERMS terms.
    """
    bad, drawn, marked, everything = (np.asarray(one, dtype=np.int64) for one in (bad, drawn, marked, everything))
    fact = LOG_FACTORIALS
    rest = everything - drawn - marked
    first = (
        fact[marked] - fact[bad] - fact[marked - bad] + fact[everything - marked]
        - fact[drawn - bad] - fact[rest + bad] - fact[everything] + fact[drawn] + fact[everything - drawn]
    )  # fmt: skip
    total, term, quotient = np.ones(first.shape), np.ones(first.shape), np.zeros(first.shape)
    for number in range(TAIL_TERMS):
        x = bad + number
        up = np.maximum(marked - x, 0) * np.maximum(drawn - x, 0).astype(float)
        quotient = up / np.maximum((x + 1) * (rest + x + 1.0), 1)
        term = term * quotient
        total += term
    closing = np.where(quotient < 1, term * quotient / np.maximum(1 - quotient, 1e-9), 0.0)
    return np.minimum(first + np.log(total + closing), 0.0)


METHODS = (
    Method("judge", "log10 evidence", 2.0, judge, JUDGED),
    Method("kayenta", "allowedIncrease", 1.0, kayenta_judge, JUDGED),
    Method("1 of 1", "times the limit", 1.0 + 1e-9, threshold_once, ALARMED),
    Method("2 of 3", "times the limit", 1.0 + 1e-9, threshold_twice, ALARMED),
    Method("aws sample", "mean error rate", 1.0 + 1e-9, aws_sample, ALARMED),
    Method("z peeked", "z", 1.6449, z_test, JUDGED),
    Method("fisher peeked", "-log10 p", -np.log10(0.01 / 30 / BOTH_METRICS), fisher, JUDGED),
)


def _rates(bad: Floats, requests: Floats) -> Floats:
    return np.divide(bad, requests, out=np.zeros(bad.shape), where=requests > 0)


def _over_limits(runs: Runs) -> Floats:
    errors = _rates(runs.errors.green_told, runs.green) / ERROR_LIMIT
    slow = _rates(runs.slow.green_told, runs.green) / SLOW_LIMIT
    slow[:, 0] = 0.0
    return np.maximum(errors, slow)


def _window(values: Floats) -> Floats:
    sums = np.cumsum(values, axis=1)
    return sums - np.concatenate([np.zeros((len(sums), AWS_WINDOW)), sums[:, :-AWS_WINDOW]], axis=1)


def _cumulative(runs: Runs) -> list[tuple[str, Floats, Floats, tuple[Floats, Floats]]]:
    """Return requests and bad counts so far of both metrics; the warm-up is left out for slow."""
    found = []
    for name, stream, start in (("errors", runs.errors, 0), ("slow", runs.slow, 1)):
        mask = np.ones(runs.green.shape, dtype=np.int64)
        mask[:, :start] = 0
        kept = Stream(
            stream.green_told * mask, stream.green_final * mask, stream.blue_told * mask, stream.blue_final * mask
        )
        green, blue = np.cumsum(runs.green * mask, axis=1), np.cumsum(runs.blue * mask, axis=1)
        found.append((name, green, blue, known(kept)))
    return found
