"""Plugs real processes into moto's Lambda, and keeps the settings that moto drops."""

from __future__ import annotations

import base64
import copy
import json
import logging
import threading
import time
from typing import Any
from urllib.parse import unquote

from localcloud.core import Core
from localcloud.lambda_runtime.asynchronous import invoke_later
from localcloud.lambda_runtime.environment import Outcome
from localcloud.lambda_runtime.logs import write_log
from localcloud.lambda_runtime.metrics import count_throttle
from localcloud.lambda_runtime.pool import Pool, TooManyRequestsError

# Lambda developer guide, "Lambda quotas": 6 MB each way, 1 MB for asynchronous events
MAX_SYNC_BYTES, MAX_ASYNC_BYTES = 6_291_556, 1_048_576
REAP_EVERY_SECONDS = 30.0
# Settings of a function that moto loses, by their attribute here.
KEPT = {
    "LoggingConfig": "logging_config",
    "DeadLetterConfig": "dead_letter_config",
    "TracingConfig": "tracing_config",
    "Architectures": "architectures",
}
_LOG = logging.getLogger(__name__)


def install(core: Core) -> None:
    """Run functions as processes of this machine."""
    pool = Pool(core)
    core.on_stop(pool.close)
    threading.Thread(target=_reap, args=(pool,), name="lambda-reaper", daemon=True).start()
    _patch_invocation(core, pool)
    _patch_settings(pool)
    _patch_versions()


def _reap(pool: Pool) -> None:
    while True:
        time.sleep(REAP_EVERY_SECONDS)
        try:
            pool.reap()
        except Exception:  # environments go on getting old
            _LOG.exception("idle environments could not be ended")


def _patch_invocation(core: Core, pool: Pool) -> None:
    from moto.awslambda.models import LambdaFunction
    from moto.awslambda.responses import LambdaResponse

    def invoke(self: Any) -> tuple[int, dict[str, str], bytes]:
        name = unquote(self.path.rsplit("/", 2)[-2])
        qualifier = self.querystring.get("Qualifier", [None])[0]
        function = self.backend.get_function(name, qualifier)
        payload = (self.body.encode() if isinstance(self.body, str) else self.body) or b"{}"
        arn = _invoked_arn(function, name, qualifier)
        kind = self.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        _check_payload(payload, MAX_ASYNC_BYTES if kind == "Event" else MAX_SYNC_BYTES)
        if kind == "DryRun":
            return 204, {"status": "204"}, b""
        if kind == "Event":
            invoke_later(core, pool, function, payload, arn)
            return 202, {"status": "202"}, b""
        outcome = _run(pool, function, payload, arn, self.headers.get("X-Amzn-Trace-Id"))
        headers = {"content-type": "application/json", "x-amz-executed-version": str(function.version)}
        if outcome.error:
            headers["x-amz-function-error"] = "Unhandled"
        if self.headers.get("X-Amz-Log-Type") == "Tail":
            headers["x-amz-log-result"] = base64.b64encode(outcome.log.encode()[-4096:]).decode()
        return 200, headers, _within_limit(outcome.payload, headers)

    def invoke_lambda(self: Any, event: Any = None) -> tuple[str, bool, str]:
        payload = event if isinstance(event, (str, bytes)) else json.dumps(event)
        outcome = _run(pool, self, payload.encode() if isinstance(payload, str) else payload, self.function_arn, None)
        return outcome.payload.decode(), outcome.error, outcome.log

    LambdaResponse.invoke = invoke
    LambdaFunction._invoke_lambda = invoke_lambda


def _run(pool: Pool, function: Any, payload: bytes, arn: str, trace_id: str | None) -> Outcome:
    from moto.awslambda.exceptions import LambdaClientError

    try:
        outcome = pool.invoke(function, payload, arn, trace_id)
    except TooManyRequestsError:
        count_throttle(function)
        error = LambdaClientError("TooManyRequestsException", "Rate Exceeded.")
        error.code = 429
        raise error from None
    except ValueError as problem:
        error = LambdaClientError("InvalidRuntimeException", str(problem))
        error.code = 502
        raise error from None
    write_log(function, outcome)
    return outcome


def _within_limit(payload: bytes, headers: dict[str, str]) -> bytes:
    """Return the result, or the error that stands for one that is too large."""
    if len(payload) <= MAX_SYNC_BYTES:
        return payload
    headers["x-amz-function-error"] = "Unhandled"
    message = f"Response payload size exceeded maximum allowed payload size ({MAX_SYNC_BYTES} bytes)."
    return json.dumps({"errorMessage": message, "errorType": "Function.ResponseSizeTooLarge"}).encode()


