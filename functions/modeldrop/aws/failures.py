"""AWS's error codes, translated once."""

from __future__ import annotations

from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
)
from botocore.exceptions import ConnectionError as AwsConnectionError

TRANSIENT_CODES = frozenset(
    {
        "InternalError", "InternalFailure", "InternalServerError", "ProvisionedThroughputExceededException",
        "RequestLimitExceeded", "RequestTimeout", "ServiceUnavailable", "ServiceUnavailableException", "SlowDown",
        "Throttling", "ThrottledException", "ThrottlingException", "TooManyRequestsException",
        "TransactionInProgressException",
    }
)  # fmt: skip


def code(error: ClientError) -> str:
    """Return the error code AWS gave."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message(error: ClientError) -> str:
    """Return the sentence AWS gave."""
    return str(error.response.get("Error", {}).get("Message", ""))


def is_refusal(error: BaseException) -> bool:
    """Say whether AWS surely did not do what was asked: it said so, or was never reached."""
    if isinstance(error, ConnectTimeoutError | EndpointConnectionError):
        return True
    return isinstance(error, ClientError) and 400 <= _status(error) < 500


def told(error: BaseException) -> str:
    """Return an error in a few words, for a message: AWS's code and sentence, or the error's own name and text."""
    if isinstance(error, ClientError):
        return f"{error.operation_name}: {code(error)}: {message(error)}"[:300]
    return f"{type(error).__name__}: {error}"[:300]


def is_transient(error: BaseException) -> bool:
    """Say whether the same call may succeed later: throttled, timed out, or AWS's own failure."""
    if isinstance(error, AwsConnectionError | HTTPClientError | IncompleteReadError):
        return True
    if not isinstance(error, ClientError):
        return False
    return code(error) in TRANSIENT_CODES or _status(error) >= 500


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
