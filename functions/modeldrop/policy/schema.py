"""The JSON Schema of rollout.yaml: the one place that holds its fields, words, limits and defaults.

Editors use it as it is. Keywords of our own, which other validators ignore, carry what JSON Schema cannot say:
`x-quantity` (kind of quantity and its range), `x-whole` (range of a whole number that is text), `x-allowed` (the
allowed values in words, for messages) and `x-not-built` (words that are planned: refused, with that reason).
"""

from __future__ import annotations

import json
import sys
from typing import Any

from modeldrop.policy.environment import environment_schema
from modeldrop.policy.strategies import DEFAULT_STRATEGY, STRATEGIES
from modeldrop.policy.units import QUANTITIES, Kind

JsonSchema = dict[str, Any]

# every name of botocore's ProductionVariantInstanceType has this form (tests/unit/test_policy_schema.py)
INSTANCE_TYPE = r"^ml\.[a-z][a-z0-9-]{1,15}\.(medium|large|xlarge|[1-9][0-9]{0,2}xlarge|metal)$"
# CreateEndpointConfig MetricsConfig.MetricPublishFrequencyInSeconds
METRIC_PERIODS = ("10s", "30s", "60s", "120s", "180s", "240s", "300s")
# SSM parameter names have 15 levels and 1,011 characters at most, KMS key ARNs 2,048 (PutParameter, GetPublicKey)
SIGNATURE_KEY = (
    r"^$|^ssm:/modeldrop/[a-zA-Z0-9_.-]{1,200}(/[a-zA-Z0-9_.-]{1,200}){0,3}$"
    r"|^kms:(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:)?(key/|alias/)?[a-zA-Z0-9/_-]{1,250}$"
)
# outputs of a serving signature are named by their authors; TensorFlow itself asks for text only
OUTPUT_NAME = r"^[a-zA-Z0-9_./-]{0,128}$"


def _quantity(
    kind: Kind,
    text: str,
    *,
    low: str = "",
    high: str = "",
    one_of: tuple[str, ...] = (),
    multiple: str = "",
    **more: Any,
) -> JsonSchema:
    """A quantity written with its unit; low and high are included in the range."""
    rule = {"kind": kind, "minimum": low, "maximum": high, "oneOf": list(one_of), "multipleOf": multiple}
    allowed = f"one of {', '.join(one_of)}" if one_of else f"from {low} to {high}"
    if multiple:
        allowed += f", in steps of {multiple}"
    return {
        "type": "string",
        "description": f"{text} Allowed: {allowed}.",
        "pattern": QUANTITIES[kind].pattern,
        "x-quantity": {key: value for key, value in rule.items() if value},
        "x-allowed": f"a {kind} {allowed}" if not one_of else allowed,
        **more,
    }


def _words(text: str, words: tuple[str, ...], default: str, **more: Any) -> JsonSchema:
    return {"description": text, "enum": list(words), "default": default, "x-allowed": f"{_either(words)}", **more}


def _whole(text: str, low: int, high: int, **more: Any) -> JsonSchema:
    allowed = f"a whole number from {low} to {high}"
    return {
        "type": "integer",
        "description": f"{text} Allowed: {low} to {high}.",
        "minimum": low,
        "maximum": high,
        "x-allowed": allowed,
        **more,
    }


def _section(text: str, properties: dict[str, JsonSchema], **more: Any) -> JsonSchema:
    return {
        "type": "object",
        "description": text,
        "additionalProperties": False,
        "properties": properties,
        "x-allowed": "a section with fields",
        **more,
    }


