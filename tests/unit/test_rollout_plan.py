"""What is planned, and what is refused before a GPU is paid for."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from modeldrop.errors import ParkedError, PolicyRejectedError
from modeldrop.policy.model import (
    Autoscaling,
    EndpointPolicy,
    JudgePolicy,
    QualityPolicy,
    SloPolicy,
)
from modeldrop.policy.strategies import AllAtOnce, Canary, Linear, Rolling
from modeldrop.policy.strategy import CapacitySize, Strategy
from modeldrop.rollout.plan import LiveState, Traffic, plan_from_json, plan_rollout, plan_to_json
from tests.unit.rollout_builders import CANARY, GPU, ROLLING, STRATEGIES, a_demo_policy, a_plan, a_policy, some_inputs

OLDER_RECORDS = json.loads((Path(__file__).parent / "golden" / "records_before_strategies.json").read_text())


def refused(**overrides: object) -> list[str]:
    with pytest.raises(PolicyRejectedError) as caught:
        a_plan(**overrides)
    return [problem.code for problem in caught.value.problems]


def canary(instances: int | None = None, share: float | None = None, bake: int = 600) -> Canary:
    return Canary(CapacitySize(instances, share), bake, 600)


def test_a_canary_of_one_in_ten_gets_a_tenth_of_the_traffic() -> None:
    plan = a_plan()
    assert (plan.strategy, plan.canary_instances, plan.canary_share) == (CANARY, 1, 0.1)
    assert not plan.first_release


def test_a_share_is_rounded_up_to_whole_instances() -> None:
    plan = a_plan(policy=a_policy(strategy=canary(share=0.15)))
    assert plan.canary_instances == 2


def test_a_share_that_whole_instances_more_than_double_is_refused() -> None:
    policy = a_policy(endpoint=EndpointPolicy(GPU, 4), strategy=canary(share=0.1))
    assert refused(policy=policy, live=LiveState("old", GPU, 4)) == ["CANARY_SIZE"]


def test_a_canary_of_more_than_half_is_refused() -> None:
    assert refused(policy=a_policy(strategy=canary(instances=6))) == ["CANARY_SIZE"]
    assert a_plan(policy=a_policy(strategy=canary(instances=5))).canary_share == 0.5


def test_one_instance_is_replaced_at_once_with_a_final_bake_and_the_plan_says_so() -> None:
    policy = a_policy(endpoint=EndpointPolicy(GPU, 1))
    plan = a_plan(policy=policy, live=LiveState("old", GPU, 1))
    assert plan.strategy == AllAtOnce(600)
    assert plan.final_bake == 600
    assert any("no blue beside green" in note for note in plan.notes)


def test_one_instance_is_refused_when_the_policy_insists_on_a_canary() -> None:
    policy = a_policy(endpoint=EndpointPolicy(GPU, 1), strategy_chosen=True)
    assert refused(policy=policy, live=LiveState("old", GPU, 1)) == ["ONE_INSTANCE"]


def test_a_first_release_is_neither_shifted_nor_refused_for_its_size() -> None:
    plan = a_plan(live=None, policy=a_policy(endpoint=EndpointPolicy(GPU, 1), strategy_chosen=True))
    assert plan.first_release
    assert plan.previous_config == ""


def test_an_autoscaled_count_survives() -> None:
    scaling = Autoscaling(2, 20, 1200)
    policy = a_policy(endpoint=EndpointPolicy(GPU, 10, autoscaling=scaling))
    plan = a_plan(policy=policy, live=LiveState("old", GPU, 14, scales=True))
    assert (plan.instance_count, plan.count_changed) == (14, False)


def test_a_changed_count_without_autoscaling_is_applied() -> None:
    plan = a_plan(live=LiveState("old", GPU, 4))
    assert (plan.instance_count, plan.count_changed) == (10, True)


def test_the_last_bake_is_never_zero() -> None:
    policy = a_policy(strategy=Canary(CapacitySize(1), 600, 0))
    assert a_plan(policy=policy).final_bake == 1


@pytest.mark.parametrize(
    ("kind", "image", "ami"),
    [(GPU, "gpu-image", "gpu-ami"), ("ml.p4d.24xlarge", "gpu-image", "gpu-ami"), ("ml.c5.large", "cpu-image", "")],
)
def test_the_image_follows_the_hardware(kind: str, image: str, ami: str) -> None:
    plan = a_plan(policy=a_policy(endpoint=EndpointPolicy(kind, 10)))
    assert (plan.image, plan.inference_ami) == (image, ami)


@pytest.mark.parametrize("kind", ["ml.inf2.xlarge", "ml.trn1.2xlarge", "ml.c6g.large", "ml.r7gd.xlarge"])
def test_hardware_that_no_image_runs_on_is_refused(kind: str) -> None:
    assert refused(policy=a_policy(endpoint=EndpointPolicy(kind, 10))) == ["INSTANCE_TYPE"]


def test_a_quota_that_does_not_hold_both_fleets_parks() -> None:
    with pytest.raises(ParkedError, match="is 19 and the rollout needs 20 instances, 10 of them the live fleet"):
        a_plan(quota=19)
    assert a_plan(quota=20).instance_count == 10
    assert a_plan(quota=None).instance_count == 10


def test_a_live_fleet_of_another_type_does_not_use_the_quota() -> None:
    assert a_plan(quota=10, live=LiveState("old", "ml.c5.large", 10)).instance_type_changed


def test_rolling_needs_only_a_batch_more() -> None:
    assert a_plan(policy=a_policy(strategy=ROLLING), quota=13).strategy == ROLLING
    with pytest.raises(ParkedError):
        a_plan(policy=a_policy(strategy=ROLLING), quota=12)


def test_a_first_release_that_the_quota_does_not_hold_parks() -> None:
    with pytest.raises(ParkedError, match="needs 10 instances;"):
        a_plan(quota=9, live=None)


def test_a_dead_man_longer_than_the_bakes_is_refused() -> None:
    policy = a_policy(judge=JudgePolicy(dead_man_seconds=1800))
    assert refused(policy=policy) == ["DEAD_MAN_TOO_LONG"]


def test_a_dead_man_longer_than_half_of_the_bake_is_told() -> None:
    noted = a_plan(policy=a_policy(judge=JudgePolicy(dead_man_seconds=300))).notes
    assert any("more than half of the bake" in note for note in noted)
    assert not any("more than half of the bake" in note for note in a_plan().notes)


def test_a_rollout_too_long_for_its_heartbeat_is_refused() -> None:
    policy = a_demo_policy(strategy=Linear(0.1, 2000, 600))
    assert refused(policy=policy) == ["DEAD_MAN_TOO_SHORT"]


def test_a_decision_that_cannot_come_in_time_is_refused() -> None:
    policy = a_policy(on_inconclusive="rollback", strategy=canary(instances=1, bake=210))
    assert refused(policy=policy) == ["NO_TIME_TO_DECIDE"]
    assert a_plan(policy=a_policy(on_inconclusive="rollback")).notice == 210


def test_every_problem_is_told_at_once() -> None:
    policy = a_policy(strategy=canary(instances=6), judge=JudgePolicy(dead_man_seconds=1800))
    assert refused(policy=policy) == ["CANARY_SIZE", "DEAD_MAN_TOO_LONG"]


def test_slow_is_blues_p95_or_what_the_policy_says() -> None:
    assert a_plan().slow_ms == 40.0
    assert a_plan().blue_slow_rate == 0.05
    told = a_plan(policy=a_policy(judge=JudgePolicy(slow_ms=75.0)))
    assert (told.slow_ms, told.blue_slow_rate) == (75.0, None)


def test_unknown_latency_is_said_and_not_guessed() -> None:
    plan = a_plan(traffic=Traffic())
    assert plan.slow_ms is None
    assert any("slow requests are not judged" in note for note in plan.notes)


def test_blues_rate_is_unknown_where_it_had_few_requests() -> None:
    assert a_plan().blue_error_rate == pytest.approx(0.005)
    assert a_plan(traffic=Traffic(99, 50)).blue_error_rate is None


def test_failures_come_in_clumps_as_blues_did_unless_the_policy_knows_better() -> None:
    seen = a_plan(traffic=Traffic(72_000, 360, 40.0, 30.0, clump=3))
    assert seen.clump == 3
    assert any("3 at a time, as in blue's last hour" in note for note in seen.notes)
    told = a_plan(traffic=Traffic(72_000, 360, 40.0, 30.0, clump=3), policy=a_policy(judge=JudgePolicy(clump=1)))
    assert told.clump == 1
    assert not any("at a time" in note for note in told.notes)


def test_the_double_fleet_is_told_in_instance_hours() -> None:
    assert any(note == f"the second fleet costs about 10 x 0.6 instance hours of {GPU}" for note in a_plan().notes)


def test_a_peak_that_the_frozen_fleet_may_not_hold_is_told() -> None:
    policy = a_policy(endpoint=EndpointPolicy(GPU, 10, autoscaling=Autoscaling(2, 20, 100)))
    assert any("scaling is frozen at 10 instances" in note for note in a_plan(policy=policy).notes)


def test_what_is_seen_how_soon_is_told() -> None:
    assert any(
        note == "at 20 requests/s an error rate of 5% on green is seen within 450 s, with 99% probability"
        for note in a_plan().notes
    )


def test_little_traffic_is_told_to_see_nothing() -> None:
    plan = a_plan(traffic=Traffic(36, 0))
    assert any("too short to see even a green that always fails" in note for note in plan.notes)


def test_the_demos_policy_has_a_plan() -> None:
    plan = a_plan(policy=a_demo_policy())
    assert (plan.alarm_period, plan.metric_lag, plan.look, plan.silence) == (10, 3, 5, 30)
    assert not any("no time" in note for note in plan.notes)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_a_plan_survives_json(strategy: Strategy) -> None:
    plan = a_plan(policy=a_policy(strategy=strategy, slo=SloPolicy(0.01, {"p99": 100.0})))
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        ("canary", Canary(CapacitySize(2), 420, 540)),
        ("linear", Linear(0.15, 360, 480)),
        ("rolling", Rolling(0.3, 240)),
        ("all_at_once", AllAtOnce(720)),
        ("first_release", Canary(CapacitySize(0), 600, 600)),
    ],
)
def test_a_plan_that_was_written_before_strategies_were_values_goes_on(name: str, strategy: Strategy) -> None:
    before = OLDER_RECORDS[name]["plan"]
    plan = plan_from_json(before)
    assert plan.strategy == strategy
    assert (plan.canary_instances, plan.bake, plan.execution_timeout) == (
        before["canary_instances"],
        before["bake"],
        before["execution_timeout"],
    )
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


def test_waits_that_do_not_fit_the_live_fleet_are_refused() -> None:
    # by the policy alone the fleet is one of 2, and waits once
    policy = a_policy(
        strategy=Linear(0.1, 2460, 3600), endpoint=EndpointPolicy(GPU, 2), judge=JudgePolicy(dead_man_seconds=600)
    )
    assert refused(policy=policy, live=LiveState("old", GPU, 10, scales=True)) == ["POLICY_CONFLICT"]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_bakes_that_are_too_short_for_the_heartbeat_are_refused_by_the_names_of_their_fields(
    strategy: Strategy,
) -> None:
    with pytest.raises(PolicyRejectedError) as caught:
        a_plan(policy=a_policy(strategy=strategy, judge=JudgePolicy(dead_man_seconds=3000)))
    (problem,) = caught.value.problems
    assert f"Lengthen {strategy.all_bake_fields} to 3090 s in all" in problem.fix


def test_a_fleet_of_one_takes_the_final_bake_of_all_at_once() -> None:
    policy = a_policy(endpoint=EndpointPolicy(GPU, 1), for_one_instance=AllAtOnce(900))
    plan = a_plan(policy=policy, live=LiveState("old", GPU, 1))
    assert plan.strategy == AllAtOnce(900)
    assert any("canary becomes all_at_once, with a final bake of 900 s" in note for note in plan.notes)


def test_planning_twice_gives_the_same_plan() -> None:
    inputs = some_inputs()
    assert plan_rollout(inputs) == plan_rollout(dataclasses.replace(inputs))


def test_a_roll_back_is_not_refused_for_what_the_live_model_does_wrong() -> None:
    failing = {"policy": a_policy(slo=SloPolicy(0.001)), "traffic": Traffic(72_000, 3_600, 40.0, 30.0)}
    assert refused(**failing) == ["SLO_BELOW_BLUE"]
    plan = a_plan(**failing, roll_back=True)
    assert any("blue had 5.00%" in note for note in plan.notes), plan.notes


def test_a_roll_back_is_not_refused_for_an_output_that_the_earlier_model_lacks() -> None:
    asked = {"policy": a_policy(quality=QualityPolicy("label")), "outputs": ("score",)}
    assert refused(**asked) == ["QUALITY_OUTPUT"]
    assert a_plan(**asked, roll_back=True).quality_output == "label"
