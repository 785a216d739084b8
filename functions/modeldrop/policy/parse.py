"""rollout.yaml in, Policy out, or every problem at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from modeldrop.errors import PolicyRejectedError, Problem
from modeldrop.policy.limits import conflicts
from modeldrop.policy.model import (
    ArtifactPolicy,
    Autoscaling,
    CanaryPolicy,
    CapacitySize,
    EndpointPolicy,
    GatesPolicy,
    JudgePolicy,
    LinearPolicy,
    Policy,
    QualityPolicy,
    RollingPolicy,
    SignaturePolicy,
    SloPolicy,
)
from modeldrop.policy.schema import JsonSchema, defaults, schema
from modeldrop.policy.strict_yaml import Document, NotYamlError, Path, read_yaml
from modeldrop.policy.units import milliseconds, parse_quantity, seconds, share, size_bytes


def parse_policy(
    text: bytes | None, *, default_instance_type: str, default_instance_count: int, signature_key: str = ""
) -> Policy:
    """The policy with defaults filled in; None or an empty file is all defaults.

    signature_key: the key that must have signed whatever is served here; the policy may not say otherwise.

    Raises PolicyRejectedError with every problem found: the field as a dotted path with its line, the value and what is
    allowed there. Problems between fields are looked for once every field is good by itself.
    """
    try:
        document = read_yaml(text or b"")
    except NotYamlError as error:
        raise PolicyRejectedError([error.problem]) from None
    data = {} if document.data is None else document.data
    problems = [*document.problems, *_field_problems(data, document)]
    if not problems and signature_key:
        problems = list(_against_the_stack(data.get("signature", {}), signature_key, document))
        data = {**data, "signature": {"required": True, "key": signature_key}}
    if problems:
        raise PolicyRejectedError(problems)
    policy = _resolve(data, default_instance_type, default_instance_count)
    found = conflicts(policy)
    if found:
        raise PolicyRejectedError(found)
    return policy


def _field_problems(data: Any, document: Document) -> Iterator[Problem]:
    """Every violation of the schema, in the order of the file."""
    errors = sorted(_validator().iter_errors(data), key=lambda e: document.marks.get(tuple(e.absolute_path), (0, 0)))
    told: set[tuple[str, str]] = set()
    for error in errors:
        for problem in _problems_of(error, document):
            if (problem.code, problem.where) not in told:  # a value can break its pattern and its range: say it once
                told.add((problem.code, problem.where))
                yield problem


def _against_the_stack(signature: Mapping[str, Any], key: str, document: Document) -> Iterator[Problem]:
    """What a rollout.yaml says of the signature that the stack does not leave to it."""
    sign = "Remove it: sign the artifact with that key."
    for name, is_other, fix in (
        ("required", signature.get("required") is False, sign),
        ("key", signature.get("key", key) != key, sign),
        ("older", signature.get("older") == "allow", "Remove it: modeldrop rollback brings an older model back."),
    ):
        if is_other:
            what = f"signature.{name} is {_shown(signature[name])}, and this stack serves only what {key} signed"
            yield Problem("POLICY_SIGNATURE", what, _where(("signature", name), document), fix)


def _problems_of(error: Any, document: Document) -> Iterator[Problem]:
    path: Path = tuple(error.absolute_path)
    field = error.schema
    if error.validator == "additionalProperties" and field["additionalProperties"] is False:
        known = list(field["properties"])
        for name in error.instance:
            if name not in known:
                yield _unknown_field((*path, name), known, document)
    elif error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        what = f"{_dotted(path)} lacks {', '.join(missing)}"
        yield Problem("POLICY_MISSING_FIELD", what, _where(path, document), "Give all of its fields, or none.")
    elif "propertyNames" in error.absolute_schema_path:
        what = f"name {_shown(error.instance)} in {_dotted(path)}; allowed: {field['x-allowed']}"
        yield Problem("POLICY_VALUE", what, _where((*path, error.instance), document), "Rename it.")
    elif _is_not_built(error):
        what = f"{_dotted(path)} is {_shown(error.instance)}, which is not built yet; allowed: {field['x-allowed']}"
        yield Problem("POLICY_NOT_BUILT", what, _where(path, document), "Remove it for now.")
    else:
        what = f"{_dotted(path)} is {_shown(error.instance)}; allowed: {field['x-allowed']}"
        yield Problem("POLICY_VALUE", what, _where(path, document), "Change the value, or remove it for the default.")


def _is_not_built(error: Any) -> bool:
    return isinstance(error.instance, str) and error.instance in error.schema.get("x-not-built", ())


def _unknown_field(path: Path, known: list[str], document: Document) -> Problem:
    name = str(path[-1])
    close = difflib.get_close_matches(name, known, n=1)
    elsewhere = [full for full in _all_fields(schema()) if full.rpartition(".")[2] == name]
    guess = ".".join(map(str, (*path[:-1], close[0]))) if close else (elsewhere[0] if elsewhere else "")
    fix = f"Did you mean {guess}?" if guess else f"Known here: {', '.join(known)}."
    return Problem("POLICY_UNKNOWN_FIELD", f"unknown field {_shown_path(path)}", _where(path, document), fix)


def _all_fields(section: JsonSchema, prefix: str = "") -> Iterator[str]:
    for name, field in section.get("properties", {}).items():
        yield f"{prefix}{name}"
        yield from _all_fields(field, f"{prefix}{name}.")


def _dotted(path: Path) -> str:
    return ".".join(map(str, path)) or "the policy"


def _shown_path(path: Path) -> str:
    return (
        _dotted(path)
        if all(str(part).replace(".", "").isalnum() or str(part).isidentifier() for part in path)
        else _shown(_dotted(path))
    )


def _where(path: Path, document: Document) -> str:
    line = document.marks.get(path, (0, 0))[0]
    return f"{_shown_path(path)}, line {line}" if line else _shown_path(path)


def _shown(value: Any) -> str:
    """The value for a message: escaped, so that it is only data, and cut."""
    text = "nothing" if value is None else ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


@cache
def _validator() -> Any:
    """A draft 2020-12 validator that also knows our own keywords."""
    from jsonschema import Draft202012Validator, ValidationError, validators

    def quantity(_: Any, rule: Mapping[str, Any], value: Any, __: Any) -> Iterator[ValidationError]:
        if isinstance(value, str) and not _in_range(rule, value):
            yield ValidationError("out of range")

    def pattern(_: Any, expression: str, value: Any, __: Any) -> Iterator[ValidationError]:
        # Python's $ also matches before a last line feed, which neither editors nor AWS take
        if isinstance(value, str) and (value.endswith("\n") or not re.search(expression, value)):
            yield ValidationError("does not match")

    def whole(checker: Any, value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)  # JSON Schema would take 2.0 as an integer

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", whole)
    keywords = {"x-quantity": quantity, "pattern": pattern}
    extend: Any = validators.extend  # the stubs leave its types out
    return extend(Draft202012Validator, keywords, type_checker=types)(schema())


def _in_range(rule: Mapping[str, Any], text: str) -> bool:
    kind = rule["kind"]
    try:
        amount = parse_quantity(kind, text)
    except ValueError:
        return False
    if "oneOf" in rule:
        return amount in {parse_quantity(kind, one) for one in rule["oneOf"]}
    if not parse_quantity(kind, rule["minimum"]) <= amount <= parse_quantity(kind, rule["maximum"]):
        return False
    return "multipleOf" not in rule or amount % parse_quantity(kind, rule["multipleOf"]) == 0


def _merged(base: dict[str, Any], given: Mapping[str, Any], section: JsonSchema) -> dict[str, Any]:
    """Defaults overlaid by what is given, section by section; free mappings (environment, latency) are replaced."""
    merged = dict(base)
    for name, value in given.items():
        field = section["properties"][name]
        merged[name] = _merged(base.get(name, {}), value, field) if "properties" in field else value
    return merged


def _resolve(given: Mapping[str, Any], instance_type: str, instance_count: int) -> Policy:
    root = schema()
    full = _merged(defaults(root), given, root)
    canary, linear, rolling = full["canary"], full["linear"], full["rolling"]
    return Policy(
        endpoint=_endpoint(full["endpoint"], instance_type, instance_count),
        strategy=full["strategy"],
        canary=CanaryPolicy(_capacity(canary["size"]), seconds(canary["bake"]), seconds(canary["final_bake"])),
        linear=LinearPolicy(share(linear["step"]), seconds(linear["bake"]), seconds(linear["final_bake"])),
        rolling=RollingPolicy(share(rolling["batch"]), seconds(rolling["bake"])),
        slo=SloPolicy(
            error_rate=share(full["slo"]["error_rate"]) if "error_rate" in full["slo"] else None,
            latency_ms={name: milliseconds(value) for name, value in full["slo"]["latency"].items()},
        ),
        judge=_judge(full["judge"]),
        on_inconclusive=full["on_inconclusive"],
        on_blind=full["on_blind"],
        artifact=ArtifactPolicy(
            code=full["artifact"]["code"],
            breaking=full["artifact"]["breaking"],
            max_size_bytes=size_bytes(full["artifact"]["max_size"]),
        ),
        gates=GatesPolicy(**full["gates"]),
        retain=full["retain"],
        strategy_chosen="strategy" in given,
        signature=SignaturePolicy(**full["signature"]),
        quality=_quality(full["quality"]),
    )


def _endpoint(full: Mapping[str, Any], instance_type: str, instance_count: int) -> EndpointPolicy:
    scaling = Autoscaling(**full["autoscaling"]) if "autoscaling" in full else None
    if scaling is not None:
        instance_count = max(scaling.min, min(scaling.max, instance_count))
    return EndpointPolicy(
        instance_type=full.get("instance_type", instance_type),
        instance_count=full.get("instance_count", instance_count),
        autoscaling=scaling,
        environment=dict(full["environment"]),
        metrics_every_seconds=seconds(full["metrics_every"]),
    )


def _capacity(size: int | str) -> CapacitySize:
    return CapacitySize(share=share(size)) if isinstance(size, str) else CapacitySize(instances=size)


def _quality(full: Mapping[str, Any]) -> QualityPolicy:
    lag = None if full["capture_lag"] == "auto" else seconds(full["capture_lag"])
    return QualityPolicy(full["output"], share(full["every"]), share(full["tolerance"]), lag)


def _judge(full: Mapping[str, Any]) -> JudgePolicy:
    return JudgePolicy(
        alpha=float(full["alpha"]),
        margin=float(full["margin"]),
        floor_errors=share(full["floor"]["errors"]),
        floor_slow=share(full["floor"]["slow"]),
        max_excess=share(full["max_excess"]),
        clump=None if full["clump"] == "auto" else full["clump"],
        slow_ms=None if full["slow"] == "auto" else milliseconds(full["slow"]),
        warm_up_seconds=seconds(full["warm_up"]),
        min_green=full["min_green"],
        observe=tuple(full["observe"]),
        dead_man_seconds=seconds(full["dead_man"]),
        metric_lag_seconds=None if full["metric_lag"] == "auto" else seconds(full["metric_lag"]),
    )
