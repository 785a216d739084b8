"""Makes stacks what their templates say: create, update, roll back, delete, one resource after the other."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.cloudformation.errors import DeployError
from localcloud.cloudformation.intrinsics import Scope
from localcloud.cloudformation.plan import active, dependencies
from localcloud.cloudformation.provider import PROVIDERS, Made, Request
from localcloud.cloudformation.schema import schema_of
from localcloud.cloudformation.stack import Deployed, Stack, Wanted
from localcloud.core import Core

KEEP = {"Retain", "RetainExceptOnCreate", "Snapshot"}
SHORT_WORK_SECONDS = 1.5
_LOG = logging.getLogger(__name__)


class Engine:
    """All stacks of this cloud, and the threads that work on them."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.stacks: list[Stack] = []

    def new_stack(self, name: str, wanted: Wanted, status: str) -> Stack:
        """Return a stack that has nothing yet."""
        identity = f"arn:aws:cloudformation:{self.core.region}:{self.core.account_id}:stack/{name}/{uuid.uuid4()}"
        stack = Stack(identity, name, wanted, status)
        self.stacks.append(stack)
        return stack

    def find(self, name_or_id: str) -> Stack | None:
        """Return a stack by name (deleted ones do not count) or id."""
        for stack in reversed(self.stacks):
            if stack.stack_id == name_or_id or (stack.name == name_or_id and stack.deleted is None):
                return stack
        return None

    def exports(self) -> dict[str, str]:
        """Return every export of every stack."""
        return {name: value for stack in self.stacks for name, value in stack.exports().items()}

    def start(self, work: Callable[[], None], stack: Stack) -> None:
        """Do a stack's work in the background; a defect of ours ends in a FAILED status, never in silence."""

        def run() -> None:
            try:
                work()
            except Exception as error:
                _LOG.exception("work on stack %s", stack.name)
                stack.tell(stack.status.replace("IN_PROGRESS", "FAILED"), f"{type(error).__name__}: {error}")

        worker = threading.Thread(target=run, name=f"stack-{stack.name}", daemon=True)
        worker.start()
        # clients poll every 5 to 30 seconds: a small stack that is done by the first look saves a whole period
        worker.join(SHORT_WORK_SECONDS)

    def scope(self, stack: Stack, wanted: Wanted) -> Scope:
        """Return what the names of a template mean for a stack."""

        def reference(name: str) -> str:
            if name not in stack.resources:
                raise DeployError(f"Template error: {name} does not exist")
            return stack.resources[name].physical_id

        def attribute(name: str, key: str) -> Any:
            if name not in stack.resources:
                raise DeployError(f"Template error: instance of Fn::GetAtt references undefined resource {name}")
            found = stack.resources[name]
            if key in found.attributes:
                return found.attributes[key]
            raise DeployError(f"Requested attribute {key} does not exist in schema for {found.type_name}")

        region = self.core.region
        pseudo = {
            "AWS::Region": region,
            "AWS::AccountId": self.core.account_id,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": stack.name,
            "AWS::StackId": stack.stack_id,
            "AWS::NotificationARNs": [],
        }
        return Scope(wanted.document, {**pseudo, **wanted.values}, reference, attribute, self.exports())

    def create(self, stack: Stack) -> None:
        """Make everything; roll back on the first failure unless that is disabled."""
        stack.tell("CREATE_IN_PROGRESS", "User Initiated")
        try:
            self._apply(stack, stack.wanted, [])
        except DeployError as error:
            if stack.disable_rollback:
                stack.tell("CREATE_FAILED", str(error))
                return
            stack.tell("ROLLBACK_IN_PROGRESS", f"{error} Rollback requested by user.")
            failed = self._delete_all(stack, created=True)
            stack.tell("ROLLBACK_FAILED" if failed else "ROLLBACK_COMPLETE", failed)
            return
        stack.tell("CREATE_COMPLETE")

    def update(self, stack: Stack, wanted: Wanted) -> None:
        """Change what differs; on a failure put everything back."""
        before, outputs = stack.wanted, list(stack.outputs)
        stack.updated = datetime.now(UTC)
        stack.tell("UPDATE_IN_PROGRESS", "User Initiated")
        journal: list[tuple[Deployed | None, Deployed]] = []
        try:
            self._apply(stack, wanted, journal)
        except DeployError as error:
            if stack.disable_rollback:
                stack.tell("UPDATE_FAILED", str(error))
                return
            stack.tell("UPDATE_ROLLBACK_IN_PROGRESS", str(error))
            stack.wanted, stack.outputs = before, outputs
            failed = self._undo(stack, journal)
            if not failed:
                stack.tell("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
            stack.tell("UPDATE_ROLLBACK_FAILED" if failed else "UPDATE_ROLLBACK_COMPLETE", failed)
            return
        stack.wanted = wanted
        stack.tell("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        self._clean_up(stack, wanted, journal)
        stack.tell("UPDATE_COMPLETE")

    def delete(self, stack: Stack) -> None:
        """Delete everything that is not to be kept."""
        stack.tell("DELETE_IN_PROGRESS", "User Initiated")
        failed = self._delete_all(stack, created=False)
        if failed:
            stack.tell("DELETE_FAILED", failed)
            return
        stack.outputs = []
        stack.deleted = datetime.now(UTC)
        stack.tell("DELETE_COMPLETE")

    def _apply(self, stack: Stack, wanted: Wanted, journal: list[tuple[Deployed | None, Deployed]]) -> None:
        scope = self.scope(stack, wanted)
        for name in active(wanted.document, scope):
            entry = wanted.document["Resources"][name]
            old = stack.resources.get(name)
            try:
                new = self._ensure(stack, name, entry, scope, old)
            except DeployError as error:
                verb = "UPDATE" if old else "CREATE"
                physical = old.physical_id if old else ""
                stack.tell_resource(name, entry["Type"], physical, f"{verb}_FAILED", str(error))
                raise DeployError(f"The following resource(s) failed to {verb.lower()}: [{name}].") from None
            stack.resources[name] = new
            if old is None or new != old:
                journal.append((old, new))
        stack.outputs = _outputs(wanted.document, scope)

    def _ensure(
        self, stack: Stack, name: str, entry: Mapping[str, Any], scope: Scope, old: Deployed | None
    ) -> Deployed:
        kind = entry["Type"]
        schema, provider = schema_of(kind), PROVIDERS.get(kind)
        if schema is None or provider is None:
            raise DeployError(f"the local cloud has no provider for the resource type {kind}")
        properties = schema.check(scope.resolve(entry.get("Properties") or {}))
        provider.check_supported(properties)
        request = Request(self.core, stack.name, name, properties, stack.wanted.tags)
        if old is not None and old.type_name == kind and old.properties == properties:
            return replace(old, definition=entry)
        if old is None:
            verb, call = "CREATE", lambda: provider.create(request)
        elif self._must_replace(old, properties, kind, provider.name_property):
            stack.tell_resource(
                name,
                kind,
                old.physical_id,
                "UPDATE_IN_PROGRESS",
                "Requested update requires the creation of a new physical resource; hence creating one.",
            )
            verb, call = "UPDATE", lambda: provider.create(request)
        else:
            changing = replace(request, previous=old.properties)
            verb, call = "UPDATE", lambda: provider.update(changing, old.physical_id)
        if verb == "CREATE":
            stack.tell_resource(name, kind, "", "CREATE_IN_PROGRESS")
        elif stack.states.get(name, ("",))[0] != "UPDATE_IN_PROGRESS":
            stack.tell_resource(name, kind, old.physical_id if old else "", "UPDATE_IN_PROGRESS")
        made = _guarded(call)
        stack.tell_resource(name, kind, made.physical_id, f"{verb}_COMPLETE")
        return Deployed(name, kind, made.physical_id, properties, made.attributes, entry)

    @staticmethod
    def _must_replace(old: Deployed, properties: Mapping[str, Any], kind: str, name_property: str | None) -> bool:
        schema = schema_of(kind)
        if old.type_name != kind or schema is None:
            return True
        changed = {key for key in {*old.properties, *properties} if old.properties.get(key) != properties.get(key)}
        if not changed & schema.create_only:
            return False
        if name_property and name_property in properties and name_property not in changed:
            raise DeployError(
                "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
                f"Rename {properties[name_property]} and update the stack again."
            )
        return True

    def _clean_up(self, stack: Stack, wanted: Wanted, journal: list[tuple[Deployed | None, Deployed]]) -> None:
        for old, new in reversed(journal):
            if old is not None and (old.physical_id != new.physical_id or old.type_name != new.type_name):
                self._delete_one(stack, old, old.definition.get("UpdateReplacePolicy"))
        kept = set(active(wanted.document, self.scope(stack, wanted)))
        for gone in _deletion_order([found for name, found in stack.resources.items() if name not in kept]):
            self._delete_one(stack, gone, gone.definition.get("DeletionPolicy"))
            stack.resources.pop(gone.logical_id, None)

    def _undo(self, stack: Stack, journal: list[tuple[Deployed | None, Deployed]]) -> str | None:
        """Put back what an update changed; returns what could not be."""
        problems = []
        for old, new in reversed(journal):
            provider = PROVIDERS[new.type_name]
            request = Request(self.core, stack.name, new.logical_id, new.properties, stack.wanted.tags)
            try:
                if old is None:
                    _guarded(partial(provider.delete, request, new.physical_id))
                    stack.resources.pop(new.logical_id, None)
                    stack.tell_resource(new.logical_id, new.type_name, new.physical_id, "DELETE_COMPLETE")
                    continue
                if old.physical_id != new.physical_id:
                    _guarded(partial(provider.delete, request, new.physical_id))
                elif old.properties != new.properties:
                    back = replace(request, properties=old.properties, previous=new.properties)
                    _guarded(partial(provider.update, back, old.physical_id))
                stack.resources[old.logical_id] = old
                stack.tell_resource(old.logical_id, old.type_name, old.physical_id, "UPDATE_COMPLETE")
            except DeployError as error:
                stack.tell_resource(new.logical_id, new.type_name, new.physical_id, "UPDATE_FAILED", str(error))
                problems.append(new.logical_id)
        return f"The following resource(s) failed to roll back: [{', '.join(problems)}]." if problems else None

    def _delete_all(self, stack: Stack, created: bool) -> str | None:
        """Delete in reverse order; returns the reason when something could not be."""
        failed = []
        for resource in _deletion_order(list(stack.resources.values())):
            policy = resource.definition.get("DeletionPolicy")
            if created and policy == "RetainExceptOnCreate":
                policy = None
            if self._delete_one(stack, resource, policy):
                stack.resources.pop(resource.logical_id)
            else:
                failed.append(resource.logical_id)
        return f"The following resource(s) failed to delete: [{', '.join(failed)}]." if failed else None

    def _delete_one(self, stack: Stack, resource: Deployed, policy: str | None) -> bool:
        kind, identity = resource.type_name, resource.physical_id
        if policy in KEEP:
            stack.tell_resource(resource.logical_id, kind, identity, "DELETE_SKIPPED")
            return True
        stack.tell_resource(resource.logical_id, kind, identity, "DELETE_IN_PROGRESS")
        request = Request(self.core, stack.name, resource.logical_id, resource.properties, stack.wanted.tags)
        try:
            _guarded(lambda: PROVIDERS[kind].delete(request, identity))
        except DeployError as error:
            stack.tell_resource(resource.logical_id, kind, identity, "DELETE_FAILED", str(error))
            return False
        stack.tell_resource(resource.logical_id, kind, identity, "DELETE_COMPLETE")
        return True


def _guarded(call: Callable[[], Any]) -> Any:
    """Call a provider; whatever it trips over becomes a DeployError with the reason."""
    try:
        return call()
    except DeployError:
        raise
    except ClientError as error:
        found = error.response["Error"]
        raise DeployError(
            f'Resource handler returned message: "{found.get("Message")} ({found.get("Code")})"'
        ) from None
    except Exception as error:
        if not isinstance(error, BotoCoreError):
            _LOG.exception("a provider failed")
        raise DeployError(f"{type(error).__name__}: {error}") from None


def _deletion_order(resources: list[Deployed]) -> list[Deployed]:
    """Return resources so that each comes before what it depends on."""
    left = {resource.logical_id: resource for resource in resources}
    done: list[Deployed] = []
    while left:
        needed = {name for resource in left.values() for name in dependencies(resource.definition)}
        free = [resource for name, resource in left.items() if name not in needed] or list(left.values())
        for resource in reversed(free):
            done.append(resource)
            del left[resource.logical_id]
    return done


def _outputs(document: Mapping[str, Any], scope: Scope) -> list[dict[str, Any]]:
    found = []
    for key, entry in (document.get("Outputs") or {}).items():
        if "Condition" in entry and not scope.condition(entry["Condition"]):
            continue
        output = {"OutputKey": key, "OutputValue": str(scope.resolve(entry["Value"]))}
        if "Description" in entry:
            output["Description"] = entry["Description"]
        if "Export" in entry:
            output["ExportName"] = scope.resolve(entry["Export"]["Name"])
        found.append(output)
    return found


__all__ = ["Engine", "Made"]
