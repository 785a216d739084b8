"""Instance quotas: what a call asks for on top of what all endpoints have, against what the account may have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from localcloud.quotas import endpoint_quota
from localcloud.sagemaker.errors import LimitExceededError
from localcloud.sagemaker.faults import Faults
from localcloud.sagemaker.records import FAILED, Endpoint


def check(faults: Faults, endpoints: Iterable[Endpoint], endpoint: str, wanted: Iterable[tuple[str, int]]) -> None:
    """Raise LimitExceededError when (instance type, further instances) goes over a quota, or a fault says so."""
    used = _in_use(endpoints)
    for instance_type, more in wanted:
        limit = 0.0 if faults.find(endpoint, "quota") is not None else endpoint_quota(instance_type)
        if limit is not None and more > 0 and used[instance_type] + more > limit:
            raise LimitExceededError(
                f"The account-level service limit '{instance_type} for endpoint usage' is {limit:.0f} Instances, with "
                f"current utilization of {used[instance_type]} Instances and a request delta of {more} Instances. "
                "Please use AWS Service Quotas to request an increase for this quota. If AWS Service Quotas is not "
                "available, contact AWS support to request an increase for this quota."
            )


def _in_use(endpoints: Iterable[Endpoint]) -> Counter[str]:
    used: Counter[str] = Counter()
    for endpoint in endpoints:
        if endpoint.status == FAILED:
            continue
        pending = endpoint.pending.variants.values() if endpoint.pending is not None else ()
        for variant in (*endpoint.variants.values(), *endpoint.creating.values(), *pending):
            if variant.settings.get("InstanceType"):
                used[variant.settings["InstanceType"]] += variant.desired_instances
    return used
