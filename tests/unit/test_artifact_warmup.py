"""The warm-up file is read as TF Serving will replay it."""

import struct

import crc32c
import pytest

from modeldrop.artifact.wire_stream import encoded_field
from tests.unit.artifact_builders import good_members, masked, tar_gz, with_files
from tests.unit.test_artifact_inspect import inspect

PATH = "1/assets.extra/tf_serving_warmup_requests"


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return b"".join([length, crc(length), data, crc(data)])


def crc(data: bytes) -> bytes:
    return struct.pack("<I", masked(crc32c.crc32c(data)))


def predict(signature: str = "", *inputs: str) -> bytes:
    """A PredictionLog with a PredictRequest."""
    spec = encoded_field(1, b"model") + (encoded_field(3, signature.encode()) if signature else b"")
    given = b"".join(encoded_field(2, encoded_field(1, name.encode()) + encoded_field(2, b"")) for name in inputs)
    return encoded_field(6, encoded_field(1, encoded_field(1, spec) + given))


def told(content: bytes) -> str:
    (check,) = (check for check in inspect(with_files({PATH: content})).checks if check.code.startswith("WARMUP_"))
    return f"{check.code} {check.what}"


GOOD = record(predict("", "x"))


def test_good_requests_are_counted() -> None:
    assert told(GOOD + record(predict("serving_default", "x"))) == "WARMUP_OK 2 warm-up requests"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (GOOD[:-1], "is longer than the file"),
        (GOOD[:10], "is cut off"),
        (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "wrong checksum of its data"),
        (bytes([GOOD[0] ^ 1]) + GOOD[1:], "wrong checksum of its length"),
        (record(predict("gone", "x")), "signature gone is not in the model"),
        (record(predict("", "z")), "inputs z; serving_default takes x"),
        (record(b""), "it holds no request"),
        (record(b"\xff\xff\xff"), "it ends at byte"),
        (GOOD * 1001, "more than 1,000 records"),
        (record(b"\x32\x00" * 10_001), "more than 10,000 fields"),
    ],
)
def test_what_tf_serving_would_fail_on_is_refused(content: bytes, why: str) -> None:
    assert told(content).startswith("WARMUP_INVALID")
    assert why in told(content)


def test_warm_up_requests_are_golden_requests_without_answers_where_there_are_no_others() -> None:
    shape = encoded_field(2, encoded_field(2, b"\x08\x01"))
    one_float = b"\x08\x01" + shape + encoded_field(5, struct.pack("<f", 2.0))
    asked = encoded_field(2, encoded_field(1, b"x") + encoded_field(2, one_float))
    content = record(encoded_field(6, encoded_field(1, encoded_field(1, encoded_field(1, b"model")) + asked)))
    members = {name: body for name, body in good_members().items() if not name.endswith("golden.jsonl")}
    report = inspect(tar_gz({**members, PATH: content}))
    assert [(one.request["inputs"], one.response) for one in report.golden] == [({"x": [2.0]}, None)]
