"""What people and the dead-man switch do to a release: abort, approve, deny, supersede, kill, fall silent."""

from __future__ import annotations

from typing import Any

import pytest

from modeldrop.release.record import ReleaseRecord
from tests.workflow.stack import Stack
from tests.workflow.stories import Ended, Played


def ended_well(stack: Stack, endpoint: str, first: ReleaseRecord, second: ReleaseRecord) -> None:
    """The old model serves, one message went out, nothing is left."""
    assert stack.serving(endpoint) == first.release
    assert len(stack.outcome_messages(second.release)) == 1
    assert stack.lease_is_free(endpoint)
    sagemaker: Any = stack.client("sagemaker")
    assert not sagemaker.list_models(NameContains=second.release)["Models"]
    assert not sagemaker.list_endpoint_configs(NameContains=second.release)["EndpointConfigs"]
    assert not stack.client("cloudwatch").describe_alarms(AlarmNamePrefix=second.release)["MetricAlarms"]


@pytest.mark.parametrize(("story", "endpoint"), [("abort_in_bake", "abort"), ("abort_before", "hasty")])
def test_an_abort_rolls_back_and_names_who(stack: Stack, played: Played, story: str, endpoint: str) -> None:
    first, second = played[story].result()
    assert second.outcome == "aborted", second.reasons
    assert "aborted by arn:" in second.reasons[0]
    ended_well(stack, endpoint, first, second)


def test_an_approval_waits_without_the_lease_and_a_denial_says_why(stack: Stack, played: Played) -> None:
    first, second = played["approval"].result()
    assert first.outcome == "created"
    asked = [one["subject"] for one in stack.messages if "APPROVAL WANTED" in one["subject"]]
    assert "modeldrop APPROVAL WANTED gate" in asked
    assert second.outcome == "aborted"
    assert "wrong data" in second.reasons[0]
    assert stack.serving("gate") == first.release


def test_a_newer_drop_ends_the_wait_for_approval_of_an_older_one(stack: Stack, played: Played) -> None:
    older, newer = played["overtaken"].result()
    assert older.outcome == "superseded"
    assert newer.release in older.reasons[0]
    assert newer.outcome == "aborted"
    assert stack.endpoint("queue") is None


def test_scaling_stops_for_a_rollout_and_goes_on_as_it_was(played: Played) -> None:
    assert [record.outcome for record in played["scaling"].result()] == ["created", "promoted", "aborted"]


def test_only_the_last_good_releases_are_kept(stack: Stack, played: Played) -> None:
    records = played["retention"].result()
    assert [record.outcome for record in records] == ["created", "promoted", "promoted"]
    configs = stack.client("sagemaker").list_endpoint_configs(NameContains="kept-")["EndpointConfigs"]
    assert {one["EndpointConfigName"] for one in configs} == {record.release for record in records[1:]}


def test_a_green_that_nobody_asked_is_not_promoted(stack: Stack, played: Played) -> None:
    first, second = played["silent"].result()
    assert second.outcome == "rolled_back", second.reasons
    assert "green had 0 requests" in second.reasons[0]
    ended_well(stack, "silent", first, second)


def test_doubt_is_rolled_back_in_time_where_the_policy_says_so(stack: Stack, played: Played) -> None:
    first, second = played["doubtful"].result()
    assert second.outcome == "rolled_back", second.reasons
    assert "inconclusive at the end of the bake" in second.reasons[0]
    ended_well(stack, "doubtful", first, second)


def test_a_killed_workflow_is_finished_by_another(stack: Stack, played: Played) -> None:
    first, second = played["killed"].result()
    assert second.outcome == "failed", second.reasons
    assert second.reasons[0]
    ended_well(stack, "killed", first, second)


def test_a_rollout_of_which_every_function_is_dead_is_rolled_back_by_the_heartbeat(stack: Stack, dead: Ended) -> None:
    second, _ = dead
    assert second.outcome == "rolled_back", second.reasons
    assert "nobody was judging" in second.reasons[0]
    assert len(stack.outcome_messages(second.release)) == 1
    assert stack.serving("dead") == second.plan["previous_config"]


def test_an_abort_needs_no_judge(stack: Stack, dead: Ended) -> None:
    _, second = dead
    assert second.outcome == "aborted", second.reasons
    assert "aborted by arn:" in second.reasons[0]
    assert stack.serving("dead-abort") == second.plan["previous_config"]
