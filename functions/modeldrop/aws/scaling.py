"""Application Auto Scaling of an endpoint's production variant: read, suspend, take away, put back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from modeldrop.aws import clients
from modeldrop.aws.failures import code
from modeldrop.rollout.model import VARIANT

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient

NAMESPACE: Final = "sagemaker"
DIMENSION: Final = "sagemaker:variant:DesiredInstanceCount"
SUSPENDED = {
    "DynamicScalingInSuspended": True,
    "DynamicScalingOutSuspended": True,
    "ScheduledScalingSuspended": True,
}
RUNNING = dict.fromkeys(SUSPENDED, False)


@dataclass(frozen=True)
class Scaling:
    """What is registered for a variant: its bounds and its policies as PutScalingPolicy takes them."""

    min: int
    max: int
    suspended: Mapping[str, bool]
    policies: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


def resource_id(endpoint: str) -> str:
    """Return the scalable target's id."""
    return f"endpoint/{endpoint}/variant/{VARIANT}"


def read(application_autoscaling: ApplicationAutoScalingClient, endpoint: str) -> Scaling | None:
    """Return what is registered; None when the variant does not scale."""
    targets = application_autoscaling.describe_scalable_targets(
        ServiceNamespace=NAMESPACE, ResourceIds=[resource_id(endpoint)], ScalableDimension=DIMENSION
    )["ScalableTargets"]
    if not targets:
        return None
    policies = application_autoscaling.describe_scaling_policies(
        ServiceNamespace=NAMESPACE, ResourceId=resource_id(endpoint), ScalableDimension=DIMENSION
    )["ScalingPolicies"]
    kept = ("PolicyName", "PolicyType", "TargetTrackingScalingPolicyConfiguration", "StepScalingPolicyConfiguration")
    return Scaling(
        min=targets[0]["MinCapacity"],
        max=targets[0]["MaxCapacity"],
        suspended=dict(targets[0].get("SuspendedState", {})),  # type: ignore[arg-type]  # a TypedDict of booleans
        policies=[{name: one[name] for name in kept if name in one} for one in policies],  # type: ignore[literal-required]  # names of the TypedDict
    )


def suspend(endpoint: str) -> None:
    """Stop scaling while traffic shifts: SageMaker refuses a change of capacity during an update."""
    _register(endpoint, SuspendedState=SUSPENDED)


def remove(endpoint: str, scaling: Scaling) -> None:
    """Take policies and target away, which an instance-type change needs; what is gone already is no error."""
    client = clients.application_autoscaling()
    for policy in scaling.policies:
        with _unless_gone():
            client.delete_scaling_policy(PolicyName=policy["PolicyName"], **_target(endpoint))
    with _unless_gone():
        client.deregister_scalable_target(**_target(endpoint))


def lacks(now: Scaling | None, wanted: Scaling) -> bool:
    """Say whether something that a rollout takes away is still missing: the target, a policy, or that it runs.

    Bounds that differ are somebody's wish, and no rollout changes them.
    """
    if now is None:
        return True
    names = {one["PolicyName"] for one in now.policies}
    stopped = any(now.suspended.get(name) and not wanted.suspended.get(name) for name in SUSPENDED)
    return stopped or any(one["PolicyName"] not in names for one in wanted.policies)


def restore(endpoint: str, scaling: Scaling) -> None:
    """Register the bounds and policies, running as they were. Idempotent."""
    _register(
        endpoint,
        MinCapacity=scaling.min,
        MaxCapacity=scaling.max,
        SuspendedState=dict(RUNNING | dict(scaling.suspended)),
    )
    for policy in scaling.policies:
        clients.application_autoscaling().put_scaling_policy(**_target(endpoint), **policy)


def to_json(scaling: Scaling | None) -> dict[str, Any] | None:
    """Return what `restore` needs, for the record."""
    if scaling is None:
        return None
    return {
        "min": scaling.min,
        "max": scaling.max,
        "suspended": dict(scaling.suspended),
        "policies": [dict(one) for one in scaling.policies],
    }


def from_json(data: Mapping[str, Any] | None) -> Scaling | None:
    """Read what `to_json` wrote."""
    if data is None:
        return None
    return Scaling(data["min"], data["max"], data["suspended"], data["policies"])


def _target(endpoint: str) -> dict[str, Any]:
    return {"ServiceNamespace": NAMESPACE, "ResourceId": resource_id(endpoint), "ScalableDimension": DIMENSION}


def _register(endpoint: str, **more: Any) -> None:
    clients.application_autoscaling().register_scalable_target(**_target(endpoint), **more)


@contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if code(error) != "ObjectNotFoundException":
            raise
