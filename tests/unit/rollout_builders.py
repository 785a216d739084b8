"""Plans and what they are made from, for the tests of the rollout."""

from __future__ import annotations

from typing import Any

from modeldrop.policy.model import (
    ArtifactPolicy,
    EndpointPolicy,
    GatesPolicy,
    JudgePolicy,
    Policy,
    SloPolicy,
)
from modeldrop.policy.strategies import AllAtOnce, Canary, Linear, Rolling
from modeldrop.policy.strategy import CapacitySize
from modeldrop.rollout.plan import LiveState, PlanInputs, RolloutPlan, Stack, Traffic, plan_rollout

RELEASE = "sentiment-20261123201000-4f1c2a"
GPU = "ml.g5.xlarge"
# one of each, as the defaults of rollout.yaml have them
STRATEGIES = (Canary(CapacitySize(instances=1), 600, 600), Linear(0.2, 300, 600), Rolling(0.25, 300), AllAtOnce(600))
CANARY, LINEAR, ROLLING, ALL_AT_ONCE = STRATEGIES


def a_policy(**overrides: Any) -> Policy:
    values: dict[str, Any] = {
        "endpoint": EndpointPolicy(GPU, 10),
        "strategy": CANARY,
        "for_one_instance": ALL_AT_ONCE,
        "slo": SloPolicy(),
        "judge": JudgePolicy(),
        "on_inconclusive": "promote",
        "on_blind": "rollback",
        "artifact": ArtifactPolicy(),
        "gates": GatesPolicy(),
        "retain": 3,
    }
    return Policy(**(values | overrides))


def some_inputs(**overrides: Any) -> PlanInputs:
    values: dict[str, Any] = {
        "endpoint": "sentiment",
        "release": RELEASE,
        "model_data_url": "s3://approved/approved/sentiment/9b1d/model.tar.gz",
        "policy": a_policy(),
        "stack": Stack(
            "gpu-image",
            "cpu-image",
            "gpu-ami",
            "arn:aws:iam::123456789012:role/endpoint",
            "arn:aws:iam::123456789012:role/rehearsal",
            "modeldrop",
            "modeldrop",
        ),
        "live": LiveState("sentiment-20261120101500-77ab01", GPU, 10),
        "traffic": Traffic(72_000, 360, 40.0, 30.0),
    }
    return PlanInputs(**(values | overrides))


def a_plan(**overrides: Any) -> RolloutPlan:
    return plan_rollout(some_inputs(**overrides))


def a_demo_policy(**overrides: Any) -> Policy:
    values: dict[str, Any] = {
        "endpoint": EndpointPolicy(GPU, 10, metrics_every_seconds=10),
        "strategy": Canary(CapacitySize(instances=1), 30, 20),
        "judge": JudgePolicy(metric_lag_seconds=3, dead_man_seconds=20),
    }
    return a_policy(**(values | overrides))
