"""The limits that SageMaker's service model puts on a request, checked as AWS checks them.

boto3 checks types and minimums before it sends; patterns, enums and maximums are the service's to refuse.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import botocore.session

from localcloud.sagemaker.errors import ValidationError

# botocore lists the types of its own release; a newer one is as good if it looks like one
INSTANCE_TYPE = re.compile(r"ml\.[a-z][a-z0-9]*[0-9][a-z0-9-]*\.(medium|large|[0-9]*xlarge)")
_INSTANCE_SHAPE = "ProductionVariantInstanceType"
_SHOWN_ENUM_VALUES = 40


def check_request(operation: str, params: dict[str, Any]) -> None:
    """Raise ValidationError naming every member of a request that breaks the service model."""
    shape = _service_model().operation_model(operation).input_shape
    problems: list[str] = []
    if shape is not None:
        _check(params, shape, "", problems)
    if problems:
        count = len(problems)
        raise ValidationError(f"{count} validation error{'s' * (count > 1)} detected: {'; '.join(problems)}")


@cache
def _service_model() -> Any:
    return botocore.session.get_session().get_service_model("sagemaker")


def _check(value: Any, shape: Any, path: str, problems: list[str]) -> None:
    kind = shape.type_name
    if kind == "structure":
        _check_structure(value, shape, path, problems)
    elif kind == "list":
        _check_range(len(value), shape, path, "length", value, problems)
        for place, item in enumerate(value, 1):
            _check(item, shape.member, f"{path}.{place}.member", problems)
    elif kind == "map":
        _check_range(len(value), shape, path, "length", value, problems)
        for key, item in value.items():
            _check(key, shape.key, f"{path}.key", problems)
            _check(item, shape.value, f"{path}.{key}", problems)
    elif kind == "string":
        _check_string(value, shape, path, problems)
    elif kind in ("integer", "long", "float", "double"):
        _check_range(value, shape, path, "value", value, problems)


def _check_structure(value: dict[str, Any], shape: Any, path: str, problems: list[str]) -> None:
    absent = [name for name in shape.required_members if value.get(name) is None]
    problems += [_problem(None, _join(path, name), "Member must not be null") for name in absent]
    for name, item in value.items():
        if item is not None and name in shape.members:
            _check(item, shape.members[name], _join(path, name), problems)


def _check_string(value: str, shape: Any, path: str, problems: list[str]) -> None:
    if shape.name == _INSTANCE_SHAPE:
        if value not in shape.enum and not INSTANCE_TYPE.fullmatch(value):
            problems.append(_enum_problem(value, path, shape.enum))
        return
    if shape.enum and value not in shape.enum:
        problems.append(_enum_problem(value, path, shape.enum))
    pattern = shape.metadata.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(value):
        problems.append(_problem(value, path, f"Member must satisfy regular expression pattern: {pattern}"))
    _check_range(len(value), shape, path, "length", value, problems)


def _check_range(size: float, shape: Any, path: str, word: str, value: Any, problems: list[str]) -> None:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        problems.append(_problem(value, path, f"Member must have {word} greater than or equal to {low}"))
    if high is not None and size > high:
        problems.append(_problem(value, path, f"Member must have {word} less than or equal to {high}"))


def _enum_problem(value: str, path: str, enum: list[str]) -> str:
    shown = ", ".join(sorted(enum)[:_SHOWN_ENUM_VALUES]) + (", ..." if len(enum) > _SHOWN_ENUM_VALUES else "")
    return _problem(value, path, f"Member must satisfy enum value set: [{shown}]")


def _problem(value: Any, path: str, constraint: str) -> str:
    shown = "null" if value is None else str(value)[:200]
    return f"Value '{shown}' at '{path}' failed to satisfy constraint: {constraint}"


def _join(path: str, name: str) -> str:
    camel = name[0].lower() + name[1:]
    return f"{path}.{camel}" if path else camel


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Translate the Java classes that service models use."""
    plain = pattern.replace(r"\p{L}", r"^\W\d_").replace(r"\p{Z}", r"\s").replace(r"\p{N}", r"\d")
    if plain != pattern:
        plain = r"[\w\s.:/=+\-@]*"  # the one such pattern: tag keys and values
    return re.compile(plain, re.DOTALL)
