"""RequestApproval: give the lease back, keep the callback token safe, and ask a person."""

from __future__ import annotations

from typing import Any

from modeldrop.aws import messages
from modeldrop.aws.releases import ReleaseTable
from modeldrop.aws.steps import begin
from modeldrop.entry import entry
from modeldrop.errors import LeaseLostError, SupersededError
from modeldrop.evidence.messages import approval_wanted
from modeldrop.observability import logger
from modeldrop.release.record import ReleaseRecord
from modeldrop.settings import settings

APPROVAL_ASKED = "approval_asked"


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Ask for approval. The token stays in the table: whoever holds it may approve, so no message carries it."""
    table, record, _ = begin(event)
    if not table.wait_for_token(record.endpoint, record.release, event["task_token"], event["attempt"]):
        raise LeaseLostError(f"{record.release} was ended, or a later try of this step asks for its approval")
    # a newer release announces itself and then reads who waits; this one notes that it waits and then reads the newest
    table.note_approval(record.endpoint, record.release, record.order)
    table.release_lease(record.endpoint, record.release, record.fence)
    if table.lease(record.endpoint).newest > record.order:
        table.forget_approval(record.endpoint, record.release)
        raise SupersededError("a newer release of this endpoint took its place before it was approved")
    ask(table, record, event.get("runbook", ""))
    return {"asked": True}


def ask(table: ReleaseTable, record: ReleaseRecord, runbook: str) -> None:
    """Send the question, which a retry sends again only where it is not known that it went out."""
    if table.marked(record.endpoint, record.release, APPROVAL_ASKED):
        return
    message = approval_wanted(record.endpoint, record.release, runbook=runbook)
    messages.publish(settings().releases_topic_arn, message)
    try:
        table.once(record.endpoint, record.release, APPROVAL_ASKED)
    except Exception:
        # an error here would only ask once more
        logger.exception("the question was sent, and could not be marked so")
