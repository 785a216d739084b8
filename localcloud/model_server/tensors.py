"""JSON values to tensors and back, by TensorFlow Serving's REST rules.

Source: tensorflow/serving, util/json_tensor.cc. Types are strict (1.5 is no integer, "1" no number), lists must be
rectangular, strings may be {"b64": ...}; float32 is written with the digits it needs and no more.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from localcloud.model_server.errors import ServingError

Array = np.ndarray[Any, Any]
Json = Any
_TYPE_WORDS = {type(None): "Null", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}
_KIND_OF_FLOAT, _KIND_OF_INT = "fiu", "iu"


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a serving signature: TensorFlow's type name (DT_FLOAT) and numpy's dtype."""

    name: str
    type_name: str
    dtype: np.dtype[Any]


def parse_request(text: str) -> dict[str, Json]:
    """Return the JSON object of a request; raises ServingError as rapidjson would refuse it."""
    if not text:
        raise ServingError("JSON Parse error: The document is empty")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ServingError(f"JSON Parse error: {error.msg} at offset: {error.pos}") from None
    except RecursionError:
        raise ServingError("JSON Parse error: Nested too deeply. at offset: 0") from None
    if not isinstance(document, dict):
        raise ServingError(f"JSON Value: {_shown(document)} Is not object")
    return document


def is_row_request(document: Mapping[str, Json]) -> bool:
    """Tell the row format (instances) from the column format (inputs)."""
    if "instances" in document and "inputs" in document:
        raise ServingError("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist")
    if "instances" not in document and "inputs" not in document:
        raise ServingError("Missing 'inputs' or 'instances' key")
    return "instances" in document


def from_rows(instances: Json, specs: Mapping[str, TensorSpec]) -> dict[str, Array]:
    """Return one batched tensor an input from the list `instances`."""
    if not isinstance(instances, list):
        raise ServingError(f"JSON Value: {_shown(instances)} Excepting 'instances' to be an list/array")
    if not instances:
        raise ServingError("JSON Value: [] No values in 'instances' array")
    if not _is_named(instances[0]):
        if len(specs) > 1:
            raise ServingError(
                "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
                "tensorinfo_map"
            )
        if any(_is_named(item) for item in instances):
            raise ServingError("Expecting value/list but got object in input list")
        spec = next(iter(specs.values()))
        return {spec.name: _tensor(instances, spec, "Failed to process 'instances' list. Error: ")}
    columns: dict[str, list[Json]] = {name: [] for name in specs}
    for place, item in enumerate(instances):
        if not _is_named(item):
            raise ServingError(f"Expecting object but got list at item {place} of input list")
        if set(item) != set(specs):
            raise ServingError(
                f"Failed to process element: {place} of 'instances' list. JSON object: {_shown(item)} "
                f"keys must be equal to: {','.join(sorted(specs))}"
            )
        for name, value in item.items():
            columns[name].append(value)
    return {
        name: _tensor(column, specs[name], f"Failed to process key: {name} of 'instances' list. Error: ")
        for name, column in columns.items()
    }


def from_columns(inputs: Json, specs: Mapping[str, TensorSpec]) -> dict[str, Array]:
    """Return one tensor an input from the value or object `inputs`."""
    if not _is_named(inputs):
        if len(specs) > 1:
            raise ServingError(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        spec = next(iter(specs.values()))
        return {spec.name: _tensor(inputs, spec)}
    for name in specs:
        if name not in inputs:
            raise ServingError(f"Missing named input: {name} in 'inputs' object.")
    return {name: _tensor(inputs[name], spec) for name, spec in specs.items()}


def to_rows(outputs: Mapping[str, Array]) -> str:
    """Return {"predictions": [...]}: one element a batch item, an object each where there are several outputs."""
    size = -1
    for name, value in outputs.items():
        if value.ndim == 0:
            raise ServingError(f"Tensor name: {name} has no shape information ")
        if size not in (-1, value.shape[0]):
            raise ServingError(f"Tensor name: {name} has inconsistent batch size: {value.shape[0]} expecting: {size}")
        size = value.shape[0]
    columns = {name: to_json(name, value) for name, value in outputs.items()}
    if len(columns) == 1:
        return json.dumps({"predictions": next(iter(columns.values()))})
    return json.dumps({"predictions": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values())]})  # noqa: B905 sizes are compared above


def to_columns(outputs: Mapping[str, Array]) -> str:
    """Return {"outputs": ...}: the one tensor, or an object of them."""
    columns = {name: to_json(name, value) for name, value in outputs.items()}
    return json.dumps({"outputs": columns if len(columns) > 1 else next(iter(columns.values()))})


