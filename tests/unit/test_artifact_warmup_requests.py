"""Warm-up requests become requests that a rehearsal asks; TensorFlow's own messages are the judge."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from modeldrop.artifact.golden import MAX_STORED_BYTES, GoldenRequest, golden_jsonl, parse_golden
from modeldrop.artifact.warmup_requests import MAX_REQUESTS, predict_requests
from tests.unit.artifact_builders import varint


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def a_tensor(dtype: int, shape: tuple[int, ...], values: bytes) -> bytes:
    dims = b"".join(field(2, b"\x08" + varint(size)) for size in shape)
    return b"\x08" + varint(dtype) + field(2, dims) + values


def a_record(inputs: dict[str, bytes], signature: str = "serving_default") -> bytes:
    spec = field(1, b"model") + field(3, signature.encode())
    entries = b"".join(field(2, field(1, name.encode()) + field(2, tensor)) for name, tensor in inputs.items())
    return field(6, field(1, field(1, spec) + entries))


def asked(tensor: bytes) -> object:
    (one,) = predict_requests([a_record({"x": tensor})])
    assert one.response is None
    return one.request["inputs"]["x"]


def test_a_predict_request_is_asked_by_its_signature_without_a_stored_answer() -> None:
    record = a_record({"x": a_tensor(1, (1, 2), field(4, struct.pack("<2f", 1.5, -2)))}, "scores")
    assert predict_requests([record]) == (
        GoldenRequest({"signature_name": "scores", "inputs": {"x": [[1.5, -2.0]]}}, None),
    )


def test_each_way_to_store_values_is_read() -> None:
    assert asked(a_tensor(1, (2,), field(5, struct.pack("<2f", 1, 2)))) == [1.0, 2.0]
    assert asked(a_tensor(2, (1,), field(6, struct.pack("<d", 0.1)))) == [0.1]
    assert asked(a_tensor(3, (2,), field(7, varint(3) + varint((1 << 64) - 4)))) == [3, -4]
    assert asked(a_tensor(9, (1, 1), field(4, struct.pack("<q", 7)))) == [[7]]
    assert asked(a_tensor(10, (2,), field(11, b"\x01\x00"))) == [True, False]
    assert asked(a_tensor(7, (2,), field(8, b"good") + field(8, b"\xff"))) == ["good", {"b64": "/w=="}]
    assert asked(a_tensor(1, (), field(5, struct.pack("<f", 4)))) == 4.0


def test_a_value_that_stands_for_all_is_repeated() -> None:
    assert asked(a_tensor(1, (2, 2), field(5, struct.pack("<f", 1)))) == [[1.0, 1.0], [1.0, 1.0]]


def test_what_json_cannot_say_is_left_out() -> None:
    complex64 = a_tensor(8, (1,), field(4, bytes(8)))
    huge = a_tensor(1, (10**9,), field(5, struct.pack("<f", 1)))
    short = a_tensor(1, (3,), field(5, struct.pack("<2f", 1, 2)))
    assert predict_requests([a_record({"x": one}) for one in (complex64, huge, short)]) == ()


def test_other_kinds_of_requests_are_left_out() -> None:
    assert predict_requests([field(1, b"")]) == ()


def test_a_few_bytes_that_stand_for_many_values_are_left_out() -> None:
    one = field(5, struct.pack("<f", 1))
    many = a_tensor(1, (150_000,), one)
    lists = a_tensor(1, (100_000, *[1] * 40), one)
    deep = a_tensor(1, (1,) * 100, one)
    endless = a_tensor(1, ((1 << 63) - 1,) * 100_000, one)
    long_text = a_tensor(7, (100_000,), field(8, b"x" * 1000))
    records = [a_record({"x": tensor}) for tensor in (lists, deep, endless, long_text)]
    assert predict_requests([*records, a_record({"x": many, "y": many})]) == ()


def test_all_requests_together_are_no_more_than_what_is_stored() -> None:
    tensor = a_tensor(
        2, (60_000,), field(6, struct.pack("<d", 0.1) * 59_999 + struct.pack("<d", -1.2345678901234567e-300))
    )
    found = predict_requests([a_record({"x": tensor})] * 20)
    assert 1 < len(found) < MAX_REQUESTS
    assert len(golden_jsonl(found)) <= MAX_STORED_BYTES


def test_an_empty_tensor_is_left_out_since_json_has_no_form_for_its_shape() -> None:
    assert predict_requests([a_record({"x": a_tensor(1, (3, 0), b"")})]) == ()


def test_a_photo_is_asked() -> None:
    (one,) = predict_requests([a_record({"x": a_tensor(1, (1, 224, 224, 3), field(4, bytes(4 * 224 * 224 * 3)))})])
    assert parse_golden(golden_jsonl([one]), MAX_STORED_BYTES) == (one,)


def test_a_long_file_gives_the_first_requests() -> None:
    record = a_record({"x": a_tensor(1, (1,), field(5, struct.pack("<f", 1)))})
    assert len(predict_requests([record] * 100)) == MAX_REQUESTS


@settings(max_examples=40)
@given(st.binary(max_size=60))
def test_no_tensor_is_a_crash(content: bytes) -> None:
    predict_requests([a_record({"x": content})])


@settings(max_examples=40)
@given(st.binary(max_size=60))
def test_no_record_is_a_crash(content: bytes) -> None:
    predict_requests([content])
