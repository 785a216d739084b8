"""Policies: the managed ones exist; a Deny with a Condition is not enforced, as there are no principals and no TLS."""

from __future__ import annotations

from typing import Any

from localcloud.core import Core


def install(core: Core) -> None:
    """Load AWS managed policies; let moto skip Deny statements with a Condition, which it takes as unconditional."""
    from moto.core.config import default_user_config
    from moto.iam.access_control import IAMPolicyStatement, PermissionResult

    default_user_config["iam"] = {"load_aws_managed_policies": True}
    permitted = IAMPolicyStatement.is_action_permitted

    def is_action_permitted(self: Any, *arguments: Any, **named: Any) -> Any:
        if self._statement.get("Effect") == "Deny" and self._statement.get("Condition"):
            return PermissionResult.NEUTRAL
        return permitted(self, *arguments, **named)

    IAMPolicyStatement.is_action_permitted = is_action_permitted
