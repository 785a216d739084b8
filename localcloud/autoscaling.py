"""Application Auto Scaling for SageMaker variants: targets and policies are stored and described, nothing scales.

Capacity changes only when the admin route `scale` says so. No policy creates alarms here, as they would act on nothing.
Other service namespaces stay with moto.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from botocore.exceptions import ClientError

from localcloud import quotas
from localcloud.core import ACCOUNT_ID, Core

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
PAGE = 50
SUSPENSIONS = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")

_RESOURCE = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")


@dataclass(frozen=True)
class Target:
    """A registered variant."""

    resource_id: str
    arn: str
    created: float
    minimum: int
    maximum: int
    role_arn: str
    suspended: Mapping[str, bool]


@dataclass(frozen=True)
class Policy:
    """A scaling policy of a registered variant; body is its configuration as it was put."""

    name: str
    resource_id: str
    arn: str
    kind: str
    body: Mapping[str, Any]
    created: float


@dataclass
class Registry:
    """All targets by resource id, and policies by resource id and name."""

    targets: dict[str, Target] = field(default_factory=dict)
    policies: dict[tuple[str, str], Policy] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)


REGISTRY = Registry()


def install(core: Core) -> None:
    """Answer Application Auto Scaling's calls for SageMaker from here, and Service Quotas."""
    from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse

    quotas.install(core)
    scaling = Scaling(core.region, _variant_of(core), _set_count(core))
    calls: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "register_scalable_target": scaling.register,
        "describe_scalable_targets": scaling.describe_targets,
        "deregister_scalable_target": scaling.deregister,
        "put_scaling_policy": scaling.put_policy,
        "describe_scaling_policies": scaling.describe_policies,
        "delete_scaling_policy": scaling.delete_policy,
    }
    for name, call in calls.items():
        setattr(
            ApplicationAutoScalingResponse, name, _for_sagemaker(call, getattr(ApplicationAutoScalingResponse, name))
        )
    core.admin("scale", scaling.scale)


def target_of(endpoint: str, variant: str) -> Target | None:
    """Return the scalable target of a variant, or None; endpoint names are case-insensitive."""
    wanted = f"endpoint/{endpoint}/variant/{variant}".lower()
    with REGISTRY.lock:
        return next((each for key, each in REGISTRY.targets.items() if key.lower() == wanted), None)


def forget(endpoint: str) -> None:
    """Drop the targets and policies of an endpoint, as DeleteEndpoint does on AWS."""
    start = f"endpoint/{endpoint}/variant/".lower()
    with REGISTRY.lock:
        for resource_id in [each for each in REGISTRY.targets if each.lower().startswith(start)]:
            _drop(resource_id)


