"""SageMaker models, endpoint configs and endpoints: create or adopt, describe, delete."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from modeldrop.aws import clients
from modeldrop.aws.failures import code, message
from modeldrop.errors import ParkedError, TransientError
from modeldrop.release.observe import ABSENT, EndpointView, view

# CreateModel and CreateEndpointConfig refuse a name that exists with ValidationException and this text
EXISTS = "already exist"
GONE = "Could not find"


def describe(endpoint: str) -> EndpointView:
    """Describe an endpoint; ABSENT when there is none."""
    try:
        return view(clients.sagemaker().describe_endpoint(EndpointName=endpoint))
    except ClientError as error:
        if _is_gone(error):
            return ABSENT
        raise


def describe_config(name: str) -> dict[str, Any] | None:
    """Describe an endpoint config; None when there is none."""
    try:
        return dict(clients.sagemaker().describe_endpoint_config(EndpointConfigName=name))
    except ClientError as error:
        if _is_gone(error):
            return None
        raise


def ensure_model(request: Mapping[str, Any]) -> None:
    """Create the model, or adopt the one of this release that an earlier try made."""
    _create_or_adopt(clients.sagemaker().create_model, request)


def ensure_config(request: Mapping[str, Any]) -> None:
    """Create the endpoint config, or adopt the one of this release that an earlier try made."""
    _create_or_adopt(clients.sagemaker().create_endpoint_config, request)


def create(request: Mapping[str, Any]) -> None:
    """Create an endpoint; ParkedError when the account's quota does not allow it."""
    _start(clients.sagemaker().create_endpoint, request)


def update(request: Mapping[str, Any]) -> None:
    """Start a deployment; ParkedError when the account's quota does not allow it."""
    _start(clients.sagemaker().update_endpoint, request)


def tag(arn: str, tags: Mapping[str, str]) -> None:
    """Put tags on an endpoint (UpdateEndpoint takes none)."""
    clients.sagemaker().add_tags(ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])


def delete_endpoint(name: str) -> bool:
    """Delete an endpoint; False when it was gone already."""
    return _delete(lambda: clients.sagemaker().delete_endpoint(EndpointName=name))


def delete_config(name: str) -> bool:
    """Delete an endpoint config; False when it was gone already."""
    return _delete(lambda: clients.sagemaker().delete_endpoint_config(EndpointConfigName=name))


def delete_model(name: str) -> bool:
    """Delete a model; False when it was gone already."""
    return _delete(lambda: clients.sagemaker().delete_model(ModelName=name))


def older_than(moment: datetime, name_contains: str) -> dict[str, list[str]]:
    """List endpoints, endpoint configs and models made before a moment, by kind."""
    client = clients.sagemaker()
    asked: Any = {"NameContains": name_contains, "CreationTimeBefore": moment}
    pages: Any = client.get_paginator
    return {
        "endpoint": [
            one["EndpointName"] for page in pages("list_endpoints").paginate(**asked) for one in page["Endpoints"]
        ],
        "config": [
            one["EndpointConfigName"]
            for page in pages("list_endpoint_configs").paginate(**asked)
            for one in page["EndpointConfigs"]
        ],
        "model": [one["ModelName"] for page in pages("list_models").paginate(**asked) for one in page["Models"]],
    }


def invoke(endpoint: str, body: bytes) -> tuple[int, bytes]:
    """Send one JSON request; the status and body of the container, also where it answered with an error."""
    try:
        answer = clients.sagemaker_runtime().invoke_endpoint(
            EndpointName=endpoint, ContentType="application/json", Accept="application/json", Body=body
        )
    except ClientError as error:
        if code(error) != "ModelError":
            raise
        return int(error.response.get("OriginalStatusCode", 500)), str(  # type: ignore[call-overload]  # ModelError's own members
            error.response.get("OriginalMessage", message(error))
        ).encode()
    return 200, answer["Body"].read()


def _create_or_adopt(call: Any, request: Mapping[str, Any]) -> None:
    try:
        call(**request)
    except ClientError as error:
        if EXISTS not in message(error):
            raise


def _start(call: Any, request: Mapping[str, Any]) -> None:
    try:
        call(**request)
    except ClientError as error:
        if code(error) == "ResourceLimitExceeded":
            raise ParkedError(message(error)) from error
        # CreateEndpoint reads its config eventually consistently
        if _is_gone(error) and "endpoint configuration" in message(error).lower():
            raise TransientError(message(error)) from error
        raise


def _delete(call: Any) -> bool:
    try:
        call()
    except ClientError as error:
        if _is_gone(error):
            return False
        raise
    return True


def _is_gone(error: ClientError) -> bool:
    return code(error) == "ValidationException" and GONE in message(error)
