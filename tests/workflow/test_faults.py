"""What goes wrong around a good model: duplicates, crowds, no capacity, a dying container, a throwing function."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from modeldrop.release.record import ReleaseRecord
from tests.workflow.conftest import STACK, Stack

# nobody sends requests here, so silence must not decide
POLICY = """
endpoint: {instance_count: 2, metrics_every: 10s}
canary: {size: 1, bake: 20s, final_bake: 15s}
judge: {metric_lag: 3s, dead_man: 20s, slow: 50ms, warm_up: 0s, min_green: 1}
on_blind: promote
gates: {rehearsal: "off"}
"""
Ended = tuple[ReleaseRecord, ...]


@pytest.fixture(scope="module")
def ended(stack: Stack, models: tuple[bytes, bytes]) -> Iterator[dict[str, Future[Ended]]]:
    """Play every story at once, each on an endpoint of its own."""
    stories = {"crowd": crowd, "capacity": capacity, "crash": crash, "throws": throws}
    with ThreadPoolExecutor(len(stories)) as pool:
        yield {name: pool.submit(story, stack, models) for name, story in stories.items()}


def crowd(stack: Stack, models: tuple[bytes, bytes]) -> Ended:
    first = stack.finished("crowd", stack.drop("crowd", models[0], POLICY))
    rolling = stack.drop("crowd", models[1])
    stack.wait_for_phase("crowd", rolling, "preparing", "rolling_out", "canary")
    older = stack.drop("crowd", models[0], label="older")
    time.sleep(1.1)  # S3's LastModified has whole seconds
    newer = stack.drop("crowd", models[0], label="newer")
    return (first, *(stack.finished("crowd", release, 240) for release in (rolling, older, newer)))


def capacity(stack: Stack, models: tuple[bytes, bytes]) -> Ended:
    first = stack.finished("capacity", stack.drop("capacity", models[0], POLICY))
    stack.cloud.admin("faults", {"kind": "no_capacity", "endpoint": "capacity"})
    return first, stack.finished("capacity", stack.drop("capacity", models[1]))


def crash(stack: Stack, models: tuple[bytes, bytes]) -> Ended:
    first = stack.finished("crash", stack.drop("crash", models[0], POLICY))
    stack.cloud.admin("faults", {"kind": "crash", "endpoint": "crash"})
    return first, stack.finished("crash", stack.drop("crash", models[1]))


def throws(stack: Stack, models: tuple[bytes, bytes]) -> Ended:
    first = stack.finished("throws", stack.drop("throws", models[0], POLICY))
    second = stack.drop("throws", models[1])
    stack.wait_for_phase("throws", second, "canary")
    # bins that are none: JudgeRollout throws at its next look
    key = f"reports/throws/{second}/bins.jsonl"
    stack.client("s3").put_object(Bucket=stack.outputs["ApprovedBucket"], Key=key, Body=b"this is no bin\n")
    return first, stack.finished("throws", second)


def test_the_same_event_twice_is_one_release_and_one_message(stack: Stack) -> None:
    upload = stack.upload("twice/model.tar.gz", b"no archive")
    client = stack.client("lambda")
    resource = stack.client("cloudformation").describe_stack_resource(
        StackName=STACK, LogicalResourceId="AdmitFunction"
    )
    admit = resource["StackResourceDetail"]["PhysicalResourceId"]
    detail = {"bucket": {"name": upload.bucket}, "object": {"key": upload.key, "version-id": upload.version_id}}
    release = json.loads(client.invoke(FunctionName=admit, Payload=json.dumps({"detail": detail}))["Payload"].read())
    stack.finished("twice", release["release"])
    again = json.loads(client.invoke(FunctionName=admit, Payload=json.dumps({"detail": detail}))["Payload"].read())
    time.sleep(2)
    assert again == {"endpoint": "twice", "release": release["release"], "created": False}
    assert len(stack.table.recent("twice")) == 1
    assert len(stack.outcome_messages(release["release"])) == 1


def test_a_release_waits_for_the_one_before_it_and_the_newest_supersedes(
    stack: Stack, ended: dict[str, Future[Ended]]
) -> None:
    records = ended["crowd"].result()
    assert [record.outcome for record in records] == ["created", "promoted", "superseded", "promoted"]
    assert stack.serving("crowd") == records[-1].release


def test_no_capacity_parks_the_release_and_leaves_the_old_model(stack: Stack, ended: dict[str, Future[Ended]]) -> None:
    first, second = ended["capacity"].result()
    assert second.outcome == "parked"
    assert "InsufficientInstanceCapacity" in second.reasons[0]
    assert stack.serving("capacity") == first.release


def test_a_container_that_dies_is_rolled_back_with_the_reason(stack: Stack, ended: dict[str, Future[Ended]]) -> None:
    first, second = ended["crash"].result()
    assert second.outcome == "rolled_back"
    assert second.reasons[0]
    assert stack.serving("crash") == first.release


def test_every_outcome_leaves_a_card_for_people(stack: Stack, ended: dict[str, Future[Ended]]) -> None:
    for name in ("capacity", "crash", "throws"):
        _, second = ended[name].result()
        key = f"reports/{name}/{second.release}/evidence.html"
        page = stack.client("s3").get_object(Bucket=stack.outputs["ApprovedBucket"], Key=key)["Body"].read().decode()
        assert second.release in page


def test_a_function_that_throws_is_compensated_told_once_and_frees_the_lease(
    stack: Stack, ended: dict[str, Future[Ended]]
) -> None:
    first, second = ended["throws"].result()
    assert second.outcome == "failed"
    assert "line 1" in second.reasons[0]
    assert stack.serving("throws") == first.release
    assert len(stack.outcome_messages(second.release)) == 1
    assert stack.lease_is_free("throws")


def test_what_was_not_promoted_leaves_nothing_behind(stack: Stack, ended: dict[str, Future[Ended]]) -> None:
    sagemaker = stack.client("sagemaker")
    for name in ("capacity", "crash", "throws"):
        _, second = ended[name].result()
        assert not sagemaker.list_models(NameContains=second.release)["Models"]
        assert not sagemaker.list_endpoint_configs(NameContains=second.release)["EndpointConfigs"]
        assert not stack.client("cloudwatch").describe_alarms(AlarmNamePrefix=second.release)["MetricAlarms"]
