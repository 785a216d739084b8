"""Captured answers: what SageMaker's data capture wrote below a release's prefix, counted by class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from modeldrop.aws import objects
from modeldrop.clock import now
from modeldrop.judge.answers import shares_of
from modeldrop.judge.bins import Counts
from modeldrop.judge.capture import Answer, read_capture
from modeldrop.judge.clump import clump_size
from modeldrop.observability import logger
from modeldrop.rollout.model import VARIANT, LiveAnswers

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# what one look reads at most: the newest files first, for which file is left out says nothing of its answers
MAX_FILES = 400
MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_BYTES = 48 * 1024 * 1024
READERS = 8


def by_period(
    s3: S3Client,
    captured_to: str,
    endpoint: str,
    output: str,
    start: datetime,
    end: datetime,
    period_seconds: int,
) -> dict[datetime, Counter[str]]:
    """Count the answers given in [start, end) by period and class; a period without any is absent."""
    found: dict[datetime, Counter[str]] = {}
    for one in _answers(s3, captured_to, endpoint, output, start):
        if start <= one.at < end and one.name:
            number = int((one.at - start).total_seconds()) // period_seconds
            found.setdefault(start + timedelta(seconds=number * period_seconds), Counter())[one.name] += 1
    return found


def last_hour(
    s3: S3Client, config: Mapping[str, Any], endpoint: str, output: str, within: str, at: datetime
) -> LiveAnswers:
    """Count what the fleet of an endpoint config (as described) answered in the hour before.

    within: where its captures must be (s3://...), for only there may we read; elsewhere there are none.
    """
    capture = config.get("DataCaptureConfig") or {}
    captured_to = str(capture.get("DestinationS3Uri", ""))
    if not capture.get("EnableCapture", True) or not captured_to.startswith(within):
        return LiveAnswers()
    minutes = by_period(s3, captured_to, endpoint, output, at - timedelta(hours=1), at, 60).values()
    total = sum(minutes, Counter[str]())
    shares = shares_of(total)
    # equal answers that come together scatter more than independent ones: the worst class is taken for all
    clumps = [clump_size([Counts(one.total(), one[name]) for one in minutes]) for name in shares]
    return LiveAnswers(captured_to, total.total(), shares, max(clumps, default=1))


def _answers(s3: S3Client, captured_to: str, endpoint: str, output: str, since: datetime) -> Iterator[Answer]:
    bucket, _, prefix = captured_to.removeprefix("s3://").partition("/")
    files = _files(s3, bucket, f"{prefix}/{endpoint}/{VARIANT}", since)
    with ThreadPoolExecutor(READERS) as pool:
        for found, bad in pool.map(lambda key: _read(s3, bucket, key, output), files):
            if bad:
                logger.warning("%d lines of captured answers could not be read", bad)
            yield from found


def _read(s3: S3Client, bucket: str, key: str, output: str) -> tuple[list[Answer], int]:
    body = objects.read_bounded(bucket, key, MAX_FILE_BYTES, s3=s3)
    # a longer file is cut, in the middle of a line
    whole = body if len(body) <= MAX_FILE_BYTES else body[: body.rfind(b"\n") + 1]
    return read_capture(whole.decode("utf-8", "replace").splitlines(), output)


def _files(s3: S3Client, bucket: str, prefix: str, since: datetime) -> list[str]:
    """List the files that may hold answers from `since` on.

    They lie in a folder an hour (yyyy/mm/dd/hh). A file is written after the answers in it were given, and may have
    been begun in the hour before.
    """
    hour, found = since.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1), []
    paginator = s3.get_paginator("list_objects_v2")
    while hour <= now():
        for page in paginator.paginate(Bucket=bucket, Prefix=f"{prefix}/{hour:%Y/%m/%d/%H}/"):
            found += [one for one in page.get("Contents", ()) if one["LastModified"] >= since]
        hour += timedelta(hours=1)
    newest = sorted(found, key=lambda one: one["LastModified"], reverse=True)
    taken, size = [], 0
    for one in newest[:MAX_FILES]:
        size += min(one["Size"], MAX_FILE_BYTES)
        if size > MAX_BYTES:
            break
        taken.append(one["Key"])
    if len(taken) < len(newest):
        logger.warning("%d files of captured answers were not read: too many for one look", len(newest) - len(taken))
    return taken
