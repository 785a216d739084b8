"""Rehearsals of real models in real processes: passed, failed, killed; none leaves anything behind."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from modeldrop.release.record import ReleaseRecord
from modeldrop.release.rehearsal import rehearsal_name
from modeldrop.release.reports import rehearsal_key
from tests.workflow.stack import PATIENCE_SECONDS, Models, Stack

POLICY = """
endpoint: {{instance_type: ml.c5.large, instance_count: 1, metrics_every: 10s}}
gates: {{rehearsal: {}}}
"""


def with_golden(model: bytes, *lines: dict[str, Any]) -> bytes:
    """The same model with other golden requests."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(model)) as old, tarfile.open(fileobj=packed, mode="w:gz") as new:
        for member in old.getmembers():
            content = old.extractfile(member)
            body = content.read() if content else b""
            if member.name.endswith("golden.jsonl"):
                body = "\n".join(json.dumps(line) for line in lines).encode()
                member.size = len(body)
            new.addfile(member, io.BytesIO(body))
    return packed.getvalue()


@pytest.fixture(scope="module")
def ended(stack: Stack, models: Models) -> Iterator[dict[str, Future[ReleaseRecord]]]:
    """Play the stories, some at once: those of the other tests are played as well."""
    model = models.first  # it has golden requests
    wrong = with_golden(model, {"request": {"instances": ["good"]}, "response": {"predictions": [{"label": "nobody"}]}})
    open_answer = with_golden(model, {"request": {"instances": ["good"]}})
    stories = {
        "serverless": lambda: play(stack, "serverless", model, "serverless"),
        "wrong": lambda: play(stack, "wrong", wrong),
        "open": lambda: play(stack, "open", open_answer),
        "off": lambda: play(stack, "off", model, '"off"'),
        "stopped": lambda: killed(stack, model),
        "broken": lambda: broken(stack, model),
        "aborted": lambda: aborted(stack, model),
    }
    with ThreadPoolExecutor(4) as pool:
        yield {name: pool.submit(story) for name, story in stories.items()}


def play(stack: Stack, name: str, archive: bytes, gate: str = "ml.c5.large") -> ReleaseRecord:
    return stack.finished(f"re-{name}", stack.drop(f"re-{name}", archive, POLICY.format(gate)))


def rehearsing(stack: Stack, endpoint: str, model: bytes) -> ReleaseRecord:
    """Drop a model whose throw-away endpoint takes its time, and wait until it is being made."""
    release = stack.drop(endpoint, model, POLICY.format("ml.c5.large"))
    name = rehearsal_name(release)
    stack.cloud.admin("faults", {"kind": "slow_start", "endpoint": name, "seconds": 20})
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (stack.endpoint(name) or {}).get("EndpointStatus") != "Creating":
        assert time.monotonic() < deadline, "the rehearsal did not begin"
        time.sleep(0.1)
    return stack.table.require(endpoint, release)


def broken(stack: Stack, model: bytes) -> ReleaseRecord:
    """A container that ends at its start."""
    release = stack.drop("re-broken", model, POLICY.format("ml.c5.large"))
    stack.cloud.admin("faults", {"kind": "crash", "endpoint": rehearsal_name(release)})
    return stack.finished("re-broken", release)


def aborted(stack: Stack, model: bytes) -> ReleaseRecord:
    release = rehearsing(stack, "re-aborted", model).release
    assert "abort of" in stack.modeldrop("abort", "re-aborted")
    return stack.finished("re-aborted", release)


def killed(stack: Stack, model: bytes) -> ReleaseRecord:
    """Stop the execution while the throw-away endpoint is being made, when AWS lets nobody delete it."""
    record = rehearsing(stack, "re-stopped", model)
    release = record.release
    stack.client("stepfunctions").stop_execution(executionArn=record.execution_arn, error="Killed", cause="by a test")
    return stack.finished("re-stopped", release)


def left_over(stack: Stack, record: ReleaseRecord, seconds: float = 60) -> list[str]:
    """What the rehearsal left behind, once deleting has had its time."""
    name, deadline = rehearsal_name(record.release), time.monotonic() + seconds
    sagemaker, s3 = stack.client("sagemaker"), stack.client("s3")
    while True:
        bucket, prefix = stack.outputs["ApprovedBucket"], rehearsal_key(record.release)
        found = [
            *(one["EndpointName"] for one in sagemaker.list_endpoints(NameContains=name)["Endpoints"]),
            *(
                one["EndpointConfigName"]
                for one in sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"]
            ),
            *(one["ModelName"] for one in sagemaker.list_models(NameContains=name)["Models"]),
            *(one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())),
        ]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.3)


def text_of(stack: Stack, record: ReleaseRecord) -> str:
    return str(stack.outcome_messages(record.release)[0]["text"])


def test_a_good_model_is_timed_cold_and_warm_and_the_message_says_so(
    stack: Stack, ended: dict[str, Future[ReleaseRecord]]
) -> None:
    record = ended["serverless"].result()
    assert record.outcome == "created"
    facts = record.artifact["rehearsal"]
    assert facts["place"] == "serverless"
    assert facts["cold_ms"] > 0
    assert facts["warm_ms"] > 0
    assert "Rehearsal on serverless" in text_of(stack, record)


def test_a_wrong_answer_rejects_the_model_before_users_meet_it(
    stack: Stack, ended: dict[str, Future[ReleaseRecord]]
) -> None:
    record = ended["wrong"].result()
    assert record.outcome == "rejected"
    assert "GOLDEN_ANSWER" in text_of(stack, record)
    assert stack.endpoint("re-wrong") is None


def test_a_request_without_a_stored_answer_must_be_answered(ended: dict[str, Future[ReleaseRecord]]) -> None:
    record = ended["open"].result()
    assert record.outcome == "created"
    assert record.artifact["rehearsal"]["asked"] == 1


def test_a_rehearsal_that_the_policy_skips_is_told(stack: Stack, ended: dict[str, Future[ReleaseRecord]]) -> None:
    record = ended["off"].result()
    assert record.outcome == "created"
    assert "gates.rehearsal is off" in text_of(stack, record)


def test_a_container_that_does_not_start_is_told_with_the_end_of_its_log(
    stack: Stack, ended: dict[str, Future[ReleaseRecord]]
) -> None:
    record = ended["broken"].result()
    assert record.outcome == "rejected"
    assert "the fault switch `crash` ends this container" in text_of(stack, record)


def test_an_abort_ends_a_rehearsal(ended: dict[str, Future[ReleaseRecord]]) -> None:
    record = ended["aborted"].result()
    assert record.outcome == "aborted", record.reasons
    assert "during the rehearsal" in record.reasons[0]


def test_a_workflow_killed_in_mid_rehearsal_ends_once(stack: Stack, ended: dict[str, Future[ReleaseRecord]]) -> None:
    record = ended["stopped"].result()
    assert record.outcome == "failed"
    assert len(stack.outcome_messages(record.release)) == 1
    assert stack.lease_is_free("re-stopped")


@pytest.mark.parametrize("story", ["serverless", "wrong", "open", "stopped", "broken", "aborted"])
def test_no_rehearsal_leaves_endpoint_config_model_or_copy(
    stack: Stack, ended: dict[str, Future[ReleaseRecord]], story: str
) -> None:
    assert left_over(stack, ended[story].result()) == []
