"""The release table in process, on moto, and releases to put into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import boto3
from moto import mock_aws

from modeldrop.aws.releases import ReleaseTable
from modeldrop.release.record import ReleaseRecord
from scripts.translated import raw

NAME = "modeldrop-releases"
REGION = "eu-central-1"


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
    shipped = raw()["Resources"]["ReleaseTable"]["Properties"]
    wanted = ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes")
    client.create_table(TableName=NAME, **{key: shipped[key] for key in wanted})
    client.update_time_to_live(TableName=NAME, TimeToLiveSpecification=shipped["TimeToLiveSpecification"])
    return client


def a_release(second: int = 1, endpoint: str = "sentiment", **overrides: Any) -> ReleaseRecord:
    """Give a release of a second of the same hour."""
    stamp = f"202611232010{second:02}" if second < 60 else f"{20261123201000 + 100 * second}"
    values: dict[str, Any] = {
        "endpoint": endpoint,
        "release": f"{endpoint.lower()[:40]}-{stamp}-{second:06x}",
        "bucket": "uploads",
        "key": f"{endpoint}/model.tar.gz",
        "version_id": f"v{second}",
        "order": f"{stamp}|0|{second:06}",
        "admitted_at": "2026-11-23T20:11:00.000Z",
        "execution_arn": "",
    }
    return ReleaseRecord(**(values | overrides))
