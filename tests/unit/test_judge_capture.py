"""Captured answers: which class each one is, whatever a model or its users put there."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeldrop.judge.capture import class_of, read_capture


def a_line(answer: Any, encoding: str = "JSON", **overrides: Any) -> str:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    data = base64.b64encode(text.encode()).decode() if encoding == "BASE64" else text
    output = {"observedContentType": "application/json", "mode": "OUTPUT", "data": data, "encoding": encoding}
    line = {
        "captureData": {"endpointOutput": output},
        "eventMetadata": {"eventId": "e-1", "inferenceTime": "2026-11-23T20:10:00Z"},
        "eventVersion": "0",
    }
    return json.dumps(line | overrides)


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ({"predictions": [{"label": "positive", "score": 0.9}]}, "positive"),
        ({"predictions": [{"label": ["positive"], "score": [0.9]}, {"label": ["negative"]}]}, "positive"),
        ({"predictions": ["positive", "negative"]}, "positive"),
        ({"predictions": [[0.1, 0.7, 0.2]]}, "class 1"),
        ({"predictions": [[0.83]]}, "0.8 to 0.9"),
        ({"predictions": [0.3]}, "0.3 to 0.4"),
        ({"predictions": [1.0]}, "0.9 to 1.0"),
        ({"predictions": [-3.5]}, "-4 to -2"),
        ({"predictions": [1500.0]}, "1024 to 2048"),
        ({"predictions": [7]}, "7"),
        ({"predictions": [True]}, "True"),
        ({"predictions": [{"label": {"b64": "cG9zaXRpdmU="}}]}, "cG9zaXRpdmU="),
        ({"outputs": {"label": ["negative"], "score": [0.5]}}, "negative"),
        ({"outputs": ["negative"]}, "negative"),
        ({"results": [[["cat", 0.2], ["dog", 0.8]]]}, "dog"),
        ({"results": [0.25]}, "0.2 to 0.3"),
        ({"predictions": [{"score": 0.9}]}, ""),
        ({"predictions": []}, ""),
        ({"predictions": [[[1.0, 2.0], [3.0, 4.0]]]}, ""),
        ({"error": "boom"}, ""),
        ([1], ""),
        ({"predictions": [float("nan")]}, "not a finite number"),
        ({"predictions": [[float("nan"), 0.2]]}, "class 1"),
    ],
)
def test_an_answer_has_the_class_a_person_would_give_it(answer: Any, name: str) -> None:
    assert class_of(json.loads(json.dumps(answer)), "label") == name


def test_a_line_gives_the_class_and_the_moment() -> None:
    answer = {"predictions": [{"label": "positive"}]}
    for encoding in ("JSON", "BASE64"):
        found, bad = read_capture([a_line(answer, encoding), ""], "label")
        assert [(one.at, one.name) for one in found] == [(datetime(2026, 11, 23, 20, 10, tzinfo=UTC), "positive")]
        assert bad == 0


def test_what_is_no_json_has_no_class_and_what_is_no_line_is_counted() -> None:
    found, bad = read_capture([a_line("a,b,c"), a_line("%%%", "BASE64"), "{", "[]", '{"captureData": 1}'], "label")
    assert [one.name for one in found] == ["", ""]
    assert bad == 3


def test_a_line_without_the_output_has_no_class() -> None:
    found, _ = read_capture([a_line({}, captureData={})], "label")
    assert found[0].name == ""


def test_a_name_is_only_data() -> None:
    hostile = "\u202epositive\n\x1b[31m" + "x" * 100
    name = class_of({"predictions": [hostile]}, "label")
    assert len(name) == 40
    assert name.startswith("?positive??[31mx")
    assert class_of({"predictions": [""]}, "label") == "(empty)"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12) | st.just("label"), inner),
    max_leaves=20,
)


@given(JSON, st.sampled_from(["predictions", "outputs", "results"]))
def test_no_answer_breaks_the_reading(value: Any, key: str) -> None:
    found, bad = read_capture([a_line({key: value})], "label")
    assert len(found) + bad == 1
    assert all(len(one.name) <= 40 and one.name.isprintable() for one in found)


@given(st.text())
def test_no_line_breaks_the_reading(line: str) -> None:
    found, bad = read_capture([line], "label")
    assert len(found) + bad <= 1


def test_deep_nesting_is_refused_not_followed() -> None:
    assert read_capture([a_line("[" * 100_000)], "label") == ([], 1)
