"""What Application Auto Scaling's targets forbid an endpoint.

Source: developer guide, "Automatically scale models": a scaled variant can be neither removed nor put on another
instance type until its scaling policy is deleted and its target deregistered.
"""

from __future__ import annotations

from collections.abc import Mapping

from localcloud import autoscaling
from localcloud.sagemaker.errors import ValidationError
from localcloud.sagemaker.records import Endpoint, Variant


def require_compatible(endpoint: Endpoint, variants: Mapping[str, Variant]) -> None:
    """Raise ValidationError when an update takes away what is registered for scaling."""
    for name, old in endpoint.variants.items():
        new = variants.get(name)
        kept = new is not None and new.settings.get("InstanceType") == old.settings.get("InstanceType")
        if not kept and autoscaling.target_of(endpoint.name, name) is not None:
            raise ValidationError(
                f"Variant {name} of endpoint {endpoint.arn} has automatic scaling configured: delete its scaling "
                "policies and deregister it as a scalable target before you remove it or change its instance type."
            )


def forget(endpoint: Endpoint) -> None:
    """Deregister what a deleted endpoint had."""
    autoscaling.forget(endpoint.name)
