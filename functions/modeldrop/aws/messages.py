"""Messages to people (SNS) and to programs (EventBridge)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from modeldrop.aws import clients
from modeldrop.aws.failures import TRANSIENT_CODES, is_transient
from modeldrop.errors import TransientError
from modeldrop.evidence.messages import Message

# after each failed try but the last
PAUSES_SECONDS = (0.3, 1.0)


def publish(topic_arn: str, message: Message) -> str:
    """Send a message that may arrive twice, with up to three tries; its id."""
    for pause in PAUSES_SECONDS:
        try:
            return publish_once(topic_arn, message)
        except Exception as error:
            if not is_transient(error):
                raise
            time.sleep(pause)
    return publish_once(topic_arn, message)


def publish_once(topic_arn: str, message: Message) -> str:
    """Send one message to the topic, with one try; its id."""
    answer = clients.sns().publish(
        TopicArn=topic_arn,
        Subject=message.subject,
        Message=message.body,
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in message.attributes.items() if value
        },
    )
    return answer["MessageId"]


def emit(detail_type: str, detail: Mapping[str, Any]) -> None:
    """Put one event of ours on the default bus; TransientError or RuntimeError when EventBridge does not take it.

    PutEvents answers 200 with an error code for each entry: ThrottlingException and InternalFailure pass (reference).
    """
    entry = {"Source": "modeldrop", "DetailType": detail_type, "Detail": json.dumps(dict(detail))}
    answer = clients.events().put_events(Entries=[entry])  # type: ignore[list-item]  # stubs want their TypedDict
    if answer["FailedEntryCount"]:
        refused = answer["Entries"][0]
        told = f"EventBridge refused the event: {refused.get('ErrorMessage', 'no reason')}"
        raise TransientError(told) if refused.get("ErrorCode") in TRANSIENT_CODES else RuntimeError(told)
