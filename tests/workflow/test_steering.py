"""What people and the dead-man switch do to a release: abort, approve, deny, supersede, kill, fall silent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from modeldrop.release.record import ReleaseRecord
from tests.workflow.conftest import STACK, Stack

# nobody sends requests here, so silence must not decide unless a story says so
POLICY = """
endpoint: {{instance_count: 2, metrics_every: 10s{endpoint}}}
strategy: {strategy}
canary: {{size: 1, bake: {bake}, final_bake: {final_bake}}}
judge: {{metric_lag: 3s, dead_man: 20s, slow: 50ms, warm_up: 0s, min_green: 1}}
on_blind: {on_blind}
on_inconclusive: {on_inconclusive}
gates: {{rehearsal: "off", approval: {approval}}}
retain: 2
"""
Ended = tuple[ReleaseRecord, ...]
Models = tuple[bytes, bytes]
Played = dict[str, Future[Ended]]


def policy(**overrides: str) -> str:
    usual = {
        "endpoint": "",
        "strategy": "canary",
        "bake": "20s",
        "final_bake": "15s",
        "on_blind": "promote",
        "on_inconclusive": "promote",
        "approval": "none",
    }
    return POLICY.format(**(usual | overrides))


@pytest.fixture(scope="module")
def played(stack: Stack, models: Models) -> Iterator[Played]:
    """Play the stories at once, each on an endpoint of its own; then, alone, those in which the judge is dead."""
    stories = (abort_in_bake, abort_before, approval, overtaken, scaling, retention, silent, doubtful, killed)
    with ThreadPoolExecutor(len(stories) + 1) as pool:
        futures = {story.__name__: pool.submit(story, stack, models) for story in stories}
        futures |= {"dead": pool.submit(dead_judge, stack, models, [*futures.values()])}
        yield futures


def created(stack: Stack, name: str, models: Models, text: str) -> ReleaseRecord:
    record = stack.finished(name, stack.drop(name, models[0], text))
    assert record.outcome == "created", record.reasons
    return record


def abort_in_bake(stack: Stack, models: Models) -> Ended:
    first = created(stack, "abort", models, policy())
    second = stack.drop("abort", models[1])
    stack.wait_for_phase("abort", second, "canary")
    assert "abort of" in stack.modeldrop("abort", "abort")
    return first, stack.finished("abort", second)


def abort_before(stack: Stack, models: Models) -> Ended:
    first = created(stack, "hasty", models, policy())
    stack.cloud.admin("faults", {"kind": "slow_start", "endpoint": "hasty", "seconds": 8})
    second = stack.drop("hasty", models[1])
    stack.wait_for_phase("hasty", second, "rolling_out")
    stack.modeldrop("abort", "hasty")
    return first, stack.finished("hasty", second)


def approval(stack: Stack, models: Models) -> Ended:
    release = stack.drop("gate", models[0], policy(approval="before_rollout"))
    stack.wait_for_phase("gate", release, "approving")
    assert stack.lease_is_free("gate")
    assert stack.endpoint("gate") is None
    stack.modeldrop("approve", release)
    first = stack.finished("gate", release)
    again = stack.drop("gate", models[1])
    stack.wait_for_phase("gate", again, "approving")
    stack.modeldrop("deny", again, "--reason", "wrong data")
    return first, stack.finished("gate", again)


def overtaken(stack: Stack, models: Models) -> Ended:
    older = stack.drop("queue", models[0], policy(approval="before_rollout"))
    stack.wait_for_phase("queue", older, "approving")
    time.sleep(1.1)  # S3's LastModified has whole seconds
    newer = stack.drop("queue", models[1])
    ended = stack.finished("queue", older)
    stack.wait_for_phase("queue", newer, "approving")
    stack.modeldrop("abort", "queue")
    return ended, stack.finished("queue", newer)


def scaling(stack: Stack, models: Models) -> Ended:
    more = ", autoscaling: {min: 2, max: 4, invocations_per_instance_per_minute: 1000}"
    first = created(stack, "scaled", models, policy(endpoint=more))
    assert bounds(stack) == (2, 4, False)
    stack.cloud.admin("scale", {"endpoint": "scaled", "variant": "AllTraffic", "count": 3})
    second = stack.drop("scaled", models[1])
    stack.wait_for_phase("scaled", second, "canary")
    assert bounds(stack) == (2, 4, True)
    promoted = stack.finished("scaled", second)
    assert bounds(stack) == (2, 4, False)
    assert instances(stack) == 3
    third = stack.drop("scaled", models[0])
    stack.wait_for_phase("scaled", third, "canary")
    stack.modeldrop("abort", "scaled")
    aborted = stack.finished("scaled", third)
    assert bounds(stack) == (2, 4, False)
    assert instances(stack) == 3
    return first, promoted, aborted


def bounds(stack: Stack) -> tuple[int, int, bool]:
    client: Any = stack.client("application-autoscaling")
    (target,) = client.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=["endpoint/scaled/variant/AllTraffic"]
    )["ScalableTargets"]
    policies = client.describe_scaling_policies(
        ServiceNamespace="sagemaker", ResourceId="endpoint/scaled/variant/AllTraffic"
    )["ScalingPolicies"]
    assert len(policies) == 1
    return target["MinCapacity"], target["MaxCapacity"], target["SuspendedState"]["DynamicScalingOutSuspended"]


def instances(stack: Stack) -> int:
    found = stack.endpoint("scaled")
    assert found is not None
    return int(found["ProductionVariants"][0]["CurrentInstanceCount"])


def retention(stack: Stack, models: Models) -> Ended:
    text = policy(strategy="all_at_once", final_bake="35s")
    records = [created(stack, "kept", models, text)]
    records += [stack.finished("kept", stack.drop("kept", models[number % 2])) for number in (1, 2)]
    return tuple(records)


def silent(stack: Stack, models: Models) -> Ended:
    first = created(stack, "silent", models, policy(on_blind="rollback", bake="30s"))
    return first, stack.finished("silent", stack.drop("silent", models[1]))


def doubtful(stack: Stack, models: Models) -> Ended:
    first = created(stack, "doubtful", models, policy(on_inconclusive="rollback", bake="40s"))
    return first, stack.finished("doubtful", stack.drop("doubtful", models[1]))


def killed(stack: Stack, models: Models) -> Ended:
    first = created(stack, "killed", models, policy())
    second = stack.drop("killed", models[1])
    record = stack.wait_for_phase("killed", second, "canary")
    stack.client("stepfunctions").stop_execution(executionArn=record.execution_arn, error="Killed", cause="by a test")
    return first, stack.finished("killed", second)


def dead_judge(stack: Stack, models: Models, others: list[Future[Ended]]) -> Ended:
    """Take the judge's concurrency away, as an operator or a full account might: every endpoint loses its judge."""
    text = policy(bake="60s")
    for name in ("dead", "dead-abort"):
        created(stack, name, models, text)
    for other in others:
        other.exception()
    seconds = {name: stack.drop(name, models[1]) for name in ("dead", "dead-abort")}
    for name, release in seconds.items():
        stack.wait_for_phase(name, release, "canary")
    client, judge = stack.client("lambda"), f"{STACK}-judge-rollout"
    client.put_function_concurrency(FunctionName=judge, ReservedConcurrentExecutions=0)
    try:
        stack.modeldrop("abort", "dead-abort")
        return tuple(stack.finished(name, release, 240) for name, release in seconds.items())
    finally:
        client.delete_function_concurrency(FunctionName=judge)


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


def test_a_dead_judge_is_rolled_back_by_the_heartbeat(stack: Stack, played: Played) -> None:
    second, _ = played["dead"].result()
    assert second.outcome == "rolled_back", second.reasons
    assert "nobody was judging" in second.reasons[0]
    assert len(stack.outcome_messages(second.release)) == 1
    assert stack.serving("dead") == second.plan["previous_config"]


def test_an_abort_needs_no_judge(stack: Stack, played: Played) -> None:
    _, second = played["dead"].result()
    assert second.outcome == "aborted", second.reasons
    assert "aborted by arn:" in second.reasons[0]
    assert stack.serving("dead-abort") == second.plan["previous_config"]
