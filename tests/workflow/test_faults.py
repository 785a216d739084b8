"""What goes wrong around a good model: duplicates, crowds, no capacity, a dying container, a throwing function."""

from __future__ import annotations

import json
import time

from tests.workflow.stack import STACK, Stack
from tests.workflow.stories import Played


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


def test_a_release_waits_for_the_one_before_it_and_the_newest_supersedes(stack: Stack, played: Played) -> None:
    records = played["crowd"].result()
    assert [record.outcome for record in records] == ["created", "promoted", "superseded", "promoted"]
    assert stack.serving("crowd") == records[-1].release


def test_no_capacity_parks_the_release_and_leaves_the_old_model(stack: Stack, played: Played) -> None:
    first, second = played["capacity"].result()
    assert second.outcome == "parked"
    assert "InsufficientInstanceCapacity" in second.reasons[0]
    assert stack.serving("capacity") == first.release


def test_a_container_that_dies_is_rolled_back_with_the_reason(stack: Stack, played: Played) -> None:
    first, second = played["crash"].result()
    assert second.outcome == "rolled_back"
    assert second.reasons[0]
    assert stack.serving("crash") == first.release


def test_every_outcome_leaves_a_card_for_people(stack: Stack, played: Played) -> None:
    for name in ("capacity", "crash", "throws"):
        _, second = played[name].result()
        key = f"reports/{name}/{second.release}/evidence.html"
        page = stack.client("s3").get_object(Bucket=stack.outputs["ApprovedBucket"], Key=key)["Body"].read().decode()
        assert second.release in page


def test_a_function_that_throws_is_compensated_told_once_and_frees_the_lease(stack: Stack, played: Played) -> None:
    first, second = played["throws"].result()
    assert second.outcome == "failed"
    assert "line 1" in second.reasons[0]
    assert stack.serving("throws") == first.release
    assert len(stack.outcome_messages(second.release)) == 1
    assert stack.lease_is_free("throws")


def test_what_was_not_promoted_leaves_nothing_behind(stack: Stack, played: Played) -> None:
    sagemaker = stack.client("sagemaker")
    for name in ("capacity", "crash", "throws"):
        _, second = played[name].result()
        assert not sagemaker.list_models(NameContains=second.release)["Models"]
        assert not sagemaker.list_endpoint_configs(NameContains=second.release)["EndpointConfigs"]
        assert not stack.client("cloudwatch").describe_alarms(AlarmNamePrefix=second.release)["MetricAlarms"]
