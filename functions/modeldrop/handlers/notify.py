"""Notify: send the outcome's one message from the outbox row, then mark it sent."""

from __future__ import annotations

from typing import Any

from modeldrop.aws import messages
from modeldrop.aws.releases import ReleaseTable
from modeldrop.observability import entry
from modeldrop.settings import settings


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Send what FinishRelease wrote; a message that was sent is not sent again, whoever calls."""
    table = ReleaseTable(settings().release_table)
    endpoint, release = event["endpoint"], event["release"]
    outbox = table.outbox(endpoint, release)
    if outbox is None:
        return {"sent": False}
    message = outbox.message
    record = table.require(endpoint, release)
    messages.emit("Release Outcome", record.evidence)
    attributes = {
        "endpoint": record.endpoint,
        "outcome": record.outcome or "",
        "severity": message["severity"],
        "dedupe_id": release,
    }
    sent = messages.publish(settings().releases_topic_arn, message["subject"], message["body"], attributes)
    table.mark_sent(endpoint, release, sent)
    return {"sent": True}
