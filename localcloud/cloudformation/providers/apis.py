"""API Gateway REST APIs: deployed and described, never called (localcloud.apigateway says so when one is)."""

from __future__ import annotations

import json
from typing import Any

from localcloud.cloudformation.errors import DeployError
from localcloud.cloudformation.provider import Made, Provider, Request, ignore_missing, lower_keys, provider


@provider
class RestApi(Provider):
    """AWS::ApiGateway::RestApi."""

    type_name = "AWS::ApiGateway::RestApi"
    supported = frozenset(
        {
            "ApiKeySourceType",
            "BinaryMediaTypes",
            "Body",
            "Description",
            "DisableExecuteApiEndpoint",
            "EndpointConfiguration",
            "FailOnWarnings",
            "MinimumCompressionSize",
            "Mode",
            "Name",
            "Parameters",
            "Policy",
            "Tags",
        }
    )

    def create(self, request: Request) -> Made:
        """Make the API, from its OpenAPI document when there is one."""
        given, api = request.properties, request.client("apigateway")
        if "Body" in given:
            found = api.import_rest_api(body=_openapi(given))
        elif "Name" in given:
            fields = lower_keys(request.pick("Name", "Description", "BinaryMediaTypes", "EndpointConfiguration"))
            found = api.create_rest_api(**fields)
        else:
            raise DeployError("a RestApi needs a Name or a Body")
        return self._made(request, found["id"])

    def update(self, request: Request, physical_id: str) -> Made:
        """Replace the routes."""
        if "Body" in request.properties:
            request.client("apigateway").put_rest_api(
                restApiId=physical_id, mode="overwrite", body=_openapi(request.properties)
            )
        return self._made(request, physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the API."""
        ignore_missing(lambda: request.client("apigateway").delete_rest_api(restApiId=physical_id))

    @staticmethod
    def _made(request: Request, identity: str) -> Made:
        resources = request.client("apigateway").get_resources(restApiId=identity)["items"]
        root = next((one["id"] for one in resources if one["path"] == "/"), "")
        return Made(identity, {"RestApiId": identity, "RootResourceId": root})


def _openapi(given: dict[str, Any]) -> bytes:
    """Return the document as moto reads it, which wants a title and a description."""
    body = json.loads(json.dumps(given["Body"], default=str))
    body.setdefault("info", {}).setdefault("title", given.get("Name", "api"))
    body["info"].setdefault("description", given.get("Description", ""))
    body["info"].setdefault("version", "1")
    return json.dumps(body).encode()


@provider
class Deployment(Provider):
    """AWS::ApiGateway::Deployment."""

    type_name = "AWS::ApiGateway::Deployment"
    supported = frozenset({"RestApiId", "Description", "StageName", "StageDescription"})

    def create(self, request: Request) -> Made:
        """Deploy what the API is now."""
        fields = lower_keys(request.pick("RestApiId", "Description", "StageName"))
        identity = request.client("apigateway").create_deployment(**fields)["id"]
        return Made(identity, {"DeploymentId": identity})

    def update(self, request: Request, physical_id: str) -> Made:
        """Keep the snapshot: only its description can change."""
        return Made(physical_id, {"DeploymentId": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the deployment."""
        api = request.properties["RestApiId"]
        ignore_missing(lambda: request.client("apigateway").delete_deployment(restApiId=api, deploymentId=physical_id))


@provider
class Stage(Provider):
    """AWS::ApiGateway::Stage."""

    type_name = "AWS::ApiGateway::Stage"
    supported = frozenset(
        {
            "AccessLogSetting",
            "CacheClusterEnabled",
            "DeploymentId",
            "Description",
            "MethodSettings",
            "RestApiId",
            "StageName",
            "Tags",
            "TracingEnabled",
            "Variables",
        }
    )

    def create(self, request: Request) -> Made:
        """Make the stage."""
        given = request.properties
        fields = lower_keys(request.pick("RestApiId", "StageName", "DeploymentId", "Description", "TracingEnabled"))
        if given.get("Variables"):
            fields["variables"] = {key: str(value) for key, value in given["Variables"].items()}
        request.client("apigateway").create_stage(**fields)
        return Made(given["StageName"])

    def update(self, request: Request, physical_id: str) -> Made:
        """Point the stage at another deployment."""
        given = request.properties
        patch = [{"op": "replace", "path": "/deploymentId", "value": given["DeploymentId"]}]
        request.client("apigateway").update_stage(
            restApiId=given["RestApiId"], stageName=physical_id, patchOperations=patch
        )
        return Made(physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the stage."""
        api = request.properties["RestApiId"]
        ignore_missing(lambda: request.client("apigateway").delete_stage(restApiId=api, stageName=physical_id))


@provider
class Account(Provider):
    """AWS::ApiGateway::Account: the account's role for API Gateway's logs."""

    type_name = "AWS::ApiGateway::Account"
    supported = frozenset({"CloudWatchRoleArn"})

    def create(self, request: Request) -> Made:
        """Set the role."""
        return self.update(request, request.name("-", 64))

    def update(self, request: Request, physical_id: str) -> Made:
        """Set it again."""
        role = request.properties.get("CloudWatchRoleArn")
        if role:
            patch = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": role}]
            request.client("apigateway").update_account(patchOperations=patch)
        return Made(physical_id, {"Id": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Leave the setting, as CloudFormation does."""


@provider
class UsagePlan(Provider):
    """AWS::ApiGateway::UsagePlan."""

    type_name = "AWS::ApiGateway::UsagePlan"
    supported = frozenset({"ApiStages", "Description", "Quota", "Tags", "Throttle", "UsagePlanName"})

    def create(self, request: Request) -> Made:
        """Make the plan."""
        fields = lower_keys(request.pick("ApiStages", "Description", "Quota", "Throttle"))
        name = request.properties.get("UsagePlanName") or request.name("-", 64)
        identity = request.client("apigateway").create_usage_plan(name=name, **fields)["id"]
        return Made(identity, {"Id": identity})

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the plan."""
        ignore_missing(lambda: request.client("apigateway").delete_usage_plan(usagePlanId=physical_id))
