"""Golden requests are read strictly, and answers compared with tolerance."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeldrop.artifact.golden import (
    MAX_DIFFERENCE,
    MAX_GOLDEN_BYTES,
    MAX_GOLDEN_PROBLEMS,
    MAX_STORED_BYTES,
    GoldenRequest,
    answers_match,
    golden_jsonl,
    lacking_operation,
    parse_golden,
)
from modeldrop.errors import ArtifactRejectedError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def line(**fields: object) -> bytes:
    return json.dumps({"request": {"instances": []}, "response": {"predictions": []}, **fields}).encode() + b"\n"


def test_a_missing_operation_is_found_in_what_tensorflow_says() -> None:
    said = "Failed to start: Op type not registered 'TFText>Utf8Binarize' in binary running on localhost. Make sure"
    assert lacking_operation(said) == "TFText>Utf8Binarize"
    assert lacking_operation("No OpKernel was registered to support Op 'Conv2D'") == ""


def complaints(text: bytes) -> list[str]:
    with pytest.raises(ArtifactRejectedError) as refused:
        parse_golden(text)
    assert {problem.code for problem in refused.value.problems} == {"GOLDEN_INVALID"}
    return [f"{problem.where}: {problem.what}" for problem in refused.value.problems]


@pytest.mark.parametrize(
    "value", ["[1e15" + ",1e15" * 19_900 + "]", '"' + "\u0434" * 50_000 + '"', "[" + "[]," * 30_000 + "0]"]
)
def test_what_an_archive_may_hold_is_stored_and_read_again(value: str) -> None:
    text = b'{"request": {"x": %s}}' % value.encode()
    requests = parse_golden(text)
    stored = golden_jsonl(requests)
    assert len(stored) / len(text) < MAX_STORED_BYTES / MAX_GOLDEN_BYTES
    assert parse_golden(stored, MAX_STORED_BYTES) == requests


def test_requests_are_read_with_their_tolerances() -> None:
    found = parse_golden(line() + b"\n" + line(rtol=0.1, atol=0))
    assert found == (
        GoldenRequest({"instances": []}, {"predictions": []}),
        GoldenRequest({"instances": []}, {"predictions": []}, 0.1, 0.0),
    )


@pytest.mark.parametrize(
    "text",
    [
        b"not json",
        b"[]",
        b"{}",
        line(request=[]),
        line(response=None),
        line(rtol=-1),
        line(rtol=True),
        line(atol="1"),
        line(rtol=math.nan),
        line(tolerance=1),
        b"\xff\n",
        b"\n",
        b"",
        b'{"request": ' + b'{"a":' * 100_000,
        b'{"request": {"a": ' + b"[" * 100 + b"]" * 100 + b'}, "response": {}}',
        line() * 101,
        b" " * (1024 * 1024 + 1),
    ],
)
def test_what_is_not_a_golden_request_is_refused(text: bytes) -> None:
    assert complaints(text)


def test_every_wrong_line_is_named() -> None:
    assert [text.split(":")[0] for text in complaints(b"x\n" + line() + b"[]\n")] == ["line 1", "line 3"]


@given(JSON)
def test_an_answer_matches_itself(answer: object) -> None:
    assert answers_match(answer, answer) is None


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (1.0, 1.0009),
        (1, 1.0),
        (0.0, 0.000009),
        (math.nan, math.nan),
        (math.inf, math.inf),
        (10**400, 10**400),
    ],
)
def test_numbers_within_tolerance_match(expected: float, found: float) -> None:
    assert answers_match([expected], [found]) is None


@pytest.mark.parametrize(
    ("expected", "found", "difference"),
    [
        ({"p": [1.0, 2.0]}, {"p": [1.0, 2.1]}, "the answer.p[1] is 2.1, expected 2 within 0.00201"),
        ({"p": [1]}, {"p": [1, 2]}, "the answer.p has 2 items, expected 1"),
        ({"p": 1}, {}, "the answer lacks 'p'"),
        ({}, {"error": "x"}, "the answer has 'error', which was not expected"),
        ("good", "bad", "the answer is 'bad', expected 'good'"),
        (True, 1, "the answer is 1, expected True"),
        (1.0, None, "the answer is None, expected 1.0"),
        (1.0, math.nan, "the answer is nan, expected 1.0"),
        (math.inf, -math.inf, "the answer is -inf, expected inf"),
        (10**400, 1, "the answer is 1.0, expected inf"),
    ],
)
def test_the_first_difference_is_told(expected: object, found: object, difference: str) -> None:
    assert answers_match(expected, found) == difference


def test_a_difference_is_short_whatever_the_answer_s_names() -> None:
    name = "x" * 1_000_000
    for expected, found in (({name: [1]}, {name: [2]}), ({name: 1}, {}), ({}, {name: 1}), ([name], [1])):
        assert len(answers_match(expected, found) or "") in range(1, MAX_DIFFERENCE + 1)


def test_half_a_million_wrong_lines_are_not_all_told() -> None:
    with pytest.raises(ArtifactRejectedError) as refused:
        parse_golden(b"x\n" * 500_000)
    assert len(refused.value.problems) == MAX_GOLDEN_PROBLEMS
    assert refused.value.problems[-1].where == f"line {MAX_GOLDEN_PROBLEMS}"


def test_a_request_may_ask_for_exact_numbers() -> None:
    assert answers_match(1.0, 1.0000001, rtol=0, atol=0) is not None
