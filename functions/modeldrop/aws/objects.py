"""Objects in S3: pinned versions in, approved copies and reports out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from botocore.exceptions import ClientError

from modeldrop.aws import clients
from modeldrop.aws.failures import code
from modeldrop.aws.parts import PartsReader

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOT_THERE = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchVersion"})


def head(bucket: str, key: str, version_id: str = "") -> dict[str, Any]:
    """Describe one version of an object, the current one when no version is named."""
    version: Any = {"VersionId": version_id} if version_id else {}
    return dict(clients.s3().head_object(Bucket=bucket, Key=key, **version))


def current_version(bucket: str, key: str) -> str:
    """Return the version id an object has now; empty when there is none."""
    try:
        return str(head(bucket, key).get("VersionId", ""))
    except ClientError as error:
        if code(error) in NOT_THERE:
            return ""
        raise


def versions(bucket: str, suffix: str) -> Iterator[dict[str, Any]]:
    """List every version, also overwritten ones, of the keys that end so: Key, VersionId, LastModified, Size."""
    for page in clients.s3().get_paginator("list_object_versions").paginate(Bucket=bucket):
        for version in page.get("Versions", ()):
            if version["Key"].endswith(suffix):
                yield dict(version)


def exists(bucket: str, key: str) -> bool:
    """Say whether an object is there."""
    try:
        head(bucket, key)
    except ClientError as error:
        if code(error) in NOT_THERE:
            return False
        raise
    return True


def open_version(bucket: str, key: str, version_id: str) -> BinaryIO:
    """Open one version for reading, forward only, by ranged requests that must all meet the same ETag."""
    client, described = clients.s3(), head(bucket, key, version_id)
    pinned: Any = {"VersionId": version_id, "IfMatch": described["ETag"]}

    def fetch(first: int, last: int) -> bytes:
        return client.get_object(Bucket=bucket, Key=key, Range=f"bytes={first}-{last}", **pinned)["Body"].read()

    return PartsReader(fetch, described["ContentLength"])  # type: ignore[return-value]  # what is used of it is there


def read_bounded(bucket: str, key: str, max_bytes: int, version_id: str = "", s3: S3Client | None = None) -> bytes:
    """Read an object that must be small; at most `max_bytes` + 1 bytes come back, so that the caller sees an excess.

    s3: the caller's own client, where it has one.
    """
    version: Any = {"VersionId": version_id} if version_id else {}
    body = (s3 or clients.s3()).get_object(Bucket=bucket, Key=key, **version)["Body"]
    return bytes(body.read(max_bytes + 1))


def copy_version(bucket: str, key: str, version_id: str, to_bucket: str, to_key: str) -> None:
    """Copy one pinned version; over 8 MB it is copied in parts, in parallel (CopyObject ends at 5 GB)."""
    source: Any = {"Bucket": bucket, "Key": key} | ({"VersionId": version_id} if version_id else {})
    # tags of the upload stay behind: copying them needs rights on tags that no role here has
    clients.s3().copy(CopySource=source, Bucket=to_bucket, Key=to_key, ExtraArgs={"TaggingDirective": "REPLACE"})


def write(bucket: str, key: str, body: bytes, content_type: str) -> None:
    """Write a report."""
    clients.s3().put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)


def delete(bucket: str, key: str) -> None:
    """Delete an object; one that is not there is no error."""
    clients.s3().delete_object(Bucket=bucket, Key=key)
