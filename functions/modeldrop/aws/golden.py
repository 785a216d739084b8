"""Golden requests of a release: kept beside its reports, asked of an endpoint."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence

from modeldrop.artifact.golden import (
    MAX_STORED_BYTES,
    GoldenRequest,
    golden_jsonl,
    lacks_cpu_kernel,
    parse_golden,
    wrong_answer,
)
from modeldrop.aws import endpoints, objects
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.rehearsal import Answers
from modeldrop.release.reports import report_key
from modeldrop.settings import settings

NAME = "golden.jsonl"
# enough to tell a wrong model from a right one inside a function's 60 s
MAX_ASKED = 20
# the last one may take the container's 60 s, and the function has 110 s
MAX_ASKING_SECONDS = 40
# a cold container may fail its first request, and what was asked once may have met a passing fault
AGAIN_AFTER_SECONDS = 2


def store(record: ReleaseRecord, requests: Sequence[GoldenRequest]) -> None:
    """Keep the requests that came with the artifact."""
    body = golden_jsonl(requests)
    objects.write(settings().approved_bucket, report_key(record, NAME), body, "application/jsonl")


def stored(record: ReleaseRecord) -> tuple[GoldenRequest, ...]:
    """Read what `store` kept; empty when the artifact brought none."""
    if not record.artifact.get("golden_requests"):
        return ()
    text = objects.read_bounded(settings().approved_bucket, report_key(record, NAME), MAX_STORED_BYTES)
    return parse_golden(text, MAX_STORED_BYTES)


def first_wrong_answer(endpoint: str, requests: Sequence[GoldenRequest]) -> str | None:
    """Ask the endpoint; None when every answer is right, else a sentence with the first that is not."""
    return ask(endpoint, requests).problem or None


def was_not_answered(status: int) -> bool:
    """Say whether the container failed or did not answer, which may pass; what it refused (4xx) it refuses again."""
    return status == 0 or status >= 500


def ask(endpoint: str, requests: Sequence[GoldenRequest]) -> Answers:
    """Ask one after the other until one is answered wrongly, all are, or the time is over.

    A request that the container failed is asked once more before it counts.
    """
    began, times = time.monotonic(), []
    problem, gpu_only = "", False
    for number, one in enumerate(requests[:MAX_ASKED], start=1):
        before = time.monotonic()
        if before - began > MAX_ASKING_SECONDS:
            break
        status, body = endpoints.invoke(endpoint, json.dumps(one.request).encode())
        if was_not_answered(status) and time.monotonic() - began < MAX_ASKING_SECONDS - AGAIN_AFTER_SECONDS:
            time.sleep(AGAIN_AFTER_SECONDS)
            before = time.monotonic()
            status, body = endpoints.invoke(endpoint, json.dumps(one.request).encode())
        times.append((time.monotonic() - before) * 1000)
        wrong = wrong_answer(one, status, body)
        if wrong:
            problem, gpu_only = f"golden request {number} {wrong}", status != 200 and lacks_cpu_kernel(body)
            break
    in_time = time.monotonic() - began < MAX_ASKING_SECONDS
    if len(times) == 1 and not problem and in_time:  # one request is cold; the same again is warm
        before = time.monotonic()
        endpoints.invoke(endpoint, json.dumps(requests[0].request).encode())
        times.append((time.monotonic() - before) * 1000)
    warm = statistics.median(times[1:]) if len(times) > 1 else None
    asked = min(len(times), len(requests))
    return Answers(asked, len(requests), times[0] if times else None, warm, problem, gpu_only)
