"""What a rollout.yaml that nobody signed may say on a stack that serves signed models only.

Who may upload may write rollout.yaml. It must not run code there, feed text to signed code, take isolation away, or
switch off a check of the artifact. How traffic moves, and what counts as bad, stays free: it can only bring what was
signed. A policy is signed when the artifact's bundle covers the same rollout.yaml at the archive's root.

A policy that asks for a signature of its own accord limits nothing here: who wrote that line can remove it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modeldrop.policy.environment import VARIABLES
from modeldrop.policy.schema import strategy_sections

ENVIRONMENT = "endpoint.environment"


@dataclass(frozen=True)
class Limit:
    """What is refused of one field. refuses: says of (value, the stack's key) whether it is; signed_too: always."""

    refuses: Callable[[Any, str], bool]
    why: str
    fix: str = (
        "Remove it, or sign this file with the model: modeldrop package DIR --policy rollout.yaml --sign KEY.pem."
    )
    signed_too: bool = False


def _is(*values: object) -> Callable[[Any, str], bool]:
    return lambda value, _: value in values


_SIGN = "Remove it: sign the artifact with that key."
_TEXT = Limit(lambda *_: True, "its text goes to the container")

FREE = None
# every field of the schema, by its dotted path: a new one must be decided here (tests/unit/test_policy_trust.py)
FIELDS: Mapping[str, Limit | None] = {
    "endpoint.instance_type": FREE,
    "endpoint.instance_count": FREE,
    "endpoint.autoscaling.min": FREE,
    "endpoint.autoscaling.max": FREE,
    "endpoint.autoscaling.invocations_per_instance_per_minute": FREE,
    **{f"{ENVIRONMENT}.{name}": FREE if one.tunes else _TEXT for name, one in VARIABLES.items()},
    "endpoint.metrics_every": FREE,
    "strategy": FREE,
    # how traffic moves can only bring what was signed, whatever the strategy
    **{f"{name}.{field}": FREE for name, section in strategy_sections().items() for field in section["properties"]},
    "slo.error_rate": FREE,
    "slo.latency": FREE,
    "judge.alpha": FREE,
    "judge.margin": FREE,
    "judge.floor.errors": FREE,
    "judge.floor.slow": FREE,
    "judge.max_excess": FREE,
    "judge.clump": FREE,
    "judge.slow": FREE,
    "judge.warm_up": FREE,
    "judge.min_green": FREE,
    "judge.observe": FREE,
    "judge.dead_man": FREE,
    "judge.metric_lag": FREE,
    "on_inconclusive": FREE,
    "on_blind": FREE,
    "quality.output": FREE,
    "quality.every": FREE,
    "quality.tolerance": FREE,
    "quality.capture_lag": FREE,
    "artifact.code": Limit(_is("allow"), "it lets the archive's Python run"),
    "artifact.breaking": Limit(_is("allow"), "it switches off a check of the artifact"),
    "artifact.max_size": FREE,
    "gates.rehearsal": Limit(
        _is("serverless", "off"), "only a rehearsal on an instance runs isolated from the network"
    ),
    "gates.approval": FREE,
    "signature.required": Limit(_is(False), "", _SIGN, signed_too=True),
    "signature.key": Limit(lambda value, key: value != key, "", _SIGN, signed_too=True),
    "signature.older": Limit(
        _is("allow"), "", "Remove it: modeldrop rollback brings an older model back.", signed_too=True
    ),
    "retain": FREE,
}


@dataclass(frozen=True)
class Refusal:
    """One value that the policy may not hold: where, and by which limit."""

    path: tuple[str, ...]
    value: Any
    limit: Limit


def refusals(given: Mapping[str, Any], key: str, *, is_signed: bool) -> list[Refusal]:
    """Return what a policy may not say under the stack's key; given: a document that its schema allows."""
    found = []
    for path, value in _fields(given):
        dotted = ".".join(path)
        limit = FIELDS.get(dotted, _TEXT if dotted.startswith(f"{ENVIRONMENT}.") else FREE)
        if limit is not None and not (is_signed and not limit.signed_too) and limit.refuses(value, key):
            found.append(Refusal(path, value, limit))
    return found


def _fields(given: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in given.items():
        if isinstance(value, Mapping) and ".".join((*path, name)) not in FIELDS:
            yield from _fields(value, (*path, name))
        else:
            yield (*path, name), value
