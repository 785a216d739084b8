"""Lambda functions, versions, aliases, permissions, layers."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from localcloud.cloudformation.errors import DeployError
from localcloud.cloudformation.provider import Made, Provider, Request, ignore_missing, provider


def _arn(request: Request, function: str) -> str:
    if function.startswith("arn:"):
        return function
    return f"arn:aws:lambda:{request.core.region}:{request.core.account_id}:function:{function}"


def _code(properties: dict[str, Any]) -> dict[str, Any]:
    """Translate Code; inline source becomes a package with index.py, as CloudFormation does."""
    code = properties["Code"]
    if "ZipFile" in code:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("index.py", code["ZipFile"])
        return {"ZipFile": buffer.getvalue()}
    if "S3Bucket" in code:
        return {key: code[key] for key in ("S3Bucket", "S3Key", "S3ObjectVersion") if key in code}
    raise DeployError("the local cloud runs functions packaged as zip archives, not as images")


@provider
class Function(Provider):
    """AWS::Lambda::Function."""

    type_name = "AWS::Lambda::Function"
    name_property = "FunctionName"
    settings = (
        "Role",
        "Handler",
        "Description",
        "Timeout",
        "MemorySize",
        "Environment",
        "Runtime",
        "DeadLetterConfig",
        "KmsKeyArn",
        "TracingConfig",
        "Layers",
        "EphemeralStorage",
        "LoggingConfig",
    )
    supported = frozenset(
        {*settings, "Architectures", "Code", "FunctionName", "PackageType", "ReservedConcurrentExecutions", "Tags"}
    )

    def create(self, request: Request) -> Made:
        """Make the function."""
        name = request.name("FunctionName", 64)
        code = _code(request.properties)
        code.pop("S3ObjectVersion", None)
        request.client("lambda").create_function(
            FunctionName=name,
            Code=code,
            Tags=request.all_tags(),
            **request.pick("Architectures", "PackageType"),
            **_settings(request.pick(*self.settings)),
        )
        return self._finish(request, name)

    def update(self, request: Request, physical_id: str) -> Made:
        """Change code and settings in place."""
        functions, before = request.client("lambda"), request.previous
        if request.properties["Code"] != before.get("Code"):
            code = _code(request.properties)
            code.pop("S3ObjectVersion", None)
            functions.update_function_code(FunctionName=physical_id, **code)
        emptied: dict[str, Any] = {"Environment": {"Variables": {}}, "Layers": [], "Description": "", "Timeout": 3}
        settings = request.pick(*self.settings)
        settings |= {key: value for key, value in emptied.items() if key in before and key not in settings}
        functions.update_function_configuration(FunctionName=physical_id, **_settings(settings))
        return self._finish(request, physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the function with its versions and aliases."""
        ignore_missing(lambda: request.client("lambda").delete_function(FunctionName=physical_id))

    @staticmethod
    def _finish(request: Request, name: str) -> Made:
        functions = request.client("lambda")
        reserved = request.properties.get("ReservedConcurrentExecutions")
        if reserved is not None:
            functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
        elif "ReservedConcurrentExecutions" in request.previous:
            functions.delete_function_concurrency(FunctionName=name)
        return Made(name, {"Arn": _arn(request, name)})


def _settings(settings: dict[str, Any]) -> dict[str, Any]:
    renamed = {"KmsKeyArn": "KMSKeyArn"}
    return {renamed.get(key, key): value for key, value in settings.items()}


@provider
class Version(Provider):
    """AWS::Lambda::Version: pins what the function is at this moment, and never changes."""

    type_name = "AWS::Lambda::Version"
    supported = frozenset({"FunctionName", "Description", "CodeSha256"})

    def create(self, request: Request) -> Made:
        """Publish."""
        function = request.properties["FunctionName"]
        fields = request.pick("Description", "CodeSha256")
        version = request.client("lambda").publish_version(FunctionName=function, **fields)["Version"]
        arn = f"{_arn(request, function)}:{version}"
        return Made(arn, {"Version": version, "FunctionArn": arn})

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the version."""
        function, version = physical_id.rsplit(":", 1)
        ignore_missing(lambda: request.client("lambda").delete_function(FunctionName=function, Qualifier=version))


@provider
class Alias(Provider):
    """AWS::Lambda::Alias."""

    type_name = "AWS::Lambda::Alias"
    name_property = "Name"
    supported = frozenset({"FunctionName", "FunctionVersion", "Name", "Description", "RoutingConfig"})

    def create(self, request: Request) -> Made:
        """Make the alias."""
        fields = request.pick("FunctionName", "FunctionVersion", "Name", "Description", "RoutingConfig")
        arn = request.client("lambda").create_alias(**fields)["AliasArn"]
        return Made(arn, {"AliasArn": arn})

    def update(self, request: Request, physical_id: str) -> Made:
        """Point it at another version."""
        fields = request.pick("FunctionName", "FunctionVersion", "Name", "Description", "RoutingConfig")
        request.client("lambda").update_alias(**fields)
        return Made(physical_id, {"AliasArn": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the alias."""
        fields = request.pick("FunctionName", "Name")
        ignore_missing(lambda: request.client("lambda").delete_alias(**fields))


