"""`modeldrop lint`: AWS's sample alarms, alarms in every form CloudWatch and CloudFormation have, and the preview."""

from __future__ import annotations

import json
import math
import random
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from modeldrop.judge import process
from modeldrop.judge.answers import AnswerBin
from modeldrop.judge.bins import Bin, Counts
from modeldrop.judge.drift import drift_course
from modeldrop.judge.judge import judge
from modeldrop.policy.model import QualityPolicy
from modeldrop.rollout.alarm_lint import AlarmFormatError, alarm_report, read_alarms
from modeldrop.rollout.alarms import verdict_period
from modeldrop.rollout.plan import LiveAnswers
from modeldrop.rollout.preview import delay_seconds, latency_shift, preview
from tests.unit.rollout_builders import a_plan, a_policy, some_inputs
from tests.unit.test_alarm_lint import GREEN, an_alarm

BOTH = [{"Name": "EndpointName", "Value": "e"}, {"Name": "VariantName", "Value": "AllTraffic"}]
# "Auto-Rollback Configuration and Monitoring" in the SageMaker developer guide; its canary page bakes 600 s
GUIDE_ERRORS: dict[str, Any] = {
    "AlarmName": "guide-errors", "MetricName": "Invocation4XXErrors", "Namespace": "AWS/SageMaker",
    "Statistic": "Average", "Dimensions": BOTH, "Period": 600, "EvaluationPeriods": 2, "Threshold": 1,
    "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
}  # fmt: skip
GUIDE_LATENCY = GUIDE_ERRORS | {
    "AlarmName": "guide-latency", "MetricName": "ModelLatency", "Dimensions": GREEN, "Period": 300, "Threshold": 100000
}  # fmt: skip
# amazon-sagemaker-examples, deployment guardrails notebooks: create_auto_rollback_alarm
NOTEBOOK_ERRORS = GUIDE_ERRORS | {
    "AlarmName": "notebook-errors", "MetricName": "Invocation5XXErrors", "Period": 60, "EvaluationPeriods": 1,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
}  # fmt: skip


def codes(alarm: dict[str, Any]) -> set[str]:
    return {one.code for one in alarm_report(alarm, watched_seconds=600, lag_seconds=90).problems}


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["modeldrop", "lint", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_guides_error_alarm_cannot_fire_is_diluted_and_too_slow() -> None:
    assert codes(GUIDE_ERRORS) == {"ALARM_CANNOT_FIRE", "ALARM_DILUTED", "ALARM_TOO_SLOW"}


def test_the_notebooks_error_alarm_cannot_fire_while_blue_answers() -> None:
    assert codes(NOTEBOOK_ERRORS) == {"ALARM_CANNOT_FIRE", "ALARM_DILUTED"}


def test_the_guides_latency_alarm_is_slower_than_its_bake() -> None:
    assert codes(GUIDE_LATENCY) == {"ALARM_TOO_SLOW"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"MetricName": "ModelLatency", "Threshold": 100}, "ALARM_WRONG_UNIT"),
        ({"MetricName": "ModelLatency", "Threshold": 100_000, "Unit": "Milliseconds"}, "ALARM_WRONG_UNIT"),
        ({"Threshold": 5}, "ALARM_CANNOT_FIRE"),
        ({"Dimensions": GREEN[:1] + GREEN[2:]}, "ALARM_CANNOT_FIRE"),
        ({"TreatMissingData": "breaching"}, "ALARM_FIRES_AT_ONCE"),
        ({"MetricName": "Invocations", "Statistic": "Sum", "ComparisonOperator": "LessThanThreshold", "Threshold": 1},
         "ALARM_SILENCE_LOOKS_HEALTHY"),
    ],
)  # fmt: skip
def test_what_an_alarm_gets_wrong_is_named(changes: dict[str, Any], code: str) -> None:
    assert codes(an_alarm(**changes)) == {code}


def test_a_count_and_a_missing_setting_are_told_not_refused() -> None:
    told = alarm_report(
        an_alarm(Statistic="Sum", Threshold=5, TreatMissingData="missing"), watched_seconds=600, lag_seconds=90
    )
    assert (len(told.problems), len(told.warnings)) == (0, 2)


def test_an_alarm_is_found_in_every_form() -> None:
    resource = {"Type": "AWS::CloudWatch::Alarm", "Properties": GUIDE_ERRORS}
    for document in (
        GUIDE_ERRORS,
        {"MetricAlarms": [GUIDE_ERRORS]},
        resource,
        {"Resources": {"A": resource}},
        [resource],
    ):
        assert codes(read_alarms(document)[0]) == codes(GUIDE_ERRORS)
    assert codes({"AlarmName": "c", "AlarmRule": "ALARM(a)"}) == {"ALARM_COMPOSITE"}


@pytest.mark.parametrize("document", [1, "x", {}, {"Resources": 1}, [None]])
def test_what_holds_no_alarm_is_said(document: Any) -> None:
    with pytest.raises(AlarmFormatError):
        read_alarms(document)


