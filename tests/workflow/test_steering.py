"""What people do to a release: abort, approve, deny; and each strategy's journey in real time."""

from __future__ import annotations

from typing import Any

import pytest

from modeldrop.release.record import ReleaseRecord
from tests.workflow.stack import Stack
from tests.workflow.stories import Played


def ended_well(stack: Stack, endpoint: str, first: ReleaseRecord, second: ReleaseRecord) -> None:
    """The old model serves, one message went out, nothing is left."""
    assert stack.serving(endpoint) == first.release
    assert len(stack.outcome_messages(second.release)) == 1
    assert stack.lease_is_free(endpoint)
    sagemaker: Any = stack.client("sagemaker")
    assert not sagemaker.list_models(NameContains=second.release)["Models"]
    assert not sagemaker.list_endpoint_configs(NameContains=second.release)["EndpointConfigs"]
    assert not stack.client("cloudwatch").describe_alarms(AlarmNamePrefix=second.release)["MetricAlarms"]


def test_an_abort_rolls_back_and_names_who(stack: Stack, played: Played) -> None:
    first, second = played["abort_in_bake"].result()
    assert second.outcome == "aborted", second.reasons
    assert "aborted by arn:" in second.reasons[0]
    ended_well(stack, "abort", first, second)


def test_an_approval_waits_without_the_lease_and_a_denial_says_why(stack: Stack, played: Played) -> None:
    first, second = played["approval"].result()
    assert first.outcome == "created"
    asked = [one["subject"] for one in stack.messages if "APPROVAL WANTED" in one["subject"]]
    assert "modeldrop APPROVAL WANTED gate" in asked
    assert second.outcome == "aborted"
    assert "wrong data" in second.reasons[0]
    assert stack.serving("gate") == first.release


def test_scaling_stops_for_a_rollout_and_goes_on_as_it_was(played: Played) -> None:
    assert [record.outcome for record in played["scaling"].result()] == ["created", "promoted", "aborted"]


@pytest.mark.parametrize("strategy", ["linear", "rolling", "all_at_once"])
def test_every_strategy_goes_its_whole_way(stack: Stack, played: Played, strategy: str) -> None:
    first, second = played[strategy].result()
    assert second.outcome == "promoted", second.reasons
    assert second.plan["strategy"] == strategy
    assert second.plan["previous_config"] == first.release
    assert stack.serving(strategy.replace("_", "-")) == second.release
