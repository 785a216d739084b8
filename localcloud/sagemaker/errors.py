"""The errors of SageMaker's control plane, in its own words."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class ValidationError(ServiceException):
    """What SageMaker says to nearly everything it refuses."""

    code = "ValidationException"


class LimitExceededError(ServiceException):
    """A quota of the account is used up; the one error that the service model names."""

    code = "ResourceLimitExceeded"


def missing(kind: str, arn: str) -> ValidationError:
    """Return the error for a resource that does not exist; kind as in `endpoint configuration`."""
    return ValidationError(f'Could not find {kind} "{arn}".')


def existing(kind: str, arn: str) -> ValidationError:
    """Return the error for a name that is taken."""
    return ValidationError(f'Cannot create already existing {kind} "{arn}".')


def in_progress(arn: str) -> ValidationError:
    """Return the error for a change to an endpoint that is being changed."""
    return ValidationError(f'Cannot update in-progress endpoint "{arn}".')
