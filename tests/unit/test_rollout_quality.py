"""Answers of green against blue's: what is planned, captured, told and refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from modeldrop.errors import PolicyRejectedError
from modeldrop.judge.answers import DriftTerms
from modeldrop.policy.model import QualityPolicy
from modeldrop.policy.strategies import Canary
from modeldrop.policy.strategy import CapacitySize
from modeldrop.rollout.plan import LiveAnswers, plan_from_json, plan_to_json
from modeldrop.rollout.requests import create_endpoint_config_request
from tests.unit.rollout_builders import RELEASE, a_plan, a_policy, some_inputs


def some_quality(**overrides: Any) -> dict[str, Any]:
    stack = dataclasses.replace(some_inputs().stack, capture_prefix="s3://approved/captures/")
    values: dict[str, Any] = {
        "stack": stack,
        "policy": a_policy(quality=QualityPolicy("label")),
        "answers": LiveAnswers("s3://approved/captures/older", 900, {"positive": 0.6, "negative": 0.4}, 2),
        "outputs": ("label", "score"),
    }
    return values | overrides


def test_answers_are_captured_below_a_prefix_of_the_release_and_judged_by_blue_s_last_hour() -> None:
    plan = a_plan(**some_quality())
    assert plan.capture_to == f"s3://approved/captures/{RELEASE}"
    assert plan.drift == DriftTerms(0.1, {"positive": 0.6, "negative": 0.4}, 2)
    assert any("answers (label) are judged on 10% of requests: 2 classes" in note for note in plan.notes)
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


def test_without_quality_nothing_is_captured() -> None:
    plan = a_plan()
    assert (plan.capture_to, plan.drift) == ("", None)


@pytest.mark.parametrize(
    ("answers", "note"),
    [
        (LiveAnswers(), "released without quality"),
        (LiveAnswers("s3://approved/captures/older", 49, {"positive": 1.0}), "49 were captured in the last hour"),
    ],
)
def test_answers_without_any_of_blue_s_are_captured_but_not_judged(answers: LiveAnswers, note: str) -> None:
    plan = a_plan(**some_quality(answers=answers))
    assert plan.capture_to
    assert plan.drift is None
    assert any(note in one for one in plan.notes), plan.notes


def test_a_first_release_captures_answers_so_that_the_next_can_be_compared() -> None:
    plan = a_plan(**some_quality(live=None, answers=LiveAnswers()))
    assert plan.capture_to
    assert plan.drift is None


def test_an_output_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(PolicyRejectedError) as refusal:
        a_plan(**some_quality(outputs=("score", "probabilities")))
    (problem,) = refusal.value.problems
    assert problem.code == "QUALITY_OUTPUT"
    assert "label" in problem.what
    assert "score, probabilities" in problem.what


def test_a_bake_that_is_over_before_answers_are_known_is_told() -> None:
    short = a_policy(quality=QualityPolicy("label"), strategy=Canary(CapacitySize(instances=1), 240, 600))
    assert any("later than the bake of 240 s" in note for note in a_plan(**some_quality(policy=short)).notes)


def test_green_s_answers_are_captured_without_what_users_sent() -> None:
    config = create_endpoint_config_request(
        dataclasses.replace(a_plan(), capture_to="s3://approved/captures/r", capture_percent=10)
    )
    capture = config["DataCaptureConfig"]
    assert capture["DestinationS3Uri"] == "s3://approved/captures/r"
    assert capture["InitialSamplingPercentage"] == 10
    assert capture["CaptureOptions"] == [{"CaptureMode": "Output"}]
    assert "DataCaptureConfig" not in create_endpoint_config_request(a_plan())
