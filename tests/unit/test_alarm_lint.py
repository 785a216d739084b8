"""Alarms that cannot do what they are for."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from modeldrop.errors import PolicyRejectedError
from modeldrop.policy.model import JudgePolicy, SloPolicy
from modeldrop.policy.strategies import AllAtOnce, Canary, Linear, Rolling
from modeldrop.policy.strategy import CapacitySize, Strategy
from modeldrop.rollout.alarm_lint import AlarmFormatError, alarm_report, read_alarms
from modeldrop.rollout.alarms import alarm_requests
from modeldrop.rollout.lint import lint, lint_alarms
from modeldrop.rollout.plan import LiveState, RolloutPlan, Traffic
from modeldrop.rollout.preview import seconds_until_found
from modeldrop.rollout.sight import sight
from tests.unit.rollout_builders import GPU, RELEASE, a_demo_policy, a_plan, a_policy

GREEN = [{"Name": name, "Value": "x"} for name in ("EndpointName", "VariantName", "EndpointConfigName")]


def an_alarm(**overrides: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "AlarmName": "a",
        "Namespace": "AWS/SageMaker",
        "MetricName": "InvocationModelErrors",
        "Dimensions": GREEN,
        "Statistic": "Average",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0.01,
        "Period": 60,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "TreatMissingData": "notBreaching",
    }
    return values | overrides


def codes(*alarms: dict[str, Any], bake: int = 600) -> list[str]:
    return [problem.code for problem in lint_alarms(list(alarms), watched_seconds=bake, lag_seconds=90)]


def test_a_sound_alarm_passes() -> None:
    assert codes(an_alarm()) == []


def test_the_guides_own_sample_alarm_cannot_fire() -> None:
    """Deployment guardrails guide: Invocation4XXErrors, Average, over 1; a request counts 0 or 1."""
    assert codes(an_alarm(MetricName="Invocation4XXErrors", Threshold=1)) == ["ALARM_CANNOT_FIRE"]


def test_a_latency_beyond_the_response_time_limit_cannot_be_exceeded() -> None:
    slow = an_alarm(MetricName="ModelLatency", ExtendedStatistic="p99", Threshold=60_000_000)
    assert codes(slow) == ["ALARM_CANNOT_FIRE"]


def test_more_datapoints_than_periods_cannot_be() -> None:
    assert "ALARM_CANNOT_FIRE" in codes(an_alarm(DatapointsToAlarm=2))


def test_an_alarm_on_both_fleets_is_diluted() -> None:
    assert codes(an_alarm(Dimensions=GREEN[:2])) == ["ALARM_DILUTED"]


def test_an_alarm_slower_than_the_bake_is_refused() -> None:
    """Deployment guardrails guide: 2 periods of 600 s beside a bake of 600 s."""
    assert codes(an_alarm(Period=600, EvaluationPeriods=2, DatapointsToAlarm=2)) == ["ALARM_TOO_SLOW"]
    assert codes(an_alarm(), bake=150) == []
    assert codes(an_alarm(), bake=149) == ["ALARM_TOO_SLOW"]


def test_more_than_ten_alarms_are_refused() -> None:
    assert codes(*[an_alarm()] * 11) == ["TOO_MANY_ALARMS"]


def test_a_plan_with_an_alarm_that_is_too_slow_is_refused() -> None:
    policy = a_policy(strategy=Canary(CapacitySize(1), 100, 140), slo=SloPolicy(0.01))
    with pytest.raises(PolicyRejectedError) as caught:
        a_plan(policy=policy)
    assert {problem.code for problem in caught.value.problems} & {"ALARM_TOO_SLOW", "DEAD_MAN_TOO_LONG"}


@pytest.mark.parametrize("strategy", [Linear(0.5, 100, 140), Rolling(0.25, 100), AllAtOnce(140)], ids=str)
def test_a_bake_that_is_too_short_for_its_own_alarm_is_refused_by_the_name_of_its_field(strategy: Strategy) -> None:
    plan = a_plan(policy=a_policy(strategy=AllAtOnce(600), slo=SloPolicy(0.01)))
    found = lint(replace(plan, strategy=strategy), JudgePolicy(), Traffic())
    slow = [problem for problem in found.problems if problem.code == "ALARM_TOO_SLOW"]
    assert {problem.where for problem in slow} == {strategy.all_bake_fields}
    assert all(problem.fix.startswith(f"Lengthen {strategy.all_bake_fields},") for problem in slow)


def test_our_own_alarms_pass_our_own_lint() -> None:
    for policy in (a_policy(slo=SloPolicy(0.01, {"p99": 100.0})), a_demo_policy(slo=SloPolicy(0.01, {"p90": 100.0}))):
        assert a_plan(policy=policy).release == RELEASE


def test_verdict_fires_on_one_point_and_heartbeat_on_silence() -> None:
    verdict, heartbeat = alarm_requests(a_plan(policy=a_demo_policy()))
    assert verdict["AlarmName"] == f"{RELEASE}-verdict"
    assert (verdict["Threshold"], verdict["DatapointsToAlarm"], verdict["TreatMissingData"]) == (1, 1, "notBreaching")
    assert verdict["Period"] == 10
    assert heartbeat["AlarmName"] == f"{RELEASE}-heartbeat"
    assert heartbeat["TreatMissingData"] == "breaching"
    assert heartbeat["EvaluationPeriods"] == heartbeat["DatapointsToAlarm"]


def test_latency_is_in_microseconds_on_greens_own_dimensions() -> None:
    latency = alarm_requests(a_plan(policy=a_policy(slo=SloPolicy(latency_ms={"p99": 100.0}))))[-1]
    assert latency["Threshold"] == 100_000
    assert {"Name": "EndpointConfigName", "Value": RELEASE} in latency["Dimensions"]


def test_a_first_release_has_no_alarms() -> None:
    assert alarm_requests(a_plan(live=None)) == []


def test_the_verdicts_alarm_is_no_slower_than_the_looks() -> None:
    """Ours is a high-resolution metric: with metrics a minute apart its alarm need not wait a minute, too."""
    periods = [
        {one["AlarmName"].split("-")[-1]: one["Period"] for one in alarm_requests(a_plan(policy=policy))}
        for policy in (a_policy(), a_demo_policy())
    ]
    assert periods == [{"verdict": 30, "heartbeat": 60}, {"verdict": 10, "heartbeat": 10}]
    assert a_plan().look <= 30


def test_ceilings_that_blue_itself_breaks_are_refused() -> None:
    with pytest.raises(PolicyRejectedError) as refused:
        a_plan(policy=a_policy(slo=SloPolicy(0.001, {"p99": 30.0})))
    rate, latency = refused.value.problems
    assert (rate.code, rate.where) == ("SLO_BELOW_BLUE", "slo.error_rate")
    assert "slo.error_rate is 0.10% and blue had 0.50% of 72000 requests in the last hour" in rate.what
    assert (latency.code, latency.where) == ("SLO_BELOW_BLUE", "slo.latency.p99")
    assert "blue's p95 was 40 ms" in latency.what
    assert "leave it out, also where green is to mend blue" in rate.fix


@pytest.mark.parametrize(
    "traffic",
    [Traffic(50, 2, p95_ms=40.0), Traffic(1000, 15), Traffic(10_000, 130, clump=10)],
    ids=["few requests", "little over it", "a few clumps"],
)
def test_a_ceiling_that_blue_may_have_broken_by_chance_is_told(traffic: Traffic) -> None:
    notes = " ".join(a_plan(policy=a_policy(slo=SloPolicy(0.01, {"p99": 30.0})), traffic=traffic).notes)
    assert "a green as good as blue will be rolled back, if that was no chance" in notes


def test_a_rate_that_is_only_supposed_breaks_no_ceiling() -> None:
    traffic = Traffic(72_000, 360, measured=False)
    assert a_plan(policy=a_policy(slo=SloPolicy(0.001)), traffic=traffic).error_ceiling == 0.001


def test_a_ceiling_that_one_failure_breaks_is_told() -> None:
    policy = a_policy(slo=SloPolicy(0.01))
    assert "one failure is over slo.error_rate" in " ".join(a_plan(policy=policy, traffic=Traffic(3600, 0)).notes)
    assert "one failure" not in " ".join(a_plan(policy=policy).notes)


def test_a_canary_too_short_for_a_verdict_is_told() -> None:
    policy = a_policy(strategy=Canary(CapacitySize(1), 200, 600))
    assert "a bad green may meet all users" in " ".join(a_plan(policy=policy).notes)


def seen_after(plan: RolloutPlan, blue_rate: float, green_rate: float) -> int | None:
    return seconds_until_found(
        plan,
        a_policy().judge,
        "errors",
        requests_per_second=50,
        blue_rate=blue_rate,
        green_rate=green_rate,
        chance=0.99,
    )


def test_a_worse_green_is_seen_sooner() -> None:
    seen = [seen_after(a_plan(), 0.005, rate) for rate in (0.05, 0.1, 0.5)]
    assert all(one is not None for one in seen)
    assert seen == sorted(seen, reverse=True)  # type: ignore[type-var]
    # a bin, the metric lag, a look, and one period of the verdict's alarm
    assert seen[-1] == 60 + 90 + 30 + 30


def test_failures_that_come_in_clumps_are_seen_later() -> None:
    """The clump that was measured, not only one that the policy names."""
    alone, clumps = (
        sight(replace(a_plan(), clump=size), a_policy().judge, requests_per_second=1, blue_rate=0.005)
        for size in (1, 5)
    )
    assert alone != clumps


def test_a_difference_that_does_not_matter_is_never_seen() -> None:
    assert seen_after(a_plan(), 0.01, 0.011) is None


def test_a_plan_for_one_instance_promises_no_sight() -> None:
    plan = a_plan(policy=a_policy(endpoint=a_policy().endpoint.__class__(GPU, 1)), live=LiveState("old", GPU, 1))
    assert not any("is seen within" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"MetricAlarms": 5}, "are lists of alarms"),
        ({"MetricAlarms": [5]}, "are lists of alarms"),
        (an_alarm(Threshold={"Ref": "T"}), "Threshold is {'Ref': 'T'}, a parameter or a function"),
        (an_alarm(Threshold="NaN"), "Threshold is 'NaN', not a number it can be"),
        (an_alarm(Period=0), "Period is 0, not a number it can be"),
        (an_alarm(Dimensions=[5]), "Dimensions is a list of Name and Value"),
        (an_alarm(Namespace=None), "has no Namespace"),
        ({"MetricName": "m"}, "has no Threshold"),
        (an_alarm(Statistic=""), "has neither Statistic nor ExtendedStatistic"),
    ],
)
def test_an_alarm_that_cannot_be_read_says_which_field(document: dict[str, Any], told: str) -> None:
    with pytest.raises(AlarmFormatError, match=re.escape(told)):
        for alarm in read_alarms(document):
            alarm_report(alarm, watched_seconds=600, lag_seconds=90)
