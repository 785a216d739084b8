"""The new model's serving signatures against the live ones, as a caller of today meets them."""

from typing import Any

import pytest

from modeldrop.artifact.language import Live, changes, signatures_of
from modeldrop.artifact.report import report_to_json
from modeldrop.release.reports import to_bytes
from tests.unit.artifact_builders import DT_FLOAT, good_artifact, signature
from tests.unit.test_artifact_inspect import inspect


def form(inputs: dict[str, Any], outputs: dict[str, Any], method: str = "predict") -> dict[str, Any]:
    def specs(tensors: dict[str, Any]) -> dict[str, Any]:
        return {name: {"dtype": dtype, "shape": shape} for name, (dtype, shape) in tensors.items()}

    return {"serving_default": {"method": method, "inputs": specs(inputs), "outputs": specs(outputs)}}


X, Y = {"x": ("float32", [None, 4])}, {"y": ("float32", [None, 2])}
LIVE = form(X, Y)


@pytest.mark.parametrize(
    ("new", "breaking", "told"),
    [
        (form({"z": X["x"]}, Y), [True, True], "input x: float32[?, 4] -> gone"),
        (form(X | {"z": ("int64", [])}, Y), [True], "input z: not there -> int64[], which no request of today has"),
        (form({"x": ("int32", [None, 4])}, Y), [True], "input x: float32[?, 4] -> int32[?, 4]"),
        (form({"x": ("float32", [None, 5])}, Y), [True], "input x: float32[?, 4] -> float32[?, 5]"),
        (form({"x": ("float32", [1, 4])}, Y), [True], "input x: float32[?, 4] -> float32[1, 4]"),
        (form({"x": ("float32", [4])}, Y), [True], "input x: float32[?, 4] -> float32[4]"),
        (form({"x": ("float32", [None, None])}, Y), [False], "input x: float32[?, 4] -> float32[?, ?]"),
        (form({"x": ("float32", None)}, Y), [False], "input x: float32[?, 4] -> float32[...]"),
        (form(X, {}), [True], "output y: float32[?, 2] -> gone"),
        (form(X, {"y": ("float16", [None, 2])}), [True], "output y: float32[?, 2] -> float16[?, 2]"),
        (form(X, {"y": ("float32", [None, 3])}), [True], "output y: float32[?, 2] -> float32[?, 3]"),
        (form(X, {"y": ("float32", [None, None])}), [False], "output y: float32[?, 2] -> float32[?, ?]"),
        (form(X, Y | {"more": ("string", [None])}), [False], "output more: not there -> string[?]"),
        (form(X, Y, "classify"), [True], "method predict -> classify"),
        ({}, [True], "x float32[?, 4] -> y float32[?, 2] -> gone"),
        (LIVE | {"second": LIVE["serving_default"]}, [False], "not there -> x float32[?, 4] -> y float32[?, 2]"),
        (LIVE, [], ""),
    ],
)
def test_each_change_is_judged_as_a_caller_meets_it(new: dict[str, Any], breaking: list[bool], told: str) -> None:
    found = list(changes(LIVE, new))
    assert [change.breaking for change in found] == breaking
    assert [change.what for change in found][:1] == ([told] if told else [])


def against(live: Live, **policy: Any) -> dict[str, str]:
    report = inspect(
        good_artifact(signatures={"serving_default": signature({"new": ("x:0", DT_FLOAT, (-1, 2))})}),
        live=live,
        **policy,
    )
    return {check.code: check.result for check in report.checks if check.code.startswith("SERVING_")}


def test_a_breaking_change_is_refused_unless_the_policy_allows_it() -> None:
    live = Live("live-1", inspect(good_artifact()).serving_signatures)
    assert against(live) == {"SERVING_BREAKING": "refused"}
    assert against(live, breaking="allow") == {"SERVING_BREAKING_ALLOWED": "warned"}
    assert against(live, breaking="restore") == {"SERVING_BREAKING_RESTORED": "warned"}


def test_a_live_release_without_report_is_a_warning_that_says_so() -> None:
    assert against(Live("live-1", None)) == {"SERVING_NO_LIVE": "warned"}


def test_the_live_signatures_are_read_from_its_report() -> None:
    report = inspect(good_artifact())
    assert signatures_of(to_bytes(report_to_json(report))) == report.serving_signatures


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"serving_signatures": {"a": 1}}', b"[" * 100_000])
def test_a_report_that_is_none_is_not_believed(text: bytes) -> None:
    assert signatures_of(text) is None
