"""What handlers meet, in process: the release table, the buckets on moto, and stubs of what sends and starts.

The table of a world is the fault matrix's, which answers as moto's does (tests/faults/test_tables.py) in a fiftieth of
the time; the tests of the release table itself run on moto.

A call may be killed, refused, or lose its answer: see `Calls`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from modeldrop.aws import clients
from modeldrop.aws.releases import ReleaseTable
from modeldrop.release.record import ReleaseRecord
from scripts.translated import raw
from tests.faults.storage import AwsError
from tests.faults.tables import Tables

NAME = "modeldrop-releases"
REGION = "eu-central-1"
UPLOADS, APPROVED = "uploads", "approved"
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:modeldrop-release"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:releases"
ENVIRONMENT = {
    "STACK_NAME": "modeldrop",
    "UPLOAD_BUCKET": UPLOADS,
    "APPROVED_BUCKET": APPROVED,
    "RELEASE_TABLE": NAME,
    "RELEASES_TOPIC_ARN": TOPIC,
    "STATE_MACHINE_ARN": MACHINE,
    "ENDPOINT_ROLE_ARN": "arn:aws:iam::123456789012:role/endpoint",
    "REHEARSAL_ROLE_ARN": "arn:aws:iam::123456789012:role/rehearsal",
    "IMAGE_GPU": "gpu",
    "IMAGE_CPU": "cpu",
    "INFERENCE_AMI_GPU": "ami",
    "DEFAULT_INSTANCE_TYPE": "ml.c5.large",
    "DEFAULT_INSTANCE_COUNT": "1",
    "METRIC_NAMESPACE": "modeldrop",
    "RECORD_RETENTION_DAYS": "400",
}


@contextmanager
def a_table() -> Iterator[ReleaseTable]:
    """Give the table of the shipped template, empty."""
    with mock_aws():
        yield ReleaseTable(NAME, make_table())


@cache
def a_client(service: str) -> Any:
    """Give a client that only ever reaches moto; made once, since that takes a fifth of a second."""
    return boto3.client(service, REGION, aws_access_key_id="testing", aws_secret_access_key="testing")


def make_table() -> Any:
    """Make the table as the template describes it; its client."""
    client = a_client("dynamodb")
    client.create_table(TableName=NAME, **table_request())
    shipped = raw()["Resources"]["ReleaseTable"]["Properties"]
    client.update_time_to_live(TableName=NAME, TimeToLiveSpecification=shipped["TimeToLiveSpecification"])
    return client


def table_request() -> dict[str, Any]:
    """Give what CreateTable takes of the shipped template."""
    shipped = raw()["Resources"]["ReleaseTable"]["Properties"]
    wanted = ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes")
    return {key: shipped[key] for key in wanted}


def a_release(second: int = 1, endpoint: str = "sentiment", **overrides: Any) -> ReleaseRecord:
    """Give a release of a second of the same minute."""
    stamp = f"202611232010{second:02}"
    values: dict[str, Any] = {
        "endpoint": endpoint,
        "release": f"{endpoint.lower()[:40]}-{stamp}-{second:06x}",
        "bucket": UPLOADS,
        "key": f"{endpoint}/model.tar.gz",
        "version_id": f"v{second}",
        "order": f"{stamp}|0|{second:06}",
        "admitted_at": "2026-11-23T20:11:00.000Z",
    }
    return ReleaseRecord(**(values | overrides))


def an_error(code: str, status: int) -> ClientError:
    """Give an answer of AWS that is an error."""
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "AnyCall")  # type: ignore[typeddict-item]  # a builder


class KilledError(BaseException):
    """The function dies: nothing of it runs any more."""


@dataclass
class Calls:
    """Every call of every client, by name, and what befalls some of them.

    before, after: said of each call with its number; what it returns is raised, and after the call its answer is lost.
    """

    made: list[str] = field(default_factory=list)
    before: Callable[[int, str], BaseException | None] = lambda number, name: None
    after: Callable[[int, str], BaseException | None] = lambda number, name: None


class Watched:
    """A client whose calls are counted and may fail."""

    def __init__(self, service: str, client: Any, calls: Calls) -> None:
        self._service, self._client, self._calls = service, client, calls

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name in ("meta", "exceptions", "get_paginator"):
            return method

        def call(**request: Any) -> Any:
            number, named = len(self._calls.made), f"{self._service}.{name}"
            self._calls.made.append(named)
            if error := self._calls.before(number, named):
                raise error
            try:
                return method(**request)
            finally:
                if error := self._calls.after(number, named):
                    raise error

        return call


class Table:
    """A client of DynamoDB with the release table, empty."""

    def __init__(self) -> None:
        self._tables = Tables(NAME, raw()["Resources"]["ReleaseTable"]["Properties"])

    def __getattr__(self, name: str) -> Any:
        operation = "".join(word.capitalize() for word in name.split("_"))

        def call(**request: Any) -> Any:
            try:
                return self._tables.call(operation, request)
            except AwsError as error:
                raise an_error(error.code, 400) from None

        return call


class StepFunctions:
    """Executions by name: their input, and whether they run."""

    def __init__(self) -> None:
        self.inputs: dict[str, str] = {}
        self.running: set[str] = set()
        self.failed_tasks: list[tuple[str, str]] = []

    def start_execution(self, stateMachineArn: str, name: str, input: str) -> None:  # noqa: N803, A002  # boto3's names
        assert len(name) <= 80
        if name in self.inputs:
            raise an_error("ExecutionAlreadyExists", 400)
        self.inputs[name] = input
        self.running.add(name)

    def describe_execution(self, executionArn: str) -> dict[str, str]:  # noqa: N803  # boto3's name
        name = executionArn.rpartition(":")[2]
        if name not in self.inputs:
            raise an_error("ExecutionDoesNotExist", 400)
        return {"status": "RUNNING" if name in self.running else "FAILED"}

    def send_task_failure(self, taskToken: str, error: str, cause: str) -> None:  # noqa: N803  # boto3's name
        self.failed_tasks.append((taskToken, error))


class Topic:
    """The messages that were published."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def publish(self, **message: Any) -> dict[str, str]:
        self.sent.append(message)
        return {"MessageId": f"m{len(self.sent)}"}