def _either(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


def _auto_or(text: str, choice: JsonSchema, **more: Any) -> JsonSchema:
    allowed = f"auto or {choice['x-allowed']}"
    return {"description": f"{text} Allowed: {allowed}.", "anyOf": [{"const": "auto"}, choice], "default": "auto"} | {
        "x-allowed": allowed,
        **more,
    }


def _endpoint() -> JsonSchema:
    autoscaling = _section(
        "Target tracking on invocations per instance; absent: the fleet keeps instance_count.",
        {
            "min": _whole("Fewest instances.", 1, 1000),
            "max": _whole("Most instances.", 1, 1000),
            "invocations_per_instance_per_minute": _whole("Load that one instance should carry.", 1, 10_000_000),
        },
        title="Autoscaling",
        required=["min", "max", "invocations_per_instance_per_minute"],
        examples=[{"min": 2, "max": 8, "invocations_per_instance_per_minute": 1200}],
    )
    return _section(
        "What the production variant is made of.",
        {
            "instance_type": {
                "type": "string",
                "title": "Instance type",
                "description": "SageMaker instance type; absent: the stack's DefaultInstanceType parameter.",
                "pattern": INSTANCE_TYPE,
                "examples": ["ml.g5.xlarge", "ml.g4dn.xlarge", "ml.c5.xlarge"],
                "x-allowed": "a SageMaker instance type like ml.g5.xlarge",
            },
            "instance_count": _whole(
                "Instances of the first release; absent: the stack's DefaultInstanceCount parameter, moved into the "
                "autoscaling range.",
                1,
                1000,
                title="Instance count",
                examples=[2],
            ),
            "autoscaling": autoscaling,
            "environment": environment_schema(),
            "metrics_every": _quantity(
                "duration",
                "Metric period; 10s and 30s switch enhanced metrics on.",
                one_of=METRIC_PERIODS,
                title="Metric period",
                default="60s",
                examples=["10s", "60s"],
            ),
        },
        title="Endpoint",
    )


def strategy_sections() -> dict[str, JsonSchema]:
    """The section of each strategy, by its name."""

    def bake(text: str) -> JsonSchema:
        return _quantity("duration", text, low="0s", high="1h", title="Bake", examples=["5m", "10m"])

    final_bake = _quantity(
        "duration",
        "Bake after all traffic is on green, before blue is gone; never 0, or nothing could be rolled back.",
        low="1s",
        high="1h",
        title="Final bake",
        default="10m",
        examples=["10m"],
    )
    size = {
        "title": "Canary size",
        "description": "Part of the fleet that takes traffic first: whole instances, or a share of 1% to 50%.",
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 500},
            _quantity("share", "A share.", low="1%", high="50%", multiple="1%"),
        ],
        "default": 1,
        "examples": [1, "10%"],
        "x-allowed": "whole instances from 1 to 500, or a whole share from 1% to 50%",
    }
    canary = {"size": size, "bake": bake("Bake of the canary.") | {"default": "10m"}, "final_bake": final_bake}
    linear = {
        "step": _quantity(
            "share", "Share of each step.", low="10%", high="50%", multiple="1%", title="Step", default="20%"
        ),
        "bake": bake("Bake after each step.") | {"default": "5m"},
        "final_bake": final_bake,
    }
    rolling = {
        "batch": _quantity(
            "share", "Share of each batch.", low="5%", high="50%", multiple="1%", title="Batch", default="25%"
        ),
        "bake": bake("Bake after each batch.") | {"default": "5m"},
    }
    # without a default of its own: until it had this section, all_at_once took its final bake from canary's
    all_at_once = {
        "final_bake": _quantity(
            "duration",
            "Bake with all traffic on green, before blue is gone; absent: canary.final_bake.",
            low="1s",
            high="1h",
            title="Final bake",
            examples=["10m"],
        )
    }
    return {
        "canary": _section("First a canary, then all. Used by strategy: canary.", canary, title="Canary"),
        "linear": _section("Equal steps. Used by strategy: linear.", linear, title="Linear"),
        "rolling": _section("Batches replaced in place. Used by strategy: rolling.", rolling, title="Rolling"),
        "all_at_once": _section(
            "All traffic at once. Used by strategy: all_at_once, and by a fleet of one that names no strategy.",
            all_at_once,
            title="All at once",
        ),
    }


