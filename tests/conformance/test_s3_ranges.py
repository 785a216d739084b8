"""Ranges of a pinned version, as ValidateArtifact reads them.

Source: S3 API reference, GetObject (Range, If-Match, VersionId; 206 Partial Content, 412 Precondition Failed).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ClientError

from modeldrop.aws import clients, objects, parts

Client = Callable[[str], Any]
Unique = Callable[[str], str]
OLD, NEW = Random(1).randbytes(300_000), b"overwritten"


@pytest.fixture
def pinned(client: Client, unique: Unique) -> tuple[Any, dict[str, str]]:
    """A client, and the version of an object that another one has replaced."""
    s3, bucket, key = client("s3"), unique("ranges"), "sentiment/model.tar.gz"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key=key, Body=OLD)["VersionId"]
    s3.put_object(Bucket=bucket, Key=key, Body=NEW)
    return s3, {"Bucket": bucket, "Key": key, "VersionId": version}


def test_a_range_of_a_replaced_version_is_answered_in_part(pinned: tuple[Any, dict[str, str]]) -> None:
    s3, version = pinned
    etag = s3.head_object(**version)["ETag"]
    answer = s3.get_object(**version, Range="bytes=100-199", IfMatch=etag)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert answer["Body"].read() == OLD[100:200]


def test_another_etag_is_a_failed_precondition(pinned: tuple[Any, dict[str, str]]) -> None:
    s3, version = pinned
    with pytest.raises(ClientError) as refused:
        s3.get_object(**version, Range="bytes=0-9", IfMatch='"0123456789abcdef0123456789abcdef"')
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert refused.value.response["Error"]["Code"] == "PreconditionFailed"


def test_a_pinned_version_is_read_whole_in_parts(
    pinned: tuple[Any, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    s3, version = pinned
    monkeypatch.setattr(clients, "s3", lambda: s3)
    monkeypatch.setattr(parts, "PART_BYTES", 64 * 1024)
    with objects.open_version(version["Bucket"], version["Key"], version["VersionId"]) as stream:
        assert b"".join(iter(lambda: stream.read(50_000), b"")) == OLD
