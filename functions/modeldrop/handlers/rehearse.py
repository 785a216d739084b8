"""Rehearse: run the model on a throw-away endpoint and ask it its golden requests, before users meet it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from modeldrop.artifact.golden import lacking_operation, lacks_cpu_kernel
from modeldrop.aws import cleanup, clients, endpoints, golden, logs, objects
from modeldrop.aws.releases import ReleaseTable
from modeldrop.aws.steps import begin
from modeldrop.entry import entry
from modeldrop.errors import AbortedError, ParkedError, Problem, RehearsalRejectedError
from modeldrop.observability import logger
from modeldrop.policy.wire import policy_from_json
from modeldrop.release.observe import EndpointView
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.rehearsal import Answers, next_step, rehearsal_name, wait_seconds
from modeldrop.release.reports import approved_key, rehearsal_key
from modeldrop.rollout.plan import is_gpu, plan_from_json
from modeldrop.rollout.requests import rehearsal_requests
from modeldrop.settings import settings
from modeldrop.times import iso, moment

MAX_LINES_SHOWN = 4


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Answer {done, wait_seconds, approve}; called until it is done. RehearsalRejectedError when the model failed."""
    table, record, at = begin(event)
    approve = policy_from_json(record.policy).gates.approval != "none"
    age = age_seconds(table, record, at)
    facts = record.artifact.get("rehearsal") or step(record, age)
    if not facts:
        return {"done": False, "wait_seconds": wait_seconds(age), "approve": approve}
    # noted first: a second try of this function must find the answers, not an endpoint that is gone
    table.change(record, fenced=False, artifact={**record.artifact, "rehearsal": facts})
    cleanup.end_rehearsal(record)
    refuse(record, facts)
    return {"done": True, "wait_seconds": 0, "approve": approve}


def step(record: ReleaseRecord, age: float) -> dict[str, Any]:
    """Take the rehearsal's next step; what it found once it is over, and nothing before."""
    name, plan = rehearsal_name(record.release), plan_from_json(record.plan)
    seen = endpoints.describe(clients.sagemaker(), name)
    refuse_aborted(record, seen)
    answers = None
    match next_step(seen, age):
        case "create":
            create(record, name)
        case "probe":
            answers = golden.ask(name, golden.stored(record))
        case "give_up":
            answers = start_failure(record, seen, age, gpu=is_gpu(plan.instance_type))
        case "wait":
            pass
    return {"place": plan.rehearsal_instance_type, **asdict(answers)} if answers else {}


def start_failure(record: ReleaseRecord, seen: EndpointView, age: float, *, gpu: bool) -> Answers:
    """Refuse a model that did not come into service, unless it is only that it needs the GPU it was made for."""
    tail = logs.container_tail(rehearsal_name(record.release))
    if not (gpu and lacks_cpu_kernel(tail.encode())):
        cleanup.end_rehearsal(record)
        give_up(seen, age, tail)
    return Answers(0, 0, problem="the model did not even load", gpu_only=True)


def age_seconds(table: ReleaseTable, record: ReleaseRecord, at: datetime) -> float:
    """Return how long the rehearsal has been going, and note its beginning; LeaseLostError when it is not ours."""
    since = record.rollout.get("rehearsing_since")
    if since:
        return (at - moment(since)).total_seconds()
    table.change(record, fenced=True, phase="rehearsing", rollout={**record.rollout, "rehearsing_since": iso(at)})
    return 0.0


def create(record: ReleaseRecord, name: str) -> None:
    """Copy the artifact to where only the rehearsal's role reads, and make the endpoint."""
    bucket, key = settings().approved_bucket, rehearsal_key(record.release)
    objects.copy_version(bucket, approved_key(record.endpoint, record.artifact["sha256"]), "", bucket, key)
    requests = rehearsal_requests(plan_from_json(record.plan), name, f"s3://{bucket}/{key}")
    endpoints.ensure_model(requests.model)
    endpoints.ensure_config(requests.config)
    endpoints.create(requests.endpoint)


def refuse(record: ReleaseRecord, facts: dict[str, Any]) -> None:
    """Reject a model that answered a golden request wrongly.

    What a CPU has no kernel for may well run on the GPU it was made for: that is told, and nothing more.
    """
    found = facts["problem"]
    if found and not (facts["gpu_only"] and is_gpu(record.plan["instance_type"])):
        fix = "Ask the model the same request where it was trained; if the new answer is right, renew golden.jsonl."
        raise RehearsalRejectedError([Problem("GOLDEN_ANSWER", found, where="golden.jsonl", fix=fix)])
    if found:
        logger.warning("not rehearsed on a CPU", extra={"release": record.release, "why": found})


def refuse_aborted(record: ReleaseRecord, seen: EndpointView) -> None:
    """End an aborted release, once its throw-away endpoint can be deleted."""
    if record.abort_requested_by and seen.status != "Creating":
        cleanup.end_rehearsal(record)
        raise AbortedError(f"aborted by {record.abort_requested_by} during the rehearsal; no user met the model")


def give_up(seen: EndpointView, age: float, tail: str) -> None:
    """Say why there was no rehearsal: no capacity parks the release, anything else is the model's own failure."""
    why = seen.failure_reason or f"status {seen.status} after {age:.0f} s"
    if seen.lacks_capacity:
        raise ParkedError(f"no capacity for the rehearsal: {why}")
    if lacking := lacking_operation(tail):
        why += f"; its server is built without the operation {lacking}"
    last = " | ".join(line for line in tail.splitlines()[-MAX_LINES_SHOWN:] if line.strip())[:600]
    said = f"its log ends with: {last}; " if last else ""
    fix = f"Look at the container's log in /aws/sagemaker/Endpoints: {said}the model was never shown to users."
    raise RehearsalRejectedError([Problem("REHEARSAL_START", f"the model did not come into service: {why}", fix=fix)])
