"""SageMaker models, endpoint configs and endpoints: create or adopt, describe, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from modeldrop.aws import clients
from modeldrop.aws.failures import code, message
from modeldrop.errors import ParkedError, TransientError
from modeldrop.release.observe import ABSENT, EndpointView, view

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

# a name that exists is refused with ValidationException and this text
EXISTS = "already exist"
IN_PROGRESS = "in-progress"
GONE = "Could not find"
OWNER = "modeldrop:release"


class NameTakenError(Exception):
    """A model, config or endpoint of this name exists, and its tag does not say that this release made it."""


class EndpointBusyError(Exception):
    """SageMaker does not take a change now: the endpoint is being changed, and not by this release."""


def describe(sagemaker: SageMakerClient, endpoint: str) -> EndpointView:
    """Describe an endpoint; ABSENT when there is none."""
    try:
        return view(sagemaker.describe_endpoint(EndpointName=endpoint))
    except ClientError as error:
        if _is_gone(error):
            return ABSENT
        raise


def describe_config(sagemaker: SageMakerClient, name: str) -> dict[str, Any] | None:
    """Describe an endpoint config; None when there is none."""
    try:
        return dict(sagemaker.describe_endpoint_config(EndpointConfigName=name))
    except ClientError as error:
        if _is_gone(error):
            return None
        raise


def ensure_model(request: Mapping[str, Any]) -> None:
    """Create the model, or adopt the one of this release that an earlier try made; NameTakenError for another's."""
    name = request["ModelName"]
    _create_or_adopt(clients.sagemaker().create_model, request, lambda: _model_arn(name))


def ensure_config(request: Mapping[str, Any]) -> None:
    """Create the endpoint config, or adopt the one that an earlier try made; NameTakenError for another's."""
    name = request["EndpointConfigName"]
    _create_or_adopt(clients.sagemaker().create_endpoint_config, request, lambda: _config_arn(name))


def create(request: Mapping[str, Any]) -> None:
    """Create an endpoint, or adopt the one on this config, whose creation's answer was lost.

    ParkedError when the account's quota does not allow it, NameTakenError for another's endpoint.
    """
    try:
        _start(clients.sagemaker().create_endpoint, request)
    except ClientError as error:
        if EXISTS not in message(error):
            raise
        if not _is_on(request):
            raise NameTakenError(message(error)) from error


def update(request: Mapping[str, Any]) -> None:
    """Start a deployment, or adopt the one to this config, whose answer was lost.

    ParkedError when the account's quota does not allow it, EndpointBusyError while somebody else changes the endpoint.
    """
    try:
        _start(clients.sagemaker().update_endpoint, request)
    except ClientError as error:
        if IN_PROGRESS not in message(error):
            raise
        if not _is_on(request):
            raise EndpointBusyError(message(error)) from error


def tag(arn: str, tags: Mapping[str, str]) -> None:
    """Put tags on an endpoint (UpdateEndpoint takes none)."""
    clients.sagemaker().add_tags(ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])


def owner(arn: str) -> str:
    """Return the release that a resource's tag names; empty where there is no such tag."""
    tags = clients.sagemaker().list_tags(ResourceArn=arn)["Tags"]
    return next((one["Value"] for one in tags if one["Key"] == OWNER), "")


GOING = frozenset({"", "Deleting"})


def delete_endpoint(name: str, release: str) -> bool:
    """Delete an endpoint that this release made; True when it is gone or going, False when it is another's."""
    found = describe(clients.sagemaker(), name)
    if found.status in GOING:
        return True
    try:
        return _delete_own(found.arn, release, lambda: clients.sagemaker().delete_endpoint(EndpointName=name))
    except ClientError:
        # what the SDK sends again, after a lost answer, is refused since the endpoint is on its way out
        if describe(clients.sagemaker(), name).status in GOING:
            return True
        raise


def delete_config(name: str, release: str) -> bool:
    """Delete an endpoint config that this release made; True when it is gone, False when it is another's."""
    arn = _config_arn(name)
    return not arn or _delete_own(
        arn, release, lambda: clients.sagemaker().delete_endpoint_config(EndpointConfigName=name)
    )


def delete_model(name: str, release: str) -> bool:
    """Delete a model that this release made; True when it is gone, False when it is another's."""
    arn = _model_arn(name)
    return not arn or _delete_own(arn, release, lambda: clients.sagemaker().delete_model(ModelName=name))


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


def _create_or_adopt(call: Any, request: Mapping[str, Any], arn: Callable[[], str]) -> None:
    try:
        call(**request)
    except ClientError as error:
        if EXISTS not in message(error):
            raise
        ours = next((one["Value"] for one in request["Tags"] if one["Key"] == OWNER), "")
        if not ours or owner(arn()) != ours:
            raise NameTakenError(message(error)) from error


def _is_on(request: Mapping[str, Any]) -> bool:
    """Say whether the endpoint serves the config that was asked for, or is on its way to it."""
    found = describe(clients.sagemaker(), request["EndpointName"])
    return request["EndpointConfigName"] in (found.config, found.pending_config)


def _model_arn(name: str) -> str:
    try:
        return clients.sagemaker().describe_model(ModelName=name)["ModelArn"]
    except ClientError as error:
        if _is_gone(error):
            return ""
        raise


def _config_arn(name: str) -> str:
    return str((describe_config(clients.sagemaker(), name) or {}).get("EndpointConfigArn", ""))


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


def _delete_own(arn: str, release: str, call: Any) -> bool:
    """Delete what carries this release's tag. Between the look and the call lies a window: see ASSUMPTIONS.md."""
    try:
        if owner(arn) != release:
            return False
        call()
    except ClientError as error:
        if not _is_gone(error):
            raise
    return True


def _is_gone(error: ClientError) -> bool:
    return code(error) == "ValidationException" and GONE in message(error)
