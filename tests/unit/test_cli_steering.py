"""`modeldrop abort` finds the release that changes the endpoint, and trips its alarm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from cli.commands.steering import _under_way, effect_of_abort, trip_alarm
from cli.failures import CommandError
from modeldrop.aws.releases import ReleaseTable
from modeldrop.rollout.alarms import alarm_requests
from modeldrop.rollout.plan import RolloutPlan, plan_to_json
from tests.unit.aws_builders import a_release, a_table
from tests.unit.rollout_builders import a_demo_policy, a_plan
from tests.unit.rollout_world import CloudWatch

ONE, TWO, THREE = (a_release(number) for number in (1, 2, 3))


@pytest.fixture
def table() -> Iterator[ReleaseTable]:
    with a_table() as made:
        yield made


def under_way(table: ReleaseTable) -> str:
    stack: Any = SimpleNamespace(releases=lambda: table)
    return _under_way(stack, "sentiment").release


def test_the_owner_of_the_lease_is_meant_behind_any_number_of_newer_ones(table: ReleaseTable) -> None:
    for number in range(1, 25):
        table.create(a_release(number))
    table.acquire("sentiment", ONE.release, "arn", table.lease("sentiment"), 0)
    assert under_way(table) == ONE.release


def test_the_one_that_waits_for_approval_is_meant_where_nobody_owns_the_endpoint(table: ReleaseTable) -> None:
    for record in (ONE, TWO, THREE):
        table.create(record)
    table.note_approval("sentiment", TWO.release, TWO.order)
    assert under_way(table) == TWO.release


def test_else_the_newest_that_began_is_meant(table: ReleaseTable) -> None:
    for record in (ONE, replace(TWO, phase="validating"), THREE):
        table.create(record)
    assert under_way(table) == TWO.release


def test_an_owner_that_ended_is_not_meant(table: ReleaseTable) -> None:
    table.create(ONE)
    table.acquire("sentiment", ONE.release, "arn", table.lease("sentiment"), 0)
    table.finish(replace(ONE, outcome="failed"), {})
    with pytest.raises(CommandError, match="no release of sentiment is under way"):
        under_way(table)


def tripped(plan: RolloutPlan | None) -> list[dict[str, Any]]:
    """What the command publishes for a release with this plan."""
    cloudwatch = CloudWatch()
    stack: Any = SimpleNamespace(account=SimpleNamespace(client={"cloudwatch": cloudwatch}.__getitem__))
    trip_alarm(stack, replace(ONE, plan={} if plan is None else plan_to_json(plan)))
    return cloudwatch.published


@pytest.mark.parametrize("policy", [{}, {"policy": a_demo_policy()}], ids=["period of 30 s", "period of 10 s"])
def test_the_verdict_falls_into_two_periods_of_its_alarm(policy: dict[str, Any]) -> None:
    plan = a_plan(**policy)
    alarm = next(request for request in alarm_requests(plan) if request["MetricName"] == "Verdict")
    before, now = sorted(tripped(plan), key=lambda datum: datum["Timestamp"])
    assert (now["Timestamp"] - before["Timestamp"]).total_seconds() == alarm["Period"]
    for datum in (before, now):
        assert (datum["MetricName"], datum["Dimensions"]) == (alarm["MetricName"], alarm["Dimensions"])
        assert datum["Value"] >= alarm["Threshold"]


def test_a_release_without_an_alarm_publishes_no_verdict() -> None:
    assert tripped(None) == []
    assert tripped(a_plan(live=None)) == []


def test_a_roll_back_is_promised_only_where_a_rollout_has_begun() -> None:
    rolls = replace(ONE, plan=plan_to_json(a_plan()), rollout={"started_at": "2026-11-23T20:10:10Z"})
    assert "SageMaker rolls back" in effect_of_abort(rolls)
    assert "SageMaker rolls back" not in effect_of_abort(replace(rolls, rollout={}))
    assert "nothing stops" in effect_of_abort(replace(rolls, plan=plan_to_json(a_plan(live=None))))