@provider
class Permission(Provider):
    """AWS::Lambda::Permission."""

    type_name = "AWS::Lambda::Permission"
    fields = ("Action", "Principal", "SourceArn", "SourceAccount", "EventSourceToken", "PrincipalOrgID")
    supported = frozenset({*fields, "FunctionName"})

    def create(self, request: Request) -> Made:
        """Add the statement."""
        statement = request.name("-", 100)
        request.client("lambda").add_permission(
            FunctionName=request.properties["FunctionName"], StatementId=statement, **request.pick(*self.fields)
        )
        return Made(statement, {"Id": statement})

    def delete(self, request: Request, physical_id: str) -> None:
        """Remove the statement; it may have gone with its function."""
        function = request.properties["FunctionName"]
        ignore_missing(
            lambda: request.client("lambda").remove_permission(FunctionName=function, StatementId=physical_id)
        )


@provider
class EventInvokeConfig(Provider):
    """AWS::Lambda::EventInvokeConfig."""

    type_name = "AWS::Lambda::EventInvokeConfig"
    fields = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")
    supported = frozenset({*fields, "FunctionName", "Qualifier"})

    def create(self, request: Request) -> Made:
        """Put the settings."""
        name = request.properties["FunctionName"]
        request.client("lambda").put_function_event_invoke_config(FunctionName=name, **request.pick(*self.fields))
        return Made(f"{name}|{request.properties['Qualifier']}")

    def update(self, request: Request, physical_id: str) -> Made:
        """Put them again."""
        return self.create(request)

    def delete(self, request: Request, physical_id: str) -> None:
        """Go back to AWS's defaults."""
        name = request.properties["FunctionName"]
        ignore_missing(lambda: request.client("lambda").delete_function_event_invoke_config(FunctionName=name))


@provider
class LayerVersion(Provider):
    """AWS::Lambda::LayerVersion."""

    type_name = "AWS::Lambda::LayerVersion"
    supported = frozenset(
        {"LayerName", "Content", "CompatibleRuntimes", "CompatibleArchitectures", "Description", "LicenseInfo"}
    )

    def create(self, request: Request) -> Made:
        """Publish the layer."""
        arn = request.client("lambda").publish_layer_version(
            LayerName=request.name("LayerName", 140),
            Content=request.properties["Content"],
            **request.pick("CompatibleRuntimes", "CompatibleArchitectures", "Description", "LicenseInfo"),
        )["LayerVersionArn"]
        return Made(arn, {"LayerVersionArn": arn})

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the version."""
        name, version = physical_id.split(":")[6], int(physical_id.split(":")[7])
        ignore_missing(lambda: request.client("lambda").delete_layer_version(LayerName=name, VersionNumber=version))


@provider
class EventSourceMapping(Provider):
    """AWS::Lambda::EventSourceMapping."""

    type_name = "AWS::Lambda::EventSourceMapping"
    fields = (
        "FunctionName",
        "EventSourceArn",
        "BatchSize",
        "Enabled",
        "MaximumBatchingWindowInSeconds",
        "StartingPosition",
    )
    supported = frozenset(fields)

    def create(self, request: Request) -> Made:
        """Make the mapping."""
        answer = request.client("lambda").create_event_source_mapping(**request.pick(*self.fields))
        return Made(answer["UUID"], {"Id": answer["UUID"]})

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the mapping."""
        ignore_missing(lambda: request.client("lambda").delete_event_source_mapping(UUID=physical_id))
