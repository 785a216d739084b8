"""One account in which one story is played: the shipped template, state machine and handlers over a simulated AWS.

Every call of every client of ours passes `BaseClient._make_api_call`; there the services answer, and there faults are
put in. A function is called as Lambda would call it, in this process, on a virtual clock.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from unittest import mock

from botocore.client import BaseClient
from botocore.exceptions import ClientError
from botocore.validate import validate_parameters

from localcloud.cloudwatch import alarm_calls, alarms, publish, queries
from modeldrop import clock, observability
from modeldrop.release.upload import Upload, release_id, table_endpoint
from scripts import translated
from tests.faults.hosting import VirtualHosting, played_on, scaling_of
from tests.faults.machine import Execution, Json, TaskError, lambda_cause
from tests.faults.storage import AwsError, Buckets
from tests.faults.tables import Tables
from tests.faults.timeline import Timeline, VirtualTime

MACHINE_ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:modeldrop-release"
UPLOADS, APPROVED, TABLE = "uploads", "approved", "releases"
# 2026-11-23T20:10:00Z
START = 1_795_464_600.0
TICK_SECONDS, REQUESTS_A_TICK = 10, 60
CALL_SECONDS = 0.02
EVENT_SECONDS, RECONCILE_SECONDS = 1.0, 900.0
# Lambda tries an asynchronous event twice more
ASYNC_WAITS = (60.0, 120.0)
# what Step Functions waits for a function beyond the function's own timeout: queueing, and a new environment
START_UP_SECONDS = 12.0


class KilledError(Exception):
    """The function's process is gone: it makes no further call, and its answer reaches nobody."""


@dataclass(frozen=True)
class Call:
    """One call that a function (or the state machine itself) makes.

    visit: how often the function was invoked before in this story; place: how many calls it made before this one.
    """

    function: str
    visit: int
    place: int
    service: str
    operation: str
    release: str = ""

    def __str__(self) -> str:
        return f"{self.function}[{self.visit}.{self.place}] {self.service}:{self.operation}"


@dataclass
class Invocation:
    """A function that runs."""

    function: str
    visit: int
    release: str
    execution: Execution | None
    calls: int = 0
    dead: str = ""
    marks: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """What people were sent."""

    at: float
    subject: str
    body: str
    attributes: Mapping[str, str]


class Context:
    """Lambda's context object."""

    aws_request_id, function_name, memory_limit_in_mb = "request", "function", 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:function"


