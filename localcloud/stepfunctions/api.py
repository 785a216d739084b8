"""The Step Functions API where moto's answers differ from AWS's: executions, their history, callbacks."""

from __future__ import annotations

import copy
import json
import random
import re
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from localcloud.stepfunctions.definition import definition_problems

MAX_INPUT_BYTES = 262_144  # Step Functions quotas: 256 KiB of UTF-8
NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\u0000-\u001f\u007f-\u009f]{1,80}")
ENV_SECONDS = 5.0  # an execution's environment exists as soon as its thread runs


def patch_api() -> None:
    """Replace the calls that differ."""
    from moto.stepfunctions.parser.models import StepFunctionsParserBackend
    from moto.stepfunctions.responses import StepFunctionResponse

    StepFunctionsParserBackend.start_execution = _start_execution
    StepFunctionsParserBackend._validate_definition = staticmethod(_validate_definition)
    StepFunctionsParserBackend._get_executions = _get_executions
    StepFunctionResponse.start_execution = _start_execution_call
    StepFunctionResponse.describe_execution = _describe_execution_call
    StepFunctionResponse.list_executions = _list_executions_call
    StepFunctionResponse.stop_execution = _stop_execution_call
    StepFunctionResponse.get_execution_history = _history_call
    StepFunctionResponse.send_task_failure = _send_task_failure_call
    _refuse_another_machine_of_that_name(StepFunctionsParserBackend)


def refusal(code: str, message: str) -> Exception:
    """Return the exception that moto answers with an error of this code."""
    from moto.core.exceptions import AWSError

    kind = type(code, (AWSError,), {"TYPE": code, "STATUS": 400})
    made: Exception = kind(message)
    return made


