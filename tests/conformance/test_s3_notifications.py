"""What S3 of the local cloud tells EventBridge.

Source: S3 user guide, "EventBridge event message structure" and "Using EventBridge" (event types, reasons, sequencer).
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

Client = Callable[[str], Any]
Unique = Callable[[str], str]
Eventually = Callable[..., Any]

KEY = "sentiment/v 3+ä/model.tar.gz"


@dataclass
class Listener:
    """A bucket and what was told about it."""

    s3: Any
    sqs: Any
    bucket: str
    queue: str
    eventually: Eventually

    def next(self, count: int = 1) -> list[dict[str, Any]]:
        """Return the next events, by sequencer; fails where there are fewer, or more."""
        told: list[dict[str, Any]] = []

        def enough() -> bool:
            answer = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
            for message in answer.get("Messages", []):
                told.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
            return len(told) >= count

        self.eventually(enough)
        assert len(told) == count
        return sorted(told, key=lambda event: str(event["detail"]["object"]["sequencer"]))


@pytest.fixture
def listener(client: Client, unique: Unique, eventually: Eventually) -> Listener:
    bucket, queue, rule = unique("uploads"), unique("uploads-events"), unique("uploads-rule")
    s3 = client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    url = client("sqs").create_queue(QueueName=queue)["QueueUrl"]
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
    client("events").put_rule(Name=rule, EventPattern=json.dumps(pattern))
    arn = f"arn:aws:sqs:us-east-1:123456789012:{queue}"
    client("events").put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": arn}])
    return Listener(s3, client("sqs"), bucket, url, eventually)


def test_a_put_is_told_with_version_and_size(listener: Listener) -> None:
    put = listener.s3.put_object(Bucket=listener.bucket, Key=KEY, Body=b"1234567", Tagging="label=v3")
    (event,) = listener.next()
    detail = event["detail"]
    assert (event["source"], event["detail-type"]) == ("aws.s3", "Object Created")
    assert event["resources"] == [f"arn:aws:s3:::{listener.bucket}"]
    assert re.fullmatch(r"[0-9A-F]{16,}", detail["object"].pop("sequencer"))
    assert re.fullmatch(r"[0-9A-Z]{16}", detail.pop("request-id"))
    assert detail == {
        "version": "0",
        "bucket": {"name": listener.bucket},
        "object": {"key": KEY, "size": 7, "etag": put["ETag"].strip('"'), "version-id": put["VersionId"]},
        "requester": "123456789012",
        "source-ip-address": "127.0.0.1",
        "reason": "PutObject",
    }


def test_later_changes_of_a_key_have_higher_sequencers(listener: Listener) -> None:
    versions = [
        listener.s3.put_object(Bucket=listener.bucket, Key=KEY, Body=body)["VersionId"] for body in (b"1", b"2")
    ]
    assert [event["detail"]["object"]["version-id"] for event in listener.next(2)] == versions


def test_a_multipart_upload_is_told_once(listener: Listener) -> None:
    where = {"Bucket": listener.bucket, "Key": KEY}
    upload = listener.s3.create_multipart_upload(**where)["UploadId"]
    etag = listener.s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    done = listener.s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts)
    listener.s3.put_object(Bucket=listener.bucket, Key="another", Body=b"")
    multipart, _other = listener.next(2)
    assert multipart["detail"]["reason"] == "CompleteMultipartUpload"
    assert multipart["detail"]["object"]["version-id"] == done["VersionId"]


def test_a_copy_is_told_as_a_copy(listener: Listener) -> None:
    listener.s3.put_object(Bucket=listener.bucket, Key="from", Body=b"1")
    listener.s3.copy_object(Bucket=listener.bucket, Key="to", CopySource={"Bucket": listener.bucket, "Key": "from"})
    put, copy = listener.next(2)
    assert (put["detail"]["reason"], copy["detail"]["reason"]) == ("PutObject", "CopyObject")
    assert copy["detail"]["object"]["key"] == "to"


def test_deletions_tell_a_marker_from_the_end(listener: Listener) -> None:
    version = listener.s3.put_object(Bucket=listener.bucket, Key=KEY, Body=b"1")["VersionId"]
    marker = listener.s3.delete_object(Bucket=listener.bucket, Key=KEY)["VersionId"]
    listener.s3.delete_object(Bucket=listener.bucket, Key=KEY, VersionId=version)
    _put, hidden, gone = listener.next(3)
    assert hidden["detail-type"] == gone["detail-type"] == "Object Deleted"
    assert hidden["detail"]["deletion-type"] == "Delete Marker Created"
    assert hidden["detail"]["object"]["version-id"] == marker
    assert gone["detail"]["deletion-type"] == "Permanently Deleted"
    assert gone["detail"]["object"]["version-id"] == version
    assert gone["detail"]["reason"] == "DeleteObject"


def test_tags_are_told_only_when_they_are_put_by_themselves(listener: Listener) -> None:
    listener.s3.put_object(Bucket=listener.bucket, Key=KEY, Body=b"1", Tagging="a=b")
    tags = {"TagSet": [{"Key": "c", "Value": "d"}]}
    listener.s3.put_object_tagging(Bucket=listener.bucket, Key=KEY, Tagging=tags)
    created, tagged = listener.next(2)
    assert (created["detail-type"], tagged["detail-type"]) == ("Object Created", "Object Tags Added")


def test_a_bucket_without_versions_tells_none(listener: Listener, client: Client, unique: Unique) -> None:
    listener.s3.put_bucket_versioning(Bucket=listener.bucket, VersioningConfiguration={"Status": "Suspended"})
    listener.s3.put_object(Bucket=listener.bucket, Key="plain", Body=b"1")
    (event,) = listener.next()
    assert "version-id" not in event["detail"]["object"]


def test_unpatched_moto_still_sends_one_sequencer_for_all() -> None:
    """The day this fails, moto's S3 events may do: look whether localcloud.events.s3 is still needed."""
    from moto.s3 import notifications

    assert '"sequencer": "617f08299329d189"' in inspect.getsource(notifications._send_event_bridge_message)
