"""The JSON Schema of artifact.json (docs/artifact.schema.json): keys may be added, never taken away or changed."""

from __future__ import annotations

import json
import sys
from typing import Any

from modeldrop.artifact.codes import RULES

_TEXT, _COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}


def _object(properties: dict[str, Any], description: str) -> dict[str, Any]:
    return {"type": "object", "description": description, "required": list(properties), "properties": properties}


def report_schema() -> dict[str, Any]:
    """The schema of what report_to_json writes."""
    shape = {"type": ["array", "null"], "items": {"type": ["integer", "null"]}}
    tensors = {
        "type": "object",
        "additionalProperties": _object(
            {"dtype": _TEXT, "shape": shape}, "null is an open dimension, or an open rank in place of the list"
        ),
    }
    check = {
        "code": {"enum": sorted(RULES)},
        "result": {"enum": ["ok", "refused", "warned"]},
        "what": _TEXT,
        "where": _TEXT,
        "fix": _TEXT,
    }
    golden = {"request": {"type": "object"}, "response": {"type": ["object", "null"]}}
    golden |= {"rtol": {"type": "number"}, "atol": {"type": "number"}}
    signature = {"method": _TEXT, "inputs": tensors, "outputs": tensors}
    properties = {
        "good": {"type": "boolean", "description": "no check is refused"},
        "checks": {"type": "array", "items": _object(check, "codes: docs/artifact-checks.md")},
        "sha256": {"type": "string", "description": "of the archive; empty when it was not read to its end"},
        "size_bytes": _COUNT,
        "uncompressed_bytes": _COUNT,
        "entries": _COUNT,
        "model_name": _TEXT,
        "version": {"type": ["integer", "null"]},
        "tensorflow_version": _TEXT,
        "serving_signatures": {
            "type": "object",
            "additionalProperties": _object(signature, "by name"),
        },
        "variable_bytes": _COUNT,
        "constant_bytes": _COUNT,
        "golden": {"type": "array", "items": _object(golden, "a request and the answer it must get")},
    }
    schema = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": schema, "title": "artifact.json", **_object(properties, "What one pass over model.tar.gz found")}


def as_text() -> str:
    """The file docs/artifact.schema.json."""
    return json.dumps(report_schema(), indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_text())
