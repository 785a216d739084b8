"""What Describe and List calls answer with."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from localcloud.sagemaker import capture, records
from localcloud.sagemaker.errors import ValidationError
from localcloud.sagemaker.records import Endpoint, EndpointConfig, Json, Model, Pending, Variant

DEFAULT_PAGE = 10
# settings of a variant that DescribeEndpoint shows as they are in the config
_SHOWN_SETTINGS = ("ManagedInstanceScaling", "RoutingConfig")


def model(found: Model) -> Json:
    """DescribeModel."""
    request = {key: value for key, value in found.request.items() if key != "Tags"}
    request.setdefault("EnableNetworkIsolation", False)
    return {**request, "ModelArn": found.arn, "CreationTime": found.created}


def config(found: EndpointConfig) -> Json:
    """DescribeEndpointConfig."""
    request = {key: value for key, value in found.request.items() if key != "Tags"}
    request["ProductionVariants"] = [{"InitialVariantWeight": 1.0, **v} for v in found.variants]
    request.setdefault("EnableNetworkIsolation", False)
    return {**request, "EndpointConfigArn": found.arn, "CreationTime": found.created}


def endpoint(found: Endpoint) -> Json:
    """DescribeEndpoint; variants are shown once the endpoint has been in service."""
    answer: Json = {
        "EndpointName": found.name,
        "EndpointArn": found.arn,
        "EndpointConfigName": found.config,
        "EndpointStatus": found.status,
        "CreationTime": found.created,
        "LastModifiedTime": found.modified,
    }
    if found.variants:
        answer["ProductionVariants"] = [_variant(variant, found.created) for variant in found.variants.values()]
    if found.failure_reason:
        answer["FailureReason"] = found.failure_reason
    if found.deployment_config:
        answer["LastDeploymentConfig"] = found.deployment_config
    if found.config_request.get("DataCaptureConfig"):
        answer["DataCaptureConfig"] = capture.summary(found.config_request["DataCaptureConfig"])
    for name in ("AsyncInferenceConfig", "ExplainerConfig", "MetricsConfig"):
        if found.config_request.get(name):
            answer[name] = found.config_request[name]
    if found.pending is not None and found.status in (records.UPDATING, records.ROLLING_BACK, records.ROLLBACK_FAILED):
        answer["PendingDeploymentSummary"] = _pending(found.pending)
    return answer


def summary(found: Endpoint) -> Json:
    """One entry of ListEndpoints."""
    return {
        "EndpointName": found.name,
        "EndpointArn": found.arn,
        "CreationTime": found.created,
        "LastModifiedTime": found.modified,
        "EndpointStatus": found.status,
    }


def page(items: Iterable[Json], request: Json, name_key: str) -> tuple[list[Json], str | None]:
    """Filter, sort and cut a list as List calls do; returns the page and the next token."""
    chosen = [item for item in items if _wanted(item, request, name_key)]
    keys: dict[str, Callable[[Json], Any]] = {
        "Name": lambda item: item[name_key],
        "CreationTime": lambda item: item["CreationTime"],
        "Status": lambda item: item.get("EndpointStatus", ""),
    }
    chosen.sort(key=keys[request.get("SortBy") or "CreationTime"], reverse=request.get("SortOrder") != "Ascending")
    start, size = _start(request.get("NextToken")), int(request.get("MaxResults") or DEFAULT_PAGE)
    more = start + size < len(chosen)
    return chosen[start : start + size], base64.b64encode(str(start + size).encode()).decode() if more else None


def _wanted(item: Json, request: Json, name_key: str) -> bool:
    if request.get("NameContains") and request["NameContains"].lower() not in item[name_key].lower():
        return False
    if request.get("StatusEquals") and item.get("EndpointStatus") != request["StatusEquals"]:
        return False
    for field in ("CreationTime", "LastModifiedTime"):
        moment = item.get(field)
        before, after = _seconds(request.get(f"{field}Before")), _seconds(request.get(f"{field}After"))
        if moment is not None and (
            (before is not None and moment >= before) or (after is not None and moment <= after)
        ):
            return False
    return True


def _seconds(value: datetime | float | None) -> float | None:
    return value.timestamp() if isinstance(value, datetime) else value


def _start(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.b64decode(token, validate=True))
    except (binascii.Error, ValueError):
        raise ValidationError("Invalid NextToken.") from None


def _variant(variant: Variant, resolved: float) -> Json:
    answer: Json = {
        "VariantName": variant.name,
        "DeployedImages": [
            {"SpecifiedImage": variant.image, "ResolvedImage": variant.image, "ResolutionTime": resolved}
        ],
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.desired_weight,
    }
    serverless = variant.settings.get("ServerlessConfig")
    if serverless:
        answer |= {"CurrentServerlessConfig": serverless, "DesiredServerlessConfig": serverless}
        answer |= {"CurrentInstanceCount": 0, "DesiredInstanceCount": 0}
    else:
        answer |= {"CurrentInstanceCount": variant.instances, "DesiredInstanceCount": variant.desired_instances}
    return answer | {name: variant.settings[name] for name in _SHOWN_SETTINGS if variant.settings.get(name)}


def _pending(pending: Pending) -> Json:
    variants = []
    for variant in pending.variants.values():
        status = pending.statuses.get(variant.name)
        variants.append(_variant(variant, pending.started) | {"VariantStatus": [status] if status else []})
    return {"EndpointConfigName": pending.config, "StartTime": pending.started, "ProductionVariants": variants}