def _refuse_another_machine_of_that_name(backend: Any) -> None:
    """CreateStateMachine is idempotent for the same definition and role only."""
    from moto.stepfunctions.exceptions import StateMachineDoesNotExist

    create = backend.create_state_machine

    def create_or_refuse(self: Any, name: str, definition: str, roleArn: str, **named: Any) -> Any:  # noqa: N803
        arn = f"arn:aws:states:{self.region_name}:{self.account_id}:stateMachine:{name}"
        try:
            found = self.describe_state_machine(arn)
        except StateMachineDoesNotExist:
            return create(self, name=name, definition=definition, roleArn=roleArn, **named)
        if found.definition != definition or found.roleArn != roleArn:
            raise refusal("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
        return found

    backend.create_state_machine = create_or_refuse


def _validate_definition(definition: str) -> None:
    from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

    problems = definition_problems(definition)
    if problems:
        raise refusal("InvalidDefinition", f"Invalid State Machine Definition: '{'; '.join(problems)}'")
    try:
        AmazonStateLanguageParser.parse(definition)
    except Exception as error:
        raise refusal("InvalidDefinition", f"Invalid State Machine Definition: '{error!r}'") from None


def _get_executions(self: Any, execution_status: Any = None) -> list[Any]:
    """Return executions that can be asked about callbacks: their environment exists."""
    return [
        execution
        for machine in list(self.state_machines)
        for execution in list(machine.executions)
        if execution_status in (None, execution.exec_status) and execution.exec_worker and execution.exec_worker.env
    ]


def _resolve(self: Any, arn: str) -> tuple[Any, Any]:
    """Return the state machine of an ARN, and the revision (itself, or a version) that it names."""
    from moto.stepfunctions.exceptions import StateMachineDoesNotExist

    base = ":".join(arn.split(":")[:7])
    machine = self.describe_state_machine(base)
    qualifier = arn.split(":")[7] if arn.count(":") > 6 else None
    if qualifier is None:
        return machine, machine
    if not qualifier.isnumeric():
        alias = machine.aliases.get(qualifier)
        if alias is None:
            raise StateMachineDoesNotExist(f"State Machine Does Not Exist: '{arn}'")
        routes = alias.routing_configuration
        weights = [route["weight"] for route in routes]
        chosen = random.choices(routes, weights=weights)[0]  # noqa: S311 spreads load, guards nothing
        qualifier = chosen["stateMachineVersionArn"].rsplit(":", 1)[1]
    version = machine.versions.get(int(qualifier))
    if version is None:
        raise StateMachineDoesNotExist(f"State Machine Does Not Exist: '{arn}'")
    return machine, version


def _start_execution(
    self: Any, state_machine_arn: str, name: Any = None, execution_input: Any = None, trace_header: Any = None
) -> Any:
    from moto.stepfunctions.parser.backend.execution import Execution

    machine, revision = _resolve(self, state_machine_arn)
    name = name or str(uuid.uuid4())
    given = execution_input or "{}"
    if not NAME.fullmatch(name):
        raise refusal("InvalidName", f"Invalid Name: '{name}'")
    if len(given.encode()) > MAX_INPUT_BYTES:
        raise refusal("InvalidExecutionInput", f"The input is larger than {MAX_INPUT_BYTES} bytes")
    try:
        json.loads(given)
    except ValueError as error:
        raise refusal("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'") from None
    existing = machine._handle_name_input_idempotency(name, given)
    if existing is not None:
        return existing
    snapshot = copy.copy(revision)
    snapshot.arn = machine.arn
    execution = Execution(
        name=name,
        sm_type=revision.sm_type,
        role_arn=revision.roleArn,
        exec_arn=f"arn:aws:states:{self.region_name}:{self.account_id}:execution:{machine.name}:{name}",
        account_id=self.account_id,
        region_name=self.region_name,
        state_machine=snapshot,
        start_date=datetime.now(UTC),
        cloud_watch_logging_session=None,
        input_data=given,
        trace_header=trace_header,
        activity_store={},
    )
    execution.version_arn = revision.arn if revision is not machine else None
    execution.alias_arn = state_machine_arn if not state_machine_arn.split(":")[-1].isnumeric() else None
    if state_machine_arn == machine.arn:
        execution.alias_arn = None
    machine.executions.append(execution)
    execution.start()
    return execution


def _start_execution_call(self: Any) -> Any:
    from moto.core.responses import ActionResult

    execution = self.stepfunction_backend.start_execution(
        self._get_param("stateMachineArn"), self._get_param("name"), self._get_param("input")
    )
    return ActionResult({"executionArn": execution.execution_arn, "startDate": execution.start_date})


def _describe_execution_call(self: Any) -> Any:
    from moto.core.responses import ActionResult

    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    answer = {
        "executionArn": execution.exec_arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.start_date,
        "stopDate": execution.stop_date,
        "input": execution.execution_input,
        "inputDetails": {"included": True},
        "error": execution.error,
        "cause": execution.cause,
        "stateMachineVersionArn": execution.version_arn,
        "stateMachineAliasArn": execution.alias_arn,
        "redriveCount": 0,
    }
    if execution.status == "SUCCEEDED":
        answer |= {"output": json.dumps(execution.output, default=str), "outputDetails": {"included": True}}
    return ActionResult({key: value for key, value in answer.items() if value is not None})


def _list_executions_call(self: Any) -> Any:
    from moto.core.responses import ActionResult

    arn = self._get_param("stateMachineArn")
    found, token = self.stepfunction_backend.list_executions(
        arn,
        status_filter=self._get_param("statusFilter"),
        max_results=self._get_int_param("maxResults"),
        next_token=self._get_param("nextToken"),
    )
    rows = [
        {
            "executionArn": execution.exec_arn,
            "stateMachineArn": execution.state_machine_arn,
            "name": execution.name,
            "status": execution.status,
            "startDate": execution.start_date,
            **({"stopDate": execution.stop_date} if execution.stop_date else {}),
        }
        for execution in found
    ]
    return ActionResult({"executions": rows, "nextToken": token})


def _stop_execution_call(self: Any) -> Any:
    from moto.core.responses import ActionResult

    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    moment = datetime.now(UTC)
    if execution.status == "RUNNING":
        _wait_for_environment(execution)
        execution.stop(stop_date=moment, error=self._get_param("error"), cause=self._get_param("cause"))
        # AWS ends a stopped execution before it answers
        deadline = time.monotonic() + ENV_SECONDS
        while execution.status == "RUNNING" and time.monotonic() < deadline:
            time.sleep(0.01)
    return ActionResult({"stopDate": execution.stop_date or moment})


def _wait_for_environment(execution: Any) -> None:
    deadline = time.monotonic() + ENV_SECONDS
    while execution.exec_worker.env is None and time.monotonic() < deadline:
        time.sleep(0.01)


def _history_call(self: Any) -> Any:
    from moto.core.responses import ActionResult

    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    events = execution.to_history_output()["events"]
    if self._get_param("reverseOrder"):
        events = events[::-1]
    start = int(self._get_param("nextToken") or 0)
    size = int(self._get_param("maxResults") or 100) or 100
    more = {"nextToken": str(start + size)} if start + size < len(events) else {}
    return ActionResult({"events": events[start : start + size], **more})


def _send_task_failure_call(self: Any) -> Any:
    from moto.core.responses import EmptyResult

    self.stepfunction_backend.send_task_failure(
        self._get_param("taskToken"), error=self._get_param("error"), cause=self._get_param("cause")
    )
    return EmptyResult()
