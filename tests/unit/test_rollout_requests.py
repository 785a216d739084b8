"""Requests are what botocore's own model of the service accepts."""

from __future__ import annotations

from functools import cache
from typing import Any

import botocore.loaders
import pytest
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from localcloud.sagemaker import guardrails
from modeldrop.policy.model import Autoscaling, EndpointPolicy, GatesPolicy, SloPolicy
from modeldrop.policy.strategy import Strategy
from modeldrop.rollout import timing
from modeldrop.rollout.alarms import alarm_requests
from modeldrop.rollout.plan import LiveState
from modeldrop.rollout.requests import (
    create_endpoint_config_request,
    create_endpoint_request,
    create_model_request,
    deployment_config,
    rehearsal_requests,
    scaling_policy,
    update_endpoint_request,
)
from tests.unit.rollout_builders import GPU, RELEASE, STRATEGIES, a_demo_policy, a_plan, a_policy


@cache
def service(name: str) -> ServiceModel:
    return ServiceModel(botocore.loaders.Loader().load_service_model(name, "service-2"), name)


def problems(service_name: str, operation: str, request: dict[str, Any]) -> str:
    shape = service(service_name).operation_model(operation).input_shape
    return ParamValidator().validate(request, shape).generate_report()


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_every_strategy_is_a_valid_update(strategy: Strategy) -> None:
    plan = a_plan(policy=a_policy(strategy=strategy, slo=SloPolicy(0.01, {"p99": 100.0})))
    assert problems("sagemaker", "UpdateEndpoint", update_endpoint_request(plan)) == ""


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@pytest.mark.parametrize("count", [2, 3, 10, 40])
def test_the_local_cloud_counts_the_same_waits_and_takes_the_request(strategy: Strategy, count: int) -> None:
    policy = a_policy(strategy=strategy, endpoint=EndpointPolicy(GPU, count))
    plan = a_plan(policy=policy, live=LiveState("old", GPU, count))
    steps = guardrails.plan(deployment_config(plan), {"AllTraffic": count}).steps
    assert sum(step.bake_seconds for step in steps) == timing.waits_seconds(policy)
    assert steps[0].green["AllTraffic"] / count == plan.canary_share


def test_all_requests_are_valid() -> None:
    plan = a_plan(policy=a_demo_policy(slo=SloPolicy(0.01, {"p99": 100.0})))
    assert problems("sagemaker", "CreateModel", create_model_request(plan)) == ""
    assert problems("sagemaker", "CreateEndpointConfig", create_endpoint_config_request(plan)) == ""
    assert problems("sagemaker", "CreateEndpoint", create_endpoint_request(plan)) == ""
    for alarm in alarm_requests(plan):
        assert problems("cloudwatch", "PutMetricAlarm", alarm) == ""


@pytest.mark.parametrize("rehearsal", ["ml.c5.large", "serverless"])
def test_rehearsal_requests_are_valid(rehearsal: str) -> None:
    requests = rehearsal_requests(a_plan(policy=a_policy(gates=GatesPolicy(rehearsal))), "r-1-2", "s3://b/k")
    assert problems("sagemaker", "CreateModel", requests.model) == ""
    assert problems("sagemaker", "CreateEndpointConfig", requests.config) == ""
    assert problems("sagemaker", "CreateEndpoint", requests.endpoint) == ""


def test_a_rehearsal_is_isolated_on_an_instance_and_cannot_be_on_serverless() -> None:
    isolated = rehearsal_requests(a_plan(), "r-1-2", "s3://b/k").model
    assert isolated["EnableNetworkIsolation"] is True
    assert isolated["ExecutionRoleArn"] == "arn:aws:iam::123456789012:role/rehearsal"
    serverless = a_plan(policy=a_policy(gates=GatesPolicy("serverless")))
    assert rehearsal_requests(serverless, "r-1-2", "s3://b/k").model["EnableNetworkIsolation"] is False


def test_a_canary_is_given_in_instances_and_both_bakes_are_set() -> None:
    policy = deployment_config(a_plan())["BlueGreenUpdatePolicy"]
    assert policy["TrafficRoutingConfiguration"] == {
        "Type": "CANARY",
        "WaitIntervalInSeconds": 600,
        "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1},
    }
    assert policy["TerminationWaitInSeconds"] == 600


def test_sagemakers_own_time_limit_exceeds_all_waits() -> None:
    policy = deployment_config(a_plan())["BlueGreenUpdatePolicy"]
    assert policy["MaximumExecutionTimeoutInSeconds"] > 1200 + 600
    assert policy["MaximumExecutionTimeoutInSeconds"] <= 28_800


def test_every_alarm_that_is_made_is_a_rollback_alarm() -> None:
    plan = a_plan(policy=a_policy(slo=SloPolicy(0.01, {"p99": 100.0})))
    named = [one["AlarmName"] for one in deployment_config(plan)["AutoRollbackConfiguration"]["Alarms"]]
    assert named == [one["AlarmName"] for one in alarm_requests(plan)]
    assert len(named) == 4


def test_an_autoscaled_count_survives_and_a_changed_one_does_not() -> None:
    kept = update_endpoint_request(a_plan())
    assert kept["RetainAllVariantProperties"] is True
    assert "ExcludeRetainedVariantProperties" not in kept
    changed = update_endpoint_request(a_plan(live=LiveState("old", GPU, 4)))
    assert changed["ExcludeRetainedVariantProperties"] == [{"VariantPropertyType": "DesiredInstanceCount"}]


def test_only_gpu_variants_name_the_host_that_the_image_needs() -> None:
    gpu = create_endpoint_config_request(a_plan())["ProductionVariants"][0]
    assert gpu["InferenceAmiVersion"] == "gpu-ami"
    cpu = create_endpoint_config_request(a_plan(policy=a_policy(endpoint=EndpointPolicy("ml.c5.large", 10))))
    assert "InferenceAmiVersion" not in cpu["ProductionVariants"][0]


def test_enhanced_metrics_only_where_the_period_needs_them() -> None:
    assert create_endpoint_config_request(a_plan())["MetricsConfig"] == {"EnableDetailedObservability": False}
    assert create_endpoint_config_request(a_plan(policy=a_demo_policy()))["MetricsConfig"] == {
        "EnableDetailedObservability": False,
        "EnableEnhancedMetrics": True,
        "MetricPublishFrequencyInSeconds": 10,
    }


def test_the_container_gives_up_before_sagemaker_does() -> None:
    waits = create_model_request(a_plan())["PrimaryContainer"]["Environment"]["SAGEMAKER_TFS_WAIT_TIME_SECONDS"]
    variant = create_endpoint_config_request(a_plan())["ProductionVariants"][0]
    assert int(waits) < variant["ContainerStartupHealthCheckTimeoutInSeconds"]


def test_users_models_are_isolated_and_tagged() -> None:
    request = create_model_request(a_plan())
    assert request["EnableNetworkIsolation"] is True
    assert {"Key": "modeldrop:release", "Value": RELEASE} in request["Tags"]


def test_scaling_is_what_the_policy_asks_for() -> None:
    assert scaling_policy(a_plan()) is None
    policy = a_policy(endpoint=EndpointPolicy(GPU, 10, autoscaling=Autoscaling(2, 20, 1200)))
    request = scaling_policy(a_plan(policy=policy))
    assert request is not None
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/sentiment/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    assert problems("application-autoscaling", "PutScalingPolicy", {**target, **request}) == ""
    assert request["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 1200.0
