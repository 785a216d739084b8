"""Notify: send the outcome's one message from the outbox, then mark it sent; tell programs the same."""

from __future__ import annotations

import time
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from modeldrop.aws import messages
from modeldrop.aws.failures import is_refusal, is_transient
from modeldrop.aws.releases import ReleaseTable
from modeldrop.aws.steps import begin
from modeldrop.entry import entry
from modeldrop.errors import TransientError
from modeldrop.evidence.messages import outcome_told
from modeldrop.observability import logger, metrics
from modeldrop.release.outbox import Outbox, may_send
from modeldrop.release.record import ReleaseRecord
from modeldrop.settings import settings

EVENT_TOLD = "event_told"
# before each try to mark a message sent
MARK_PAUSES_SECONDS = (0.0, 0.5, 2.0)


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Send what FinishRelease wrote; a message that was sent is not sent again, whoever calls."""
    table, record, at = begin(event)
    try:
        sent = tell_people(table, record, int(at.timestamp()))
    finally:
        tell_programs(table, record)
    return {"sent": sent}


def tell_people(table: ReleaseTable, record: ReleaseRecord, at: int) -> bool:
    """Send the message when it may be sent now; at: seconds since 1970."""
    outbox = table.outbox(record.endpoint, record.release)
    if outbox is None or not may_send(outbox, at):
        return False
    if not table.begin_sending(record.endpoint, record.release, outbox, at):
        return False
    mark_sent(table, record, publish(table, record, outbox))
    return True


def publish(table: ReleaseTable, record: ReleaseRecord, outbox: Outbox) -> str:
    """Make one attempt, which is taken back where SNS surely did not take the message; the message's id."""
    message = outcome_told(record.endpoint, record.release, record.outcome or "", outbox.message)
    try:
        return messages.publish_once(settings().releases_topic_arn, message)
    except Exception as error:
        if is_refusal(error):
            table.sending_failed(record.endpoint, record.release, outbox)
        raise


def mark_sent(table: ReleaseTable, record: ReleaseRecord, message_id: str) -> None:
    """Remember that the message went out; when that fails too often, an error here would only send it once more."""
    for pause in MARK_PAUSES_SECONDS:
        time.sleep(pause)
        try:
            table.mark_sent(record.endpoint, record.release, message_id)
            return
        except Exception:
            logger.exception("message %s was sent, and could not be marked so", message_id)
    metrics.add_metric(name="Unmarked", unit=MetricUnit.Count, value=1)


def tell_programs(table: ReleaseTable, record: ReleaseRecord) -> None:
    """Put the outcome on the event bus, at least once; an event that it refuses is not tried again."""
    if record.outcome is None or table.marked(record.endpoint, record.release, EVENT_TOLD):
        return
    try:
        messages.emit("Release Outcome", record.evidence)
    except TransientError:
        raise
    except Exception as error:
        if is_transient(error):
            raise
        logger.exception("EventBridge refuses the outcome's event")
    table.once(record.endpoint, record.release, EVENT_TOLD)