class Scaling:
    """The calls; each takes the request's JSON and returns the answer's.

    variant_of: (endpoint, variant) -> the variant as DescribeEndpoint shows it, or None. set_count: (endpoint, variant,
    count) -> why it could not be done, or None.
    """

    def __init__(
        self,
        region: str,
        variant_of: Callable[[str, str], Mapping[str, Any] | None],
        set_count: Callable[[str, str, int], str | None],
    ) -> None:
        self._region, self._variant_of, self._set_count = region, variant_of, set_count

    def register(self, params: dict[str, Any]) -> dict[str, Any]:
        """Register a variant, or change what is given of a registered one."""
        resource_id = _resource(params)
        variant = self._variant(resource_id)
        if variant is None:
            raise _error("ValidationException", f"SageMaker endpoint variant doesn't exist: {resource_id}")
        with REGISTRY.lock:
            known = REGISTRY.targets.get(resource_id)
            minimum = params.get("MinCapacity", known.minimum if known else None)
            maximum = params.get("MaxCapacity", known.maximum if known else None)
            if minimum is None or maximum is None:
                raise _error(
                    "ValidationException", "MinCapacity and MaxCapacity are required for a new scalable target"
                )
            if minimum < 0 or minimum > maximum:
                raise _error(
                    "ValidationException",
                    f"Maximum capacity cannot be less than minimum capacity (minimum {minimum}, maximum {maximum})",
                )
            suspended = {**dict.fromkeys(SUSPENSIONS, False), **(known.suspended if known else {})}
            suspended |= params.get("SuspendedState") or {}
            if known:
                target = replace(known, minimum=minimum, maximum=maximum, suspended=suspended)
            else:
                where = f"{self._region}:{ACCOUNT_ID}:scalable-target/{uuid.uuid4().hex}"
                arn = f"arn:aws:application-autoscaling:{where}"
                role = (
                    f"arn:aws:iam::{ACCOUNT_ID}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
                )
                role += "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
                target = Target(resource_id, arn, time.time(), minimum, maximum, role, suspended)
            REGISTRY.targets[resource_id] = target
        return {"ScalableTargetARN": target.arn}

    def describe_targets(self, params: dict[str, Any]) -> dict[str, Any]:
        """Describe targets, filtered by resource ids."""
        wanted = params.get("ResourceIds") or []
        with REGISTRY.lock:
            found = [each for each in REGISTRY.targets.values() if not wanted or each.resource_id in wanted]
        shown = [
            {
                "ServiceNamespace": "sagemaker",
                "ResourceId": each.resource_id,
                "ScalableDimension": DIMENSION,
                "MinCapacity": each.minimum,
                "MaxCapacity": each.maximum,
                "RoleARN": each.role_arn,
                "CreationTime": each.created,
                "SuspendedState": dict(each.suspended),
                "ScalableTargetARN": each.arn,
            }
            for each in found
        ]
        return _page("ScalableTargets", shown, params)

    def deregister(self, params: dict[str, Any]) -> dict[str, Any]:
        """Deregister a target; its policies go with it."""
        resource_id = _resource(params)
        with REGISTRY.lock:
            _registered(resource_id, "No scalable target found for")
            _drop(resource_id)
        return {}

    def put_policy(self, params: dict[str, Any]) -> dict[str, Any]:
        """Store a policy; only target tracking and step scaling exist for variants here."""
        resource_id, name = _resource(params), params["PolicyName"]
        with REGISTRY.lock:
            _registered(resource_id, "No scalable target registered for")
            known = REGISTRY.policies.get((resource_id, name))
            kind = params.get("PolicyType") or (known.kind if known else None)
            body = params.get(f"{kind}PolicyConfiguration") or (known.body if known else None)
            if kind not in ("TargetTrackingScaling", "StepScaling") or not body:
                raise _error(
                    "ValidationException",
                    f"PolicyType {kind} with its configuration is required: TargetTrackingScaling or StepScaling",
                )
            if kind == "TargetTrackingScaling" and not body.get("TargetValue", 0) > 0:
                raise _error("ValidationException", "TargetValue must be greater than 0")
            start = f"arn:aws:autoscaling:{self._region}:{ACCOUNT_ID}:scalingPolicy:"
            arn = known.arn if known else f"{start}{uuid.uuid4()}:resource/sagemaker/{resource_id}:policyName/{name}"
            created = known.created if known else time.time()
            REGISTRY.policies[resource_id, name] = Policy(name, resource_id, arn, kind, body, created)
        return {"PolicyARN": arn, "Alarms": []}

    def describe_policies(self, params: dict[str, Any]) -> dict[str, Any]:
        """Describe policies, filtered by resource id and names."""
        names, resource_id = params.get("PolicyNames") or [], params.get("ResourceId")
        with REGISTRY.lock:
            found = [
                each
                for each in REGISTRY.policies.values()
                if resource_id in (None, each.resource_id) and (not names or each.name in names)
            ]
        shown = [
            {
                "PolicyARN": each.arn,
                "PolicyName": each.name,
                "ServiceNamespace": "sagemaker",
                "ResourceId": each.resource_id,
                "ScalableDimension": DIMENSION,
                "PolicyType": each.kind,
                f"{each.kind}PolicyConfiguration": each.body,
                "Alarms": [],
                "CreationTime": each.created,
            }
            for each in found
        ]
        return _page("ScalingPolicies", shown, params)

    def delete_policy(self, params: dict[str, Any]) -> dict[str, Any]:
        """Delete a policy."""
        resource_id, name = _resource(params), params["PolicyName"]
        with REGISTRY.lock:
            if REGISTRY.policies.pop((resource_id, name), None) is None:
                where = f"service namespace: sagemaker, resource ID: {resource_id}, scalable dimension: {DIMENSION}"
                raise _error("ObjectNotFoundException", f"No scaling policy found for {where}, policy name: {name}")
        return {}

    def scale(self, body: dict[str, Any]) -> dict[str, Any]:
        """Set a variant's instance count as a scaling policy would: within the target's range, and not if suspended."""
        endpoint, variant, count = body["endpoint"], body.get("variant", "AllTraffic"), int(body["count"])
        target = target_of(endpoint, variant)
        if target is None:
            raise ValueError(f"endpoint/{endpoint}/variant/{variant} is not registered for auto scaling")
        now = self._variant(target.resource_id)
        current = int(now["DesiredInstanceCount"]) if now else 0
        word = "DynamicScalingOutSuspended" if count > current else "DynamicScalingInSuspended"
        if target.suspended.get(word):
            return {"scaled": False, "reason": f"{word} is set", "count": current}
        count = min(max(count, target.minimum), target.maximum)
        refused = self._set_count(endpoint, variant, count)
        return {"scaled": False, "reason": refused, "count": current} if refused else {"scaled": True, "count": count}

    def _variant(self, resource_id: str) -> Mapping[str, Any] | None:
        found = _RESOURCE.fullmatch(resource_id)
        if found is None:
            raise _error("ValidationException", "Unsupported service namespace, resource type or scalable dimension")
        return self._variant_of(found[1], found[2])


