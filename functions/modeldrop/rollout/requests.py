"""The AWS requests of a plan, as plain dictionaries: models, endpoint configs, endpoints, deployments, autoscaling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modeldrop.policy.strategy import DOWNLOAD_SECONDS, HEALTH_CHECK_SECONDS
from modeldrop.rollout.alarms import alarm_names
from modeldrop.rollout.model import VARIANT, RolloutPlan

# a container that gives up before SageMaker does leaves a reason in its log
SERVING_WAIT_SECONDS = HEALTH_CHECK_SECONDS - 30


@dataclass(frozen=True)
class EndpointRequests:
    """The three calls that make an endpoint from nothing."""

    model: dict[str, Any]
    config: dict[str, Any]
    endpoint: dict[str, Any]


def create_model_request(plan: RolloutPlan) -> dict[str, Any]:
    """Return CreateModel's parameters: no way out of the container, and only the approved copy."""
    return _model(plan.release, plan.image, plan.model_data_url, plan.role_arn, plan.environment, plan.tags)


def create_endpoint_config_request(plan: RolloutPlan) -> dict[str, Any]:
    """Return CreateEndpointConfig's parameters."""
    request: dict[str, Any] = {
        "EndpointConfigName": plan.release,
        "ProductionVariants": [_variant(plan.release, plan.instance_type, plan.instance_count, plan.inference_ami)],
        "Tags": _tags(plan.tags),
    }
    # on by default for new configs, with many more metrics that nobody here reads
    request["MetricsConfig"] = {"EnableDetailedObservability": False}
    # under a minute, only enhanced metrics publish invocation metrics at that frequency (CreateEndpointConfig)
    if plan.metrics_every < 60:
        request["MetricsConfig"] |= {
            "EnableEnhancedMetrics": True,
            "MetricPublishFrequencyInSeconds": plan.metrics_every,
        }
    if plan.capture_to:
        request["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": plan.capture_percent,
            # each release has a prefix of its own: below one of the endpoint's, blue and green would mix
            "DestinationS3Uri": plan.capture_to,
            # what users send is not needed, so it is not kept
            "CaptureOptions": [{"CaptureMode": "Output"}],
            # without it every answer is written in BASE64, a third longer
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        }
    return request


def create_endpoint_request(plan: RolloutPlan) -> dict[str, Any]:
    """Return CreateEndpoint's parameters."""
    return {"EndpointName": plan.endpoint, "EndpointConfigName": plan.release, "Tags": _tags(plan.tags)}


def update_endpoint_request(plan: RolloutPlan) -> dict[str, Any]:
    """Return UpdateEndpoint's parameters: the rollout itself, and the alarms that end it."""
    request: dict[str, Any] = {
        "EndpointName": plan.endpoint,
        "EndpointConfigName": plan.release,
        "RetainAllVariantProperties": True,
        "DeploymentConfig": deployment_config(plan),
    }
    if plan.count_changed:
        request["ExcludeRetainedVariantProperties"] = [{"VariantPropertyType": "DesiredInstanceCount"}]
    return request


def deployment_config(plan: RolloutPlan) -> dict[str, Any]:
    """Return the DeploymentConfig: how the traffic goes, and the alarms that send it back."""
    rollback = {"Alarms": [{"AlarmName": name} for name in alarm_names(plan)]}
    deployment = plan.strategy.deployment(plan.instance_count, plan.execution_timeout)
    return {**deployment, "AutoRollbackConfiguration": rollback}


def rehearsal_requests(plan: RolloutPlan, name: str, model_data_url: str) -> EndpointRequests:
    """Return the calls that make the throw-away endpoint: isolated CPU instance, or serverless with 6 GB."""
    model = _model(name, plan.rehearsal_image, model_data_url, plan.rehearsal_role_arn, plan.environment, plan.tags)
    if plan.rehearsal_instance_type == "serverless":
        # serverless inference excludes network isolation
        model["EnableNetworkIsolation"] = False
        serverless = {"MemorySizeInMB": 6144, "MaxConcurrency": 1}
        variant: dict[str, Any] = {"VariantName": VARIANT, "ModelName": name, "ServerlessConfig": serverless}
    else:
        variant = _variant(name, plan.rehearsal_instance_type, 1, "")
    config = {"EndpointConfigName": name, "ProductionVariants": [variant], "Tags": _tags(plan.tags)}
    endpoint = {"EndpointName": name, "EndpointConfigName": name, "Tags": _tags(plan.tags)}
    return EndpointRequests(model, config, endpoint)


def scaling_policy(plan: RolloutPlan) -> dict[str, Any] | None:
    """Return the target-tracking policy that the release policy asks for, as PutScalingPolicy takes it."""
    if plan.scaling_target_per_minute is None:
        return None
    return {
        "PolicyName": "modeldrop-invocations",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": float(plan.scaling_target_per_minute),
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        },
    }


def _model(
    name: str, image: str, url: str, role_arn: str, environment: Mapping[str, str], tags: Mapping[str, str]
) -> dict[str, Any]:
    variables = {"SAGEMAKER_TFS_WAIT_TIME_SECONDS": str(SERVING_WAIT_SECONDS), **environment}
    return {
        "ModelName": name,
        "ExecutionRoleArn": role_arn,
        "PrimaryContainer": {"Image": image, "ModelDataUrl": url, "Environment": variables},
        "EnableNetworkIsolation": True,
        "Tags": _tags(tags),
    }


def _variant(model: str, instance_type: str, count: int, inference_ami: str) -> dict[str, Any]:
    variant: dict[str, Any] = {
        "VariantName": VARIANT,
        "ModelName": model,
        "InstanceType": instance_type,
        "InitialInstanceCount": count,
        "InitialVariantWeight": 1.0,
        "ModelDataDownloadTimeoutInSeconds": DOWNLOAD_SECONDS,
        "ContainerStartupHealthCheckTimeoutInSeconds": HEALTH_CHECK_SECONDS,
    }
    if inference_ami:
        variant["InferenceAmiVersion"] = inference_ami
    return variant


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
