"""Step Functions state machines, their versions and aliases."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from localcloud.cloudformation.errors import DeployError
from localcloud.cloudformation.provider import Made, Provider, Request, ignore_missing, lower_keys, provider

SUBSTITUTION = re.compile(r"\$\{([a-zA-Z0-9_]+)\}")


@provider
class StateMachine(Provider):
    """AWS::StepFunctions::StateMachine."""

    type_name = "AWS::StepFunctions::StateMachine"
    name_property = "StateMachineName"
    supported = frozenset(
        {
            "Definition",
            "DefinitionS3Location",
            "DefinitionString",
            "DefinitionSubstitutions",
            "LoggingConfiguration",
            "RoleArn",
            "StateMachineName",
            "StateMachineType",
            "Tags",
            "TracingConfiguration",
        }
    )

    def create(self, request: Request) -> Made:
        """Make the state machine."""
        name = request.name("StateMachineName", 80)
        tags = [{"key": key, "value": value} for key, value in request.all_tags().items()]
        arn = request.client("stepfunctions").create_state_machine(
            name=name,
            type=request.properties.get("StateMachineType", "STANDARD"),
            tags=tags,
            **_settings(request),
        )["stateMachineArn"]
        return Made(arn, {"Arn": arn, "Name": name})

    def update(self, request: Request, physical_id: str) -> Made:
        """Change it in place; executions that run keep the old definition."""
        request.client("stepfunctions").update_state_machine(stateMachineArn=physical_id, **_settings(request))
        return Made(physical_id, {"Arn": physical_id, "Name": physical_id.split(":")[-1]})

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the state machine."""
        ignore_missing(lambda: request.client("stepfunctions").delete_state_machine(stateMachineArn=physical_id))


def _settings(request: Request) -> dict[str, Any]:
    given = request.properties
    settings: dict[str, Any] = {"definition": _definition(request), "roleArn": given["RoleArn"]}
    for name in ("LoggingConfiguration", "TracingConfiguration"):
        if name in given:
            settings[name[0].lower() + name[1:]] = lower_keys(given[name])
    return settings


def _definition(request: Request) -> str:
    given = request.properties
    sources = [name for name in ("Definition", "DefinitionString", "DefinitionS3Location") if name in given]
    if len(sources) != 1:
        raise DeployError(
            f"exactly one of Definition, DefinitionString, DefinitionS3Location is needed, found {sources}"
        )
    readers: dict[str, Callable[[], str]] = {
        "Definition": lambda: json.dumps(given["Definition"]),
        "DefinitionString": lambda: given["DefinitionString"],
        "DefinitionS3Location": lambda: _from_s3(request),
    }
    text = readers[sources[0]]()
    substitutions = given.get("DefinitionSubstitutions") or {}

    def replace(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in substitutions:
            return found.group(0)
        value = substitutions[name]
        # the substitution stands inside JSON text
        return json.dumps(value)[1:-1] if isinstance(value, str) else json.dumps(value)

    return SUBSTITUTION.sub(replace, text)


def _from_s3(request: Request) -> str:
    location = request.properties["DefinitionS3Location"]
    fields = {"VersionId": location["Version"]} if "Version" in location else {}
    answer = request.client("s3").get_object(Bucket=location["Bucket"], Key=location["Key"], **fields)
    text: str = answer["Body"].read().decode()
    if text.lstrip().startswith("{"):
        return text
    from localcloud.cloudformation.template import parse_yaml

    return json.dumps(parse_yaml(text))


@provider
class StateMachineVersion(Provider):
    """AWS::StepFunctions::StateMachineVersion."""

    type_name = "AWS::StepFunctions::StateMachineVersion"
    supported = frozenset({"StateMachineArn", "StateMachineRevisionId", "Description"})

    def create(self, request: Request) -> Made:
        """Publish; the API has no call that moto knows, so an update publishes."""
        machine = request.properties["StateMachineArn"]
        sfn = request.client("stepfunctions")
        current = sfn.describe_state_machine(stateMachineArn=machine)
        arn = sfn.update_state_machine(
            stateMachineArn=machine, definition=current["definition"], roleArn=current["roleArn"], publish=True
        )["stateMachineVersionArn"]
        return Made(arn, {"Arn": arn})

    def delete(self, request: Request, physical_id: str) -> None:
        """Leave it: a version goes with its state machine."""


@provider
class StateMachineAlias(Provider):
    """AWS::StepFunctions::StateMachineAlias."""

    type_name = "AWS::StepFunctions::StateMachineAlias"
    name_property = "Name"
    supported = frozenset({"Name", "Description", "RoutingConfiguration", "DeploymentPreference"})

    def create(self, request: Request) -> Made:
        """Make the alias."""
        arn = request.client("stepfunctions").create_state_machine_alias(
            name=request.name("Name", 80), routingConfiguration=self._routes(request)
        )["stateMachineAliasArn"]
        return Made(arn, {"Arn": arn})

    def update(self, request: Request, physical_id: str) -> Made:
        """Route to other versions."""
        request.client("stepfunctions").update_state_machine_alias(
            stateMachineAliasArn=physical_id, routingConfiguration=self._routes(request)
        )
        return Made(physical_id, {"Arn": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the alias."""
        ignore_missing(
            lambda: request.client("stepfunctions").delete_state_machine_alias(stateMachineAliasArn=physical_id)
        )

    @staticmethod
    def _routes(request: Request) -> list[dict[str, Any]]:
        given = request.properties
        if "DeploymentPreference" in given:  # shifted at once: the local cloud has no gradual deployment
            return [{"stateMachineVersionArn": given["DeploymentPreference"]["StateMachineVersionArn"], "weight": 100}]
        return [
            {"stateMachineVersionArn": route["StateMachineVersionArn"], "weight": route["Weight"]}
            for route in given.get("RoutingConfiguration", [])
        ]
