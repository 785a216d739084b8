"""The errors CloudWatch answers with; moto writes them in the protocol of the caller."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class ValidationError(ServiceException):
    """A parameter that AWS refuses."""

    code = "ValidationError"


class InvalidParameterValue(ServiceException):
    """A value that is out of range."""

    code = "InvalidParameterValue"


class InvalidParameterCombination(ServiceException):
    """Parameters that exclude each other."""

    code = "InvalidParameterCombination"


class MissingParameter(ServiceException):
    """A parameter that must be there."""

    code = "MissingParameter"


class ResourceNotFound(ServiceException):
    """A name that does not exist."""

    code = "ResourceNotFound"


class ResourceNotFoundException(ServiceException):
    """An ARN that does not exist (the tagging calls)."""

    code = "ResourceNotFoundException"


class InvalidFormat(ServiceException):
    """Data that is not in the format AWS wants."""

    code = "InvalidFormat"


class InvalidNextToken(ServiceException):
    """A token that no earlier answer gave."""

    code = "InvalidNextToken"


class NotCovered(ServiceException):
    """Something AWS has and the local cloud has not; says which."""

    code = "NotImplemented"