def _slo() -> JsonSchema:
    latency = {
        "type": "object",
        "title": "Latency ceilings",
        "description": "Percentile of ModelLatency -> ceiling.",
        "default": {},
        "examples": [{"p99": "100ms"}],
        "maxProperties": 5,
        "propertyNames": {
            "pattern": r"^p(?!0+(\.0+)?$)[0-9]{1,2}(\.[0-9]{1,2})?$",
            "x-allowed": "percentiles like p50, p99 or p99.9",
        },
        "additionalProperties": _quantity("latency", "Ceiling.", low="1ms", high="60s"),
        "x-allowed": "at most 5 percentiles with a latency each",
    }
    rate = _quantity("share", "Ceiling of green's error rate.", low="0.01%", high="100%", title="Error rate ceiling")
    return _section(
        "Optional ceilings for green, each an alarm of its own.",
        {"error_rate": rate | {"examples": ["1%"]}, "latency": latency},
        title="Service level objectives",
    )


def _judge() -> JsonSchema:
    floor = _section(
        "A difference below this is not big enough to matter.",
        {
            "errors": _quantity("share", "Error rate.", low="0.001%", high="50%", default="0.1%"),
            "slow": _quantity("share", "Share of slow requests.", low="0.001%", high="50%", default="1%"),
        },
        title="Floor",
    )
    slow = _quantity("latency", "A latency.", low="1ms", high="60s")
    lag = _quantity("duration", "A duration.", low="0s", high="15m")
    return _section(
        "How green is compared with blue.",
        {
            "alpha": {
                "type": "number",
                "title": "Alpha",
                "description": "Share of harmless releases that chance may roll back. Allowed: above 0, to 0.5.",
                "exclusiveMinimum": 0,
                "maximum": 0.5,
                "default": 0.01,
                "x-allowed": "a number above 0, at most 0.5",
            },
            "margin": {
                "type": "number",
                "title": "Margin",
                "description": "Roll back only what is worse than blue by this ratio. Allowed: 1 to 100.",
                "minimum": 1,
                "maximum": 100,
                "default": 1.5,
                "x-allowed": "a number from 1 to 100",
            },
            "floor": floor,
            "max_excess": _quantity(
                "share", "Caps the margin where blue itself is bad.", low="0.1%", high="100%", default="5%"
            ),
            "clump": _auto_or(
                "How many failures come together; auto: from an hour of blue; 1: they are independent.",
                {"type": "integer", "minimum": 1, "maximum": 1000, "x-allowed": "a whole number from 1 to 1000"},
                title="Clump",
            ),
            "slow": _auto_or("From which latency a request is slow; auto: blue's p95.", slow, title="Slow"),
            "warm_up": _quantity(
                "duration", "Start of the canary that slow does not count.", low="0s", high="1h", default="60s"
            ),
            "min_green": _whole("Requests green must have had before it may be promoted.", 1, 1_000_000, default=30),
            "observe": {
                "type": "array",
                "title": "Observe only",
                "description": "Metrics that are shown, not acted on.",
                "items": {"enum": ["errors", "slow", "drift"], "x-allowed": "errors, slow or drift"},
                "uniqueItems": True,
                "maxItems": 3,
                "default": [],
                "x-allowed": "a list of different words: errors, slow, drift",
            },
            "dead_man": _quantity(
                "duration",
                "Silence of the judge after which the heartbeat alarm rolls back.",
                low="20s",
                high="1h",
                multiple="10s",
                default="3m",
            ),
            "metric_lag": _auto_or(
                "How long after a metric period's end its counts are taken as final.", lag, title="Metric lag"
            ),
        },
        title="Judge",
    )


def _artifact_and_gates() -> dict[str, JsonSchema]:
    gates = {
        "rehearsal": {
            "type": "string",
            "title": "Rehearsal",
            "description": "Throw-away endpoint that must answer first: an instance type, serverless or off.",
            "pattern": f"^(serverless|off)$|{INSTANCE_TYPE}",
            "default": "ml.c5.large",
            "examples": ["ml.c5.large", "serverless", "off"],
            "x-allowed": "an instance type like ml.c5.large, serverless or off",
        },
        "approval": _words("Who must agree before users meet the model.", ("none", "before_rollout"), "none"),
    }
    artifact = {
        "code": _words("Whether the archive may bring Python code for the endpoint.", ("refuse", "allow"), "refuse"),
        "breaking": _words(
            "Whether serving signatures may change so that today's callers break.", ("refuse", "allow"), "refuse"
        ),
        "max_size": _quantity("size", "Largest model.tar.gz.", low="1KiB", high="100GiB", default="10GiB"),
    }
    return {
        "artifact": _section("What an artifact may contain.", artifact, title="Artifact"),
        "gates": _section("What must happen before users meet the model.", gates, title="Gates"),
    }


