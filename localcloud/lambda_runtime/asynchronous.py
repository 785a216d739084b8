"""Asynchronous invocation: accepted at once, tried three times, then handed to its destination.

Lambda developer guide, "Understanding retry behavior in Lambda" and "Capturing records of Lambda asynchronous
invocations". AWS waits one minute and then two between tries; here it is one second and two.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any

from localcloud.core import Core
from localcloud.lambda_runtime.environment import Outcome
from localcloud.lambda_runtime.logs import write_log
from localcloud.lambda_runtime.pool import Pool, TooManyRequestsError

RETRY_WAIT_SECONDS = (1.0, 2.0)
THROTTLED_WAIT_SECONDS = 0.5
MAX_EVENT_AGE_SECONDS = 6 * 3600
_LOG = logging.getLogger(__name__)


def invoke_later(core: Core, pool: Pool, function: Any, payload: bytes, function_arn: str) -> None:
    """Run an event in the background, with retries and destinations."""
    arguments = (core, pool, function, payload, function_arn)
    threading.Thread(target=_run, args=arguments, name=f"async-{function.function_name}", daemon=True).start()


def _run(core: Core, pool: Pool, function: Any, payload: bytes, function_arn: str) -> None:
    config = function.event_invoke_config[-1].config if function.event_invoke_config else {}
    tries = 1 + int(config.get("MaximumRetryAttempts", 2))
    until = time.monotonic() + int(config.get("MaximumEventAgeInSeconds", MAX_EVENT_AGE_SECONDS))
    count, condition = 0, "RetriesExhausted"
    outcome: Outcome | None = None
    while count < tries:
        try:
            outcome = pool.invoke(function, payload, function_arn)
        except TooManyRequestsError:
            if time.monotonic() > until:
                condition = "EventAgeExceeded"
                break
            time.sleep(THROTTLED_WAIT_SECONDS)  # throttled events are kept and do not count as tries
            continue
        except Exception:  # AWS tries again after an error of its own too, and then tells the destination
            _LOG.exception("asynchronous event of %s could not be run", function_arn)
            outcome = None
        count += 1
        if outcome is not None:
            _log_outcome(function, outcome)
            if not outcome.error:
                condition = "Success"
                break
        if count < tries:
            time.sleep(RETRY_WAIT_SECONDS[min(count, len(RETRY_WAIT_SECONDS)) - 1])
    kind = "OnSuccess" if condition == "Success" else "OnFailure"
    destination = config.get("DestinationConfig", {}).get(kind, {}).get("Destination")
    if destination:
        _deliver(core, destination, _record(function_arn, function, payload, outcome, condition, count))
    dead_letter = (getattr(function, "dead_letter_config", None) or {}).get("TargetArn")
    if dead_letter and kind == "OnFailure":
        _deliver(core, dead_letter, json.loads(payload or b"null"))


def _log_outcome(function: Any, outcome: Outcome) -> None:
    try:
        write_log(function, outcome)
    except Exception:  # what ran must not run again for its log's sake
        _LOG.exception("the log of %s could not be written", function.function_name)


def _record(arn: str, function: Any, payload: bytes, outcome: Outcome | None, condition: str, count: int) -> Any:
    document = _as_json(outcome.payload) if outcome else None
    response = {"statusCode": 200, "executedVersion": str(function.version)}
    if outcome and outcome.error:
        response["functionError"] = "Unhandled"
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": outcome.request_id if outcome else "",
            "functionArn": arn if arn.count(":") == 7 else f"{arn}:$LATEST",
            "condition": condition,
            "approximateInvokeCount": count,
        },
        "requestPayload": json.loads(payload or b"null"),
        "responseContext": response,
        "responsePayload": document,
    }


def _as_json(payload: bytes) -> Any:
    """Return what a function answered; text where it is no JSON, as a runtime of one's own may post."""
    try:
        return json.loads(payload or b"null")
    except ValueError:
        return payload.decode(errors="replace")


def _deliver(core: Core, destination: str, message: Any) -> None:
    service, text = destination.split(":")[2], json.dumps(message)
    try:
        if service == "sqs":
            queue_url = core.client("sqs").get_queue_url(QueueName=destination.split(":")[-1])["QueueUrl"]
            core.client("sqs").send_message(QueueUrl=queue_url, MessageBody=text)
        elif service == "sns":
            core.client("sns").publish(TopicArn=destination, Message=text)
        elif service == "lambda":
            core.client("lambda").invoke(FunctionName=destination, InvocationType="Event", Payload=text)
        else:
            _LOG.error("destination %s: the local cloud delivers to sqs, sns and lambda", destination)
    except Exception:
        _LOG.exception("destination %s did not take the record", destination)
