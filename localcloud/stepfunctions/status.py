"""How an execution starts and ends: its status, its events on the default bus, and no execution that never ends."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from typing import Any

from localcloud.cloudwatch import store
from localcloud.core import Core
from localcloud.events import emit

MAX_EVENT_DATA_BYTES = 248 * 1024  # developer guide, "Step Functions Execution Status Change events"
_LOG = logging.getLogger(__name__)


def patch_status(core: Core) -> None:
    """Reflect every ending in the execution, and tell EventBridge."""
    from moto.stepfunctions.parser.api import ExecutionStatus
    from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped, ProgramTimedOut
    from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution
    from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

    start, reflect, run = Execution.start, BaseExecutionWorkerCommunication.terminated, ExecutionWorker._execution_logic

    def announce_start(self: Any) -> None:
        start(self)
        _announce(self, "RUNNING")

    def announce_end(self: Any) -> None:
        execution = self.execution
        state = execution.exec_worker.env.program_state()
        if isinstance(state, ProgramTimedOut):
            execution.error = "States.Timeout"
        elif isinstance(state, ProgramStopped):
            execution.error, execution.cause = state.error, state.cause
        reflect(self)
        _announce(execution, execution.status)

    def run_to_an_end(self: Any) -> None:
        try:
            run(self)
        except Exception as error:
            # without this an execution that trips the interpreter would be RUNNING for ever
            execution = self._execution_communication.execution
            _LOG.exception("the interpreter failed on %s", execution.exec_arn)
            execution.error, execution.cause = "States.Runtime", f"{type(error).__name__}: {error}"
            execution.stop_date = datetime.now(UTC)
            execution.exec_status = ExecutionStatus.FAILED
            _announce(execution, "FAILED")

    Execution.start = announce_start
    BaseExecutionWorkerCommunication.terminated = announce_end
    ExecutionWorker._execution_logic = run_to_an_end


# developer guide, "Monitoring Step Functions metrics using Amazon CloudWatch"
METRICS = {
    "RUNNING": "ExecutionsStarted",
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "ABORTED": "ExecutionsAborted",
    "TIMED_OUT": "ExecutionsTimedOut",
}


def _announce(execution: Any, status: str) -> None:
    machine = {"StateMachineArn": execution.state_machine_arn}
    store.put("AWS/States", METRICS[status], machine, time.time(), [1.0], unit="Count", storage_resolution=60)
    given = execution.execution_input
    output = json.dumps(execution.output, separators=(",", ":")) if status == "SUCCEEDED" else None
    input_fits = len(given) <= MAX_EVENT_DATA_BYTES
    output_fits = output is None or len(output) + (len(given) if input_fits else 0) <= MAX_EVENT_DATA_BYTES
    detail = {
        "executionArn": execution.exec_arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": status,
        "startDate": _milliseconds(execution.start_date),
        "stopDate": _milliseconds(execution.stop_date) if status != "RUNNING" else None,
        "input": given if input_fits else None,
        "output": output if output_fits else None,
        "inputDetails": {"included": input_fits},
        "outputDetails": {"included": output_fits} if output is not None else None,
        "error": execution.error if status != "RUNNING" else None,
        "cause": execution.cause if status != "RUNNING" else None,
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": "REDRIVABLE" if status in ("FAILED", "ABORTED", "TIMED_OUT") else "NOT_REDRIVABLE",
    }
    emit("aws.states", "Step Functions Execution Status Change", detail, [execution.exec_arn])


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