class World:
    """The account. meets: called at each call of a function, with what makes the call happen; it may put a fault in."""

    def __init__(self, seed: int = 0) -> None:
        self.timeline = Timeline(START)
        self.chance = random.Random(seed)
        self.buckets = Buckets(lambda: self.timeline.now)
        self.tables = Tables(TABLE, resources()["ReleaseTable"]["Properties"])
        self.models: dict[str, str] = {}
        self.hosting = VirtualHosting(self.timeline, self.buckets, self._trouble)
        self.scaling = scaling_of(self.hosting)
        self.executions: dict[str, Execution] = {}
        self.messages: list[Message] = []
        self.uploads: list[Upload] = []
        self.events: list[Json] = []
        self.dead_letters: list[str] = []
        self.invocations: list[Invocation] = []
        self.visits: dict[str, int] = {}
        self.calls: list[Call] = []
        self.defects: list[str] = []
        self.watchers: list[Callable[[Invocation | None, str, str, Json], None]] = []
        self.meets: Callable[[Call, Invocation, Callable[[], Json]], Json] | None = None
        # functions that Lambda does not run: their account's concurrency is used up
        self.unreachable: frozenset[str] = frozenset()
        # functions whose every invocation dies at its first call
        self.dying: frozenset[str] = frozenset()
        self.requests_a_tick = REQUESTS_A_TICK
        self.hears_failures = True
        self.hears_uploads = True
        self._numbers = 0
        self._alarms_ticking = self._users_ticking = False
        self.timeline.after(RECONCILE_SECONDS, self._reconcile)

    # time

    @property
    def now(self) -> float:
        return self.timeline.now

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        self.timeline.after(seconds, call)

    def jitter(self) -> float:
        return self.chance.random()

    def run(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass, until something is so."""
        return self.timeline.run_until(done, self.now + seconds)

    # people

    def upload(self, key: str, body: bytes, metadata: Mapping[str, str] | None = None, *, told: bool = True) -> Upload:
        """Put an object into the upload bucket; S3's event follows where it is one for admission."""
        version = self.buckets.put(UPLOADS, key, body, metadata)
        modified = datetime.fromtimestamp(version.modified, UTC)
        self._numbers += 1
        made = Upload(UPLOADS, key, version.version_id, modified, f"{self._numbers:016X}", len(body))
        if key.endswith("model.tar.gz"):
            self.uploads.append(made)
        if key.endswith("model.tar.gz") and told and self.hears_uploads:
            self.after(EVENT_SECONDS, lambda: self.tell_of(made))
        return made

    def drop(self, endpoint: str, archive: bytes, policy: str | None = None, **more: Any) -> str:
        """Drop an artifact, its policy first; the release id it will have."""
        if policy is not None:
            self.upload(f"{endpoint}/rollout.yaml", policy.encode())
        made = self.upload(f"{endpoint}/model.tar.gz", archive, **more)
        return release_id(made, table_endpoint(made.key))

    def tell_of(self, upload: Upload, **less: None) -> None:
        """Deliver S3's event of an upload to admission, as often as this is called."""
        thing = {"key": upload.key, "version-id": upload.version_id, "sequencer": upload.sequencer}
        thing = {name: value for name, value in thing.items() if name not in less}
        event = {"detail": {"bucket": {"name": upload.bucket}, "object": thing}}
        self._asynchronously("AdmitFunction", event)

    # functions

    def invoke(self, function: str, event: Json, execution: Execution | None = None) -> Json:
        """Call a function and return its answer; TaskError as Step Functions would see its end."""
        if function in self.unreachable:
            raise TaskError("Lambda.TooManyRequestsException", "Rate Exceeded.")
        visit = self.visits[function] = self.visits.get(function, -1) + 1
        running = Invocation(function, visit, str(event.get("release", "")), execution)
        self.invocations.append(running)
        try:
            answer = json.loads(json.dumps(handler_of(function)(json.loads(json.dumps(event)), Context())))
        except Exception as error:
            if running.dead:
                raise TaskError(running.dead, "") from None
            if not isinstance(error, Exception):
                raise
            raise TaskError(type(error).__name__, lambda_cause(type(error).__name__, str(error))) from error
        finally:
            self.invocations.remove(running)
        if running.dead:
            raise TaskError(running.dead, "")
        return dict(answer)

    def timeout_of(self, function: str) -> float:
        """Return a function's own time limit in seconds."""
        limit = resources()[function]["Properties"].get("Timeout", translated.raw()["Globals"]["Function"]["Timeout"])
        return float(limit)

    def _asynchronously(self, function: str, event: Json, tries: int = 0) -> None:
        try:
            self.invoke(function, event)
        except TaskError as error:
            if tries < len(ASYNC_WAITS):
                self.after(ASYNC_WAITS[tries], lambda: self._asynchronously(function, event, tries + 1))
            else:
                self.dead_letters.append(f"{function}: {error}")

    def _reconcile(self) -> None:
        self.timeline.after(RECONCILE_SECONDS, self._reconcile)
        self.reconcile()

    def reconcile(self) -> None:
        """Run the reconciler, as its schedule does."""
        self._asynchronously("ReconcileFunction", {})

    # state machine

    def start_execution(self, name: str, given: Json) -> Execution:
        """Start an execution of the state machine."""
        arn = f"{MACHINE_ARN.replace(':stateMachine:', ':execution:')}:{name}"
        made = Execution(self, definition(), arn, name, given)
        self.executions[name] = made
        self.after(0, made.begin)
        return made

    def lambda_task(self, execution: Execution, state: Json, arguments: Json) -> Any:
        """Run a task's function."""
        began, function = self.now, arguments["FunctionName"]
        try:
            answer = self.invoke(function, arguments["Payload"], execution)
        except TaskError as error:
            # its limit counts from before the function's own
            hung = error.name == "Sandbox.Timedout"
            if hung and state["TimeoutSeconds"] < self.timeout_of(function) + START_UP_SECONDS:
                raise TaskError("States.Timeout", "") from error
            raise
        assert self.now - began < 1000, f"{function} took {self.now - began} s"
        return {"Payload": answer, "StatusCode": 200}

    def update_item(self, execution: Execution, arguments: Json) -> Json:
        """Run the state machine's own write."""
        visit = self.visits[execution.state] = self.visits.get(execution.state, -1) + 1
        running = Invocation(execution.state, visit, "", execution)
        self.invocations.append(running)
        try:
            return self._make_call("dynamodb", "UpdateItem", arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            name = code if code.endswith("Exception") else f"{code}Exception"
            raise TaskError(f"DynamoDB.{name}", str(error)) from None
        except Exception as error:
            raise TaskError(running.dead or "States.Timeout", str(error)) from None
        finally:
            self.invocations.remove(running)

    def ended(self, execution: Execution) -> None:
        """Tell of an execution that did not succeed; its rule starts the recovery."""
        if execution.status != "SUCCEEDED" and self.hears_failures:
            detail = {"input": json.dumps(execution.given), "name": execution.name}
            detail |= {"status": execution.status, "cause": execution.cause}
            self._numbers += 1
            name = f"rule-{self._numbers}"
            self.after(EVENT_SECONDS, lambda: self.start_execution(name, {"detail": detail}) and None)

    # calls

    def _make_call(self, service: str, operation: str, params: Json) -> Json:
        """Answer a call of a client, with the faults of the story."""
        running = self.invocations[-1] if self.invocations else None
        if running is None:
            return self._answer(service, operation, params)
        if running.function in self.dying:
            running.dead = "Runtime.ExitError"
        if running.dead:
            raise KilledError
        call = Call(running.function, running.visit, running.calls, service, operation, running.release)
        running.calls += 1
        self.calls.append(call)
        self.timeline.now += CALL_SECONDS
        if self.meets is None:
            return self._answer(service, operation, params)
        return self.meets(call, running, lambda: self._answer(service, operation, params))

    def _answer(self, service: str, operation: str, params: Json) -> Json:
        running = self.invocations[-1] if self.invocations else None
        for watcher in self.watchers:
            watcher(running, service, operation, params)
        try:
            return self._service(service, operation, params)
        except Exception as error:
            known = as_client_error(error, operation)
            if known is None:
                raise
            raise known from None

    def _service(self, service: str, operation: str, params: Json) -> Json:
        if service == "dynamodb":
            return self.tables.call(operation, params)
        if service == "s3":
            return self.buckets.call(operation, params)
        if service == "sagemaker":
            self._watch_users()
            return self.hosting.call(operation, params)
        if service == "application-autoscaling":
            method = {
                "RegisterScalableTarget": self.scaling.register,
                "DescribeScalableTargets": self.scaling.describe_targets,
                "DeregisterScalableTarget": self.scaling.deregister,
                "PutScalingPolicy": self.scaling.put_policy,
                "DescribeScalingPolicies": self.scaling.describe_policies,
                "DeleteScalingPolicy": self.scaling.delete_policy,
            }[operation]
            return method(params)
        found: Json = getattr(self, f"_{service.replace('-', '_')}_{operation}")(params)
        return found

    def _cloudwatch_PutMetricAlarm(self, params: Json) -> Json:  # noqa: N802 named as the operation
        self._watch_alarms()
        return alarm_calls.put_metric_alarm(params)

    def _cloudwatch_DescribeAlarms(self, params: Json) -> Json:  # noqa: N802 named as the operation
        return alarm_calls.describe_alarms(params)

    def _cloudwatch_DeleteAlarms(self, params: Json) -> Json:  # noqa: N802 named as the operation
        return alarm_calls.delete_alarms(params)

    def _cloudwatch_PutMetricData(self, params: Json) -> Json:  # noqa: N802 named as the operation
        return publish.put_metric_data(params)

    def _cloudwatch_GetMetricData(self, params: Json) -> Json:  # noqa: N802 named as the operation
        return queries.get_metric_data(params)

    def _sns_Publish(self, params: Json) -> Json:  # noqa: N802 named as the operation
        attributes = {name: one["StringValue"] for name, one in params.get("MessageAttributes", {}).items()}
        self.messages.append(Message(self.now, params.get("Subject", ""), params["Message"], attributes))
        return {"MessageId": f"message-{len(self.messages)}"}

    def _events_PutEvents(self, params: Json) -> Json:  # noqa: N802 named as the operation
        self.events += params["Entries"]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": str(len(self.events))}]}

    def _logs_FilterLogEvents(self, _params: Json) -> Json:  # noqa: N802 named as the operation
        raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")

    def _service_quotas_ListServiceQuotas(self, _params: Json) -> Json:  # noqa: N802 named as the operation
        return {"Quotas": []}

    def _sagemaker_runtime_InvokeEndpoint(self, params: Json) -> Json:  # noqa: N802 named as the operation
        import io

        found = self.hosting.find(params["EndpointName"])
        config = found.config
        good = self.kind_of(config) in ("good", "slow_start")
        answer = {"predictions": [[3.0]]} if good else {"predictions": [[4.0]]}
        return {"Body": io.BytesIO(json.dumps(answer).encode()), "ContentType": "application/json"}

    def _stepfunctions_StartExecution(self, params: Json) -> Json:  # noqa: N802 named as the operation
        name, given = params["name"], json.loads(params["input"])
        if not 0 < len(name) <= 80:
            raise AwsError("InvalidName", f"Invalid Name: '{name}'")
        known = self.executions.get(name)
        if known is not None and not (known.status == "RUNNING" and known.given == given):
            raise AwsError("ExecutionAlreadyExists", f"Execution Already Exists: '{name}'")
        made = known or self.start_execution(name, given)
        return {"executionArn": made.arn, "startDate": datetime.fromtimestamp(self.now, UTC)}

    def _stepfunctions_DescribeExecution(self, params: Json) -> Json:  # noqa: N802 named as the operation
        found = self.executions.get(params["executionArn"].rpartition(":")[2])
        if found is None:
            raise AwsError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{params['executionArn']}'")
        return {"executionArn": found.arn, "status": found.status, "name": found.name}

    def _stepfunctions_SendTaskSuccess(self, params: Json) -> Json:  # noqa: N802 named as the operation
        return self._send(params["taskToken"], json.loads(params["output"]), None)

    def _stepfunctions_SendTaskFailure(self, params: Json) -> Json:  # noqa: N802 named as the operation
        return self._send(params["taskToken"], None, TaskError(params.get("error", ""), params.get("cause", "")))

    def _send(self, token: str, result: Any, error: TaskError | None) -> Json:
        if not any(one.answer(token, result, error) for one in list(self.executions.values())):
            raise AwsError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
        return {}

    # what goes on by itself

    def _watch_alarms(self) -> None:
        if not self._alarms_ticking:
            self._alarms_ticking = True
            self.timeline.at((self.now // 10 + 1) * 10 + 3.0, self._look_at_alarms)

    def _look_at_alarms(self) -> None:
        alarms.ALARMS.evaluate_due(self.now)
        self._alarms_ticking = False
        if alarms.ALARMS._alarms:
            self._watch_alarms()

    def _watch_users(self) -> None:
        if not self._users_ticking and any(one.pending for one in self.hosting.endpoints.values()):
            self._users_ticking = True
            self.timeline.at((self.now // TICK_SECONDS + 1) * TICK_SECONDS, self._users)

    def _users(self) -> None:
        self._users_ticking = False
        self.hosting.observe(TICK_SECONDS, self.requests_a_tick, self._behaviour)
        self._watch_users()

    def kind_of(self, config: str) -> str:
        """Return what kind of model a config serves: good, bad, crash, no_capacity."""
        found = self.hosting.registry.configs.get(config.lower())
        model = found and self.hosting.registry.models.get(found.variants[0]["ModelName"].lower())
        url = model.containers[0].get("ModelDataUrl", "") if model else ""
        if url:
            bucket, _, key = url.removeprefix("s3://").partition("/")
            versions = self.buckets._objects.get((bucket, key))
            if versions:
                self.models[config] = MODELS.get(hashlib.sha256(versions[-1].body).hexdigest(), "good")
        return self.models.get(config, "good")

    def _behaviour(self, config: str) -> tuple[float, int]:
        return (5_000.0, 500) if self.kind_of(config) == "bad" else (5_000.0, 200)

    def _trouble(self, fleet: Any) -> str:
        kind = self.kind_of(fleet.config)
        if kind == "no_capacity":
            return "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error."
        if kind == "crash":
            return "The primary container for production variant AllTraffic did not pass the ping health check."
        return ""


# sha256 of an archive -> what kind of model it is
MODELS: dict[str, str] = {}


def as_client_error(error: Exception, operation: str) -> ClientError | None:
    """Return a service's refusal as botocore raises it; None for what is no refusal."""
    from moto.core.exceptions import JsonRESTError, ServiceException

    if isinstance(error, ClientError):
        return error
    if isinstance(error, AwsError):
        code, message, status = error.code, error.message, error.status
    elif isinstance(error, ServiceException):
        code, message, status = error.code, error.message, 400
    elif isinstance(error, JsonRESTError):
        code, message, status = str(error.error_type), str(error.message), 400
    else:
        return None
    return client_error(code, message, operation, status)


def client_error(code: str, message: str, operation: str, status: int = 400) -> ClientError:
    """Make the error that botocore would raise."""
    metadata = {"HTTPStatusCode": status, "RequestId": "request"}
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}
    return ClientError(response, operation)


@cache
def resources() -> Json:
    """Return the resources of template.yaml as written."""
    return dict(translated.raw()["Resources"])


@cache
def definition() -> Json:
    """Return the shipped state machine with its substitutions put in: each function by its logical id."""
    wanted = resources()["ReleaseStateMachine"]["Properties"]["DefinitionSubstitutions"]
    text = json.dumps(translated.definition())
    values = {name: name for name in wanted} | {"ReleaseTable": TABLE, "SignatureKey": ""}
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    return dict(json.loads(text))


@cache
def handler_of(function: str) -> Callable[[Json, Any], Any]:
    """Return a function's handler as template.yaml names it."""
    module, _, name = resources()[function]["Properties"]["Handler"].rpartition(".")
    found: Callable[[Json, Any], Any] = getattr(importlib.import_module(module), name)
    return found


def environment() -> dict[str, str]:
    """Return the environment of the functions: parameters at their defaults, everything else by a plain name."""
    template, found = translated.raw(), dict[str, str]()
    own = [one.get("Properties", {}).get("Environment", {}).get("Variables", {}) for one in resources().values()]
    known = {
        "STACK_NAME": "modeldrop",
        "UPLOAD_BUCKET": UPLOADS,
        "APPROVED_BUCKET": APPROVED,
        "RELEASE_TABLE": TABLE,
        "STATE_MACHINE_ARN": MACHINE_ARN,
        "RELEASES_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:releases",
        "ENDPOINT_ROLE_ARN": "arn:aws:iam::123456789012:role/endpoint",
        "REHEARSAL_ROLE_ARN": "arn:aws:iam::123456789012:role/rehearsal",
        "IMAGE_GPU": "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.20.0-gpu-py312",
        "IMAGE_CPU": "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.20.0-cpu-py312",
    }
    for variables in (template["Globals"]["Function"]["Environment"]["Variables"], *own):
        for name, value in variables.items():
            if isinstance(value, dict):
                value = template["Parameters"].get(value.get("Ref", ""), {}).get("Default", "")
            found[name] = known.get(name, str(value))
    return found


def with_times(value: Any, shape: Any) -> Any:
    """Return a service's answer as boto3 gives it: unix seconds become times."""
    if shape is None or value is None:
        return value
    kind = shape.type_name
    if kind == "timestamp" and isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    if kind == "structure" and isinstance(value, dict):
        return {name: with_times(one, shape.members.get(name)) for name, one in value.items()}
    if kind == "list" and isinstance(value, list):
        return [with_times(one, shape.member) for one in value]
    return value


PLAIN = frozenset({"dynamodb", "s3", "cloudwatch", "stepfunctions"})


@cache
def imported() -> None:
    """Import every handler, so that all of them are put on the clock."""
    for name, one in resources().items():
        if one["Type"] == "AWS::Serverless::Function":
            handler_of(name)


@contextmanager
def world(seed: int = 0, *, checks_requests: bool = True) -> Iterator[World]:
    """Make an account, and let every client of this process reach it, until the end of the block.

    checks_requests: hold each request against its service's model, as botocore does before it sends.
    """
    variables = {**environment(), "POWERTOOLS_TRACE_DISABLED": "1", "POWERTOOLS_METRICS_DISABLED": "1"}
    variables |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    variables |= {"POWERTOOLS_LOG_LEVEL": "CRITICAL", "AWS_EC2_METADATA_DISABLED": "true", "POWERTOOLS_DEV": "false"}
    with ExitStack() as stack:
        imported()
        stack.enter_context(mock.patch.dict(os.environ, variables))
        logging.getLogger("modeldrop").setLevel(logging.CRITICAL)
        stack.enter_context(mock.patch.object(observability.metrics, "add_metric", lambda **_: None))
        made = World(seed)
        stack.enter_context(played_on(made.timeline))

        def make_api_call(self: Any, operation: str, params: Json) -> Any:
            model = self.meta.service_model.operation_model(operation)
            # S3's own customisations (CopySource as a dictionary) come after this point
            if checks_requests and model.input_shape is not None and model.service_model.service_name != "s3":
                validate_parameters(params, model.input_shape)
            service = self.meta.service_model.service_name
            answer = made._make_call(NAMES.get(service, service), operation, params)
            return answer if service in PLAIN else with_times(answer, model.output_shape)

        stack.enter_context(mock.patch.object(BaseClient, "_make_api_call", make_api_call))
        virtual = VirtualTime(made.timeline)
        for module in [one for name, one in sys.modules.items() if name.startswith("modeldrop.") and one]:
            if getattr(module, "time", None) is time:
                stack.enter_context(mock.patch.object(module, "time", virtual))
        stack.enter_context(mock.patch.object(clock, "datetime", virtual_datetime(made.timeline)))
        try:
            yield made
        finally:
            made.timeline.end()


NAMES = {"monitoring": "cloudwatch", "states": "stepfunctions", "runtime.sagemaker": "sagemaker-runtime"}


def virtual_datetime(timeline: Timeline) -> Any:
    """Return what stands for `datetime` in modeldrop.clock."""

    class VirtualDatetime(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.fromtimestamp(timeline.now, tz)

    return VirtualDatetime
