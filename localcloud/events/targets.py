"""The calls that EventBridge makes on a rule's targets."""

from __future__ import annotations

import calendar
import copy
import json
import time
import uuid
from typing import Any

from localcloud.core import Core


class Targets:
    """Delivers a payload to one target, through the public port as any client would."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def deliver(self, event: dict[str, Any], payload: str, rule: Any, target: dict[str, Any]) -> None:
        """Make the one call for this target; raise what the call raises, NotImplementedError for an unknown kind."""
        arn = target["Arn"]
        service = arn.split(":")[2]
        if service == "lambda":
            self.invoke_function(arn, payload)
        elif service == "states":
            # EventBridge names executions by event, with a tail of its own
            name = f"{event['id']}_{uuid.uuid4()}"[:80]
            self._core.client("stepfunctions").start_execution(stateMachineArn=arn, name=name, input=payload)
        elif service == "sns":
            self._core.client("sns").publish(TopicArn=arn, Message=payload)
        elif service == "sqs":
            group = (target.get("SqsParameters") or {}).get("MessageGroupId")
            self.send_to_queue(arn, payload, {}, group)
        elif service == "logs":
            self._log(arn, event, payload)
        elif service == "events":
            self._to_moto(event, rule, target)
        else:
            raise NotImplementedError(f"the local cloud delivers no events to {service} ({arn})")

    def invoke_function(self, arn: str, payload: str) -> None:
        """Invoke a function, version or alias asynchronously."""
        parts = arn.split(":")
        where = {"FunctionName": ":".join(parts[:7])} | ({"Qualifier": parts[7]} if len(parts) > 7 else {})
        self._core.client("lambda").invoke(InvocationType="Event", Payload=payload.encode(), **where)

    def send_to_queue(self, arn: str, body: str, attributes: dict[str, str], group: str | None = None) -> None:
        """Send a message with string attributes to the queue of an ARN."""
        sqs = self._core.client("sqs")
        url = sqs.get_queue_url(QueueName=arn.split(":")[-1])["QueueUrl"]
        # the URL names the public port, which may not be open to this process: the queue's path is what counts
        url = f"{self._core.url}/{'/'.join(url.split('/')[-2:])}"
        values = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        more = {"MessageGroupId": group} if group else {}
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=values, **more)

    def _log(self, arn: str, event: dict[str, Any], payload: str) -> None:
        logs = self._core.client("logs")
        group = arn.split(":log-group:")[1].removesuffix(":*")
        stream = f"{event['id']}_{uuid.uuid4()}"
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        entry = {"timestamp": int(time.time() * 1000), "message": payload}
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[entry])

    def _to_moto(self, event: dict[str, Any], rule: Any, target: dict[str, Any]) -> None:
        """Leave buses, archives and API destinations to moto, which has them (and wants times as numbers)."""
        alone = copy.copy(rule)
        alone.targets = [target]
        moment = calendar.timegm(time.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ"))
        _MOTO_SEND(alone, {**json.loads(json.dumps(event)), "time": moment, "ingestion-time": time.time()})


def _moto_send() -> Any:
    from moto.events.models import Rule

    return Rule.send_to_targets


_MOTO_SEND = _moto_send()
