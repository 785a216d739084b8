"""StartRollout: with the fence checked and autoscaling made safe, create or update the endpoint."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from modeldrop.aws import cleanup, clients, endpoints, scaling, signals
from modeldrop.aws.endpoints import EndpointBusyError
from modeldrop.aws.releases import ReleaseTable
from modeldrop.aws.steps import begin_as_owner
from modeldrop.entry import entry
from modeldrop.errors import ParkedError
from modeldrop.release.observe import EndpointView
from modeldrop.release.record import ReleaseRecord
from modeldrop.rollout.plan import RolloutPlan, plan_from_json
from modeldrop.rollout.requests import create_endpoint_request, update_endpoint_request
from modeldrop.times import iso, moment

FIRST_LOOK_SECONDS = 2
# an endpoint that scales comes to rest in minutes; after somebody's update the plan is not true any more
MAX_LOOKS = 40
MAX_WAIT_SECONDS = 60


# a release is tidied for the last time 20 minutes after its end, when Reconcile comes by
MAY_BE_UNTIDY = timedelta(hours=1)
RECENT_RELEASES = 5


class EndpointChangedError(Exception):
    """Somebody else changed the endpoint after it was planned for."""


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Answer {started, wait_seconds}; a retry finds the deployment in flight and adopts it."""
    table, record, at = begin_as_owner(event)
    plan = plan_from_json(record.plan)
    seen = endpoints.describe(clients.sagemaker(), record.endpoint)
    if record.release not in (seen.config, seen.pending_config):
        if not is_ready(plan, seen):
            return wait(table, record, plan, at)
        record = intend(table, record, plan, at)
        if not begin(record, plan, seen):
            return wait(table, record, plan, at)
    if not record.rollout.get("accepted_at"):
        write(table, record, {"accepted_at": iso(at)})
    return {"started": True, "wait_seconds": FIRST_LOOK_SECONDS}


def is_ready(plan: RolloutPlan, seen: EndpointView) -> bool:
    """Say whether the endpoint rests as it was planned for, or refuse to act: UpdateEndpoint has no precondition."""
    expected = "absent" if plan.first_release else "settled"
    if seen.config != plan.previous_config or seen.standing not in (expected, "moving"):
        found = f"{seen.status or 'absent'} on config {seen.config or 'none'}"
        raise EndpointChangedError(
            f"{plan.endpoint} is {found}; it was planned for {plan.previous_config or 'no endpoint'}"
        )
    return seen.standing == expected


def intend(table: ReleaseTable, record: ReleaseRecord, plan: RolloutPlan, at: datetime) -> ReleaseRecord:
    """Write down what is about to change, before it is touched: every ending rests on it."""
    timeline = [[iso(at), "creating" if plan.first_release else "provisioning green"]]
    before = scaling_before(table, plan, record, at)
    return write(table, record, {"started_at": iso(at), "last_look": iso(at), "scaling": before, "timeline": timeline})


def begin(record: ReleaseRecord, plan: RolloutPlan, seen: EndpointView) -> bool:
    """Let the endpoint say whose it is, make scaling safe, and move it; False when SageMaker does not take it yet."""
    if plan.first_release:
        endpoints.create(create_endpoint_request(plan))
        return True
    endpoints.tag(seen.arn, dict(plan.tags))
    make_scaling_safe(plan, record)
    try:
        endpoints.update(update_endpoint_request(plan))
    except EndpointBusyError:
        return False
    return True


def scaling_before(
    table: ReleaseTable, plan: RolloutPlan, record: ReleaseRecord, at: datetime
) -> dict[str, Any] | None:
    """Return the scaling that the variant had before this release touched it; None where it has none.

    What a release of the last hour may have taken away after its end is taken for what it was.
    """
    if plan.first_release or "scaling" in record.rollout:
        known: dict[str, Any] | None = record.rollout.get("scaling")
        return known
    found = scaling.read(clients.application_autoscaling(), record.endpoint)
    if found is None or any(found.suspended.values()):
        for earlier in table.recent(record.endpoint, RECENT_RELEASES, consistent=True):
            left = cleanup.scaling_after(earlier) if is_recent(earlier, at) else None
            if left is not None and scaling.lacks(found, left):
                return scaling.to_json(left)
    return scaling.to_json(found)


def is_recent(earlier: ReleaseRecord, at: datetime) -> bool:
    """Say whether a release ended so lately that its last, tidying run may still be to come."""
    return bool(earlier.finished_at) and at - moment(earlier.finished_at) < MAY_BE_UNTIDY


def make_scaling_safe(plan: RolloutPlan, record: ReleaseRecord) -> None:
    """Suspend autoscaling, or take it away for a change of instance type."""
    found = scaling.from_json(record.rollout["scaling"])
    if found is not None and plan.instance_type_changed:
        scaling.remove(record.endpoint, found)
    elif found is not None:
        scaling.suspend(record.endpoint)


def wait(table: ReleaseTable, record: ReleaseRecord, plan: RolloutPlan, at: datetime) -> dict[str, Any]:
    """Keep the heartbeat going until the endpoint is at rest; ParkedError when that takes too long."""
    looks = record.rollout.get("start_looks", 0) + 1
    if looks > MAX_LOOKS:
        raise ParkedError(f"{plan.endpoint} did not come to rest in {MAX_LOOKS} looks: somebody else changes it")
    write(table, record, {"start_looks": looks})
    signals.beat(plan, at)
    return {"started": False, "wait_seconds": max(5, min(MAX_WAIT_SECONDS, plan.silence // 3))}


def write(table: ReleaseTable, record: ReleaseRecord, facts: dict[str, Any]) -> ReleaseRecord:
    """Add facts about the rollout under the fence; LeaseLostError when the release is no longer ours to move."""
    return table.change(record, fenced=True, phase="rolling_out", rollout={**record.rollout, **facts})
