"""Resource types as AWS publishes them: which properties there are, which are needed, which force a replacement.

The schemas are CloudFormation's resource provider schemas, as cfn-lint packages them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from localcloud.cloudformation.errors import DeployError

REGION_FILE = "us-east-1.json"


@dataclass(frozen=True)
class Schema:
    """One resource type. paths are property names, nested ones joined by a slash."""

    type_name: str
    document: dict[str, Any]

    @property
    def create_only(self) -> frozenset[str]:
        """Properties whose change replaces the resource."""
        return self._paths("createOnlyProperties") | self._paths("conditionalCreateOnlyProperties")

    @property
    def read_only(self) -> frozenset[str]:
        """Attributes that only the service sets."""
        return self._paths("readOnlyProperties")

    def check(self, properties: dict[str, Any]) -> dict[str, Any]:
        """Return the properties in the types the schema asks for; raises DeployError naming every problem."""
        problems: list[str] = []
        checked = self._walk(properties, self.document, "", problems)
        problems += [
            f"#/{name}: is read-only"
            for name in properties
            if name in self.read_only - self._paths("createOnlyProperties")
        ]
        if problems:
            raise DeployError(
                f"Properties validation failed for resource of type {self.type_name}: {'; '.join(problems)}"
            )
        return checked  # type: ignore[no-any-return]

    def _paths(self, field: str) -> frozenset[str]:
        return frozenset(path.removeprefix("/properties/") for path in self.document.get(field, []))

    def _resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            found: Any = self.document
            for step in node["$ref"].lstrip("#/").split("/"):
                found = found[step]
            node = {**found, **{key: value for key, value in node.items() if key not in ("$ref", "description")}}
        return node

    def _walk(self, value: Any, node: dict[str, Any], path: str, problems: list[str]) -> Any:
        node = self._resolve(node)
        kinds = node.get("type") or ("object" if "properties" in node else None)
        kinds = [kinds] if isinstance(kinds, str) else kinds or []
        if isinstance(value, dict) and ("object" in kinds or not kinds):
            return self._walk_object(value, node, path, problems)
        if isinstance(value, list) and ("array" in kinds or not kinds):
            item = node.get("items", {})
            return [self._walk(member, item, f"{path}/{index}", problems) for index, member in enumerate(value)]
        if kinds and not isinstance(value, dict | list):
            value = _as_type(value, kinds, path, problems)
        elif kinds and not any(_is_kind(value, kind) for kind in kinds):
            problems.append(f"#{path}: expected type {' or '.join(kinds)}, found {type(value).__name__}")
        problems += _value_problems(value, node, path)
        return value

    def _walk_object(
        self, value: dict[str, Any], node: dict[str, Any], path: str, problems: list[str]
    ) -> dict[str, Any]:
        properties = node.get("properties", {})
        patterns = node.get("patternProperties", {})
        problems += [f"#{path}: required key [{name}] not found" for name in self._missing(value, node)]
        checked = {}
        for name, member in value.items():
            inner = properties.get(name) or next((p for key, p in patterns.items() if re.search(key, str(name))), None)
            if inner is None and properties and node.get("additionalProperties") is False:
                problems.append(f"#{path}: extraneous key [{name}] is not permitted")
            checked[name] = self._walk(member, inner or {}, f"{path}/{name}", problems)
        return checked

    @staticmethod
    def _missing(value: dict[str, Any], node: dict[str, Any]) -> Iterator[str]:
        yield from (name for name in node.get("required", []) if name not in value)


def _as_type(value: Any, kinds: list[str], path: str, problems: list[str]) -> Any:
    """Convert as CloudFormation does: parameters and quoted scalars are text, whatever the property wants."""
    if any(_is_kind(value, kind) for kind in kinds):
        return value
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if "boolean" in kinds and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if "integer" in kinds and re.fullmatch(r"-?\d+(\.0+)?", text):
        return int(float(text))
    if "number" in kinds and re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", text):
        return float(text)
    if "string" in kinds:
        return text
    problems.append(f"#{path}: expected type {' or '.join(kinds)}, found {value!r}")
    return value


def _is_kind(value: Any, kind: str) -> bool:
    if kind in ("integer", "number") and isinstance(value, bool):
        return False
    types: dict[str, Any] = {"string": str, "integer": int, "number": int | float, "boolean": bool}
    types |= {"object": dict, "array": list}
    return isinstance(value, types.get(kind, object))


def _value_problems(value: Any, node: dict[str, Any], path: str) -> list[str]:
    problems = []
    if "enum" in node and value not in node["enum"]:
        allowed = ", ".join(map(str, node["enum"][:12]))
        problems.append(f"#{path}: {value!r} is not one of {allowed}")
    if isinstance(value, str):
        if len(value) > node.get("maxLength", len(value)):
            problems.append(f"#{path}: expected at most {node['maxLength']} characters, found {len(value)}")
        if len(value) < node.get("minLength", 0):
            problems.append(f"#{path}: expected at least {node['minLength']} characters, found {len(value)}")
        if (pattern := node.get("pattern")) and not _matches(pattern, value):
            problems.append(f"#{path}: {value!r} does not match {pattern}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value < node.get("minimum", value):
            problems.append(f"#{path}: {value} is less than {node['minimum']}")
        if value > node.get("maximum", value):
            problems.append(f"#{path}: {value} is more than {node['maximum']}")
    return problems


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return True  # a pattern of another regular expression dialect decides nothing


@cache
def schema_of(type_name: str) -> Schema | None:
    """Return the schema of a type; None when AWS has no such type."""
    root = resources.files("cfnlint.data") / "schemas"
    digest = _index().get(type_name)
    if digest is None:
        return None
    return Schema(type_name, json.loads((root / "resources" / f"{digest}.json").read_text()))


@cache
def _index() -> dict[str, str]:
    path = resources.files("cfnlint.data") / "schemas" / "providers" / REGION_FILE
    return json.loads(path.read_text())  # type: ignore[no-any-return]
