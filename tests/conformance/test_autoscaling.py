"""Application Auto Scaling and Service Quotas of the local cloud.

Sources: botocore's service models of application-autoscaling and service-quotas; Application Auto Scaling user guide,
"Suspending and resuming scaling"; SageMaker guide, "Automatic scaling".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.core.exceptions import JsonRESTError

from localcloud import autoscaling
from localcloud.autoscaling import DIMENSION, Scaling
from localcloud.cloud import LocalCloud

Client = Callable[[str], Any]
Unique = Callable[[str], str]

SAGEMAKER = {"ServiceNamespace": "sagemaker", "ScalableDimension": DIMENSION}
TRACKING = {
    "PolicyType": "TargetTrackingScaling",
    "TargetTrackingScalingPolicyConfiguration": {
        "TargetValue": 1200.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    },
}


@dataclass
class Endpoints:
    """Variants with their instance counts, as SageMaker would know them."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def variant(self, endpoint: str, variant: str) -> dict[str, Any] | None:
        count = self.counts.get((endpoint, variant))
        return None if count is None else {"VariantName": variant, "DesiredInstanceCount": count}

    def set_count(self, endpoint: str, variant: str, count: int) -> str | None:
        self.counts[endpoint, variant] = count
        return None


@pytest.fixture
def endpoints(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoints]:
    monkeypatch.setattr(autoscaling, "REGISTRY", autoscaling.Registry())
    yield Endpoints({("sentiment", "AllTraffic"): 2})


@pytest.fixture
def scaling(endpoints: Endpoints) -> Scaling:
    return Scaling("us-east-1", endpoints.variant, endpoints.set_count)


def request(**more: Any) -> dict[str, Any]:
    return {**SAGEMAKER, "ResourceId": "endpoint/sentiment/variant/AllTraffic", **more}


def registered(scaling: Scaling, **more: Any) -> dict[str, Any]:
    scaling.register(request(MinCapacity=1, MaxCapacity=4) | more)
    (target,) = scaling.describe_targets({})["ScalableTargets"]
    return target  # type: ignore[no-any-return]


def test_a_new_target_is_not_suspended(scaling: Scaling) -> None:
    target = registered(scaling)
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    assert set(target["SuspendedState"].values()) == {False}


def test_suspending_changes_nothing_else(scaling: Scaling) -> None:
    registered(scaling)
    suspended = dict.fromkeys(autoscaling.SUSPENSIONS, True)
    scaling.register(request(SuspendedState=suspended))
    (target,) = scaling.describe_targets({"ResourceIds": ["endpoint/sentiment/variant/AllTraffic"]})["ScalableTargets"]
    assert (target["SuspendedState"], target["MinCapacity"], target["MaxCapacity"]) == (suspended, 1, 4)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"MinCapacity": 1}, "required"),
        ({"MinCapacity": 5, "MaxCapacity": 4}, "Maximum capacity cannot be less"),
        ({"MinCapacity": 1, "MaxCapacity": 4, "ScalableDimension": "ecs:service:DesiredCount"}, "Unsupported"),
        ({"MinCapacity": 1, "MaxCapacity": 4, "ResourceId": "endpoint/other/variant/AllTraffic"}, "doesn't exist"),
        ({"MinCapacity": 1, "MaxCapacity": 4, "ResourceId": "endpoint/sentiment"}, "Unsupported"),
    ],
)
def test_what_can_not_be_registered_is_refused(scaling: Scaling, more: dict[str, Any], words: str) -> None:
    with pytest.raises(JsonRESTError) as refused:
        scaling.register(request(**more))
    assert refused.value.error_type == "ValidationException"
    assert words in refused.value.message


def test_a_policy_needs_a_target_and_goes_with_it(scaling: Scaling) -> None:
    with pytest.raises(JsonRESTError) as refused:
        scaling.put_policy(request(PolicyName="invocations", **TRACKING))
    assert refused.value.error_type == "ObjectNotFoundException"
    registered(scaling)
    assert scaling.put_policy(request(PolicyName="invocations", **TRACKING))["Alarms"] == []
    (policy,) = scaling.describe_policies(request())["ScalingPolicies"]
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 1200.0
    scaling.deregister(request())
    assert scaling.describe_policies(request())["ScalingPolicies"] == []


def test_a_policy_is_deleted_once(scaling: Scaling) -> None:
    registered(scaling)
    scaling.put_policy(request(PolicyName="invocations", **TRACKING))
    scaling.delete_policy(request(PolicyName="invocations"))
    with pytest.raises(JsonRESTError) as refused:
        scaling.delete_policy(request(PolicyName="invocations"))
    assert refused.value.error_type == "ObjectNotFoundException"


def test_scaling_stays_within_the_targets_range(scaling: Scaling, endpoints: Endpoints) -> None:
    registered(scaling)
    assert scaling.scale({"endpoint": "sentiment", "count": 9}) == {"scaled": True, "count": 4}
    assert endpoints.counts["sentiment", "AllTraffic"] == 4


def test_a_suspended_target_does_not_scale(scaling: Scaling, endpoints: Endpoints) -> None:
    registered(scaling, SuspendedState={"DynamicScalingOutSuspended": True})
    assert scaling.scale({"endpoint": "sentiment", "count": 3})["scaled"] is False
    assert scaling.scale({"endpoint": "sentiment", "count": 1})["scaled"] is True


def test_an_endpoint_takes_its_targets_with_it(scaling: Scaling) -> None:
    registered(scaling)
    assert autoscaling.target_of("SENTIMENT", "AllTraffic")
    autoscaling.forget("Sentiment")
    assert autoscaling.target_of("sentiment", "AllTraffic") is None


def test_a_variant_that_does_not_exist_is_refused_over_the_wire(client: Client, unique: Unique) -> None:
    resource = f"endpoint/{unique('none')}/variant/AllTraffic"
    with pytest.raises(ClientError) as refused:
        client("application-autoscaling").register_scalable_target(
            **SAGEMAKER, ResourceId=resource, MinCapacity=1, MaxCapacity=2
        )
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_deregistering_nothing_is_an_error_over_the_wire(client: Client, unique: Unique) -> None:
    with pytest.raises(client("application-autoscaling").exceptions.ObjectNotFoundException):
        client("application-autoscaling").deregister_scalable_target(
            **SAGEMAKER, ResourceId=f"endpoint/{unique('none')}/variant/AllTraffic"
        )


def quota(client: Client, name: str) -> dict[str, Any]:
    pages = client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    (found,) = [each for page in pages for each in page["Quotas"] if each["QuotaName"] == name]
    return found  # type: ignore[no-any-return]


def test_quotas_are_found_by_name_and_by_code(client: Client) -> None:
    listed = quota(client, "ml.g5.xlarge for endpoint usage")
    assert listed["QuotaCode"] == "L-1928E07B"
    got = client("service-quotas").get_service_quota(ServiceCode="sagemaker", QuotaCode="L-1928E07B")["Quota"]
    assert got == listed


def test_a_quota_is_changed_by_the_admin_route(client: Client, cloud: LocalCloud) -> None:
    cloud.admin("quotas", {"ml.p4d.24xlarge": 3})
    assert quota(client, "ml.p4d.24xlarge for endpoint usage")["Value"] == 3.0


def test_an_unknown_quota_is_an_error(client: Client) -> None:
    with pytest.raises(client("service-quotas").exceptions.NoSuchResourceException):
        client("service-quotas").get_service_quota(ServiceCode="sagemaker", QuotaCode="L-00000000")
