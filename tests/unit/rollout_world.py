"""What handlers meet during a rollout, in process: the endpoint, its alarms and its autoscaling, as stubs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from modeldrop.aws import clients
from modeldrop.clock import now
from modeldrop.policy.wire import policy_to_json
from modeldrop.release.record import ReleaseRecord
from modeldrop.rollout.plan import LiveState, plan_to_json
from modeldrop.times import iso
from tests.unit.aws_builders import APPROVED, REGION, Watched, World, a_release, a_world, run
from tests.unit.rollout_builders import GPU, RELEASE, a_demo_policy, a_plan

ENDPOINT = "sentiment"
OLD = "sentiment-20261120101500-77ab01"
OTHER = "sentiment-20261123202000-0the01"
EXECUTION = "arn:aws:states:eu-central-1:123456789012:execution:modeldrop-release:"
RUNNING = {"DynamicScalingInSuspended": False, "DynamicScalingOutSuspended": False, "ScheduledScalingSuspended": False}


def refusal(code: str, text: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": 400}},  # type: ignore[typeddict-item]  # a builder
        "AnyCall",
    )


@dataclass
class CloudWatch:
    """Alarms by name with their state, and what was published."""

    alarms: dict[str, str] = field(default_factory=dict)
    published: list[dict[str, Any]] = field(default_factory=list)

    def put_metric_alarm(self, **request: Any) -> None:
        self.alarms[request["AlarmName"]] = "OK"

    def describe_alarms(self, AlarmNames: list[str], AlarmTypes: list[str]) -> dict[str, Any]:  # noqa: N803  # boto3's
        since = datetime(2026, 11, 23, 20, 12, tzinfo=UTC)
        found = [name for name in AlarmNames if name in self.alarms]
        told = [{"AlarmName": n, "StateValue": self.alarms[n], "StateUpdatedTimestamp": since} for n in found]
        return {"MetricAlarms": told}

    def delete_alarms(self, AlarmNames: list[str]) -> None:  # noqa: N803  # boto3's name
        for name in AlarmNames:
            self.alarms.pop(name)

    def put_metric_data(self, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803  # boto3's names
        self.published += MetricData

    def get_metric_data(self, **request: Any) -> dict[str, Any]:
        results = [{"Id": one["Id"], "Timestamps": [], "Values": []} for one in request["MetricDataQueries"]]
        return {"MetricDataResults": results}

    def get_paginator(self, name: str) -> Any:
        return Pages(getattr(self, name))


@dataclass
class Pages:
    """One page."""

    call: Any

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        yield self.call(**request)


@dataclass
class Scaling:
    """The one scalable target, or None, and its policies by name."""

    target: dict[str, Any] | None = None
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)

    def describe_scalable_targets(self, **_: Any) -> dict[str, Any]:
        return {"ScalableTargets": [dict(self.target)] if self.target else []}

    def describe_scaling_policies(self, **_: Any) -> dict[str, Any]:
        return {"ScalingPolicies": [dict(one) for one in self.policies.values()]}

    def register_scalable_target(self, **request: Any) -> None:
        wanted = {name: request[name] for name in ("MinCapacity", "MaxCapacity", "SuspendedState") if name in request}
        self.target = {**(self.target or {}), **wanted}

    def put_scaling_policy(self, **request: Any) -> None:
        kept = ("PolicyName", "PolicyType", "TargetTrackingScalingPolicyConfiguration")
        self.policies[request["PolicyName"]] = {name: request[name] for name in kept}

    def delete_scaling_policy(self, PolicyName: str, **_: Any) -> None:  # noqa: N803  # boto3's name
        if self.policies.pop(PolicyName, None) is None:
            raise refusal("ObjectNotFoundException", "No scaling policy found")

    def deregister_scalable_target(self, **_: Any) -> None:
        if self.target is None:
            raise refusal("ObjectNotFoundException", "No scalable target found")
        self.target = None


class SageMaker:
    """One account's models, configs and endpoints; an endpoint moves when a test says so."""

    def __init__(self, cloudwatch: CloudWatch) -> None:
        self.cloudwatch = cloudwatch
        self.made: dict[str, dict[str, dict[str, Any]]] = {"model": {}, "endpoint-config": {}, "endpoint": {}}
        self.tags: dict[str, dict[str, str]] = {}
        self.updates: list[str] = []
        self.answers: bytes | Exception = b'{"predictions": [1]}'

    def create_model(self, **request: Any) -> None:
        self._make("model", request["ModelName"], request)

    def create_endpoint_config(self, **request: Any) -> None:
        self._make("endpoint-config", request["EndpointConfigName"], request)

    def create_endpoint(self, **request: Any) -> None:
        if request["EndpointConfigName"] not in self.made["endpoint-config"]:
            raise refusal("ValidationException", "Could not find endpoint configuration")
        self._make("endpoint", request["EndpointName"], request)
        self.rest(request["EndpointConfigName"], "Creating", request["EndpointName"])

    def update_endpoint(self, **request: Any) -> None:
        one = self._find("endpoint", request["EndpointName"])
        if one["EndpointStatus"] != "InService":
            raise refusal("ValidationException", f'Cannot update in-progress endpoint "{one["EndpointArn"]}".')
        if request["EndpointConfigName"] not in self.made["endpoint-config"]:
            raise refusal("ValidationException", "Could not find endpoint configuration")
        alarms = request["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
        if not {alarm["AlarmName"] for alarm in alarms} <= self.cloudwatch.alarms.keys():
            raise refusal("ValidationException", "Could not find CloudWatch alarm(s)")
        self.updates.append(request["EndpointConfigName"])
        self.move(request["EndpointConfigName"])

    def describe_model(self, ModelName: str) -> dict[str, Any]:  # noqa: N803  # boto3's name
        return {"ModelArn": self._find("model", ModelName)["arn"]}

    def describe_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N803  # boto3's name
        found = self._find("endpoint-config", EndpointConfigName)
        return {"EndpointConfigArn": found["arn"], "ProductionVariants": [{"InstanceType": GPU}]}

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803  # boto3's name
        return dict(self._find("endpoint", EndpointName))

    def delete_model(self, ModelName: str) -> None:  # noqa: N803  # boto3's name
        self.made["model"].pop(self._find("model", ModelName)["name"])

    def delete_endpoint_config(self, EndpointConfigName: str) -> None:  # noqa: N803  # boto3's name
        self.made["endpoint-config"].pop(self._find("endpoint-config", EndpointConfigName)["name"])

    def delete_endpoint(self, EndpointName: str) -> None:  # noqa: N803  # boto3's name
        one = self._find("endpoint", EndpointName)
        if one["EndpointStatus"] in ("Creating", "Updating", "Deleting"):
            raise refusal("ValidationException", f'Cannot update in-progress endpoint "{one["EndpointArn"]}".')
        one["EndpointStatus"] = "Deleting"

    def add_tags(self, ResourceArn: str, Tags: list[dict[str, str]]) -> None:  # noqa: N803  # boto3's names
        self.tags.setdefault(ResourceArn, {}).update({tag["Key"]: tag["Value"] for tag in Tags})

    def list_tags(self, ResourceArn: str) -> dict[str, Any]:  # noqa: N803  # boto3's name
        return {"Tags": [{"Key": key, "Value": value} for key, value in self.tags.get(ResourceArn, {}).items()]}

    def invoke_endpoint(self, **_: Any) -> dict[str, Any]:
        if isinstance(self.answers, Exception):
            raise self.answers
        return {"Body": Body(self.answers)}

    def rest(self, config: str, status: str = "InService", name: str = ENDPOINT) -> None:
        """Let the endpoint rest on a config, and nothing be in flight."""
        one = self._find("endpoint", name)
        one.update(EndpointStatus=status, EndpointConfigName=config)
        one.pop("PendingDeploymentSummary", None)

    def move(self, config: str, status: str = "Updating") -> None:
        """Let a deployment to a config be in flight."""
        pending = {"EndpointConfigName": config, "ProductionVariants": []}
        self._find("endpoint", ENDPOINT).update(EndpointStatus=status, PendingDeploymentSummary=pending)

    def gone(self, name: str = ENDPOINT) -> None:
        """Let SageMaker have deleted the endpoint."""
        self.made["endpoint"].pop(name)

    def has(self, release: str) -> set[str]:
        """What of a release's own name is there."""
        return {kind for kind, found in self.made.items() if release in found}

    def put(self, kind: str, name: str, owner: str) -> None:
        """Let something be there, made by a release."""
        tags = [{"Key": "modeldrop:release", "Value": owner}] if owner else []
        self._make(kind, name, {"EndpointName": name, "Tags": tags})

    def arn(self, kind: str, name: str) -> str:
        return f"arn:aws:sagemaker:{REGION}:123456789012:{kind}/{name}"

    def _make(self, kind: str, name: str, request: dict[str, Any]) -> None:
        arn = self.arn(kind, name)
        if name in self.made[kind]:
            raise refusal("ValidationException", f'Cannot create already existing {kind} "{arn}".')
        self.made[kind][name] = {"name": name, "arn": arn, "EndpointArn": arn}
        self.tags[arn] = {tag["Key"]: tag["Value"] for tag in request["Tags"]}

    def _find(self, kind: str, name: str) -> dict[str, Any]:
        if name not in self.made[kind]:
            raise refusal("ValidationException", f'Could not find {kind} "{self.arn(kind, name)}".')
        return self.made[kind][name]


@dataclass
class Body:
    """A streaming body."""

    content: bytes

    def read(self) -> bytes:
        return self.content


@dataclass
class Rollout:
    """A stack in the middle of a release, and what its handlers reach."""

    world: World
    sagemaker: SageMaker
    cloudwatch: CloudWatch
    scaling: Scaling

    @property
    def record(self) -> ReleaseRecord:
        """The release as it is in the table."""
        return self.world.table.require(ENDPOINT, RELEASE)

    def begins(self, *, first: bool = False, **overrides: Any) -> ReleaseRecord:
        """Put a release into the table that holds the lease, with its plan."""
        changed = overrides.pop("plan", {})
        inputs: dict[str, Any] = {"policy": a_demo_policy()} | ({"live": None} if first else {})
        values: dict[str, Any] = {
            "release": RELEASE,
            "fence": 1,
            "execution_arn": EXECUTION + RELEASE,
            "plan": {**plan_to_json(a_plan(**inputs)), "rehearsal_instance_type": "off", **changed},
            "policy": policy_to_json(a_demo_policy()),
            "artifact": {"sha256": "9b1d" * 16, "golden_requests": 0},
        }
        record = a_release(**(values | overrides))
        self.world.table.create(record)
        seen = self.world.table.lease(ENDPOINT)
        assert self.world.table.acquire(ENDPOINT, RELEASE, record.execution_arn, seen, int(now().timestamp())) == 1
        return record

    def live(self, config: str = OLD) -> None:
        """Let an earlier release serve."""
        self.sagemaker.put("endpoint", ENDPOINT, config)
        for kind in ("model", "endpoint-config"):
            self.sagemaker.put(kind, config, config)
        self.sagemaker.rest(config)
        self.world.table.set_live(ENDPOINT, config, 0)

    def scales(self) -> dict[str, Any]:
        """Let the variant scale; the target as it is then."""
        self.scaling.target = {"MinCapacity": 2, "MaxCapacity": 9, "SuspendedState": dict(RUNNING)}
        self.scaling.put_scaling_policy(
            PolicyName="theirs", PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration={}
        )
        return dict(self.scaling.target)

    def run(self, handler: Any, **more: Any) -> Any:
        """Run one step of the release as the state machine does."""
        return run(handler, endpoint=ENDPOINT, release=RELEASE, execution_arn=EXECUTION + RELEASE, **more)

    def another_takes_over(self) -> None:
        """Let another release have the lease: this one's time is over, and its execution is dead."""
        table = self.world.table
        table.release_lease(ENDPOINT, RELEASE, 1)
        seen, later = table.lease(ENDPOINT), int(now().timestamp())
        self.world.executions.running.add(OTHER)
        self.world.executions.inputs[OTHER] = "{}"
        assert table.acquire(ENDPOINT, OTHER, EXECUTION + OTHER, seen, later) == 2

    def count(self, call: str) -> int:
        """How often a call was made."""
        return self.world.calls.made.count(call)


@contextmanager
def a_rollout(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rollout]:
    """Give a stack whose endpoint, alarms and scaling are stubs."""
    with a_world(monkeypatch) as world:
        world.s3.create_bucket(Bucket=APPROVED, CreateBucketConfiguration={"LocationConstraint": REGION})
        cloudwatch, scaling = CloudWatch(), Scaling()
        sagemaker = SageMaker(cloudwatch)
        reached = {
            "sagemaker": sagemaker,
            "sagemaker_runtime": sagemaker,
            "cloudwatch": cloudwatch,
            "application_autoscaling": scaling,
        }
        for service, client in reached.items():
            watched = Watched(service, client, world.calls)
            monkeypatch.setattr(clients, service, lambda watched=watched: watched)
        yield Rollout(world, sagemaker, cloudwatch, scaling)


def moved(record: ReleaseRecord, **facts: Any) -> dict[str, Any]:
    """The rollout of a record that began now, with further facts."""
    # longer ago than a description may be stale (ending.BEGIN_GRACE)
    at = iso(now() - timedelta(minutes=5))
    began = {"started_at": at, "last_look": iso(now()), "accepted_at": at, "scaling": None}
    return {**replace(record).rollout, "preparing_since": iso(now()), **began, **facts}


__all__ = ["ENDPOINT", "EXECUTION", "OLD", "OTHER", "RELEASE", "LiveState", "Rollout", "a_rollout", "json", "moved"]
