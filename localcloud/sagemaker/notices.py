"""EventBridge events of endpoints.

Source: developer guide, "Events that Amazon SageMaker AI sends to Amazon EventBridge", endpoint and endpoint
deployment state change.
"""

from __future__ import annotations

import re
import time
from typing import Any

from localcloud import events
from localcloud.sagemaker.records import Endpoint, Json, Variant

SOURCE = "aws.sagemaker"
STATE_CHANGE = "SageMaker Endpoint State Change"
DEPLOYMENT_STATE_CHANGE = "SageMaker Endpoint Deployment State Change"


def state_changed(endpoint: Endpoint, tags: dict[str, str]) -> None:
    """Tell the default bus about an endpoint's status."""
    _emit(STATE_CHANGE, endpoint, _detail(endpoint, tags))


def deployment_changed(endpoint: Endpoint, tags: dict[str, str]) -> None:
    """Tell the default bus about a step of a rollout."""
    detail = _detail(endpoint, tags)
    if endpoint.pending is not None:
        pending = endpoint.pending
        variants = []
        for variant in pending.variants.values():
            status = pending.statuses.get(variant.name)
            shown: list[Json] = [{**status, "StartTime": _milliseconds(status["StartTime"])}] if status else []
            variants.append({**_variant(variant), "VariantStatus": shown})
        detail["PendingDeploymentSummary"] = {
            "EndpointConfigName": pending.config,
            "StartTime": _milliseconds(pending.started),
            "ProductionVariants": variants,
        }
    _emit(DEPLOYMENT_STATE_CHANGE, endpoint, detail)


def upper_snake(status: str) -> str:
    """Return a status as events write it: InService is IN_SERVICE."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", status).upper()


def _detail(endpoint: Endpoint, tags: dict[str, str]) -> dict[str, Any]:
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": endpoint.config,
        "ProductionVariants": [_variant(variant) for variant in endpoint.variants.values()],
        "EndpointStatus": upper_snake(endpoint.status),
        "CreationTime": _milliseconds(endpoint.created),
        "LastModifiedTime": _milliseconds(time.time()),
        "Tags": dict(tags),
    }


def _variant(variant: Variant) -> Json:
    return {
        "VariantName": variant.name,
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.desired_weight,
        "CurrentInstanceCount": variant.instances,
        "DesiredInstanceCount": variant.desired_instances,
    }


def _milliseconds(moment: float) -> int:
    return int(moment * 1000)


def _emit(detail_type: str, endpoint: Endpoint, detail: dict[str, Any]) -> None:
    events.emit(SOURCE, detail_type, detail, [endpoint.arn])
