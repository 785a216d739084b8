"""Bins of a rollout: made from CloudWatch as periods close, kept as one JSON line each beside the release."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from modeldrop.aws import measurements, objects
from modeldrop.aws.measurements import Scope
from modeldrop.judge.bins import Bin, Counts, read_bins
from modeldrop.judge.terms import Terms, write_bins
from modeldrop.release.observe import Passage, touches_shift
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.reports import report_key
from modeldrop.rollout.plan import RolloutPlan
from modeldrop.settings import settings

NAME = "bins.jsonl"
# 28,800 s of rollout in 10 s bins, about 200 bytes each
MAX_BYTES = 1024 * 1024


def kept(record: ReleaseRecord) -> list[Bin]:
    """Read the bins that earlier looks froze."""
    key = report_key(record, NAME)
    if not objects.exists(settings().approved_bucket, key):
        return []
    return read_bins(objects.read_bounded(settings().approved_bucket, key, MAX_BYTES).decode().splitlines())


def keep(record: ReleaseRecord, bins: Sequence[Bin], terms: Terms) -> None:
    """Write all bins and what they are judged with; CloudWatch itself keeps 10 s data for three hours only."""
    objects.write(
        settings().approved_bucket, report_key(record, NAME), write_bins(bins, terms).encode(), "application/jsonl"
    )


def up_to_now(record: ReleaseRecord, plan: RolloutPlan, passage: Passage, at: datetime) -> list[Bin]:
    """Return every closed bin since green first had traffic: those that were frozen, and the new ones.

    A bin enters once, when it is older than the metric lag, and never changes again.
    """
    if passage.canary_started is None:
        return []
    frozen = kept(record)
    period = plan.metrics_every
    begin = frozen[-1].start + timedelta(seconds=period) if frozen else _floor(passage.canary_started, period)
    end = _floor(at - timedelta(seconds=plan.metric_lag), period)
    if end <= begin:
        return frozen
    scopes = {
        "all": Scope(plan.endpoint),
        "green": Scope(plan.endpoint, plan.release),
        "blue": Scope(plan.endpoint, plan.previous_config),
    }
    counts = measurements.counts(scopes, begin, end, period, plan.slow_ms)
    fresh = []
    for number in range(int((end - begin).total_seconds()) // period):
        start = begin + timedelta(seconds=number * period)
        whole, green, own = (counts[name].get(start) for name in ("all", "green", "blue"))
        shift = touches_shift(passage, start, start + timedelta(seconds=period))
        fresh.append(Bin(start, period, own or _rest(whole, green), green, seen_at=at, shift=shift))
    return frozen + fresh


def _rest(whole: Counts | None, green: Counts | None) -> Counts | None:
    """Return all traffic less green's: blue has no dimension of its own until the endpoint was updated once."""
    if whole is None:
        return None
    if green is None:
        return whole
    slow = None if whole.slow is None or green.slow is None else max(0, whole.slow - green.slow)
    return Counts(max(0, whole.requests - green.requests), max(0, whole.errors - green.errors), slow)


def _floor(moment: datetime, period: int) -> datetime:
    seconds = int(moment.timestamp()) // period * period
    return datetime.fromtimestamp(seconds, UTC)
