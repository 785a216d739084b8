"""What a plan is made from and only AWS knows: gathered in one way, for the workflow and for `modeldrop lint`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from modeldrop.aws import captures, endpoints, measurements, quotas, scaling
from modeldrop.errors import ParkedError
from modeldrop.judge.clump import clump_size
from modeldrop.release.observe import EndpointView
from modeldrop.rollout.model import LiveAnswers, LiveState, PlanInputs, Traffic

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_service_quotas import ServiceQuotasClient


@dataclass(frozen=True)
class Reach:
    """The clients that the present state is read with."""

    sagemaker: SageMakerClient
    cloudwatch: CloudWatchClient
    application_autoscaling: ApplicationAutoScalingClient
    service_quotas: ServiceQuotasClient
    s3: S3Client


def gather(reach: Reach, release: PlanInputs, seen: EndpointView, at: datetime) -> PlanInputs:
    """Add the live fleet, its last hour and the quota to what the caller knows of a release.

    seen: the endpoint as just described. ParkedError: it moves or is broken, and can't be planned for.
    """
    quota = quotas.endpoint_instances(reach.service_quotas, release.policy.endpoint.instance_type)
    if seen.standing == "absent":
        return replace(release, live=None, traffic=Traffic(), answers=LiveAnswers(), quota=quota)
    _require_rest(release.endpoint, seen)
    config = endpoints.describe_config(reach.sagemaker, seen.config) or {}
    return replace(
        release,
        live=_live(reach, release.endpoint, seen, config),
        traffic=_traffic(reach, release.endpoint, at),
        answers=_answers(reach, release, config, at),
        quota=quota,
    )


def _require_rest(endpoint: str, seen: EndpointView) -> None:
    """Refuse to plan for what serves only for now, or not at all."""
    if seen.standing == "moving":
        raise ParkedError(f"endpoint {endpoint} is {seen.status}; it can be planned for when it is at rest")
    if seen.standing == "broken":
        raise ParkedError(
            f"endpoint {endpoint} is {seen.status} ({seen.failure_reason}); mend or delete it, drop again"
        )


def _live(reach: Reach, endpoint: str, seen: EndpointView, config: Mapping[str, Any]) -> LiveState:
    variants = config.get("ProductionVariants", [{}])
    return LiveState(
        config=seen.config,
        instance_type=variants[0].get("InstanceType", ""),
        instance_count=seen.desired_count or seen.instance_count,
        scales=scaling.read(reach.application_autoscaling, endpoint) is not None,
    )


def _traffic(reach: Reach, endpoint: str, at: datetime) -> Traffic:
    hour = measurements.last_hour(reach.cloudwatch, endpoint, at)
    return Traffic(hour.requests, hour.errors, hour.p95_ms, hour.peak_per_second, clump_size(hour.minutes))


def _answers(reach: Reach, release: PlanInputs, config: Mapping[str, Any], at: datetime) -> LiveAnswers:
    """Read which classes of answers the live model gave in the last hour, where they are captured to our bucket."""
    output, within = release.policy.quality.output, release.stack.capture_prefix
    return captures.last_hour(reach.s3, config, release.endpoint, output, within, at) if output else LiveAnswers()
