"""Patches to service integrations: kept clients, checked parameters, times and error names as on AWS."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.validate import ParamValidator

from localcloud.core import Core
from localcloud.stepfunctions.query import iso_time

# How a service is written in error names of SDK integrations (SageMaker.SageMakerException), by its ASL name in lower
# case; developer guide, "Learning to use AWS service SDK integrations", table of exception prefixes.
ERROR_PREFIXES = {
    "applicationautoscaling": "ApplicationAutoScaling",
    "cloudformation": "CloudFormation",
    "cloudwatch": "CloudWatch",
    "cloudwatchlogs": "CloudWatchLogs",
    "dynamodb": "DynamoDb",
    "eventbridge": "EventBridge",
    "iam": "Iam",
    "kms": "Kms",
    "lambda": "Lambda",
    "s3": "S3",
    "sagemaker": "SageMaker",
    "sagemakerruntime": "SageMakerRuntime",
    "scheduler": "Scheduler",
    "secretsmanager": "SecretsManager",
    "servicequotas": "ServiceQuotas",
    "sfn": "Sfn",
    "sns": "Sns",
    "sqs": "Sqs",
    "ssm": "Ssm",
    "sts": "Sts",
}
# ASL names of services that boto3 calls otherwise.
CLIENT_NAMES = {
    "applicationautoscaling": "application-autoscaling",
    "cloudwatchlogs": "logs",
    "eventbridge": "events",
    "sagemakerruntime": "sagemaker-runtime",
    "servicequotas": "service-quotas",
    "sfn": "stepfunctions",
    "states": "stepfunctions",
}
# A task may run for as long as its state allows; the state's own timeout ends it.
READ_TIMEOUT_SECONDS = 86_400
_lock = threading.Lock()
_clients: dict[tuple[str, str], Any] = {}


def patch_tasks(core: Core) -> None:
    """Apply the patches to every kind of task."""
    _keep_clients(core)
    _patch_sdk_integrations()


def _keep_clients(core: Core) -> None:
    """Make a client once a service; making one costs more than most calls."""
    from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
        state_task_service_aws_sdk,
        state_task_service_dynamodb,
        state_task_service_events,
        state_task_service_sfn,
        state_task_service_sns,
        state_task_service_sqs,
    )

    def client_for(region: str, service: str, state_credentials: Any = None) -> Any:
        with _lock:
            if (service, region) not in _clients:
                made: Any = boto3.client  # any service, by its name
                _clients[service, region] = made(
                    service,
                    region_name=region,
                    endpoint_url=core.url,
                    aws_access_key_id="test",
                    aws_secret_access_key="test",  # noqa: S106 any key opens the local cloud
                    config=Config(
                        parameter_validation=False,
                        retries={"total_max_attempts": 1},
                        read_timeout=READ_TIMEOUT_SECONDS,
                        max_pool_connections=64,
                    ),
                )
            return _clients[service, region]

    for module in (
        lambda_eval_utils,
        state_task_service_aws_sdk,
        state_task_service_dynamodb,
        state_task_service_events,
        state_task_service_sfn,
        state_task_service_sns,
        state_task_service_sqs,
    ):
        module.boto_client_for = client_for


def _patch_sdk_integrations() -> None:
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_aws_sdk
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import (
        StateTaskService,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_lambda import (
        StateTaskServiceLambda,
    )

    state_task_service_aws_sdk._SERVICE_ERROR_NAMES.update(ERROR_PREFIXES)
    StateTaskService._SERVICE_NAME_SFN_TO_BOTO_OVERRIDES.update(CLIENT_NAMES)
    sdk = state_task_service_aws_sdk.StateTaskServiceAwsSdk

    def run(
        self: Any, env: Any, resource_runtime_part: Any, normalised_parameters: Any, state_credentials: Any
    ) -> None:
        service, action = self._get_boto_service_name(), self._get_boto_service_action()
        client = state_task_service_aws_sdk.boto_client_for(region=resource_runtime_part.region, service=service)
        operation = client.meta.method_to_api_mapping.get(action)
        if operation is None:
            raise _failure(env, self, "States.Runtime", f"{service} has no API action {self.resource.api_action}")
        model = client.meta.service_model.operation_model(operation)
        # the States Language spells every field in PascalCase, whatever the service does
        if model.input_shape is not None:
            self._to_boto_request(normalised_parameters, model.input_shape)
        problems = _problems(model.input_shape, normalised_parameters)
        if problems:
            cause = f"The parameters of the state could not be used to start the task: [{'; '.join(problems)}]"
            raise _failure(env, self, "States.Runtime", cause)
        answer = getattr(client, action)(**normalised_parameters) or {}
        answer.pop("ResponseMetadata", None)
        if model.output_shape is not None:
            self._from_boto_response(answer, model.output_shape)
        env.stack.append(_without_times(answer))

    sdk._eval_service_task = run
    for kind in (sdk, StateTaskServiceLambda):
        kind._from_error = _name_connection_errors(kind._from_error)


def _name_connection_errors(from_error: Any) -> Any:
    """Name what never reached the service SERVICE.SdkClientException, which a Retry can match."""

    def name_it(self: Any, env: Any, ex: Exception) -> Any:
        if not isinstance(ex, BotoCoreError):
            return from_error(self, env=env, ex=ex)
        prefix = ERROR_PREFIXES.get(self.resource.api_name.lower(), self.resource.api_name)
        return _failure(env, self, f"{prefix}.SdkClientException", str(ex)).failure_event

    return name_it


def _problems(shape: Any, parameters: Any) -> list[str]:
    """Return what AWS would refuse about a request: fields that are missing, unknown or of another type."""
    if shape is None:
        return [f'The field "{name}" is not supported by Step Functions' for name in parameters]
    report = ParamValidator().validate(parameters, shape)
    return report.generate_report().splitlines() if report.has_errors() else []


def _failure(env: Any, task: Any, error: str, cause: str) -> Any:
    from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
    from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
    from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
        FailureEvent,
        FailureEventException,
    )
    from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

    details = TaskFailedEventDetails(
        error=error,
        cause=cause,
        resource=task._get_sfn_resource(),
        resourceType=task._get_sfn_resource_type(),
    )
    return FailureEventException(
        FailureEvent(
            env=env,
            error_name=ErrorName(error_name=error),
            event_type=HistoryEventType.TaskFailed,
            event_details=EventDetails(taskFailedEventDetails=details),
        )
    )


def _without_times(value: Any) -> Any:
    """Write times as text: a state's output is JSON."""
    if isinstance(value, dict):
        return {key: _without_times(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_without_times(member) for member in value]
    return iso_time(value) if isinstance(value, datetime) else value
