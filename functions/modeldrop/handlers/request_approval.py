"""RequestApproval: give the lease back, keep the callback token safe, and ask a person."""

from __future__ import annotations

from typing import Any

from modeldrop.aws import messages
from modeldrop.aws.releases import ReleaseTable
from modeldrop.observability import entry
from modeldrop.settings import settings


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Ask for approval. The token stays in the table: whoever holds it may approve, so no message carries it."""
    table = ReleaseTable(settings().release_table)
    record = table.require(event["endpoint"], event["release"])
    table.update(record.endpoint, record.release, phase="approving", approval_token=event["task_token"])
    # before the lease is free: whoever takes it next must read who waits
    table.note_approval(record.endpoint, record.release, record.order)
    table.release_lease(record.endpoint, record.release)
    if table.once(record.endpoint, record.release, "approval_asked"):
        body = (
            f"Release   {record.release}\nEndpoint  {record.endpoint}\n"
            f"Waiting   for approval before the rollout, 24 hours at most\n"
            f"Next      modeldrop approve {record.release}, or modeldrop deny {record.release}\n"
        )
        subject = f"modeldrop APPROVAL WANTED {record.endpoint}"
        attributes = {"endpoint": record.endpoint, "outcome": "approving", "severity": "info"}
        messages.publish(settings().releases_topic_arn, subject[:99], body, attributes)
    return {"asked": True}
