"""rollout.yaml in, Policy out, or its problems at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from modeldrop.errors import PolicyRejectedError, Problem
from modeldrop.policy.environment import why_refused
from modeldrop.policy.limits import conflicts
from modeldrop.policy.model import (
    ArtifactPolicy,
    Autoscaling,
    EndpointPolicy,
    GatesPolicy,
    JudgePolicy,
    Policy,
    QualityPolicy,
    SignaturePolicy,
    SloPolicy,
)
from modeldrop.policy.schema import JsonSchema, defaults, schema
from modeldrop.policy.strategies import FOR_ONE_INSTANCE, strategy_from_sections
from modeldrop.policy.strict_yaml import Document, NotYamlError, Path, read_yaml, shown, shown_path
from modeldrop.policy.trust import refusals
from modeldrop.policy.units import milliseconds, parse_quantity, seconds, share, size_bytes

# in one refusal: a person mends a few, and asks again
MAX_PROBLEMS = 10
# what is compared to find the name that was meant
MAX_GUESSED_CHARACTERS = 40


def parse_policy(
    text: bytes | None,
    *,
    default_instance_type: str,
    default_instance_count: int,
    signature_key: str = "",
    is_signed: Callable[[], bool] = lambda: False,
) -> Policy:
    """The policy with defaults filled in; None or an empty file is all defaults.

    signature_key: the key that must have signed whatever is served here; the policy may not say otherwise, and says
    only what policy.trust leaves to it. is_signed: whether that key signed this text, too; asked where it matters.

    Raises PolicyRejectedError with the first problems found, and how many there are beyond them: the field as a dotted
    path with its line, the value and what is allowed there. Problems between fields are looked for once every field is
    good by itself.
    """
    try:
        document = read_yaml(text or b"")
    except NotYamlError as error:
        raise PolicyRejectedError([error.problem]) from None
    data = {} if document.data is None else document.data
    _refuse([*document.problems, *_field_problems(data, document)])
    if signature_key:
        _refuse(_against_the_stack(data, signature_key, document, is_signed))
        data = {**data, "signature": {"required": True, "key": signature_key}}
    policy = _resolve(data, default_instance_type, default_instance_count)
    _refuse(conflicts(policy))
    return policy


def _refuse(problems: Sequence[Problem]) -> None:
    """Raise for what was found, if anything was; of many problems the first are told, and the rest is counted."""
    more = len(problems) - MAX_PROBLEMS
    rest = [Problem("MORE_PROBLEMS", f"and {more} more", "rollout.yaml", "Mend these first.")]
    if problems:
        raise PolicyRejectedError([*problems[:MAX_PROBLEMS], *(rest if more > 0 else [])])


def _field_problems(data: Any, document: Document) -> Iterator[Problem]:
    """Every violation of the schema, in the order of the file; nodes are bounded, so these are too."""
    errors = sorted(_validator().iter_errors(data), key=lambda e: document.marks.get(tuple(e.absolute_path), (0, 0)))
    told: set[tuple[str, Path]] = set()
    for error in errors:
        for path, problem in _problems_of(error, document, guessing=len(told) < MAX_PROBLEMS):
            if (problem.code, path) not in told:  # a value can break its pattern and its range: say it once
                told.add((problem.code, path))
                yield problem


def _against_the_stack(
    data: Mapping[str, Any], key: str, document: Document, is_signed: Callable[[], bool]
) -> list[Problem]:
    """What a rollout.yaml says that the stack does not leave to it."""
    found = refusals(data, key, is_signed=False)
    if found and not all(one.limit.signed_too for one in found) and is_signed():
        found = refusals(data, key, is_signed=True)
    problems = []
    for one in found:
        nobody = "" if one.limit.signed_too else f" nobody signed this rollout.yaml, {one.limit.why}, and"
        what = (
            f"{shown_path(one.path)} is {shown(one.value)}, and{nobody} this stack serves only what {key:.300} signed"
        )
        problems.append(Problem("POLICY_SIGNATURE", what, _where(one.path, document), one.limit.fix))
    return problems


def _problems_of(error: Any, document: Document, *, guessing: bool) -> Iterator[tuple[Path, Problem]]:
    path: Path = tuple(error.absolute_path)
    field = error.schema
    if error.validator == "additionalProperties" and field["additionalProperties"] is False:
        for number, name in enumerate(_unknown_names(error.instance, field)):
            one, is_guessed = (*path, name), guessing and number < MAX_PROBLEMS
            unknown = _unknown_variable if path == ("endpoint", "environment") else _unknown_field
            yield one, unknown(one, list(field["properties"]) if is_guessed else [], document)
        return
    yield path, _violation(error, path, document)


def _violation(error: Any, path: Path, document: Document) -> Problem:
    """A value that its own field does not allow."""
    field = error.schema
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        what = f"{shown_path(path)} lacks {', '.join(missing)}"
        return Problem("POLICY_MISSING_FIELD", what, _where(path, document), "Give all of its fields, or none.")
    if "propertyNames" in error.absolute_schema_path:
        what = f"name {shown(error.instance)} in {shown_path(path)}; allowed: {field['x-allowed']}"
        return Problem("POLICY_VALUE", what, _where((*path, error.instance), document), "Rename it.")
    if _is_not_built(error):
        what = f"{shown_path(path)} is {shown(error.instance)}, which is not built yet; allowed: {field['x-allowed']}"
        return Problem("POLICY_NOT_BUILT", what, _where(path, document), "Remove it for now.")
    what = f"{shown_path(path)} is {shown(error.instance)}; allowed: {field['x-allowed']}"
    return Problem("POLICY_VALUE", what, _where(path, document), "Change the value, or remove it for the default.")


def _is_not_built(error: Any) -> bool:
    return isinstance(error.instance, str) and error.instance in error.schema.get("x-not-built", ())


def _unknown_names(section: Mapping[str, Any], field: JsonSchema) -> list[str]:
    patterns = field.get("patternProperties", {})
    return [
        name
        for name in section
        if name not in field["properties"] and not any(re.search(one, name) for one in patterns)
    ]


def _unknown_field(path: Path, known: list[str], document: Document) -> Problem:
    name = str(path[-1])
    close = _close_to(name, known)
    elsewhere = [full for full in _all_fields() if full.rpartition(".")[2] == name] if known and not close else []
    guess = ".".join(map(str, (*path[:-1], close))) if close else (elsewhere[0] if elsewhere else "")
    fix = f"Did you mean {guess}?" if guess else f"Known here: {', '.join(known)}." if known else "Remove it."
    return Problem("POLICY_UNKNOWN_FIELD", f"unknown field {shown_path(path)}", _where(path, document), fix)


def _unknown_variable(path: Path, known: list[str], document: Document) -> Problem:
    name = str(path[-1])
    close = _close_to(name, known)
    guess = f"Did you mean {close}?" if close else "Remove it; a handler's own variables begin with APP_ (README)."
    what = f"{shown_path(path)} may not be set: {why_refused(name)}"
    return Problem("POLICY_ENVIRONMENT", what, _where(path, document), guess)


def _close_to(name: str, known: list[str]) -> str:
    """The name that was probably meant, or nothing; difflib's work grows with the square of what it is given."""
    close = difflib.get_close_matches(name[:MAX_GUESSED_CHARACTERS], known, n=1, cutoff=0.8 if len(known) > 30 else 0.6)
    return close[0] if close else ""