def _quality() -> JsonSchema:
    fields: dict[str, JsonSchema] = {
        "output": {
            "type": "string",
            "title": "Output",
            "description": "Output of serving_default whose answers are compared: a word or whole number is a class, "
            "a vector of scores the class of the highest, one score the tenth it falls in. Empty: nothing is captured.",
            "pattern": OUTPUT_NAME,
            "default": "",
            "examples": ["label"],
            "x-allowed": "the name of an output, of letters, digits, _, -, . and /, at most 128 of them",
        },
        "every": _quantity(
            "share",
            "Requests whose answers SageMaker writes to the stack's bucket (data capture, output only).",
            low="1%",
            high="100%",
            multiple="1%",
            title="Sampling",
            default="10%",
        ),
        "tolerance": _quantity(
            "share",
            "By how many points of all answers a class may be more frequent on green than on blue.",
            low="1%",
            high="50%",
            title="Tolerance",
            default="10%",
            examples=["5%", "10%"],
        ),
        "capture_lag": _auto_or(
            "How long after a period's end its captured answers are taken as complete.",
            _quantity("duration", "A duration.", low="0s", high="30m"),
            title="Capture lag",
        ),
    }
    return _section("Prediction drift: green's answers against blue's, on the same traffic.", fields, title="Quality")


def _signature() -> JsonSchema:
    fields: dict[str, JsonSchema] = {
        "required": {
            "type": "boolean",
            "title": "Required",
            "description": "Refuse an artifact without a model-signing bundle (model.tar.gz.sig) that the key made.",
            "default": False,
            "x-allowed": "true or false",
        },
        "key": {
            "type": "string",
            "title": "Public key",
            "description": "Where the signer's public key is: an SSM parameter (PEM text) below /modeldrop/, or a KMS "
            "key for which the stack's SignatureKeyArn parameter gives the right.",
            "pattern": SIGNATURE_KEY,
            "default": "",
            "examples": ["ssm:/modeldrop/signing-key", "kms:alias/model-signing"],
            "x-allowed": "ssm:/modeldrop/NAME, kms:KEY_ID, kms:alias/NAME or kms:KEY_ARN",
        },
        "older": _words(
            "Whether a signed model may come back that was dropped before the live one.", ("refuse", "allow"), "refuse"
        ),
    }
    return _section("Cryptographic artifact signature.", fields, title="Artifact signature")


def schema() -> JsonSchema:
    """The whole schema, a fresh dict at each call."""
    act = ("promote", "rollback")
    properties = {
        "endpoint": _endpoint(),
        "strategy": _words(
            "How traffic moves from blue to green.",
            tuple(kind.name for kind in STRATEGIES),
            DEFAULT_STRATEGY.name,
            **{"title": "Strategy", "x-not-built": ["weighted", "shadow"]},
        ),
        **strategy_sections(),
        "slo": _slo(),
        "judge": _judge(),
        "on_inconclusive": _words("What to do when enough was seen and nothing is sure.", act, "promote"),
        "on_blind": _words("What to do when there was no usable data on green.", act, "rollback"),
        "quality": _quality(),
        **_artifact_and_gates(),
        "signature": _signature(),
        "retain": _whole("Good releases kept for rollback.", 1, 100, title="Retain", default=3),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "modeldrop rollout policy",
        **_section("rollout.yaml: how a release of one endpoint is rolled out. Every field has a default.", properties),
    }


def defaults(section: JsonSchema) -> dict[str, Any]:
    """What the section is when the user says nothing; a field without default is left out."""
    found: dict[str, Any] = {}
    for name, field in section["properties"].items():
        if "default" in field:
            found[name] = field["default"]
        elif field.get("properties") and not field.get("required"):
            found[name] = defaults(field)
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
