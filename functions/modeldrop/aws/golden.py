"""Golden requests of a release: kept beside its reports, asked of an endpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence

from modeldrop.artifact.golden import MAX_GOLDEN_BYTES, GoldenRequest, answers_match, parse_golden
from modeldrop.aws import endpoints, objects
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.reports import report_key
from modeldrop.settings import settings

NAME = "golden.jsonl"
# enough to tell a wrong model from a right one inside a function's 60 s
MAX_ASKED = 20


def store(record: ReleaseRecord, requests: Sequence[GoldenRequest]) -> None:
    """Keep the requests that came with the artifact."""
    lines = [
        json.dumps({"request": one.request, "response": one.response, "rtol": one.rtol, "atol": one.atol})
        for one in requests
    ]
    body = "\n".join(lines).encode()
    objects.write(settings().approved_bucket, report_key(record, NAME), body, "application/jsonl")


def stored(record: ReleaseRecord) -> tuple[GoldenRequest, ...]:
    """Read what `store` kept; empty when the artifact brought none."""
    if not record.artifact.get("golden_requests"):
        return ()
    return parse_golden(objects.read_bounded(settings().approved_bucket, report_key(record, NAME), MAX_GOLDEN_BYTES))


def first_wrong_answer(endpoint: str, requests: Sequence[GoldenRequest]) -> str | None:
    """Ask the endpoint; None when every answer is right, else a sentence with the first that is not."""
    for number, one in enumerate(requests[:MAX_ASKED], start=1):
        status, body = endpoints.invoke(endpoint, json.dumps(one.request).encode())
        if status != 200:
            return f"golden request {number} was answered with status {status}: {body[:300]!r}"
        try:
            found = json.loads(body)
        except ValueError:
            return f"golden request {number} was answered with something that is not JSON: {body[:300]!r}"
        difference = answers_match(one.response, found, one.rtol, one.atol)
        if difference:
            return f"golden request {number}: {difference}"
    return None