@cache
def _all_fields() -> tuple[str, ...]:
    """Every field of the schema as a dotted path."""

    def below(section: JsonSchema, prefix: str) -> Iterator[str]:
        for name, field in section.get("properties", {}).items():
            yield f"{prefix}{name}"
            yield from below(field, f"{prefix}{name}.")

    return tuple(below(schema(), ""))


def _where(path: Path, document: Document) -> str:
    line = document.marks.get(path, (0, 0))[0]
    return f"{shown_path(path)}, line {line}" if line else shown_path(path)


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

    def whole_text(_: Any, rule: Mapping[str, Any], value: Any, __: Any) -> Iterator[ValidationError]:
        number = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value) else None
        if number is not None and not rule["minimum"] <= number <= rule["maximum"]:
            yield ValidationError("out of range")

    def unique(_: Any, wanted: bool, value: Any, __: Any) -> Iterator[ValidationError]:
        # jsonschema compares every pair, of any length; a list that is too long is told by maxItems
        short = value if wanted and isinstance(value, list) and len(value) <= MAX_PROBLEMS else []
        if any(one in short[:number] for number, one in enumerate(short)):
            yield ValidationError("not unique")

    def whole(checker: Any, value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)  # JSON Schema would take 2.0 as an integer

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", whole)
    keywords = {"x-quantity": quantity, "x-whole": whole_text, "pattern": pattern, "uniqueItems": unique}
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
        field = section["properties"].get(name, {})
        merged[name] = _merged(base.get(name, {}), value, field) if "properties" in field else value
    return merged


def _resolve(given: Mapping[str, Any], instance_type: str, instance_count: int) -> Policy:
    root = schema()
    full = _merged(defaults(root), given, root)
    return Policy(
        endpoint=_endpoint(full["endpoint"], instance_type, instance_count),
        strategy=strategy_from_sections(full["strategy"], full),
        for_one_instance=FOR_ONE_INSTANCE.from_sections(full),
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
