"""What happens to releases in the workflow tests: each story on an endpoint of its own, many at once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from modeldrop.release.record import ReleaseRecord
from modeldrop.release.restore import Claim, as_metadata
from tests.workflow.stack import Models, Stack

# nobody sends requests here, so silence must not decide unless a story says so
POLICY = """
endpoint: {{instance_count: 2, metrics_every: 10s{endpoint}}}
strategy: {strategy}
canary: {{size: 1, bake: {bake}, final_bake: {final_bake}}}
linear: {{step: 50%, bake: {bake}, final_bake: {final_bake}}}
rolling: {{batch: 50%, bake: {bake}}}
judge: {{metric_lag: 3s, dead_man: {dead_man}, slow: 50ms, warm_up: 0s, min_green: 1}}
on_blind: {on_blind}
on_inconclusive: {on_inconclusive}
gates: {{rehearsal: "off", approval: {approval}}}
artifact: {{breaking: {breaking}}}
retain: 2
"""
# a bake that is cut short: what cuts it has its time, also on a busy machine
LONG = "60s"
# more at once would end no sooner (the longest takes as long as its bakes), and start a process for every function each
AT_ONCE = 8
Ended = tuple[ReleaseRecord, ...]
Played = dict[str, Future[Ended]]


def policy(**overrides: str) -> str:
    usual = {
        "endpoint": "",
        "strategy": "canary",
        "bake": "20s",
        "final_bake": "15s",
        "on_blind": "promote",
        "on_inconclusive": "promote",
        "dead_man": "20s",
        "approval": "none",
        "breaking": "refuse",
    }
    return POLICY.format(**(usual | overrides))


@contextmanager
def play(stack: Stack, models: Models) -> Iterator[Played]:
    """Play the stories, many at once."""
    stories = (
        # the longest first
        *(restored, language, scaling, linear, rolling, all_at_once),
        *(abort_in_bake, approval, claim),
    )
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {story.__name__: pool.submit(story, stack, models) for story in stories}


def created(stack: Stack, name: str, models: Models, text: str) -> ReleaseRecord:
    record = stack.finished(name, stack.drop(name, models[0], text))
    assert record.outcome == "created", record.reasons
    return record


def linear(stack: Stack, models: Models) -> Ended:
    return journey(stack, models, "linear")


def rolling(stack: Stack, models: Models) -> Ended:
    return journey(stack, models, "rolling", bake="40s", dead_man="50s")


def all_at_once(stack: Stack, models: Models) -> Ended:
    return journey(stack, models, "all_at_once", final_bake="35s")


def journey(stack: Stack, models: Models, strategy: str, **overrides: str) -> Ended:
    """Go one strategy's whole way; every other ending is played on the virtual clock (tests/faults)."""
    name = strategy.replace("_", "-")
    first = created(stack, name, models, policy(strategy=strategy, **overrides))
    return first, stack.finished(name, stack.drop(name, models.better))


def abort_in_bake(stack: Stack, models: Models) -> Ended:
    first = created(stack, "abort", models, policy(bake=LONG))
    second = stack.drop("abort", models[1])
    stack.wait_for_phase("abort", second, "canary")
    assert "abort of" in stack.modeldrop("abort", "abort")
    return first, stack.finished("abort", second)


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
    third = stack.drop("scaled", models[0], policy(endpoint=more, bake=LONG))
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


def restored(stack: Stack, models: Models) -> Ended:
    first = created(stack, "again", models, policy())
    assert stack.modeldrop("rollback", "again", status=1) == ""
    second = stack.finished("again", stack.drop("again", models.better))
    answer = json.loads(stack.modeldrop("rollback", "again", "--json"))
    assert answer["restores"] == first.release
    return first, second, stack.finished("again", answer["release"])


def claim(stack: Stack, models: Models) -> Ended:
    """Uploads that say that they restore a release: with no ask, a made-up one, a too old one, and a real one twice."""
    first = created(stack, "claim", models, policy())
    old, real = Claim(first.release, "1" * 32), Claim(first.release, "2" * 32)
    assert stack.table.ask_restore("claim", old, "an operator", int(time.time()) - 1)
    assert stack.table.ask_restore("claim", real, "an operator", int(time.time()) + 900)
    uploads = (
        *((models[0], Claim(first.release)), (models[0], Claim(first.release, "0" * 32)), (models[0], old)),
        *((models.better, real), (models[0], real)),
    )
    drops = (stack.drop("claim", model, metadata=as_metadata(claimed)) for model, claimed in uploads)
    return (first, *(stack.finished("claim", release) for release in drops))


def language(stack: Stack, models: Models) -> Ended:
    """A model with a renamed input beside a live one, then with a policy that allows it, then back without one."""
    first = created(stack, "language", models, policy())
    refused = stack.finished("language", stack.drop("language", models.breaking, label="refused"))
    allowing = policy(breaking="allow")
    allowed = stack.finished("language", stack.drop("language", models.breaking, allowing, "allowed"))
    stack.upload("language/rollout.yaml", policy().encode())
    back = json.loads(stack.modeldrop("rollback", "language", "--json"))["release"]
    return first, refused, allowed, stack.finished("language", back)
