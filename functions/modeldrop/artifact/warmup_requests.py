"""Predict requests of a warm-up file as golden requests: they have no answers, so any answer but an error is right.

Field numbers are those of prediction_log.proto, predict.proto (TensorFlow Serving) and tensor.proto (TensorFlow).
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Iterable, Iterator
from itertools import accumulate
from operator import mul
from typing import Any

from google.protobuf.message import DecodeError

from modeldrop.artifact.golden import MAX_NESTING, GoldenRequest
from modeldrop.artifact.messages import DT_STRING, message
from modeldrop.artifact.warmup import fields

# a rehearsal asks few
MAX_REQUESTS = 20
# of all requests, as JSON: they are stored as golden requests (golden.MAX_STORED_BYTES)
MAX_JSON_BYTES = 3 * 1024 * 1024
# a photo of 224 x 224 pixels has 150,528 elements, as float64 in 1.2 MB, and 50,401 lists around them
MAX_ELEMENTS = 250_000
MAX_TENSOR_BYTES = 2 * 1024 * 1024
MAX_RANK = MAX_NESTING - 3  # the request, its inputs and the innermost values are nesting, too
# DataType -> its format in tensor_content, and the packed field of its own values
_FIXED = {1: ("f", 5), 2: ("d", 6)}
_VARINT = {3: ("i", 7), 9: ("q", 10), 10: ("?", 11)}


def predict_requests(records: Iterable[bytes]) -> tuple[GoldenRequest, ...]:
    """Return the first predict requests among PredictionLog records, as TF Serving's REST API takes them.

    A request with a tensor of a type that JSON has no form for, or a very large one, is left out. A few bytes can stand
    for many equal values, so what the requests are as JSON is bounded, too.
    """
    found: list[GoldenRequest] = []
    left = MAX_JSON_BYTES
    for record in records:
        try:
            body = _body(_last(_last(record, 6), 1))
        except (ValueError, DecodeError):
            continue
        left -= len(json.dumps(body))
        if left < 0:
            break
        found.append(GoldenRequest(body, None))
        if len(found) == MAX_REQUESTS:
            break
    return tuple(found)


def _body(request: bytes) -> dict[str, Any]:
    if len(request) > MAX_JSON_BYTES:
        raise ValueError("too large")
    name = _last(_last(request, 1), 3).decode()
    entries = [(_last(entry, 1).decode(), _last(entry, 2)) for entry in _all(request, 2)]
    if not entries:
        raise ValueError("no input")
    inputs: dict[str, Any] = {}
    left = MAX_ELEMENTS
    for key, content in entries:
        inputs[key], elements = _values(content, left)
        left -= elements
    return {"signature_name": name or "serving_default", "inputs": inputs}


def _values(content: bytes, most: int) -> tuple[Any, int]:
    """A tensor as nested lists, and how many elements all those lists have; ValueError when more than `most`."""
    if len(content) > MAX_TENSOR_BYTES:
        raise ValueError("too large")
    tensor = message("TensorProto")()
    tensor.ParseFromString(content)
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    # each a bound of its own: the product of very many sizes is a number too long to compute with
    if len(shape) > MAX_RANK or any(not 0 < size <= MAX_ELEMENTS for size in shape):
        raise ValueError("empty or too large")
    elements = sum(accumulate(shape, mul)) or 1
    if elements > most:
        raise ValueError("too large")
    count = math.prod(shape)
    flat = _flat(tensor, content, count)
    if len(flat) == 1 < count:  # TensorProto leaves out what repeats the last value
        flat *= count
        if tensor.dtype == DT_STRING and len(tensor.string_val[0]) * count > MAX_JSON_BYTES:
            raise ValueError("too large")
    if len(flat) != count:
        raise ValueError("the values do not fill the shape")
    for size in reversed(shape[1:]):
        flat = [flat[at : at + size] for at in range(0, len(flat), size)]
    return (flat if shape else flat[0]), elements


def _flat(tensor: Any, content: bytes, count: int) -> list[Any]:
    if tensor.dtype == DT_STRING:
        return [_text(value) for value in tensor.string_val]
    if tensor.dtype not in _FIXED | _VARINT:
        raise ValueError("no form in JSON")
    form, number = (_FIXED | _VARINT)[tensor.dtype]
    if tensor.tensor_content:
        if len(tensor.tensor_content) != count * struct.calcsize(f"<{form}"):
            raise ValueError("the content does not fill the shape")
        return list(struct.unpack(f"<{count}{form}", tensor.tensor_content))
    packed = b"".join(_all(content, number))
    if tensor.dtype in _FIXED:
        size = struct.calcsize(f"<{form}")
        return list(struct.unpack(f"<{len(packed) // size}{form}", packed[: len(packed) // size * size]))
    return [bool(value) if form == "?" else value for value in _varints(packed)]


def _text(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def _varints(packed: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in packed:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value - (1 << 64) if value >= 1 << 63 else value
            value = shift = 0


def _all(content: bytes, number: int) -> Iterator[bytes]:
    return (value for found, value in fields(content) if found == number)


def _last(content: bytes, number: int) -> bytes:
    """A field that is there once; of several the last one counts, as in every protocol buffer reader."""
    return next((value for found, value in reversed(fields(content)) if found == number), b"")
