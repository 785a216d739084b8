"""Captured answers as the judge reads them: real objects in S3, laid out as data capture writes them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from modeldrop.aws import captures, clients

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def bucket(client, unique, monkeypatch):
    s3 = client("s3")
    name = unique("captures")
    s3.create_bucket(Bucket=name)
    monkeypatch.setattr(clients, "s3", lambda: s3)
    return name


def line(at, label, encoding="JSON"):
    data = json.dumps({"predictions": [{"label": label}]})
    if encoding == "BASE64":
        data = base64.b64encode(data.encode()).decode()
    output = {"observedContentType": "application/json", "mode": "OUTPUT", "data": data, "encoding": encoding}
    event = {"eventId": "1", "inferenceTime": at.isoformat().replace("+00:00", "Z")}
    return json.dumps({"captureData": {"endpointOutput": output}, "eventMetadata": event, "eventVersion": "0"})


def put(client, bucket, lines, *, release="r-1", hour=NOW, name="00-00-000-a"):
    key = f"captures/{release}/sentiment/AllTraffic/{hour:%Y/%m/%d/%H}/{name}.jsonl"
    client("s3").put_object(Bucket=bucket, Key=key, Body="\n".join(lines).encode())


def by_period(bucket, start, end, release="r-1"):
    return captures.by_period(clients.s3(), f"s3://{bucket}/captures/{release}", "sentiment", "label", start, end, 10)


def test_answers_are_counted_by_period_and_class(client, bucket):
    start = NOW - timedelta(seconds=30)
    put(client, bucket, [line(start, "a"), line(start + timedelta(seconds=9), "b", "BASE64")])
    put(client, bucket, [line(start + timedelta(seconds=10), "a")], name="00-00-001-b")
    found = by_period(bucket, start, NOW)
    assert found == {start: {"a": 1, "b": 1}, start + timedelta(seconds=10): {"a": 1}}


def test_what_was_answered_before_or_after_does_not_count(client, bucket):
    start = NOW - timedelta(seconds=30)
    put(client, bucket, [line(start - timedelta(seconds=1), "a"), line(NOW, "a"), line(start, "b")])
    assert by_period(bucket, start, NOW) == {start: {"b": 1}}


def test_a_file_that_was_begun_in_the_hour_before_is_read(client, bucket):
    put(client, bucket, [line(NOW, "a")], hour=NOW - timedelta(hours=1))
    assert by_period(bucket, NOW, NOW + timedelta(seconds=10)) == {NOW: {"a": 1}}


def test_each_release_has_answers_of_its_own(client, bucket):
    put(client, bucket, [line(NOW, "a")])
    put(client, bucket, [line(NOW, "b")], release="r-10")
    assert by_period(bucket, NOW, NOW + timedelta(seconds=10)) == {NOW: {"a": 1}}


def test_lines_that_cannot_be_read_cost_only_themselves(client, bucket):
    put(client, bucket, ["{", line(NOW, "a"), '"text"'])
    assert by_period(bucket, NOW, NOW + timedelta(seconds=10)) == {NOW: {"a": 1}}


def test_a_file_that_is_too_long_is_read_up_to_its_last_whole_line(client, bucket, monkeypatch):
    monkeypatch.setattr(captures, "MAX_FILE_BYTES", 2 * len(line(NOW, "a")) + 10)
    put(client, bucket, [line(NOW, "a")] * 5)
    assert by_period(bucket, NOW, NOW + timedelta(seconds=10)) == {NOW: {"a": 2}}


def test_of_too_many_files_the_newest_are_read(client, bucket, monkeypatch):
    monkeypatch.setattr(captures, "MAX_FILES", 2)
    for number in range(5):
        put(client, bucket, [line(NOW, "a")], name=f"00-00-00{number}-a")
    assert by_period(bucket, NOW, NOW + timedelta(seconds=10)) == {NOW: {"a": 2}}


def test_the_live_model_s_last_hour_gives_its_classes(client, bucket):
    lines = [line(NOW - timedelta(seconds=n), "a" if n % 4 else "b") for n in range(1, 101)]
    put(client, bucket, lines)
    config = {"DataCaptureConfig": {"EnableCapture": True, "DestinationS3Uri": f"s3://{bucket}/captures/r-1"}}
    found = captures.last_hour(clients.s3(), config, "sentiment", "label", f"s3://{bucket}/captures/", NOW)
    assert (found.answers, found.shares) == (100, {"a": 0.75, "b": 0.25})


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"DataCaptureConfig": {"EnableCapture": False, "DestinationS3Uri": "s3://b/captures/r-1"}},
        {"DataCaptureConfig": {"EnableCapture": True, "DestinationS3Uri": "s3://somebody-else/captures/r-1"}},
    ],
)
def test_what_is_not_captured_to_us_is_not_read(config):
    assert captures.last_hour(object(), config, "sentiment", "label", "s3://b/captures/", NOW).captured_to == ""
