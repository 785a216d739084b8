"""StartRollout: with the fence checked and autoscaling made safe, create or update the endpoint."""

from __future__ import annotations

from typing import Any

from modeldrop.aws import endpoints, scaling
from modeldrop.aws.releases import ReleaseTable
from modeldrop.clock import iso, now
from modeldrop.errors import LeaseLostError
from modeldrop.observability import entry
from modeldrop.release.observe import EndpointView
from modeldrop.release.record import ReleaseRecord
from modeldrop.rollout.plan import RolloutPlan, plan_from_json
from modeldrop.rollout.requests import create_endpoint_request, update_endpoint_request
from modeldrop.settings import settings

FIRST_LOOK_SECONDS = 2


class EndpointChangedError(Exception):
    """Somebody else changed the endpoint after it was planned for."""


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Answer {wait_seconds}; a retry finds the deployment in flight and adopts it."""
    table, at = ReleaseTable(settings().release_table), now()
    record = table.require(event["endpoint"], event["release"])
    plan = plan_from_json(record.plan)
    if not table.renew(record.endpoint, record.fence, int(at.timestamp())):
        raise LeaseLostError(f"the lease of {record.endpoint} is no longer this release's")
    seen = endpoints.describe(record.endpoint)
    if record.release not in (seen.config, seen.pending_config):
        require_unchanged(plan, seen)
        kept = make_scaling_safe(plan, record)
        intent = {**record.rollout, "started_at": iso(at), "last_look": iso(at), "scaling": kept}
        intent["timeline"] = [[iso(at), "creating" if plan.first_release else "provisioning green"]]
        if not table.update(
            record.endpoint, record.release, if_fence=record.fence, phase="rolling_out", rollout=intent
        ):
            raise LeaseLostError(f"{record.release} was ended, or its fence is no longer {record.fence}")
        begin(plan, seen)
    return {"wait_seconds": FIRST_LOOK_SECONDS}


def require_unchanged(plan: RolloutPlan, seen: EndpointView) -> None:
    """Refuse to act on an endpoint that is not as it was planned for: UpdateEndpoint itself has no precondition."""
    expected = "absent" if plan.first_release else "settled"
    if seen.standing != expected or seen.config != plan.previous_config:
        found = f"{seen.status or 'absent'} on config {seen.config or 'none'}"
        raise EndpointChangedError(
            f"{plan.endpoint} is {found}; it was planned for {plan.previous_config or 'no endpoint'}"
        )


def make_scaling_safe(plan: RolloutPlan, record: ReleaseRecord) -> dict[str, Any] | None:
    """Suspend autoscaling, or take it away for a change of instance type; what it was is kept for every ending."""
    if plan.first_release:
        return None
    if record.rollout.get("scaling") is not None:
        found = scaling.from_json(record.rollout["scaling"])
    else:
        found = scaling.read(record.endpoint)
    if found is not None and plan.instance_type_changed:
        scaling.remove(record.endpoint, found)
    elif found is not None:
        scaling.suspend(record.endpoint)
    return scaling.to_json(found)


def begin(plan: RolloutPlan, seen: EndpointView) -> None:
    """Make the one call that starts it."""
    if plan.first_release:
        endpoints.create(create_endpoint_request(plan))
        return
    endpoints.update(update_endpoint_request(plan))
    endpoints.tag(seen.arn, dict(plan.tags))
