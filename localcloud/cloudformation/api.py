"""The CloudFormation API on top of the engine."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

from localcloud.cloudformation.engine import Engine
from localcloud.cloudformation.errors import api_error
from localcloud.cloudformation.plan import IAM_TYPES, active, changes, want
from localcloud.cloudformation.stack import ChangeSet, Stack, Wanted
from localcloud.cloudformation.template import parse

NOTHING = "The submitted information didn't contain changes. Submit different information to create a change set."
EMPTY = Wanted("", {"Resources": {}}, {}, {}, {})


class Api:
    """The calls; each takes moto's response object, which holds the request, and returns the answer as a dict."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.change_sets: list[ChangeSet] = []

    def calls(self) -> dict[str, Callable[[Any], dict[str, Any]]]:
        """Return the implemented calls by moto's method names."""
        names = [
            name for name in dir(self) if not name.startswith("_") and name not in ("calls", "engine", "change_sets")
        ]
        return {name: getattr(self, name) for name in names}

    # stacks

    def create_stack(self, request: Any) -> dict[str, Any]:
        """CreateStack."""
        name = request._get_param("StackName")
        if self.engine.find(name):
            raise api_error(f"Stack [{name}] already exists", "AlreadyExistsException")
        stack = self.engine.new_stack(name, self._wanted(request, None), "CREATE_IN_PROGRESS")
        failure = request._get_param("OnFailure")
        stack.disable_rollback = _true(request._get_param("DisableRollback")) or failure == "DO_NOTHING"
        stack.protected = _true(request._get_param("EnableTerminationProtection"))
        self.engine.start(lambda: self.engine.create(stack), stack)
        return {"StackId": stack.stack_id}

    def update_stack(self, request: Any) -> dict[str, Any]:
        """UpdateStack."""
        stack = self._stack(request._get_param("StackName"))
        _check_idle(stack)
        wanted = self._wanted(request, stack)
        if not self._changes(stack, wanted) and not _other_changes(stack, wanted):
            raise api_error("No updates are to be performed.")
        stack.disable_rollback = _true(request._get_param("DisableRollback"))
        stack.status = "UPDATE_IN_PROGRESS"
        self.engine.start(lambda: self.engine.update(stack, wanted), stack)
        return {"StackId": stack.stack_id}

    def delete_stack(self, request: Any) -> dict[str, Any]:
        """DeleteStack; a stack that does not exist is no error."""
        stack = self.engine.find(request._get_param("StackName"))
        if stack is None or stack.deleted:
            return {}
        if stack.protected:
            raise api_error(f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled")
        stack.status = "DELETE_IN_PROGRESS"
        self.engine.start(lambda: self.engine.delete(stack), stack)
        return {}

    def update_termination_protection(self, request: Any) -> dict[str, Any]:
        """UpdateTerminationProtection."""
        stack = self._stack(request._get_param("StackName"))
        stack.protected = _true(request._get_param("EnableTerminationProtection"))
        return {"StackId": stack.stack_id}

    def describe_stacks(self, request: Any) -> dict[str, Any]:
        """DescribeStacks."""
        name = request._get_param("StackName")
        found = [self._stack(name)] if name else [stack for stack in self.engine.stacks if not stack.deleted]
        return {"Stacks": [_describe(stack) for stack in found]}

    def list_stacks(self, request: Any) -> dict[str, Any]:
        """ListStacks."""
        wanted = request._get_param("StackStatusFilter") or []
        rows = [_describe(stack) for stack in reversed(self.engine.stacks) if not wanted or stack.status in wanted]
        kept = (
            "StackId",
            "StackName",
            "StackStatus",
            "StackStatusReason",
            "CreationTime",
            "LastUpdatedTime",
            "DeletionTime",
        )
        return {"StackSummaries": [{key: row[key] for key in kept if key in row} for row in rows]}

    def describe_stack_events(self, request: Any) -> dict[str, Any]:
        """DescribeStackEvents, the newest first."""
        stack = self._stack(request._get_param("StackName"))
        rows = [
            {
                "StackId": event.stack_id,
                "StackName": event.stack_name,
                "EventId": event.event_id,
                "LogicalResourceId": event.logical_id,
                "PhysicalResourceId": event.physical_id,
                "ResourceType": event.type_name,
                "ResourceStatus": event.status,
                "Timestamp": event.at,
                **({"ResourceStatusReason": event.reason} if event.reason else {}),
            }
            for event in reversed(list(stack.events))
        ]
        return {"StackEvents": rows}

    def describe_stack_resources(self, request: Any) -> dict[str, Any]:
        """DescribeStackResources."""
        name, physical = request._get_param("StackName"), request._get_param("PhysicalResourceId")
        if physical and not name:
            owners = [s for s in self.engine.stacks if any(r.physical_id == physical for r in s.resources.values())]
            if not owners:
                raise api_error(f"Stack for {physical} does not exist")
            name = owners[0].stack_id
        stack = self._stack(name)
        logical = request._get_param("LogicalResourceId")
        return {"StackResources": [row for row in _resources(stack) if logical in (None, row["LogicalResourceId"])]}

    def describe_stack_resource(self, request: Any) -> dict[str, Any]:
        """DescribeStackResource."""
        stack, logical = self._stack(request._get_param("StackName")), request._get_param("LogicalResourceId")
        for row in _resources(stack):
            if row["LogicalResourceId"] == logical:
                return {"StackResourceDetail": {**row, "LastUpdatedTimestamp": row["Timestamp"]}}
        raise api_error(f"Resource {logical} does not exist for stack {stack.name}")

    def list_stack_resources(self, request: Any) -> dict[str, Any]:
        """ListStackResources."""
        rows = _resources(self._stack(request._get_param("StackName")))
        return {"StackResourceSummaries": [{**row, "LastUpdatedTimestamp": row["Timestamp"]} for row in rows]}

    def list_exports(self, request: Any) -> dict[str, Any]:
        """ListExports."""
        rows = [
            {"ExportingStackId": stack.stack_id, "Name": name, "Value": value}
            for stack in self.engine.stacks
            for name, value in stack.exports().items()
        ]
        return {"Exports": rows}

    # templates

    def get_template(self, request: Any) -> dict[str, Any]:
        """GetTemplate, as given or with SAM translated."""
        name, change_set = request._get_param("StackName"), request._get_param("ChangeSetName")
        wanted = self._change_set(request).wanted if change_set else self._stack(name).wanted
        processed = request._get_param("TemplateStage") == "Processed"
        return {
            "TemplateBody": wanted.document if processed else wanted.text,
            "StagesAvailable": ["Original", "Processed"],
        }

    def get_template_summary(self, request: Any) -> dict[str, Any]:
        """GetTemplateSummary."""
        name = request._get_param("StackName")
        text = self._stack(name).wanted.text if name else self._text(request, None)
        return _summary(parse(text))

    def validate_template(self, request: Any) -> dict[str, Any]:
        """ValidateTemplate."""
        summary = _summary(parse(self._text(request, None)))
        kept = ("Description", "Parameters", "Capabilities", "CapabilitiesReason", "DeclaredTransforms")
        return {key: summary[key] for key in kept if key in summary}

    # change sets

    def create_change_set(self, request: Any) -> dict[str, Any]:
        """CreateChangeSet."""
        name, kind = request._get_param("StackName"), request._get_param("ChangeSetType") or "UPDATE"
        stack = self.engine.find(name)
        if kind == "CREATE":
            if stack and stack.status != "REVIEW_IN_PROGRESS":
                raise api_error(
                    f"Stack [{name}] already exists and cannot be created again with the changeSet "
                    f"[{request._get_param('ChangeSetName')}]."
                )
            wanted = self._wanted(request, None)
            if stack is None:
                stack = self.engine.new_stack(name, EMPTY, "REVIEW_IN_PROGRESS")
                stack.tell("REVIEW_IN_PROGRESS", "User Initiated")
        else:
            if stack is None or stack.status == "REVIEW_IN_PROGRESS":
                raise api_error(f"Stack [{name}] does not exist")
            _check_idle(stack)
            wanted = self._wanted(request, stack)
        found = self._changes(stack, wanted)
        empty = not found and not _other_changes(stack, wanted)
        identity = (
            f"arn:aws:cloudformation:{self.engine.core.region}:{self.engine.core.account_id}:changeSet/"
            f"{request._get_param('ChangeSetName')}/{uuid.uuid4()}"
        )
        change_set = ChangeSet(
            change_set_id=identity,
            name=request._get_param("ChangeSetName"),
            kind=kind,
            stack=stack,
            wanted=wanted,
            changes=found,
            description=request._get_param("Description"),
            status="FAILED" if empty else "CREATE_COMPLETE",
            execution_status="UNAVAILABLE" if empty else "AVAILABLE",
            reason=NOTHING if empty else None,
        )
        self.change_sets.append(change_set)
        return {"Id": identity, "StackId": stack.stack_id}

    def describe_change_set(self, request: Any) -> dict[str, Any]:
        """DescribeChangeSet."""
        found = self._change_set(request)
        answer = _describe_change_set(found)
        answer["Changes"] = found.changes
        return answer

    def list_change_sets(self, request: Any) -> dict[str, Any]:
        """ListChangeSets."""
        stack = self._stack(request._get_param("StackName"))
        return {"Summaries": [_describe_change_set(one) for one in self.change_sets if one.stack is stack]}

    def delete_change_set(self, request: Any) -> dict[str, Any]:
        """DeleteChangeSet."""
        self.change_sets.remove(self._change_set(request))
        return {}

    def execute_change_set(self, request: Any) -> dict[str, Any]:
        """ExecuteChangeSet."""
        found = self._change_set(request)
        stack = found.stack
        if found.execution_status != "AVAILABLE":
            raise api_error(
                f"ChangeSet [{found.change_set_id}] cannot be executed in its current status of [{found.status}]",
                "InvalidChangeSetStatus",
            )
        found.execution_status = "EXECUTE_COMPLETE"
        stack.change_set_id = found.change_set_id
        stack.disable_rollback = _true(request._get_param("DisableRollback"))
        if found.kind == "CREATE":
            stack.wanted, stack.status = found.wanted, "CREATE_IN_PROGRESS"
            self.engine.start(lambda: self.engine.create(stack), stack)
        else:
            stack.status = "UPDATE_IN_PROGRESS"
            self.engine.start(lambda: self.engine.update(stack, found.wanted), stack)
        return {}

    def _stack(self, name: str | None) -> Stack:
        stack = self.engine.find(name) if name else None
        if stack is None:
            raise api_error(f"Stack with id {name} does not exist")
        return stack

    def _change_set(self, request: Any) -> ChangeSet:
        name, stack = request._get_param("ChangeSetName"), request._get_param("StackName")
        for one in reversed(self.change_sets):
            if one.change_set_id == name or (one.name == name and stack in (one.stack.name, one.stack.stack_id)):
                return one
        raise api_error(f"ChangeSet [{name}] does not exist", "ChangeSetNotFoundException")

    def _changes(self, stack: Stack, wanted: Wanted) -> list[dict[str, Any]]:
        names = active(wanted.document, self.engine.scope(stack, wanted))
        return changes(stack.wanted, wanted, names, stack.resources)

    def _wanted(self, request: Any, stack: Stack | None) -> Wanted:
        text = self._text(request, stack)
        given = {}
        for parameter in request._get_param("Parameters") or []:
            key = parameter["ParameterKey"]
            if _true(parameter.get("UsePreviousValue")):
                if stack is None or key not in stack.wanted.values:
                    raise api_error(f"Invalid input for parameter key {key}. No previous value to use")
                previous = stack.wanted.given.get(key, stack.wanted.values[key])
                given[key] = previous if isinstance(previous, str) else ",".join(previous)
            else:
                given[key] = parameter["ParameterValue"]
        tags = {tag["Key"]: tag["Value"] for tag in request._get_param("Tags") or []}
        if stack is not None and not tags:
            tags = dict(stack.wanted.tags)
        return want(text, given, tags, request._get_param("Capabilities") or [], self._ssm_value)

    def _ssm_value(self, name: str) -> str:
        try:
            return str(self.engine.core.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
        except Exception as error:
            raise api_error(f"Unable to fetch parameters [{name}] from parameter store: {error}") from None

    def _text(self, request: Any, stack: Stack | None) -> str:
        if _true(request._get_param("UsePreviousTemplate")) and stack is not None:
            return stack.wanted.text
        if url := request._get_param("TemplateURL"):
            return self._fetch(url)
        text = request._get_param("TemplateBody")
        if not text:
            raise api_error("Either Template URL or Template Body must be specified.")
        return str(text)

    def _fetch(self, url: str) -> str:
        """Read a template from S3: path style at any host, or virtual-host style at AWS's own."""
        parts = urlparse(url)
        host, path = parts.hostname or "", unquote(parts.path.lstrip("/"))
        if ".s3." in host and not host.startswith("s3."):
            bucket, key = host.split(".s3.")[0], path
        else:
            bucket, _, key = path.partition("/")
        versions = parse_qs(parts.query).get("versionId")
        version = {"VersionId": versions[0]} if versions else {}
        try:
            answer = self.engine.core.client("s3").get_object(Bucket=bucket, Key=key, **version)
        except Exception as error:
            raise api_error(f"S3 error: {error}") from None
        return str(answer["Body"].read().decode())


def _true(value: Any) -> bool:
    return str(value).lower() == "true"


def _check_idle(stack: Stack) -> None:
    if stack.status.endswith("IN_PROGRESS") or stack.status in (
        "ROLLBACK_COMPLETE",
        "ROLLBACK_FAILED",
        "DELETE_FAILED",
    ):
        raise api_error(f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated.")


def _other_changes(stack: Stack, wanted: Wanted) -> bool:
    before = stack.wanted
    return before.document.get("Outputs") != wanted.document.get("Outputs") or before.tags != wanted.tags


def _describe(stack: Stack) -> dict[str, Any]:
    document, values = stack.wanted.document, stack.wanted.values
    hidden = {name for name, rules in (document.get("Parameters") or {}).items() if _true(rules.get("NoEcho"))}
    row: dict[str, Any] = {
        "StackId": stack.stack_id,
        "StackName": stack.name,
        "StackStatus": stack.status,
        "CreationTime": stack.created,
        "DisableRollback": stack.disable_rollback,
        "EnableTerminationProtection": stack.protected,
        "NotificationARNs": [],
        "Capabilities": list(stack.wanted.capabilities),
        "Tags": [{"Key": key, "Value": value} for key, value in stack.wanted.tags.items()],
        "Outputs": list(stack.outputs),
        "Parameters": [
            {
                "ParameterKey": name,
                "ParameterValue": "****" if name in hidden else value if isinstance(value, str) else ",".join(value),
            }
            for name, value in values.items()
        ],
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }
    optional = {
        "StackStatusReason": stack.reason,
        "LastUpdatedTime": stack.updated,
        "DeletionTime": stack.deleted,
        "ChangeSetId": stack.change_set_id,
        "Description": document.get("Description"),
    }
    return row | {key: value for key, value in optional.items() if value is not None}


def _resources(stack: Stack) -> list[dict[str, Any]]:
    rows = []
    for name, (status, reason, at) in stack.states.items():
        found = stack.resources.get(name)
        event = next((e for e in reversed(stack.events) if e.logical_id == name), None)
        if event is None:
            continue
        row = {
            "StackId": stack.stack_id,
            "StackName": stack.name,
            "LogicalResourceId": name,
            "PhysicalResourceId": found.physical_id if found else event.physical_id,
            "ResourceType": event.type_name,
            "ResourceStatus": status,
            "Timestamp": at,
            "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
        }
        rows.append(row | ({"ResourceStatusReason": reason} if reason else {}))
    return rows


def _describe_change_set(found: ChangeSet) -> dict[str, Any]:
    row: dict[str, Any] = {
        "ChangeSetName": found.name,
        "ChangeSetId": found.change_set_id,
        "StackId": found.stack.stack_id,
        "StackName": found.stack.name,
        "CreationTime": found.created,
        "Status": found.status,
        "ExecutionStatus": found.execution_status,
    }
    optional = {"StatusReason": found.reason, "Description": found.description}
    return row | {key: value for key, value in optional.items() if value}


def _summary(document: dict[str, Any]) -> dict[str, Any]:
    parameters = []
    for name, rules in (document.get("Parameters") or {}).items():
        row: dict[str, Any] = {
            "ParameterKey": name,
            "ParameterType": rules.get("Type", "String"),
            "NoEcho": _true(rules.get("NoEcho")),
            "ParameterConstraints": {},
        }
        if "Default" in rules:
            row["DefaultValue"] = str(rules["Default"])
        if "Description" in rules:
            row["Description"] = rules["Description"]
        if "AllowedValues" in rules:
            row["ParameterConstraints"] = {"AllowedValues": [str(value) for value in rules["AllowedValues"]]}
        parameters.append(row)
    types = sorted({entry.get("Type", "") for entry in document["Resources"].values()})
    transforms = document.get("Transform", [])
    summary: dict[str, Any] = {
        "Parameters": parameters,
        "ResourceTypes": types,
        "DeclaredTransforms": [transforms] if isinstance(transforms, str) else transforms,
    }
    if IAM_TYPES & set(types):
        summary |= {"Capabilities": ["CAPABILITY_IAM"], "CapabilitiesReason": "The template makes IAM resources"}
    for key, field in (("Description", "Description"), ("AWSTemplateFormatVersion", "Version")):
        if key in document:
            summary[field] = str(document[key])
    return summary
