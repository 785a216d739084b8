"""boto3 clients, made on first use, with one configuration."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient
    from mypy_boto3_service_quotas import ServiceQuotasClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient

# a call that hangs must fail inside the shortest function timeout (60 s), retries included
CONFIG = Config(connect_timeout=5, read_timeout=15, retries={"mode": "standard", "max_attempts": 3})
# a golden request may meet a cold model: SageMaker gives a container 60 s (InvokeEndpoint)
RUNTIME_CONFIG = Config(connect_timeout=5, read_timeout=65, retries={"mode": "standard", "max_attempts": 1})
# a Publish whose answer was lost may have been taken: whoever sends decides whether to try again
ONE_TRY_CONFIG = Config(connect_timeout=5, read_timeout=15, retries={"mode": "standard", "max_attempts": 1})


def _client(service: Any, config: Config = CONFIG) -> Any:
    import boto3

    return boto3.client(service, config=config)


@cache
def application_autoscaling() -> ApplicationAutoScalingClient:
    """Return the client of Application Auto Scaling."""
    return _client("application-autoscaling")  # type: ignore[no-any-return]  # one factory for all services


@cache
def cloudwatch() -> CloudWatchClient:
    """Return the client of CloudWatch."""
    return _client("cloudwatch")  # type: ignore[no-any-return]  # one factory for all services


@cache
def dynamodb() -> DynamoDBClient:
    """Return the client of DynamoDB."""
    return _client("dynamodb")  # type: ignore[no-any-return]  # one factory for all services


@cache
def events() -> EventBridgeClient:
    """Return the client of EventBridge."""
    return _client("events")  # type: ignore[no-any-return]  # one factory for all services


@cache
def kms() -> KMSClient:
    """Return the client of KMS."""
    return _client("kms")  # type: ignore[no-any-return]  # one factory for all services


@cache
def logs() -> CloudWatchLogsClient:
    """Return the client of CloudWatch Logs."""
    return _client("logs")  # type: ignore[no-any-return]  # one factory for all services


@cache
def s3() -> S3Client:
    """Return the client of S3."""
    return _client("s3")  # type: ignore[no-any-return]  # one factory for all services


@cache
def sagemaker() -> SageMakerClient:
    """Return the client of SageMaker."""
    return _client("sagemaker")  # type: ignore[no-any-return]  # one factory for all services


@cache
def sagemaker_runtime() -> SageMakerRuntimeClient:
    """Return the client of SageMaker runtime."""
    return _client("sagemaker-runtime", RUNTIME_CONFIG)  # type: ignore[no-any-return]  # one factory for all services


@cache
def service_quotas() -> ServiceQuotasClient:
    """Return the client of Service Quotas."""
    return _client("service-quotas")  # type: ignore[no-any-return]  # one factory for all services


@cache
def sns() -> SNSClient:
    """Return the client of SNS."""
    return _client("sns", ONE_TRY_CONFIG)  # type: ignore[no-any-return]  # one factory for all services


@cache
def ssm() -> SSMClient:
    """Return the client of Systems Manager."""
    return _client("ssm")  # type: ignore[no-any-return]  # one factory for all services


@cache
def stepfunctions() -> SFNClient:
    """Return the client of Step Functions."""
    return _client("stepfunctions")  # type: ignore[no-any-return]  # one factory for all services