def _variant_of(core: Core) -> Callable[[str, str], Mapping[str, Any] | None]:
    def ask(endpoint: str, variant: str) -> Mapping[str, Any] | None:
        try:
            described = core.client("sagemaker").describe_endpoint(EndpointName=endpoint)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ValidationException", "ValidationError"):
                return None
            raise
        variants = described.get("ProductionVariants") or []
        return next((each for each in variants if each["VariantName"] == variant), None)

    return ask


def _set_count(core: Core) -> Callable[[str, str, int], str | None]:
    def change(endpoint: str, variant: str, count: int) -> str | None:
        wanted = [{"VariantName": variant, "DesiredInstanceCount": count}]
        try:
            core.client("sagemaker").update_endpoint_weights_and_capacities(
                EndpointName=endpoint, DesiredWeightsAndCapacities=wanted
            )
        except ClientError as error:
            return str(error)
        return None

    return change


def _for_sagemaker(
    call: Callable[[dict[str, Any]], dict[str, Any]], moto: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    """Return a method that answers for the namespace sagemaker and leaves the others to moto."""

    def method(self: Any) -> Any:
        params = json.loads(self.body)
        return json.dumps(call(params)) if params.get("ServiceNamespace") == "sagemaker" else moto(self)

    return method


def _resource(params: Mapping[str, Any]) -> str:
    if params.get("ScalableDimension") != DIMENSION:
        raise _error("ValidationException", "Unsupported service namespace, resource type or scalable dimension")
    return str(params["ResourceId"])


def _registered(resource_id: str, words: str) -> None:
    if resource_id not in REGISTRY.targets:
        raise _error(
            "ObjectNotFoundException",
            f"{words} service namespace: sagemaker, resource ID: {resource_id}, scalable dimension: {DIMENSION}",
        )


def _drop(resource_id: str) -> None:
    REGISTRY.targets.pop(resource_id, None)
    for key in [key for key in REGISTRY.policies if key[0] == resource_id]:
        del REGISTRY.policies[key]


def _page(name: str, shown: list[dict[str, Any]], params: Mapping[str, Any]) -> dict[str, Any]:
    first, size = int(params.get("NextToken") or 0), int(params.get("MaxResults") or PAGE)
    more = {"NextToken": str(first + size)} if len(shown) > first + size else {}
    return {name: shown[first : first + size], **more}


def _error(code: str, message: str) -> Exception:
    from moto.core.exceptions import JsonRESTError

    error: Exception = JsonRESTError(code, message)
    return error
