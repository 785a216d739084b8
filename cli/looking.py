"""One look at a release on its way: its phase, and what blue and green do, from the endpoint and CloudWatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from cli.account import Stack
from modeldrop.artifact.progress import progress_text
from modeldrop.judge.bins import Bin, Counts, closed_until, period_start
from modeldrop.release.observe import EndpointView, Passage, advance, passage_from_json
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.share import Share, share_of
from modeldrop.rollout.model import RolloutPlan, plan_from_json
from modeldrop.times import moment

MINUTE = 60


@dataclass(frozen=True)
class FleetLook:
    """One fleet in the closed metric periods of a rollout, latency of the last of them; None is unknown, not zero.

    CloudWatch keeps periods under a minute for three hours: a rollout watched later has only those.

    derived: SageMaker does not tell this fleet apart (it does so from a fleet's own rollout on), so its latencies are
    those of all traffic.
    """

    config: str
    requests: int | None = None
    errors: int | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    derived: bool = False

    @property
    def error_rate(self) -> float | None:
        """Return errors by requests; None without requests."""
        return self.errors / self.requests if self.requests and self.errors is not None else None


@dataclass(frozen=True)
class Look:
    """A release and its fleets at one moment, in closed metric periods.

    share: None while traffic is not shared between two fleets.
    """

    at: datetime
    record: ReleaseRecord
    status: str
    blue: FleetLook | None
    green: FleetLook
    share: Share | None = None
    bins: tuple[Bin, ...] = ()


def why(record: ReleaseRecord) -> str:
    """Return in one line why a release ended as it did: the message's headline without the names around it."""
    if record.problems:
        return record.problems[0].get("what", "")
    short = "" if record.headline.endswith("...") else record.headline.partition(": ")[2]
    return short or (record.reasons[0] if record.reasons else "")


def state(record: ReleaseRecord) -> str:
    """Return a release's outcome, or its phase with how far it is where that is known."""
    return progress(record) or record.outcome or record.phase


def progress(record: ReleaseRecord) -> str | None:
    """Return `validating, 1.2 of 2.0 GB, ...` while an artifact is read; None where nothing is known."""
    read = record.progress if record.phase == "validating" and not record.outcome else None
    return f"{record.phase}, {progress_text(read)}" if read else None


def look(
    stack: Stack, record: ReleaseRecord, watched_since: datetime, at: datetime, earlier: Look | None = None
) -> Look:
    """Describe the endpoint, and read what both fleets did since the rollout began, or since it is watched.

    earlier: the look before at the same release; a period that it counted is not read again.
    """
    from modeldrop.aws import endpoints

    endpoint = endpoints.describe(stack.account.client("sagemaker"), record.endpoint)
    status = endpoint.status or "absent"
    if not record.plan:
        return Look(at, record, status, None, FleetLook(record.release))
    plan = plan_from_json(record.plan)
    known = _since_start(earlier.bins, plan, record) if earlier else ()
    fresh = _closed_bins(stack, record, plan, watched_since, at, known)
    share = _share(plan, record, endpoint, (*known, *fresh), at)
    if earlier and known == earlier.bins and known and not fresh:
        return replace(earlier, at=at, record=record, status=status, share=share)
    bins = (*known, *fresh)
    blue, green = _fleets(stack, plan, bins)
    return Look(at, record, status, blue, green, share, bins)


def _since_start(bins: tuple[Bin, ...], plan: RolloutPlan, record: ReleaseRecord) -> tuple[Bin, ...]:
    """Leave out what was counted before the rollout began: whoever watches it sees the same numbers."""
    started = record.rollout.get("started_at")
    first = period_start(moment(started), plan.metrics_every) if started else None
    return tuple(one for one in bins if first is None or one.start >= first)


def endpoint_status(stack: Stack, endpoint: str) -> str:
    """Return SageMaker's status of the endpoint, or `absent`."""
    from modeldrop.aws import endpoints

    return endpoints.describe(stack.account.client("sagemaker"), endpoint).status or "absent"


def _share(
    plan: RolloutPlan, record: ReleaseRecord, endpoint: EndpointView, bins: Sequence[Bin], at: datetime
) -> Share | None:
    """Return green's share; None while there is one fleet only, and before traffic first moved."""
    passage = _passage(record, endpoint, at)
    shared = plan.previous_config and not record.outcome and (passage.bakes or passage.shifts)
    return share_of(plan, passage, bins) if shared else None


def _passage(record: ReleaseRecord, endpoint: EndpointView, at: datetime) -> Passage:
    """Return how far the rollout is: as the judge wrote it down, and what the endpoint says since."""
    passage = passage_from_json(record.rollout.get("passage", {}))
    last_look = record.rollout.get("last_look")
    if last_look is None or endpoint.pending_config != record.release:
        return passage
    return advance(passage, endpoint, moment(last_look), at)


def _closed_bins(
    stack: Stack,
    record: ReleaseRecord,
    plan: RolloutPlan,
    watched_since: datetime,
    at: datetime,
    known: Sequence[Bin],
) -> list[Bin]:
    """Count the periods that are closed and not known yet, up to the one in which the release ended."""
    from modeldrop.aws.fleets import bins_between, fleets_of
    from modeldrop.aws.measurements import FINE_DATA_SECONDS

    period, started = plan.metrics_every, record.rollout.get("started_at")
    end = closed_until(at, plan.metric_lag, period)
    if record.finished_at:
        end = min(end, period_start(moment(record.finished_at), period) + timedelta(seconds=period))
    begin = known[-1].end if known else period_start(moment(started) if started else watched_since, period)
    if period < MINUTE:
        # CloudWatch gives these for so long only, counted from now
        newest = end if record.finished_at else at
        oldest = period_start(newest - timedelta(seconds=FINE_DATA_SECONDS), period) + timedelta(seconds=period)
        begin = max(begin, oldest)
    return bins_between(stack.account.client("cloudwatch"), fleets_of(plan), begin, end, period, None)


def _fleets(stack: Stack, plan: RolloutPlan, bins: Sequence[Bin]) -> tuple[FleetLook | None, FleetLook]:
    """Sum up each fleet's bins, with its latency in the last one: until blue has its own, that of all traffic."""
    from modeldrop.aws import measurements
    from modeldrop.aws.fleets import fleets_of

    scopes, latency = fleets_of(plan).scopes, dict[str, Any]()
    if bins:
        last, cloudwatch = bins[-1], stack.account.client("cloudwatch")
        latency = measurements.percentiles(cloudwatch, scopes, last.start, last.end, last.seconds)
    green = _fleet(plan.release, [one.green for one in bins], latency.get("green"))
    if not plan.previous_config:
        return None, green
    blue = _fleet(plan.previous_config, [one.blue for one in bins], latency.get("blue"), latency.get("all"))
    return blue, green


def _fleet(
    config: str, counts: Sequence[Counts | None], own: Mapping[str, Any] | None, of_all: Mapping[str, Any] | None = None
) -> FleetLook:
    """Describe one fleet. own: its latency in the last period; of_all: that of all traffic, where it has no own."""
    told = [one for one in counts if one is not None]
    if not told:
        return FleetLook(config)
    last = counts[-1]
    # nothing is said of a fleet that had no request
    latency = own or (of_all if last is not None and last.requests > 0 else None)
    return FleetLook(
        config=config,
        requests=sum(one.requests for one in told),
        errors=sum(one.errors for one in told),
        p50_ms=latency["p50"][0] if latency else None,
        p99_ms=latency["p99"][0] if latency else None,
        derived=own is None and latency is not None,
    )
