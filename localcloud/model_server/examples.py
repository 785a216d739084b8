"""The classify and regress methods of TensorFlow Serving: tf.Example in, classes or values out.

Source: tensorflow/serving, api_rest.md and util/json_tensor.cc.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from localcloud.model_server.errors import ServingError
from localcloud.model_server.tensors import Array, to_json


def parse_examples(document: Mapping[str, Any], method: str) -> Array:
    """Return the serialized tf.Example of each element of `examples`, with `context` merged into each."""
    items = document.get("examples")
    if items is None:
        raise ServingError(f"When method is {method}, key 'examples' is expected and was not found")
    if not isinstance(items, list):
        raise ServingError("Expecting 'examples' value to be an list/array")
    if not items:
        raise ServingError("'examples' value is an empty array")
    context = document.get("context", {})
    serialized = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        if not isinstance(item, dict) or not isinstance(context, dict):
            raise ServingError("Example must be JSON object")
        serialized[place] = _example({**context, **item})
    return serialized


def write_classes(outputs: Mapping[str, Array]) -> str:
    """Return {"results": [[[label, score], ...], ...]}; labels or scores may be absent from the signature."""
    classes, scores = outputs.get("classes"), outputs.get("scores")
    shape = next(value.shape for value in (classes, scores) if value is not None)
    labels = to_json("classes", classes) if classes is not None else np.full(shape, "").tolist()
    values = to_json("scores", scores) if scores is not None else np.zeros(shape).tolist()
    rows = [[list(pair) for pair in zip(*row, strict=True)] for row in zip(labels, values, strict=True)]
    return json.dumps({"results": rows})


def write_values(outputs: Mapping[str, Array]) -> str:
    """Return {"results": [value, ...]}."""
    return json.dumps({"results": to_json("outputs", outputs["outputs"].reshape(-1))})


def _example(features: Mapping[str, Any]) -> bytes:
    from tensorflow.core.example.example_pb2 import Example

    example = Example()
    for name, content in features.items():
        feature = example.features.feature[name]
        for value in content if isinstance(content, list) else [content]:
            _add(feature, name, value)
    return bytes(example.SerializeToString())


def _add(feature: Any, name: str, value: Any) -> None:
    if isinstance(value, dict) and isinstance(value.get("b64"), str) and len(value) == 1:
        kind, plain = "bytes_list", base64.b64decode(value["b64"])
    elif isinstance(value, str):
        kind, plain = "bytes_list", value.encode()
    elif isinstance(value, int):  # true and false are 1 and 0
        kind, plain = "int64_list", int(value)  # type: ignore[assignment]  # one variable for three kinds of list
    elif isinstance(value, float):
        kind, plain = "float_list", value  # type: ignore[assignment]  # one variable for three kinds of list
    else:
        raise ServingError(f"Feature: {name} has element with unexpected JSON type: {type(value).__name__}")
    if feature.WhichOneof("kind") not in (None, kind):
        raise ServingError(f"Unexpected element type in feature: {name} expecting type: {feature.WhichOneof('kind')}")
    getattr(feature, kind).value.append(plain)
