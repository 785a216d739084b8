"""Templates: text to document, the SAM transform, parameters and conditions."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from localcloud.cloudformation.errors import api_error

SAM_TRANSFORM = "AWS::Serverless-2016-10-31"


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms; dates stay text, as in CloudFormation."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        raise TypeError(f"a YAML node of an unknown kind: {node!r}")
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str) -> Any:
    """Return a YAML document with short forms written out."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 the loader is a SafeLoader with the short forms added


def parse(text: str) -> dict[str, Any]:
    """Return a template's document; raises the API's ValidationError."""
    try:
        document = json.loads(text) if text.lstrip().startswith("{") else parse_yaml(text)
    except (ValueError, yaml.YAMLError) as error:
        raise api_error(f"Template format error: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict) or not document["Resources"]:
        raise api_error("Template format error: At least one Resources member must be defined.")
    return document


def expand(document: dict[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with SAM's resources translated; raises ValidationError for other transforms and bad SAM."""
    transforms = document.get("Transform", [])
    transforms = [transforms] if isinstance(transforms, str) else list(transforms)
    if not transforms:
        return document
    if transforms != [SAM_TRANSFORM]:
        raise api_error(f"the local cloud knows the transform {SAM_TRANSFORM}, not {transforms}")
    from samtranslator.internal.managed_policies import get_bundled_managed_policy_map
    from samtranslator.model.exceptions import InvalidDocumentException
    from samtranslator.translator.transform import transform

    class BundledPolicies:
        """AWS managed policies by name, from the translator's own table: no call to IAM."""

        @staticmethod
        def load() -> dict[str, str]:
            """Return name to ARN."""
            return get_bundled_managed_policy_map("aws") or {}

    try:
        translated = transform(copy.deepcopy(document), dict(parameters), BundledPolicies())
    except InvalidDocumentException as error:
        causes = "; ".join(cause.message for cause in error.causes) or str(error)
        raise api_error(
            f"Transform {SAM_TRANSFORM} failed with: Invalid Serverless Application Specification document. {causes}"
        ) from None
    plain: dict[str, Any] = json.loads(json.dumps(translated))
    plain.pop("Transform", None)
    return plain


def resolve_parameters(document: dict[str, Any], given: Mapping[str, str], read_ssm: Any) -> dict[str, Any]:
    """Return every parameter's value, text or list; raises ValidationError for what is missing or not allowed.

    read_ssm: returns the value of a parameter of AWS::SSM::Parameter::Value<...> types.
    """
    declared = document.get("Parameters") or {}
    unknown = [name for name in given if name not in declared]
    if unknown:
        raise api_error(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    missing = [name for name, rules in declared.items() if name not in given and "Default" not in rules]
    if missing:
        raise api_error(f"Parameters: [{', '.join(missing)}] must have values")
    values: dict[str, Any] = {}
    for name, rules in declared.items():
        value = _as_text(given.get(name, rules.get("Default")))
        kind = rules.get("Type", "String")
        if kind.startswith("AWS::SSM::Parameter::Value<"):
            value = read_ssm(value)
            kind = kind.removeprefix("AWS::SSM::Parameter::Value<").removesuffix(">")
        as_list = kind == "CommaDelimitedList" or kind.startswith("List<")
        members = [member.strip() for member in value.split(",")] if as_list else [value]
        for member in members:
            _check_parameter(name, member, rules)
        values[name] = members if as_list else value
    return values


def _check_parameter(name: str, value: str, rules: Mapping[str, Any]) -> None:
    reason = rules.get("ConstraintDescription")
    allowed = [_as_text(choice) for choice in rules.get("AllowedValues", [])]
    failed = None
    if allowed and value not in allowed:
        failed = f"must be one of [{', '.join(allowed)}]"
    elif (pattern := rules.get("AllowedPattern")) and not re.fullmatch(pattern, value):
        failed = f"must match pattern {pattern}"
    elif len(value) < int(rules.get("MinLength", 0)):
        failed = f"must contain at least {rules['MinLength']} characters"
    elif len(value) > int(rules.get("MaxLength", 10**9)):
        failed = f"must contain at most {rules['MaxLength']} characters"
    elif rules.get("Type") == "Number":
        failed = _number_problem(value, rules)
    if failed:
        raise api_error(
            f"Parameter '{name}' {reason or failed}"
            if not reason
            else f"Parameter {name} failed to satisfy constraint: {reason}"
        )


def _number_problem(value: str, rules: Mapping[str, Any]) -> str | None:
    try:
        number = float(value)
    except ValueError:
        return "must be a number"
    if number < float(rules.get("MinValue", number)):
        return f"must be a number not less than {rules['MinValue']}"
    if number > float(rules.get("MaxValue", number)):
        return f"must be a number not greater than {rules['MaxValue']}"
    return None


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
