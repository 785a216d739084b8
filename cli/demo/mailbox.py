"""A subscriber of the releases topic: a queue, read in the background, as a person's inbox would be."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from cli.account import Stack

QUEUE = "modeldrop-demo"


@dataclass(frozen=True)
class Message:
    """One notification. attributes: what filter policies see."""

    at: float
    subject: str
    body: str
    attributes: dict[str, str]

    @property
    def lines(self) -> list[str]:
        """Return the body as a person reads it: without the subject again, and an alarm's JSON as two lines."""
        try:
            alarm = json.loads(self.body)
            return [f"Alarm     {alarm['AlarmDescription']}", f"Reason    {alarm['NewStateReason']}"]
        except (ValueError, KeyError, TypeError):
            lines = self.body.rstrip().splitlines()
            return lines[1:] if lines[:1] == [self.subject] else lines


class Mailbox:
    """Everything the topic sent since it was opened; each message is also handed to `arrived`."""

    def __init__(self, stack: Stack, arrived: Callable[[Message], None]) -> None:
        self.messages: list[Message] = []
        self.failure: Exception | None = None
        self._arrived = arrived
        self._sqs: Any = stack.account.client("sqs")
        self._url = self._sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
        asked = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        stack.account.client("sns").subscribe(
            TopicArn=stack.releases_topic_arn, Protocol="sqs", Endpoint=asked["Attributes"]["QueueArn"]
        )
        self._stop = threading.Event()
        self._reader = threading.Thread(target=self._read, name="mailbox", daemon=True)
        self._reader.start()

    def wait_for(self, release: str, seconds: float) -> bool:
        """Wait for the message of a release's outcome; False when it did not come in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.failure is None:
            if any(one.attributes.get("dedupe_id") == release for one in self.messages):
                return True
            time.sleep(0.05)
        return False

    def _read(self) -> None:
        try:
            while not self._stop.is_set():
                self._receive()
        except Exception as error:  # told by the story: a thread's own traceback would only disturb the screen
            if not self._stop.is_set():
                self.failure = error

    def _receive(self) -> None:
        answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for one in answer.get("Messages", []):
            sent = json.loads(one["Body"])
            attributes = {name: str(value["Value"]) for name, value in sent.get("MessageAttributes", {}).items()}
            message = Message(time.time(), sent.get("Subject", ""), sent["Message"], attributes)
            self.messages.append(message)
            self._arrived(message)
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=one["ReceiptHandle"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._reader.join(3)
