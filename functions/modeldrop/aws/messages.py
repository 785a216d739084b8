"""Messages to people (SNS) and to programs (EventBridge)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from modeldrop.aws import clients


def publish(topic_arn: str, subject: str, body: str, attributes: Mapping[str, str]) -> str:
    """Send one message to the topic; its id."""
    answer = clients.sns().publish(
        TopicArn=topic_arn,
        Subject=subject,
        Message=body,
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
        },
    )
    return answer["MessageId"]


def emit(detail_type: str, detail: Mapping[str, Any]) -> None:
    """Put one event of ours on the default bus; RuntimeError when EventBridge does not take it."""
    entry = {"Source": "modeldrop", "DetailType": detail_type, "Detail": json.dumps(dict(detail))}
    answer = clients.events().put_events(Entries=[entry])  # type: ignore[list-item]  # stubs want their TypedDict
    if answer["FailedEntryCount"]:
        raise RuntimeError(f"EventBridge refused the event: {answer['Entries'][0].get('ErrorMessage', 'no reason')}")
