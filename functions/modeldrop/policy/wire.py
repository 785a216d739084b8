"""The policy as JSON and back, lossless, for the workflow's state and the release record."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

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
from modeldrop.policy.strategies import FOR_ONE_INSTANCE, STRATEGY_NAMES, strategy_from_json, strategy_to_json


def policy_to_json(policy: Policy) -> dict[str, Any]:
    """Plain dicts, lists, text, numbers and null, by the names of the dataclasses.

    `strategy` is a name, and the section of that name has its fields; so has the one for a single instance.
    """
    document = dataclasses.asdict(policy)
    del document["for_one_instance"]
    document |= strategy_to_json(policy.for_one_instance) | strategy_to_json(policy.strategy)
    document["endpoint"]["environment"] = dict(policy.endpoint.environment)
    document["slo"]["latency_ms"] = dict(policy.slo.latency_ms)
    document["judge"]["observe"] = list(policy.judge.observe)
    return document


def policy_from_json(document: Mapping[str, Any]) -> Policy:
    """Inverse of policy_to_json; an unknown or missing name is a TypeError or KeyError, since only we write this.

    JSON has one kind of number: a float that went out as 2.0 may come back as 2, and is made a float again.
    """
    endpoint = document["endpoint"]
    autoscaling = endpoint["autoscaling"]
    return Policy(
        **{
            # a record from before strategies were values has a section for each
            **{name: value for name, value in document.items() if name not in STRATEGY_NAMES},
            "endpoint": EndpointPolicy(
                **{
                    **endpoint,
                    "autoscaling": None if autoscaling is None else Autoscaling(**autoscaling),
                    "environment": dict(endpoint["environment"]),
                }
            ),
            "strategy": strategy_from_json(document),
            "for_one_instance": strategy_from_json(document, FOR_ONE_INSTANCE),
            "slo": SloPolicy(
                error_rate=_float(document["slo"]["error_rate"]),
                latency_ms={name: float(value) for name, value in document["slo"]["latency_ms"].items()},
            ),
            "judge": judge_policy_from_json(document["judge"]),
            "artifact": ArtifactPolicy(**document["artifact"]),
            "gates": GatesPolicy(**document["gates"]),
            # a record from before signatures or quality has none
            "signature": SignaturePolicy(**document.get("signature", {})),
            "quality": QualityPolicy(**_floats(document["quality"], "every", "tolerance"))
            if "quality" in document
            else QualityPolicy(),
        }
    )


def judge_policy_from_json(section: Mapping[str, Any]) -> JudgePolicy:
    """Read the judge's section alone; bins are kept with it (judge.terms)."""
    names = ("alpha", "margin", "floor_errors", "floor_slow", "max_excess", "slow_ms")
    return JudgePolicy(**{**_floats(section, *names), "observe": tuple(section["observe"])})


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _floats(section: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {**section, **{name: _float(section[name]) for name in names}}
