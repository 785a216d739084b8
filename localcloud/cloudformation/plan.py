"""From a request to what is wanted: checks that refuse before anything is made, order, and the list of changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from localcloud.cloudformation.errors import api_error
from localcloud.cloudformation.intrinsics import PSEUDO, Scope, references
from localcloud.cloudformation.schema import schema_of
from localcloud.cloudformation.stack import Wanted
from localcloud.cloudformation.template import expand, parse, resolve_parameters

CUSTOM = ("Custom::", "AWS::CloudFormation::CustomResource")
IAM_TYPES = {"AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::User", "AWS::IAM::Group"}
NAMES = ("RoleName", "ManagedPolicyName", "UserName", "GroupName")


def want(
    text: str, given: Mapping[str, str], tags: Mapping[str, str], capabilities: Iterable[str], read_ssm: Any
) -> Wanted:
    """Return what a request asks for; raises the API's errors for what AWS refuses at submission."""
    source = parse(text)
    values = resolve_parameters(source, given, read_ssm)
    document = expand(source, values)
    check_document(document)
    granted = tuple(capabilities)
    _check_capabilities(document, granted)
    return Wanted(text, document, dict(given), values, dict(tags), granted)


def check_document(document: Mapping[str, Any]) -> None:
    """Raise ValidationError for unknown types and names, missing types, and cycles."""
    resources = document["Resources"]
    types = {name: entry.get("Type") for name, entry in resources.items()}
    for name, kind in types.items():
        if not kind:
            raise api_error(f"Template format error: [/Resources/{name}] Every resource must contain a Type member.")
    unknown = sorted({kind for kind in types.values() if not kind.startswith(CUSTOM) and schema_of(kind) is None})
    if unknown:
        raise api_error(f"Template format error: Unrecognized resource types: [{', '.join(unknown)}]")
    known = set(resources) | set(document.get("Parameters") or {})
    for section in ("Resources", "Outputs"):
        names = set(references(document.get(section) or {}))
        missing = sorted(name for name in names if name not in known and not name.startswith(PSEUDO))
        if missing:
            raise api_error(
                f"Template format error: Unresolved resource dependencies [{', '.join(missing)}] "
                f"in the {section} block of the template"
            )
    order(resources)


def order(resources: Mapping[str, Any]) -> list[str]:
    """Return logical ids, each after what it depends on; raises ValidationError for a cycle."""
    needs = {name: dependencies(entry) & set(resources) for name, entry in resources.items()}
    done: list[str] = []
    left = list(resources)
    while left:
        ready = [name for name in left if needs[name] <= set(done)]
        if not ready:
            raise api_error(f"Circular dependency between resources: [{', '.join(sorted(left))}]")
        done += ready
        left = [name for name in left if name not in ready]
    return done


def dependencies(entry: Mapping[str, Any]) -> set[str]:
    """Return the names that a resource's entry needs first."""
    explicit = entry.get("DependsOn") or []
    return set(references(entry.get("Properties") or {})) | ({explicit} if isinstance(explicit, str) else set(explicit))


def active(document: Mapping[str, Any], scope: Scope) -> list[str]:
    """Return the logical ids whose condition holds, in order."""
    return [
        name
        for name in order(document["Resources"])
        if "Condition" not in (entry := document["Resources"][name]) or scope.condition(entry["Condition"])
    ]


def changes(
    before: Wanted | None, after: Wanted, names_after: Iterable[str], deployed: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return a change set's list: what is added, modified, removed, and whether that replaces."""
    found = []
    wanted = list(names_after)
    old = before.document["Resources"] if before and deployed else {}
    moved = {name for name, value in after.values.items() if before and before.values.get(name) != value}
    for name in wanted:
        entry = after.document["Resources"][name]
        if name not in deployed:
            found.append(_change("Add", name, entry["Type"], None, None))
        elif _differs(old.get(name), entry) or moved & set(references(entry.get("Properties") or {})):
            found.append(
                _change("Modify", name, entry["Type"], deployed[name].physical_id, _replaces(old.get(name), entry))
            )
    for name, resource in deployed.items():
        if name not in wanted:
            found.append(_change("Remove", name, resource.type_name, resource.physical_id, None))
    return found


def _differs(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> bool:
    kept = ("Type", "Properties", "DeletionPolicy", "UpdateReplacePolicy")
    return old is None or any(old.get(key) != new.get(key) for key in kept)


def _replaces(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> str:
    schema = schema_of(new["Type"])
    if old is None or schema is None or old.get("Type") != new["Type"]:
        return "True"
    before, after = old.get("Properties") or {}, new.get("Properties") or {}
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    if not changed:
        return "Conditional"
    return "True" if changed & schema.create_only else "False"


def _change(action: str, name: str, kind: str, physical_id: str | None, replacement: str | None) -> dict[str, Any]:
    change: dict[str, Any] = {"Action": action, "LogicalResourceId": name, "ResourceType": kind}
    if physical_id:
        change["PhysicalResourceId"] = physical_id
    if replacement:
        change["Replacement"] = replacement
    return {"Type": "Resource", "ResourceChange": change}


def _check_capabilities(document: Mapping[str, Any], granted: tuple[str, ...]) -> None:
    made = [entry for entry in document["Resources"].values() if entry["Type"] in IAM_TYPES]
    named = any(name in (entry.get("Properties") or {}) for entry in made for name in NAMES)
    if named and "CAPABILITY_NAMED_IAM" not in granted:
        raise api_error("Requires capabilities : [CAPABILITY_NAMED_IAM]", "InsufficientCapabilitiesException")
    if made and not {"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"} & set(granted):
        raise api_error("Requires capabilities : [CAPABILITY_IAM]", "InsufficientCapabilitiesException")
