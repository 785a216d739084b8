"""Service Quotas: how many instances of a type the account may have in endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from modeldrop.aws.failures import code
from modeldrop.rollout.model import quota_name

if TYPE_CHECKING:
    from mypy_boto3_service_quotas import ServiceQuotasClient


def endpoint_instances(service_quotas: ServiceQuotasClient, instance_type: str) -> int | None:
    """Return the quota of one instance type; None when it cannot be known, which is not a refusal."""
    wanted = quota_name(instance_type)
    try:
        for page in service_quotas.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker"):
            for quota in page["Quotas"]:
                if quota["QuotaName"] == wanted:
                    return int(quota["Value"])
    except ClientError as error:
        # an account may forbid the look; the update itself will say what is missing
        if code(error) not in ("AccessDeniedException", "NoSuchResourceException"):
            raise
    return None