def to_json(name: str, value: Array) -> Json:
    """Return a tensor as nested lists; strings of an output named *_bytes become {"b64": ...}."""
    if value.dtype.kind in "OS":
        encode = _encode_bytes if name.endswith("_bytes") else _encode_text
        return _map_nested(value.tolist(), encode)
    if value.dtype.itemsize < 8 and value.dtype.kind == "f":
        # by way of text: float32's 0.2 must not become 0.20000000298
        return value.astype("U32").astype(np.float64).tolist()
    return value.tolist()


def _is_named(value: Json) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: dict[str, Json]) -> bool:
    return len(value) == 1 and isinstance(value.get("b64"), str)


def _tensor(value: Json, spec: TensorSpec, prefix: str = "") -> Array:
    try:
        fast = _fast_numbers(value, spec.dtype) if spec.dtype.kind in "fiub" else None
        return fast if fast is not None else _slow(value, spec)
    except ServingError as error:
        raise ServingError(prefix + error.message, error.status) from None


def _fast_numbers(value: Json, dtype: np.dtype[Any]) -> Array | None:
    """Convert in one call what is surely right; None sends it through the exact rules."""
    try:
        raw = np.array(value)
    except (ValueError, OverflowError):
        return None
    if dtype.kind == "b":
        return raw if raw.dtype.kind == "b" else None
    if raw.dtype.kind not in (_KIND_OF_FLOAT if dtype.kind == "f" else _KIND_OF_INT):
        return raw.astype(dtype) if raw.size == 0 else None
    if raw.dtype.kind in _KIND_OF_INT and raw.size:
        low, high = _integer_limits(dtype)
        if int(raw.min()) < low or int(raw.max()) > high:
            return None
    return raw.astype(dtype)


def _integer_limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    if dtype.kind == "f":
        exact = 2 ** (np.finfo(dtype).nmant + 1) - 1
        return -exact, exact
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _slow(value: Json, spec: TensorSpec) -> Array:
    shape: list[int] = []
    probe = value
    while isinstance(probe, list):
        shape.append(len(probe))
        if not probe:
            break
        probe = probe[0]
    leaves: list[Any] = []
    _collect(value, 0, shape, spec, leaves)
    array = np.empty(len(leaves), dtype=object)
    array[:] = leaves
    return array.reshape(shape) if spec.dtype.kind == "O" else array.astype(spec.dtype).reshape(shape)


def _collect(value: Json, level: int, shape: list[int], spec: TensorSpec, leaves: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise ServingError(
                f"JSON Value: {_shown(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        leaves.append(_leaf(value, spec))
        return
    if level >= len(shape):
        raise ServingError(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise ServingError(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        _collect(item, level + 1, shape, spec, leaves)


def _leaf(value: Json, spec: TensorSpec) -> Any:
    kind = spec.dtype.kind
    if kind == "O" and isinstance(value, str):
        return value.encode()
    if kind == "O" and isinstance(value, dict):
        return _decode_base64(value)
    if kind == "b" and isinstance(value, bool):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = _integer_limits(spec.dtype) if kind in "fiu" else (0, -1)
        if kind in "iu" and isinstance(value, int) and low <= value <= high:
            return value
        if kind == "f":
            if isinstance(value, int) and not low <= value <= high:
                raise ServingError(
                    f"Cannot convert JSON value: {value} to {spec.dtype.name.replace('32', '')} "
                    "without loss of precision."
                )
            return value
    raise ServingError(
        f"JSON Value: {_shown(value)} Type: {_type_word(value)} is not of expected type: {_short_type(spec)}"
    )


def _decode_base64(value: dict[str, Json]) -> bytes:
    if not _is_base64(value):
        raise ServingError(f"JSON Value: {_shown(value)} not formatted correctly for base64 data")
    try:
        return base64.b64decode(value["b64"], validate=True)
    except binascii.Error:
        raise ServingError("Unable to base64 decode") from None


def _short_type(spec: TensorSpec) -> str:
    return spec.type_name.removeprefix("DT_").lower()


def _type_word(value: Json) -> str:
    if isinstance(value, bool):
        return str(value)
    return _TYPE_WORDS.get(type(value), "Unknown")


def _shown(value: Json) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else text[:200] + "..."


def _map_nested(value: Any, encode: Any) -> Any:
    return [_map_nested(item, encode) for item in value] if isinstance(value, list) else encode(value)


def _encode_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _encode_bytes(value: Any) -> dict[str, str]:
    raw = value if isinstance(value, bytes) else str(value).encode()
    return {"b64": base64.b64encode(raw).decode()}