def _check_payload(payload: bytes, limit: int) -> None:
    from moto.awslambda.exceptions import LambdaClientError

    if len(payload) > limit:
        message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        error = LambdaClientError("RequestTooLargeException", message)
        error.code = 413
        raise error
    try:
        json.loads(payload)
    except ValueError as problem:
        raise LambdaClientError(
            "InvalidRequestContentException", f"Could not parse request body into json: {problem}"
        ) from None


def _invoked_arn(function: Any, name: str, qualifier: str | None) -> str:
    """Return the ARN as the caller named it: context.invoked_function_arn keeps an alias."""
    unqualified = ":".join(function.function_arn.split(":")[:7])
    tail = name.split(":function:")[-1]
    qualifier = qualifier or (tail.split(":")[1] if ":" in tail else None)
    return f"{unqualified}:{qualifier}" if qualifier else unqualified


def _patch_settings(pool: Pool) -> None:
    """Keep settings that moto drops, share equal packages, and unpack ahead of the first event."""
    from moto.awslambda.models import LambdaFunction

    create, describe, update = (
        LambdaFunction.__init__,
        LambdaFunction.get_configuration,
        LambdaFunction.update_configuration,
    )
    set_code = LambdaFunction._set_function_code

    def __init__(self: Any, account_id: str, spec: dict[str, Any], region: str, version: str | int = 1) -> None:  # noqa: N807
        create(self, account_id, spec, region, version)
        for setting, attribute in KEPT.items():
            if setting in spec:
                setattr(self, attribute, spec[setting])

    def get_configuration(self: Any, on_create: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = describe(self, on_create)
        default = {"LogFormat": "Text", "LogGroup": self.logs_group_name}
        found["LoggingConfig"] = {**default, **(getattr(self, "logging_config", None) or {})}
        if getattr(self, "dead_letter_config", None):
            found["DeadLetterConfig"] = self.dead_letter_config
        return found

    def update_configuration(self: Any, changes: dict[str, Any]) -> dict[str, Any]:
        update(self, changes)
        for setting, attribute in KEPT.items():
            if setting in changes:
                setattr(self, attribute, changes[setting])
        if "EphemeralStorage" in changes:
            self.ephemeral_storage = changes["EphemeralStorage"]["Size"]
        pool.retire(self.function_name)
        changed: dict[str, Any] = self.get_configuration()
        return changed

    def set_function_code(self: Any, spec: dict[str, Any]) -> None:
        set_code(self, spec)
        if getattr(self, "code_bytes", b""):
            self.code_bytes = pool.code.shared(self.code_digest, self.code_bytes)
            threading.Thread(target=_prepare, args=(pool, self), name="lambda-unpack", daemon=True).start()

    LambdaFunction.__init__ = __init__
    LambdaFunction.get_configuration = get_configuration
    LambdaFunction.update_configuration = update_configuration
    LambdaFunction._set_function_code = set_function_code


def _prepare(pool: Pool, function: Any) -> None:
    try:
        pool.prepare(function)
    except Exception:
        _LOG.exception("the package of %s does not unpack", function.function_name)


def _patch_versions() -> None:
    """Publish a version only when code or settings changed, number it after every earlier one, and pin it."""
    from moto.awslambda.models import LambdaStorage

    def publish_version(self: Any, name_or_arn: str, description: str = "") -> Any:
        latest = self.get_function_by_name_or_arn_forbid_qualifier(name_or_arn)
        group = self._functions[latest.function_name]
        versions = group["versions"]
        state = _publishable(latest)
        if versions and versions[-1].published_state == state:
            return versions[-1]
        number = group["last_number"] = group.get("last_number", 0) + 1
        published = copy.copy(latest)
        published.published_state = state
        published.environment_vars = dict(latest.environment_vars)
        published.set_version(number)
        if description:
            published.description = description
        versions.append(published)
        self._arns[published.function_arn] = published
        return published

    LambdaStorage.publish_version = publish_version


def _publishable(function: Any) -> str:
    volatile = {"Version", "FunctionArn", "LastModified", "LastUpdateStatus", "RevisionId"}
    settings = {key: value for key, value in function.get_configuration().items() if key not in volatile}
    return json.dumps(settings, sort_keys=True, default=str)
