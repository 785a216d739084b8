"""One look at a release on its way: its phase, and what blue and green do, from the endpoint and CloudWatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cli.account import Stack
from modeldrop.artifact.progress import progress_text
from modeldrop.clock import moment
from modeldrop.judge.bins import Bin, Counts, closed_until, period_start
from modeldrop.release.observe import EndpointView, Passage, advance, passage_from_json
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.share import Share, share_of
from modeldrop.rollout.model import RolloutPlan, plan_from_json

if TYPE_CHECKING:
    from modeldrop.aws.fleets import Fleets


@dataclass(frozen=True)
class FleetLook:
    """One fleet in the closed metric periods of a rollout, latency of the last of them; None is unknown, not zero.

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
    """A release and its fleets at one moment. share: None while traffic is not shared between two fleets."""

    at: datetime
    record: ReleaseRecord
    status: str
    blue: FleetLook | None
    green: FleetLook
    share: Share | None = None


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


def look(stack: Stack, record: ReleaseRecord, watched_since: datetime, at: datetime) -> Look:
    """Describe the endpoint, and read what both fleets did since the rollout began, or since it is watched."""
    from modeldrop.aws import endpoints
    from modeldrop.aws.fleets import Fleets, bins_between

    endpoint = endpoints.describe(stack.account.client("sagemaker"), record.endpoint)
    status = endpoint.status or "absent"
    if not record.plan:
        return Look(at, record, status, None, FleetLook(record.release))
    plan = plan_from_json(record.plan)
    fleets = Fleets(plan.endpoint, green=plan.release, blue=plan.previous_config)
    started = record.rollout.get("started_at")
    begin = period_start(moment(started) if started else watched_since, plan.metrics_every)
    end = closed_until(at, plan.metric_lag, plan.metrics_every)
    bins = bins_between(stack.account.client("cloudwatch"), fleets, begin, end, plan.metrics_every, None)
    latency = _latency(stack, fleets, bins[-1]) if bins else {}
    blue = _fleet(plan.previous_config, [one.blue for one in bins], latency, "blue")
    green = _fleet(plan.release, [one.green for one in bins], latency, "green")
    share = _share(plan, record, endpoint, bins, at)
    return Look(at, record, status, blue if plan.previous_config else None, green, share)


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


def _latency(stack: Stack, fleets: Fleets, last: Bin) -> Mapping[str, Any]:
    """Read each fleet's latency in one period: {p50: [...], p99: [...]} by fleet, None where there is none."""
    from modeldrop.aws import measurements

    cloudwatch = stack.account.client("cloudwatch")
    return measurements.percentiles(cloudwatch, fleets.scopes, last.start, last.end, last.seconds)


def _fleet(config: str, counts: Sequence[Counts | None], latency: Mapping[str, Any], fleet: str) -> FleetLook:
    told = [one for one in counts if one is not None]
    if not told:
        return FleetLook(config)
    own, last = latency.get(fleet), counts[-1]
    # what has its own latency has its own counts; nothing is said of a fleet that had no request
    derived = own is None and last is not None and last.requests > 0
    own = latency.get("all") if derived else own
    return FleetLook(
        config=config,
        requests=sum(one.requests for one in told),
        errors=sum(one.errors for one in told),
        p50_ms=own["p50"][0] if own else None,
        p99_ms=own["p99"][0] if own else None,
        derived=derived,
    )
