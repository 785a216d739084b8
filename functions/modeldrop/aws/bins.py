"""Bins of a rollout: made from CloudWatch as periods close, kept as one JSON line each beside the release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from modeldrop.aws import captures, clients, objects
from modeldrop.aws.fleets import bins_between, fleets_of
from modeldrop.judge.answers import AnswerBin, gathered, read_answers
from modeldrop.judge.bins import Bin, closed_until, period_start, read_bins
from modeldrop.judge.terms import Terms, write_bins
from modeldrop.observability import logger
from modeldrop.release.observe import Passage, touches_shift
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.reports import report_key
from modeldrop.rollout.plan import RolloutPlan
from modeldrop.settings import settings

NAME = "bins.jsonl"
# 28,800 s of rollout in 10 s bins, about 200 bytes each, and as many lines of answers: of two fleets 21 classes with
# names of 40 characters, which JSON may write as 6 bytes each
MAX_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Frozen:
    """What never changes again: closed bins, and closed periods of captured answers."""

    bins: tuple[Bin, ...] = ()
    answers: tuple[AnswerBin, ...] = ()


def kept(record: ReleaseRecord) -> Frozen:
    """Read what earlier looks froze."""
    key = report_key(record, NAME)
    if not objects.exists(settings().approved_bucket, key):
        return Frozen()
    lines = objects.read_bounded(settings().approved_bucket, key, MAX_BYTES).decode().splitlines()
    return Frozen(tuple(read_bins(lines)), tuple(read_answers(lines)))


def keep(record: ReleaseRecord, frozen: Frozen, terms: Terms) -> None:
    """Write all that is frozen and what it is judged with; CloudWatch itself keeps 10 s data for three hours only."""
    body = write_bins(frozen.bins, terms, frozen.answers).encode()
    objects.write(settings().approved_bucket, report_key(record, NAME), body, "application/jsonl")


def up_to_now(record: ReleaseRecord, plan: RolloutPlan, passage: Passage, at: datetime) -> Frozen:
    """Return everything closed since green first had traffic: what was frozen before, and what is new.

    A bin enters once, when it is older than the metric lag, and never changes again; a period of answers when it is
    older than the capture lag.
    """
    if passage.canary_started is None:
        return Frozen()
    before = kept(record)
    answers = before.answers
    if plan.drift is not None:
        try:
            answers = (*answers, *_new_answers(answers, plan, passage, at))
        except (ClientError, BotoCoreError) as error:
            # the next look tries again; what is counted in CloudWatch is judged all the same
            logger.warning("captured answers could not be read: %s", error)
    return Frozen((*before.bins, *_new_bins(before.bins, plan, passage, at)), answers)


def _new_answers(frozen: Sequence[AnswerBin], plan: RolloutPlan, passage: Passage, at: datetime) -> list[AnswerBin]:
    period = plan.metrics_every
    begin = frozen[-1].end if frozen else period_start(passage.canary_started or at, period)
    end = closed_until(at, plan.capture_lag, period)
    if end <= begin or plan.drift is None:
        return []
    blue, green = (
        captures.by_period(clients.s3(), prefix, plan.endpoint, plan.quality_output, begin, end, period)
        for prefix in (plan.captured_to, plan.capture_to)
    )
    fresh = []
    for number in range(int((end - begin).total_seconds()) // period):
        start = begin + timedelta(seconds=number * period)
        shift = touches_shift(passage, start, start + timedelta(seconds=period))
        own, new = (gathered(found[start], plan.drift) if start in found else None for found in (blue, green))
        fresh.append(AnswerBin(start, period, own, new, seen_at=at, shift=shift))
    return fresh


def _new_bins(frozen: Sequence[Bin], plan: RolloutPlan, passage: Passage, at: datetime) -> list[Bin]:
    period = plan.metrics_every
    begin = frozen[-1].end if frozen else period_start(passage.canary_started or at, period)
    end = closed_until(at, plan.metric_lag, period)
    fresh = bins_between(clients.cloudwatch(), fleets_of(plan), begin, end, period, plan.slow_ms)
    return [replace(one, seen_at=at, shift=touches_shift(passage, one.start, one.end)) for one in fresh]
