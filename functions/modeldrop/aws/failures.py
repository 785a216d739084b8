"""AWS's error codes, translated once."""

from __future__ import annotations

from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
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


def is_transient(error: BaseException) -> bool:
    """Say whether the same call may succeed later: throttled, timed out, or AWS's own failure."""
    if isinstance(error, AwsConnectionError | HTTPClientError | IncompleteReadError):
        return True
    if not isinstance(error, ClientError):
        return False
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code(error) in TRANSIENT_CODES or status >= 500
