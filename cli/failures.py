"""What goes wrong in a command, as one line: what, where, what to do next."""

from __future__ import annotations

import os

GOOD, ANSWER_IS_NO, USAGE, BROKEN = 0, 1, 2, 3

NEXT_BY_CODE = {
    "ExpiredToken": "renew your credentials, for example with `aws sso login`",
    "ExpiredTokenException": "renew your credentials, for example with `aws sso login`",
    "InvalidClientTokenId": "check AWS_PROFILE or AWS_ACCESS_KEY_ID",
    "UnrecognizedClientException": "check AWS_PROFILE or AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY and the clock of this machine",
    "AccessDenied": "ask for this action on this resource",
    "AccessDeniedException": "ask for this action on this resource",
    "ThrottlingException": "try again in a minute",
    "Throttling": "try again in a minute",
}
LOCAL_HINT = "start the local cloud with `modeldrop local up`, or unset AWS_ENDPOINT_URL to reach AWS"


class CommandError(Exception):
    """Ends a command with a line on stderr and an exit status."""

    def __init__(self, what: str, *, fix: str = "", status: int = BROKEN) -> None:
        self.status = status
        super().__init__(f"{what.rstrip('.')}. Next: {fix}" if fix else what)


def explain(error: BaseException) -> CommandError | None:
    """Turn an error of boto3, of the local cloud or of this machine into its line; None for a defect of ours."""
    if isinstance(error, CommandError):
        return error
    if isinstance(error, OSError) and error.filename:
        return CommandError(f"{error.filename}: {error.strerror}", status=USAGE)
    if type(error).__module__.startswith("localcloud."):
        return CommandError(str(error))
    if type(error).__module__.startswith(("botocore.", "boto3.")):
        return _aws(error)
    return None


def _aws(error: BaseException) -> CommandError:
    from botocore import exceptions

    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    if isinstance(error, exceptions.ClientError):
        details = error.response.get("Error", {})
        code = str(details.get("Code", "Unknown"))
        what = f"AWS refused {error.operation_name}: {code}: {details.get('Message', '')}"
        return CommandError(what, fix=NEXT_BY_CODE.get(code, ""))
    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        fix = "`aws configure` or `aws sso login`; for the local cloud paste what `modeldrop local up` prints"
        return CommandError("no AWS credentials were found", fix=fix)
    if isinstance(error, exceptions.NoRegionError):
        return CommandError("no AWS region is set", fix="export AWS_REGION=...")
    if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError):
        return CommandError(f"{endpoint or 'AWS'} does not answer: {error}", fix=LOCAL_HINT if endpoint else "")
    return CommandError(f"AWS call failed: {error}")