def test_an_alarm_without_a_threshold_is_said() -> None:
    with pytest.raises(AlarmFormatError, match="Threshold"):
        alarm_report({"MetricName": "x", "EvaluationPeriods": 1, "Namespace": "n"}, watched_seconds=600, lag_seconds=90)


def test_the_command_refuses_a_sample_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "alarm.json"
    file.write_text(json.dumps(NOTEBOOK_ERRORS))
    assert run("--alarm", str(file), monkeypatch=monkeypatch) == 1
    assert "ALARM_CANNOT_FIRE  alarm notebook-errors" in capsys.readouterr().out
    file.write_text("{# not json")
    assert run("--alarm", str(file), monkeypatch=monkeypatch) == 2


def test_the_preview_is_deterministic_json(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rollout.yaml").write_text("endpoint: {instance_count: 10}\njudge: {slow: 80ms}\n")
    answers = []
    for _ in range(2):
        assert run(str(tmp_path / "rollout.yaml"), "--rps", "20", "--json", monkeypatch=monkeypatch) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1]
    assert [one["chance"] for one in answers[0]["powers"]] == [0.5, 0.9, 0.99] * 2
    assert [one["name"] for one in answers[0]["alarms"]] == ["RELEASE-verdict", "RELEASE-heartbeat"]


@pytest.mark.parametrize("chance", [0, 1])
def test_the_judge_finds_what_the_preview_promises(chance: int) -> None:
    """The real judge on simulated bins, 300 runs: four standard errors of freedom, and a careful side."""
    plan, policy, blue = a_plan(), a_policy().judge, 0.005
    power = preview(plan, policy, requests_per_second=20, blue_rates={"errors": blue})[chance]
    assert power.green_rate is not None
    start, luck, runs, found = datetime(2026, 1, 1, tzinfo=UTC), random.Random(5), 300, 0
    usable = (plan.bake - delay_seconds(plan)) // 60
    for _ in range(runs):
        bins = [
            Bin(start + timedelta(minutes=n), 60,
                Counts(1080, luck.binomialvariate(1080, blue), 54),
                Counts(120, luck.binomialvariate(120, power.green_rate), 6))
            for n in range(usable)
        ]  # fmt: skip
        verdict = judge(bins, policy, canary_started=start, expected_bins=10, metrics=("errors", "slow"))
        found += verdict.outcome == "bad"
    assert power.chance - 0.08 <= found / runs <= power.chance + 0.2


def test_a_latency_shift_is_1_where_as_many_are_slow_as_before() -> None:
    assert latency_shift(0.05, 0.05, 2.0) == pytest.approx(1)
    assert latency_shift(0.5, 0.05, 2.0) == pytest.approx(2)


@pytest.mark.parametrize(
    "chance", [pytest.param(50, marks=pytest.mark.long), 90, pytest.param(99, marks=pytest.mark.long)]
)
def test_the_judge_finds_the_drift_that_the_preview_promises(chance: int) -> None:
    """200 canaries whose most frequent answer grows to what is to be found; three standard errors of freedom."""
    stack = replace(some_inputs().stack, capture_prefix="s3://approved/captures/")
    answers = LiveAnswers("s3://approved/captures/older", 900, {"positive": 0.6, "negative": 0.4})
    policy = a_policy(quality=QualityPolicy("label", lag_seconds=60))
    plan = a_plan(stack=stack, policy=policy, answers=answers)
    powers = preview(plan, policy.judge, requests_per_second=40, blue_rates={})
    power = next(one for one in powers if one.metric == "drift" and one.chance == chance / 100)
    assert power.green_rate is not None
    assert power.seconds is not None
    periods = (power.seconds - 60 - plan.look - verdict_period(plan)) // plan.metrics_every
    found, runs, draw = 0, 200, random.Random(chance)
    for _ in range(runs):
        told = [drawn(draw, number, power.green_rate) for number in range(periods)]
        terms = plan.drift
        assert terms is not None
        course = drift_course(told, terms, canary_started=DRIFT_START, expected_bins=10, acting=True)
        share = process.bet_share("drift", plan.metrics)
        found += any(value + math.log(share) >= -math.log(0.01) for value in course.evidence.values())
    assert found / runs >= chance / 100 - 3 * math.sqrt(chance / 100 * (1 - chance / 100) / runs) - 0.01


DRIFT_START = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)


def drawn(draw: random.Random, number: int, green: float) -> AnswerBin:
    def counts(of: int, share: float) -> Counter[str]:
        return Counter("positive" if draw.random() < share else "negative" for _ in range(of))

    return AnswerBin(DRIFT_START + timedelta(minutes=number), 60, counts(216, 0.6), counts(24, green))


def test_an_endpoint_without_quality_has_no_drift_to_find() -> None:
    powers = preview(a_plan(), a_policy().judge, requests_per_second=40, blue_rates={"errors": 0.005})
    assert {one.metric for one in powers} == {"errors"}