class Bus:
    """The events that were put. refuses: the error code that it answers for an entry, with status 200."""

    def __init__(self) -> None:
        self.put: list[dict[str, Any]] = []
        self.refuses = ""

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803  # boto3's name
        if self.refuses:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": self.refuses, "ErrorMessage": "later"}]}
        self.put += Entries
        return {"FailedEntryCount": 0}


@dataclass
class World:
    """All that a handler reaches. table and s3 are not counted among the calls."""

    table: ReleaseTable
    s3: Any
    calls: Calls
    executions: StepFunctions
    topic: Topic
    bus: Bus

    def upload(self, key: str, body: bytes = b"model", **request: Any) -> str:
        """Upload an object; the id of its version."""
        return str(self.s3.put_object(Bucket=UPLOADS, Key=key, Body=body, **request)["VersionId"])

    def event(self, key: str, version: str, sequencer: str = "0A") -> dict[str, Any]:
        """Give the event that S3 sends of an upload."""
        named = {"key": key, "version-id": version, "sequencer": sequencer}
        return {"detail": {"bucket": {"name": UPLOADS}, "object": named}}


@contextmanager
def a_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Give an empty stack to handlers."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        calls = Calls()
        dynamodb: Any = Table()
        world = World(ReleaseTable(NAME, dynamodb), a_client("s3"), calls, StepFunctions(), Topic(), Bus())
        world.s3.create_bucket(Bucket=UPLOADS, CreateBucketConfiguration={"LocationConstraint": REGION})
        world.s3.put_bucket_versioning(Bucket=UPLOADS, VersioningConfiguration={"Status": "Enabled"})
        reached = {
            "dynamodb": dynamodb,
            "s3": world.s3,
            "stepfunctions": world.executions,
            "sns": world.topic,
            "events": world.bus,
        }
        for service, client in reached.items():
            watched = Watched(service, client, calls)
            monkeypatch.setattr(clients, service, lambda watched=watched: watched)
        yield world


def run(handler: Any, **event: Any) -> Any:
    """Run a handler's step, without what Lambda's decorator adds."""
    return handler.__wrapped__(event)


def killed_at(number: int, *, after: bool) -> dict[str, Any]:
    """Kill the function before or after its call of this number."""

    def when(at: int, _: str) -> BaseException | None:
        return KilledError() if at == number else None

    return {"after" if after else "before": when}
