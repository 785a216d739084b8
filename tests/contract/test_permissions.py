"""A function's role allows what its code can call (call_graph.py), and little else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from scripts.translated import translated
from tests.contract.call_graph import HANDLERS, Call, calls_of, operations

# the client's name in aws/clients.py -> IAM's prefix, where they differ
PREFIX = {
    "sagemaker_runtime": "sagemaker",
    "stepfunctions": "states",
    "application_autoscaling": "application-autoscaling",
    "service_quotas": "servicequotas",
}
# calls whose IAM action has another name (Service Authorization Reference, Amazon S3)
ACTIONS = {
    ("s3", "head_object"): {"s3:GetObject"},
    ("s3", "list_object_versions"): {"s3:ListBucketVersions"},
    ("s3", "list_objects_v2"): {"s3:ListBucket"},
    ("s3", "copy"): {"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"},
}
# allowed without a call of that name, and why
SIDE_RIGHTS = {
    "iam:PassRole": "CreateModel is given a role",
    "iam:CreateServiceLinkedRole": "the first RegisterScalableTarget of an account makes it",
    "sagemaker:AddTags": "creating with tags asks for it",
    "cloudwatch:TagResource": "creating with tags asks for it",
    "application-autoscaling:TagResource": "creating with tags asks for it",
    "sagemaker:UpdateEndpointWeightsAndCapacities": "asked of whoever registers a variant",
    "sagemaker:DescribeEndpoint": "asked of whoever registers a variant",
    "sagemaker:DescribeEndpointConfig": "asked of whoever registers a variant, and by CreateEndpoint",
    "cloudwatch:PutMetricAlarm": "target tracking makes its alarms for whoever puts the policy",
    "cloudwatch:DeleteAlarms": "target tracking deletes its alarms for whoever deletes the policy",
    "cloudwatch:DescribeAlarms": "UpdateEndpoint with rollback alarms asks the caller for it",
    "s3:GetObjectVersion": "GetObject of a pinned version",
    "s3:ListBucket": "a missing object answers 404, not 403",
    "sqs:SendMessage": "dead letters of an asynchronous invocation",
}


def actions(calls: set[Call]) -> set[str]:
    """The IAM actions that client calls need."""
    needed: set[str] = set()
    for call in calls:
        named = f"{PREFIX.get(call.client, call.client)}:{operations(call.client).get(call.method)}"
        needed |= ACTIONS.get((call.client, call.method), {named})
    return needed


@cache
def roles() -> dict[str, set[str]]:
    """Allowed actions by role."""
    found: dict[str, set[str]] = {}
    for name, resource in translated()["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            found[name] = set(allowed(resource["Properties"].get("Policies", [])))
    return found


def allowed(policies: list[dict]) -> Iterator[str]:
    """Every action that policies allow."""
    for policy in policies:
        for statement in policy["PolicyDocument"]["Statement"]:
            statement = statement["Fn::If"][1] if "Fn::If" in statement else statement
            if statement["Effect"] == "Allow":
                yield from [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]


def role_of(handler: str) -> set[str]:
    """The actions that a handler's role allows."""
    return roles()["".join(part.capitalize() for part in handler.split("_")) + "FunctionRole"]


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_role_allows_every_call_its_function_can_make(handler):
    assert actions(calls_of(handler)) - role_of(handler) == set()


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_role_allows_nothing_its_function_never_calls(handler):
    assert role_of(handler) - actions(calls_of(handler)) - set(SIDE_RIGHTS) == set()


def test_the_state_machine_may_do_what_its_states_call(states):
    resources = {state["Resource"] for state in states.values() if state["Type"] == "Task"}
    assert resources == {
        "arn:aws:states:::lambda:invoke",
        "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "arn:aws:states:::dynamodb:updateItem",
    }
    assert {"lambda:InvokeFunction", "dynamodb:UpdateItem"} <= roles()["ReleaseStateMachineRole"]
