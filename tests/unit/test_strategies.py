"""Each strategy says by itself how traffic goes, how long that takes, what SageMaker is asked and what is refused."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from localcloud.sagemaker import guardrails
from modeldrop.policy.schema import strategy_sections
from modeldrop.policy.strategies import (
    STRATEGIES,
    AllAtOnce,
    Canary,
    Linear,
    Rolling,
    strategy_from_json,
    strategy_to_json,
)
from modeldrop.policy.strategy import FLEET_SECONDS, CapacitySize, Strategy
from modeldrop.policy.trust import FIELDS

EACH = (
    Canary(CapacitySize(instances=1), 600, 540),
    Canary(CapacitySize(share=0.15), 600, 540),
    Canary(CapacitySize(share=0.07), 420, 60),
    Linear(0.1, 300, 600),
    Linear(0.15, 300, 600),
    Linear(0.5, 0, 600),
    Rolling(0.05, 300),
    Rolling(0.3, 240),
    AllAtOnce(720),
)
FLEETS = (2, 3, 7, 10, 14, 100)


def as_the_cloud_does_it(strategy: Strategy, instances: int) -> guardrails.Plan:
    timeout = strategy.execution_timeout_seconds(instances)
    return guardrails.plan(strategy.deployment(instances, timeout), {"AllTraffic": instances})


def fits(strategy: Strategy, instances: int) -> bool:
    """Whether the fleet can be split so: whole instances may be more than the steps that SageMaker allows."""
    part = round(strategy.first_share(instances) * instances)
    return (not strategy.fleet_problems(instances) and part < instances) or strategy == AllAtOnce(720)


CASES = [(strategy, instances) for strategy in EACH for instances in FLEETS if fits(strategy, instances)]


@pytest.mark.parametrize(("strategy", "instances"), CASES, ids=str)
def test_the_stages_are_those_of_the_cloud(strategy: Strategy, instances: int) -> None:
    steps = as_the_cloud_does_it(strategy, instances).steps
    assert [(stage.green_share, stage.bake_seconds) for stage in strategy.stages(instances)] == [
        (step.green["AllTraffic"] / instances, step.bake_seconds) for step in steps
    ]
    assert strategy.waits_seconds(instances) == sum(step.bake_seconds for step in steps)


def test_the_cases_cover_every_strategy() -> None:
    assert {type(strategy) for strategy, _ in CASES} == set(STRATEGIES)


@pytest.mark.parametrize("strategy", EACH, ids=str)
def test_all_traffic_is_on_green_in_the_final_bake_only(strategy: Strategy) -> None:
    stages = strategy.stages(10)
    assert [stage.phase == "final_bake" for stage in stages] == [not stage.has_blue for stage in stages]
    assert [stage.has_blue for stage in stages] == [True] * (len(stages) - 1) + [False]
    assert strategy.compares(10) == (len(stages) > 1)


@pytest.mark.parametrize(
    ("share", "instances", "steps"), [(0.1, 10, 10), (0.2, 10, 5), (0.3, 10, 4), (0.5, 2, 2), (0.1, 3, 3), (0.1, 14, 7)]
)
def test_steps_are_of_whole_instances(share: float, instances: int, steps: int) -> None:
    assert len(Linear(share, 1, 1).stages(instances)) == steps
    assert len(Rolling(share, 1).stages(instances)) == steps


def test_linear_waits_once_less_than_it_steps_and_then_for_the_final_bake() -> None:
    assert Linear(0.1, 41 * 60, 3600).waits_seconds(10) == 9 * 41 * 60 + 3600


def test_waits_that_leave_no_time_to_provision_are_refused_with_the_numbers() -> None:
    (problem,) = Linear(0.1, 41 * 60, 3600).time_problems(10)
    assert problem.where == "linear.bake"
    assert all(number in problem.what for number in ("25,740", "2,700", "600", "29,040", "28,800"))
    assert Linear(0.1, 39 * 60, 3600).time_problems(10) == []
    assert Linear(0.1, 41 * 60, 3600).time_problems(14) == []


@pytest.mark.parametrize("strategy", EACH, ids=str)
def test_what_is_not_refused_fits_into_the_timeout_with_time_for_a_fleet(strategy: Strategy) -> None:
    for instances in FLEETS:
        left = strategy.execution_timeout_seconds(instances) - strategy.waits_seconds(instances)
        assert strategy.time_problems(instances) or left >= FLEET_SECONDS


def test_a_rolling_update_has_time_for_each_batch() -> None:
    assert Rolling(0.25, 300).execution_timeout_seconds(4) == 4 * (300 + FLEET_SECONDS) + 600


@pytest.mark.parametrize("strategy", EACH, ids=str)
def test_the_phase_is_final_bake_in_the_final_bake_only(strategy: Strategy) -> None:
    told = [stage for stage in strategy.stages(10) if stage.bake_seconds]
    phases = [strategy.stage(10, number + 1).phase for number in range(len(told))]
    assert phases == [stage.phase for stage in told]
    assert strategy.stage(10, len(told) + 1).phase == "final_bake"


def test_the_bake_of_a_canary_that_takes_no_time_is_never_seen() -> None:
    assert Canary(CapacitySize(1), 0, 600).stage(10, 1).phase == "final_bake"


def test_a_bake_that_no_look_saw_does_not_hide_the_end() -> None:
    linear = Linear(0.5, 300, 600)
    assert linear.may_be_last(10, 2, 300.0)
    steps = Linear(0.2, 300, 600)
    assert [steps.may_be_last(10, seen, 300.0 * (seen - 1)) for seen in range(1, 6)] == [False] * 4 + [True]
    assert steps.may_be_last(10, 4, 1210.0)
    assert AllAtOnce(60).may_be_last(1, 1, 0.0)
    assert Rolling(0.5, 0).may_be_last(2, 1, 0.0)


@pytest.mark.parametrize("strategy", EACH, ids=str)
def test_a_strategy_survives_json(strategy: Strategy) -> None:
    document: dict[str, Any] = json.loads(json.dumps(strategy_to_json(strategy)))
    assert document["strategy"] == strategy.name
    assert strategy_from_json(document) == strategy


def test_an_unknown_strategy_is_an_error() -> None:
    with pytest.raises(KeyError):
        strategy_from_json({"strategy": "shadow", "shadow": {}})


def test_a_strategy_that_older_records_did_not_know_is_not_read_from_one() -> None:
    class Newer(Strategy):
        name: ClassVar = "newer"

    with pytest.raises(KeyError, match="newer"):
        strategy_from_json({"strategy": "newer"}, Newer)


@pytest.mark.parametrize(
    ("strategy", "needed"),
    [(Canary(CapacitySize(1), 1, 1), 20), (Linear(0.2, 1, 1), 20), (Rolling(0.25, 1), 13), (AllAtOnce(1), 20)],
)
def test_both_fleets_run_at_once_but_for_rolling(strategy: Strategy, needed: int) -> None:
    assert strategy.instances_needed(10, 10) == needed
    assert strategy.instances_needed(10, 0) == 10


def test_every_field_that_a_strategy_names_is_one_of_the_schema() -> None:
    for strategy in STRATEGIES:
        named = strategy.all_bake_fields.split(" and ")
        assert strategy.bake_field in named
        assert [name for name in named if name not in FIELDS] == []


def test_every_strategy_has_its_section() -> None:
    assert set(strategy_sections()) == {strategy.name for strategy in STRATEGIES}


@pytest.mark.parametrize(
    ("strategy", "summary", "traffic"),
    [
        (Canary(CapacitySize(instances=1), 600, 540), "1, bake 600 s, final bake 540 s", "1 of 10 instances"),
        (Canary(CapacitySize(share=0.15), 600, 540), "15%, bake 600 s, final bake 540 s", "2 of 10 instances"),
        (Linear(0.1, 300, 600), "steps of 10%, bake 300 s, final bake 600 s", "linear"),
        (Rolling(0.3, 240), "batches of 30%, bake 240 s", "rolling"),
        (AllAtOnce(720), "final bake 720 s", "all_at_once"),
    ],
)
def test_a_strategy_says_in_words_what_it_is(strategy: Strategy, summary: str, traffic: str) -> None:
    assert strategy.summary() == summary
    assert strategy.traffic_words(10) == traffic


def test_only_what_replaces_one_part_first_decides_in_one_bake() -> None:
    decides = [strategy for strategy in EACH if strategy.decides_in_one_bake(10)]
    assert decides == [*EACH[:3], Linear(0.5, 0, 600)]
    assert [strategy.longest_bake_seconds(10) for strategy in EACH[:2]] == [600, 600]
    assert Linear(0.1, 300, 200).longest_bake_seconds(10) == 300
