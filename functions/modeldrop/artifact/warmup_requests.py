"""Predict requests of a warm-up file as golden requests: they have no answers, so any answer but an error is right.

Field numbers are those of prediction_log.proto, predict.proto (TensorFlow Serving) and tensor.proto (TensorFlow).
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.message import DecodeError

from modeldrop.artifact.golden import GoldenRequest
from modeldrop.artifact.messages import DT_STRING, message
from modeldrop.artifact.wire_stream import BytesSource, WireStream

# a rehearsal asks few; an InvokeEndpoint body may have 6 MiB, and a number takes up to 20 characters in it
MAX_REQUESTS = 20
MAX_ELEMENTS = 200_000
# DataType -> its format in tensor_content, and the packed field of its own values
_FIXED = {1: ("f", 5), 2: ("d", 6)}
_VARINT = {3: ("i", 7), 9: ("q", 10), 10: ("?", 11)}


def predict_requests(records: Iterable[bytes]) -> tuple[GoldenRequest, ...]:
    """Return the first predict requests among PredictionLog records, as TF Serving's REST API takes them.

    A request with a tensor of a type that JSON has no form for, or a very large one, is left out.
    """
    found: list[GoldenRequest] = []
    for record in records:
        try:
            found += [GoldenRequest(_body(one), None) for log in _all(record, 6) for one in _all(log, 1)]
        except (ValueError, DecodeError):
            continue
        if len(found) >= MAX_REQUESTS:
            break
    return tuple(found[:MAX_REQUESTS])


def _body(request: bytes) -> dict[str, Any]:
    names = [name.decode() for spec in _all(request, 1) for name in _all(spec, 3)]
    inputs = {}
    for entry in _all(request, 2):
        name = next(_all(entry, 1), b"").decode()
        inputs[name] = _values(next(_all(entry, 2), b""))
    if not inputs:
        raise ValueError("no input")
    return {"signature_name": names[-1] if names and names[-1] else "serving_default", "inputs": inputs}


def _values(content: bytes) -> Any:
    tensor = message("TensorProto")()
    tensor.ParseFromString(content)
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    count = math.prod(shape)
    if any(size < 0 for size in shape) or count > MAX_ELEMENTS:
        raise ValueError("too large")
    flat = _flat(tensor, content, count)
    if len(flat) == 1 < count:  # TensorProto leaves out what repeats the last value
        flat *= count
    if len(flat) != count:
        raise ValueError("the values do not fill the shape")
    for size in reversed(shape[1:]):
        flat = [flat[at : at + size] for at in range(0, len(flat), size)] if size else []
    return flat if shape else flat[0]


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
    stream = WireStream(BytesSource(content))
    for found, size in stream.fields(len(content)):
        if found == number:
            yield stream.take(size)
