"""Which share of the traffic goes where, in which steps, and which deployment policies AWS refuses.

Sources: SageMaker API reference, BlueGreenUpdatePolicy, TrafficRoutingConfig, CapacitySize, RollingUpdatePolicy.
"""

from __future__ import annotations

import pytest

from localcloud.sagemaker.errors import ValidationError
from localcloud.sagemaker.guardrails import plan


def blue_green(kind: str, wait: int = 60, final: int = 30, timeout: int | None = None, **sizes) -> dict:
    policy = {
        "TrafficRoutingConfiguration": {"Type": kind, "WaitIntervalInSeconds": wait, **sizes},
        "TerminationWaitInSeconds": final,
    }
    if timeout is not None:
        policy["MaximumExecutionTimeoutInSeconds"] = timeout
    return {"BlueGreenUpdatePolicy": policy}


def rolling(kind: str, value: int, wait: int = 60, **more) -> dict:
    size = {"Type": kind, "Value": value}
    return {"RollingUpdatePolicy": {"MaximumBatchSize": size, "WaitIntervalInSeconds": wait, **more}}


def instances(value: int) -> dict:
    return {"Type": "INSTANCE_COUNT", "Value": value}


def percent(value: int) -> dict:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def shape(deployment: dict | None, total: int) -> list[tuple[int, int]]:
    """(green instances, bake seconds) of each step."""
    return [(step.green["v"], step.bake_seconds) for step in plan(deployment, {"v": total}).steps]


def test_no_policy_is_all_at_once_without_a_bake():
    assert shape(None, 4) == [(4, 0)]


def test_all_at_once_bakes_at_the_end_only():
    assert shape(blue_green("ALL_AT_ONCE"), 4) == [(4, 30)]


def test_the_final_bake_is_zero_unless_asked_for():
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    assert shape({"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}, 2) == [(2, 0)]


@pytest.mark.parametrize(("size", "green"), [(instances(1), 1), (instances(5), 5), (percent(10), 1), (percent(11), 2)])
def test_a_canary_is_two_steps(size, green):
    assert shape(blue_green("CANARY", CanarySize=size), 10) == [(green, 60), (10, 30)]


@pytest.mark.parametrize(
    ("size", "steps"),
    [(percent(20), [2, 4, 6, 8, 10]), (percent(30), [3, 6, 9, 10]), (instances(5), [5, 10])],
)
def test_linear_goes_on_by_the_step(size, steps):
    assert shape(blue_green("LINEAR", LinearStepSize=size), 10) == [(n, 60 if n < 10 else 30) for n in steps]


def test_rolling_bakes_after_each_batch():
    assert shape(rolling("CAPACITY_PERCENT", 50), 5) == [(3, 60), (5, 60)]


@pytest.mark.parametrize(
    ("deployment", "total", "problem"),
    [
        (blue_green("CANARY", CanarySize=instances(6)), 10, "50%"),
        (blue_green("CANARY", CanarySize=percent(51)), 10, "50%"),
        (blue_green("CANARY", CanarySize=instances(1)), 1, "50%"),
        (blue_green("CANARY"), 10, "CanarySize"),
        (blue_green("CANARY", CanarySize=instances(1), LinearStepSize=instances(1)), 10, "CanarySize"),
        (blue_green("LINEAR", LinearStepSize=percent(9)), 10, "between 10% and 50%"),
        (blue_green("LINEAR", LinearStepSize=instances(6)), 10, "between 10% and 50%"),
        (blue_green("ALL_AT_ONCE", CanarySize=instances(1)), 10, "CanarySize"),
        (blue_green("CANARY", 500, 100, 600, CanarySize=instances(1)), 10, "MaximumExecutionTimeoutInSeconds"),
        (rolling("CAPACITY_PERCENT", 4), 100, "between 5% and 50%"),
        (rolling("INSTANCE_COUNT", 1), 1, "between 5% and 50%"),
        ({**blue_green("ALL_AT_ONCE"), **rolling("CAPACITY_PERCENT", 50)}, 10, "not both"),
    ],
)
def test_what_the_limits_exclude_is_refused(deployment, total, problem):
    with pytest.raises(ValidationError, match=problem):
        plan(deployment, {"v": total})


def test_rolling_excludes_several_variants():
    with pytest.raises(ValidationError, match="multiple production variants"):
        plan(rolling("CAPACITY_PERCENT", 50), {"a": 2, "b": 2})
