"""AcquireLease: one release at a time changes an endpoint; a newer waiting release supersedes older waiting ones."""

from __future__ import annotations

from typing import Any

from modeldrop.aws import executions
from modeldrop.aws.releases import ReleaseTable
from modeldrop.aws.steps import begin
from modeldrop.clock import now
from modeldrop.entry import entry
from modeldrop.errors import AbortedError, LeaseLostError, SupersededError
from modeldrop.release import lease as leases
from modeldrop.release.lease import Lease
from modeldrop.release.record import ReleaseRecord
from modeldrop.times import iso, moment

WANTED_SINCE = "lease_wanted_since"


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Take the lease or say how long to wait: {acquired, wait_seconds}. SupersededError when a newer release waits.

    A release that comes here passed validation: what would not go live itself supersedes nothing.
    """
    table, record, _ = begin(event)
    if record.abort_requested_by:
        raise AbortedError(f"aborted by {record.abort_requested_by} before the rollout began")
    table.announce(record.endpoint, record.order)
    lease = table.lease(record.endpoint)
    supersede_approval(table, lease, record)
    fence = take(table, lease, record, event["execution_arn"])
    if fence is not None:
        note(table, record, fence, event["execution_arn"])
        return {"acquired": True, "wait_seconds": 0}
    waited = (now() - moment(wanted_since(table, record))).total_seconds()
    if waited > leases.MAX_WAIT_SECONDS:
        hours, owner = f"{waited / 3600:.0f} h", lease.owner or "another release"
        raise LeaseLostError(f"{record.endpoint} was not free for {hours}, and {owner} holds it now; look there")
    return {"acquired": False, "wait_seconds": leases.wait_seconds(waited)}


def take(table: ReleaseTable, lease: Lease, record: ReleaseRecord, execution_arn: str) -> int | None:
    """Take the lease that was read; the fence, or None where it is another's."""
    seconds = int(now().timestamp())
    asks = leases.must_ask_for_owner(lease, record.release, seconds)
    running = asks and executions.is_running(lease.execution_arn)
    match leases.decide(lease, record.release, record.order, seconds, owner_running=running):
        case "superseded":
            raise SupersededError("a newer release of this endpoint took its place while it waited")
        case "keep":
            return lease.fence
        case "acquire":
            return table.acquire(record.endpoint, record.release, execution_arn, lease, seconds)
        case "wait":
            return None


def wanted_since(table: ReleaseTable, record: ReleaseRecord) -> str:
    """Return since when it waits this time: validation, and a person's approval, are not waiting for the lease."""
    since = str(record.rollout.get(WANTED_SINCE) or iso(now()))
    if WANTED_SINCE not in record.rollout:
        table.change(record, fenced=False, rollout={**record.rollout, WANTED_SINCE: since})
    return since


def note(table: ReleaseTable, record: ReleaseRecord, fence: int, execution_arn: str) -> None:
    """Write the fence into the record; a release that was ended meanwhile gives the lease back."""
    rollout = {name: value for name, value in record.rollout.items() if name != WANTED_SINCE}
    try:
        table.change(record, fenced=False, fence=fence, execution_arn=execution_arn, rollout=rollout)
    except LeaseLostError:
        table.release_lease(record.endpoint, record.release, fence)
        raise LeaseLostError(f"{record.release} was ended while it waited for the endpoint") from None


def supersede_approval(table: ReleaseTable, lease: Lease, newer: ReleaseRecord) -> None:
    """End the wait of an older release that nobody has approved yet: it holds no lease, so it would never look."""
    older = leases.supersedes(lease, newer.order)
    if not older:
        return
    if token := table.approval_token(newer.endpoint, older):
        executions.fail_task(token, "SupersededError", f"{newer.release} took its place before it was approved")
    table.forget_approval(newer.endpoint, older)
