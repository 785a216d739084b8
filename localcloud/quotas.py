"""Service Quotas for SageMaker: how many instances of a type endpoints may have; set by the admin route `quotas`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from localcloud.core import ACCOUNT_ID, Core

PAGE = 100
# Generous on purpose: a quota is a fault to switch on, not a thing to hit by accident. AWS gives new accounts 0 or few.
DEFAULT_INSTANCES = 100.0
SIZES = {
    "ml.c5": ("large", "xlarge", "2xlarge", "4xlarge", "9xlarge"),
    "ml.c6i": ("large", "xlarge", "2xlarge", "4xlarge"),
    "ml.m5": ("large", "xlarge", "2xlarge", "4xlarge"),
    "ml.t2": ("medium", "large", "xlarge"),
    "ml.g4dn": ("xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge"),
    "ml.g5": ("xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge", "48xlarge"),
    "ml.g6": ("xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge", "48xlarge"),
    "ml.p3": ("2xlarge", "8xlarge", "16xlarge"),
    "ml.p4d": ("24xlarge",),
}
KNOWN_CODES = {"ml.g5.xlarge for endpoint usage": "L-1928E07B"}  # AWS's; the other codes here are made up, but stable

_values: dict[str, float] = {
    f"{family}.{size} for endpoint usage": DEFAULT_INSTANCES for family, sizes in SIZES.items() for size in sizes
}


def install(core: Core) -> None:
    """Answer Service Quotas for the service code sagemaker; other services stay with moto."""
    from moto.servicequotas.responses import ServiceQuotasResponse

    def method(call: Callable[[dict[str, Any]], dict[str, Any]], moto: Callable[[Any], Any] | None) -> Any:
        def answer(self: Any) -> Any:
            params = json.loads(self.body)
            if params.get("ServiceCode") != "sagemaker" and moto is not None:
                return moto(self)
            return json.dumps(call(params))

        return answer

    region = core.region
    for name, call in {
        "list_service_quotas": lambda params: _list(params, region),
        "list_aws_default_service_quotas": lambda params: _list(params, region),
        "get_service_quota": lambda params: _get(params, region),
        "get_aws_default_service_quota": lambda params: _get(params, region),
    }.items():
        setattr(ServiceQuotasResponse, name, method(call, getattr(ServiceQuotasResponse, name, None)))
    core.admin("quotas", _set)


def endpoint_quota(instance_type: str) -> float | None:
    """Return how many instances of a type all endpoints together may have; None for a type without a quota."""
    return _values.get(f"{instance_type} for endpoint usage")


def _set(body: dict[str, Any]) -> dict[str, float]:
    """Set quotas by instance type ({"ml.g5.xlarge": 2}) or by the quota's full name; return all."""
    for name, value in body.items():
        full = name if " " in name else f"{name} for endpoint usage"
        if not full.startswith("ml.") or float(value) < 0:
            raise ValueError(f"{name!r}: {value!r} is no quota: an instance type such as ml.g5.xlarge, and 0 or more")
        _values[full] = float(value)
    return dict(_values)


def _list(params: Mapping[str, Any], region: str) -> dict[str, Any]:
    _known_service(params)
    listed = [_shown(name, region) for name in sorted(_values)]
    first, size = int(params.get("NextToken") or 0), int(params.get("MaxResults") or PAGE)
    more = {"NextToken": str(first + size)} if len(listed) > first + size else {}
    return {"Quotas": listed[first : first + size], **more}


def _get(params: Mapping[str, Any], region: str) -> dict[str, Any]:
    _known_service(params)
    for name in _values:
        if _code(name) == params.get("QuotaCode"):
            return {"Quota": _shown(name, region)}
    raise _missing("The request failed because the specified service quota does not exist.")


def _known_service(params: Mapping[str, Any]) -> None:
    if params.get("ServiceCode") != "sagemaker":
        raise _missing("The request failed because the specified service does not exist.")


def _shown(name: str, region: str) -> dict[str, Any]:
    code = _code(name)
    return {
        "ServiceCode": "sagemaker",
        "ServiceName": "Amazon SageMaker",
        "QuotaArn": f"arn:aws:servicequotas:{region}:{ACCOUNT_ID}:sagemaker/{code}",
        "QuotaCode": code,
        "QuotaName": name,
        "Value": _values[name],
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


def _code(name: str) -> str:
    made_up = hashlib.sha256(name.encode()).hexdigest()[:8].upper()
    return KNOWN_CODES.get(name, f"L-{made_up}")


def _missing(message: str) -> Exception:
    from moto.core.exceptions import JsonRESTError

    error: Exception = JsonRESTError("NoSuchResourceException", message)
    return error
