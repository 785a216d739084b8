"""A duplicate event and the card, on the real local cloud. All else that goes wrong is in tests/faults."""

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


def test_every_outcome_leaves_a_card_for_people(stack: Stack, played: Played) -> None:
    for name, story in (("abort", "abort_in_bake"), ("linear", "linear")):
        _, second = played[story].result()
        key = f"reports/{name}/{second.release}/evidence.html"
        page = stack.client("s3").get_object(Bucket=stack.outputs["ApprovedBucket"], Key=key)["Body"].read().decode()
        assert second.release in page
