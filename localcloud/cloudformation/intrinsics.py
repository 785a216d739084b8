"""Intrinsic functions (CloudFormation template reference, "Intrinsic function reference") and what depends on what."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.cloudformation.errors import DeployError, api_error

SUB_NAME = re.compile(r"\$\{(!?)([^}]+)\}")
PSEUDO = "AWS::"


class _NoValue:
    """AWS::NoValue: the property is as if it were not written."""


NO_VALUE = _NoValue()


@dataclass
class Scope:
    """What names mean while a stack is deployed.

    reference, attribute: ask for Ref and GetAtt of a resource; raise DeployError for what is not there.
    """

    document: Mapping[str, Any]
    values: Mapping[str, Any]
    reference: Callable[[str], Any]
    attribute: Callable[[str, str], Any]
    exports: Mapping[str, str] = field(default_factory=dict)
    _conditions: dict[str, bool] = field(default_factory=dict)

    def resolve(self, node: Any) -> Any:
        """Return a node with every intrinsic function replaced by its value."""
        if isinstance(node, list):
            return [value for value in map(self.resolve, node) if value is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            name, argument = next(iter(node.items()))
            if name == "Ref":
                return self._ref(argument)
            if name.startswith("Fn::") and name != "Fn::Transform":
                return self._function(name, argument)
        resolved = {key: self.resolve(value) for key, value in node.items()}
        return {key: value for key, value in resolved.items() if value is not NO_VALUE}

    def condition(self, name: str) -> bool:
        """Return the value of a named condition."""
        if name not in self._conditions:
            conditions = self.document.get("Conditions") or {}
            if name not in conditions:
                raise api_error(f"Template format error: Unresolved condition dependency {name}")
            self._conditions[name] = self._truth(conditions[name])
        return self._conditions[name]

    def _truth(self, node: Any) -> bool:
        name, argument = next(iter(node.items()))
        if name == "Condition":
            return self.condition(argument)
        if name == "Fn::Equals":
            left, right = (self.resolve(side) for side in argument)
            return _text(left) == _text(right)
        if name == "Fn::Not":
            return not self._truth(argument[0])
        if name == "Fn::And":
            return all(self._truth(part) for part in argument)
        if name == "Fn::Or":
            return any(self._truth(part) for part in argument)
        raise api_error(f"Template format error: {name} is not a condition function")

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        return self.values[name] if name in self.values else self.reference(name)

    def _function(self, name: str, argument: Any) -> Any:
        handler = getattr(self, "_fn_" + name.removeprefix("Fn::").lower(), None)
        if handler is None:
            raise DeployError(f"the local cloud does not know the function {name}")
        return handler(argument)

    def _fn_getatt(self, argument: Any) -> Any:
        logical, attribute = argument.split(".", 1) if isinstance(argument, str) else (argument[0], argument[1])
        return self.attribute(logical, self.resolve(attribute))

    def _fn_sub(self, argument: Any) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else (argument[0], argument[1])

        def replace(found: re.Match[str]) -> str:
            literal, name = found.group(1), found.group(2).strip()
            if literal:
                return f"${{{name}}}"
            if name in own:
                return _text(self.resolve(own[name]))
            return _text(self._fn_getatt(name) if "." in name and name not in self.values else self._ref(name))

        return SUB_NAME.sub(replace, text)

    def _fn_join(self, argument: Any) -> str:
        return str(argument[0]).join(_text(part) for part in self.resolve(argument[1]))

    def _fn_split(self, argument: Any) -> list[str]:
        return str(self.resolve(argument[1])).split(argument[0])

    def _fn_select(self, argument: Any) -> Any:
        index, values = int(self.resolve(argument[0])), self.resolve(argument[1])
        if not 0 <= index < len(values):
            raise DeployError(f"Template error: Fn::Select cannot select nonexistent value at index {index}")
        return values[index]

    def _fn_findinmap(self, argument: Any) -> Any:
        table, first, second = (self.resolve(part) for part in argument[:3])
        try:
            return self.document["Mappings"][table][str(first)][str(second)]
        except KeyError:
            if len(argument) > 3 and "DefaultValue" in argument[3]:
                return self.resolve(argument[3]["DefaultValue"])
            raise DeployError(f"Template error: Unable to get mapping for {table}::{first}::{second}") from None

    def _fn_if(self, argument: Any) -> Any:
        return self.resolve(argument[1] if self.condition(argument[0]) else argument[2])

    def _fn_base64(self, argument: Any) -> str:
        return base64.b64encode(_text(self.resolve(argument)).encode()).decode()

    def _fn_getazs(self, argument: Any) -> list[str]:
        region = self.resolve(argument) or self.values["AWS::Region"]
        return [f"{region}{letter}" for letter in "abc"]

    def _fn_importvalue(self, argument: Any) -> str:
        name = self.resolve(argument)
        if name not in self.exports:
            raise DeployError(f"No export named {name} found")
        return self.exports[name]

    def _fn_tojsonstring(self, argument: Any) -> str:
        return json.dumps(self.resolve(argument), separators=(",", ":"))

    def _fn_length(self, argument: Any) -> int:
        return len(self.resolve(argument))


def references(node: Any) -> Iterator[str]:
    """Yield every name that a node refers to: parameters, pseudo parameters, resources, conditions."""
    if isinstance(node, list):
        for member in node:
            yield from references(member)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "Ref" and isinstance(value, str):
                yield value
            elif key == "Fn::GetAtt":
                yield value.split(".")[0] if isinstance(value, str) else value[0]
            elif key == "Fn::Sub":
                yield from _sub_references(value)
            else:
                yield from references(value)


def _sub_references(argument: Any) -> Iterator[str]:
    text, own = (argument, {}) if isinstance(argument, str) else (argument[0], argument[1])
    yield from references(list(own.values()))
    for literal, name in SUB_NAME.findall(text):
        if not literal and name.strip() not in own:
            yield name.strip() if name.strip().startswith(PSEUDO) else name.strip().split(".")[0]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
