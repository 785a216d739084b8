"""AcquireLease: one release at a time changes an endpoint; a newer waiting release supersedes older waiting ones."""

from __future__ import annotations

from typing import Any

from modeldrop.aws import executions
from modeldrop.aws.releases import ReleaseTable
from modeldrop.clock import moment, now
from modeldrop.errors import AbortedError, LeaseLostError, SupersededError
from modeldrop.observability import entry
from modeldrop.release import lease as leases
from modeldrop.release.record import ReleaseRecord
from modeldrop.settings import settings


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Take the lease or say how long to wait: {acquired, wait_seconds}. SupersededError when a newer release waits."""
    table = ReleaseTable(settings().release_table)
    endpoint, release = event["endpoint"], event["release"]
    record = table.require(endpoint, release)
    if record.abort_requested_by:
        raise AbortedError(f"aborted by {record.abort_requested_by} before the rollout began")
    table.announce(endpoint, record.order)
    supersede_approvals(table, record)
    lease = table.lease(endpoint)
    seconds = int(now().timestamp())
    asks = leases.must_ask_for_owner(lease, release, seconds)
    running = asks and executions.is_running(lease.execution_arn)
    match leases.decide(lease, release, record.order, seconds, owner_running=running):
        case "superseded":
            raise SupersededError("a newer release of this endpoint took its place while it waited")
        case "keep":
            fence: int | None = lease.fence
        case "acquire":
            fence = table.acquire(endpoint, release, event["execution_arn"], lease, seconds)
        case "wait":
            fence = None
    if fence is not None:
        table.update(endpoint, release, fence=fence, execution_arn=event["execution_arn"])
        return {"acquired": True, "wait_seconds": 0}
    waited = (now() - moment(record.admitted_at)).total_seconds()
    if waited > leases.MAX_WAIT_SECONDS:
        raise LeaseLostError(f"{lease.owner} has held the endpoint for {waited / 3600:.0f} h; look at its execution")
    return {"acquired": False, "wait_seconds": leases.wait_seconds(waited)}


def supersede_approvals(table: ReleaseTable, newer: ReleaseRecord) -> None:
    """End the wait of older releases that nobody has approved yet: they hold no lease, so they would never look."""
    older = leases.supersedes(table.lease(newer.endpoint), newer.order)
    if not older:
        return
    if token := table.approval_token(newer.endpoint, older):
        executions.fail_task(token, "SupersededError", f"{newer.release} took its place before it was approved")
    table.forget_approval(newer.endpoint, older)
