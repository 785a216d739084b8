"""What CloudFormation answers when a call or a resource is refused."""

from __future__ import annotations

from typing import Any


class DeployError(Exception):
    """A resource could not be made, changed or deleted; the message becomes its status reason."""


def api_error(message: str, code: str = "ValidationError") -> Exception:
    """Return the exception that moto answers with this code and message."""
    from moto.cloudformation.exceptions import CloudFormationError

    kind: Any = type(code, (CloudFormationError,), {"code": code})
    return kind(message)  # type: ignore[no-any-return]
