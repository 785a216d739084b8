"""Patches to the interpreter itself: queries, waits, timeouts, endings, error names."""

from __future__ import annotations

import threading
import time
from functools import lru_cache
from typing import Any

from localcloud.stepfunctions.query import QueryError, evaluate

# "cannot be caught by the States.ALL error type": developer guide, "Handling errors in Step Functions workflows"
TERMINAL_ERRORS = {"States.DataLimitExceeded", "States.Runtime"}
LOOK_SECONDS = 0.05  # how soon a stop or a timeout is noticed


def patch_interpreter() -> None:
    """Apply every patch; each replaces behaviour that differs from AWS."""
    _evaluate_with_bindings()
    _wait_to_the_deadline()
    _end_at_once()
    _match_errors()
    _catch_errors_of_output()
    _parse_once()


def query_failure(env: Any, cause: str) -> Exception:
    """Return the exception by which the interpreter knows States.QueryEvaluationError."""
    from moto.stepfunctions.parser.api import EvaluationFailedEventDetails, HistoryEventType
    from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
        FailureEvent,
        FailureEventException,
    )
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
    from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

    name = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
    details = EvaluationFailedEventDetails(cause=cause, error=name.error_name, state=env.next_state_name)
    failure: Exception = FailureEventException(
        FailureEvent(
            env=env,
            error_name=name,
            event_type=HistoryEventType.EvaluationFailed,
            event_details=EventDetails(evaluationFailedEventDetails=details),
        )
    )
    return failure


def _evaluate_with_bindings() -> None:
    """Hand values to JSONata as values; pasted into the expression's text, a quote would break it."""
    from moto.stepfunctions.parser.asl.component.common.string.string_expression import (
        StringJSONata,
        StringVariableSample,
    )

    def evaluate_body(self: Any, env: Any) -> None:
        store = env.variable_store
        bindings = {**store._outer_scope, **store._inner_scope, "states": env.states._states_data}
        try:
            env.stack.append(evaluate(self.expression, bindings))
        except QueryError as error:
            raise query_failure(env, str(error)) from None

    StringJSONata._eval_body = evaluate_body
    StringVariableSample._eval_body = evaluate_body


def _wait_to_the_deadline() -> None:
    """Wait exactly, and give up when the execution ends, also between retries."""
    from moto.stepfunctions.parser.asl.component.common.retry.max_attempts_decl import MaxAttemptsOutcome
    from moto.stepfunctions.parser.asl.component.common.retry.retrier_decl import RetrierDecl
    from moto.stepfunctions.parser.asl.component.common.retry.retrier_outcome import RetrierOutcome
    from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction

    def wait(env: Any, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while env.is_running() and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_SECONDS))

    def retry(self: Any, env: Any) -> None:
        self.error_equals.eval(env)
        if not env.stack.pop():
            env.stack.append(RetrierOutcome.Skipped)
            return
        self.max_attempts.eval(env=env)
        if env.stack.pop() == MaxAttemptsOutcome.EXHAUSTED:
            env.stack.append(RetrierOutcome.Failed)
            return
        for part in (self.interval_seconds, self.backoff_rate, self.max_delay_seconds, self.jitter_strategy):
            part.eval(env=env)
        wait(env, env.stack.pop())
        env.stack.append(RetrierOutcome.Executed)

    WaitFunction._wait_interval = lambda self, env, wait_seconds: wait(env, wait_seconds)
    RetrierDecl._eval_body = retry


def _end_at_once() -> None:
    """End an execution when it is stopped or out of time, not when its current task returns."""
    from moto.stepfunctions.parser.api import ExecutionFailedEventDetails, HistoryEventType
    from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
    from moto.stepfunctions.parser.asl.component.program.program import Program
    from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
    from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager
    from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped, ProgramTimedOut

    def run(self: Any, env: Any) -> None:
        env.next_state_name = self.start_at.start_at_name
        limit = self.timeout_seconds.timeout_seconds if self.timeout_seconds else float("inf")
        deadline = time.monotonic() + limit
        worker = threading.Thread(target=self._eval_body, args=(env,), name="asl", daemon=True)
        worker.start()
        while worker.is_alive() and not isinstance(env.program_state(), ProgramStopped | ProgramTimedOut):
            if time.monotonic() > deadline:
                env.set_timed_out()
            worker.join(LOOK_SECONDS)
        if not env.is_frame():
            _write_last_event(env)

    def states(self: Any, env: Any) -> None:
        try:
            while env.is_running():
                self._get_state(env.next_state_name).eval(env)
                env.stack.clear()
                env.heap.clear()
        except FailureEventException as failure:
            if failure.failure_event.event_type == HistoryEventType.EvaluationFailed and not isinstance(
                self.states.states.get(env.next_state_name), ExecutionState
            ):
                _record(env, failure.failure_event)
            if env.is_running():
                env.set_error(error=failure.get_execution_failed_event_details())
        except Exception as error:
            cause = f"{type(error).__name__}({error})"
            if env.is_running():
                env.set_error(ExecutionFailedEventDetails(error="States.Runtime", cause=cause))

    add_event = EventManager.add_event

    def add_unless_closed(self: Any, *arguments: Any, **named: Any) -> int:
        # a task that returns after the execution's end leaves no trace in its history
        return 0 if getattr(self, "closed", False) else int(add_event(self, *arguments, **named))

    Program.eval = run
    Program._eval_body = states
    EventManager.add_event = add_unless_closed


def _write_last_event(env: Any) -> None:
    from moto.stepfunctions.parser.api import HistoryEventType
    from moto.stepfunctions.parser.asl.eval.program_state import ProgramError, ProgramStopped, ProgramTimedOut
    from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

    state = env.program_state()
    if isinstance(state, ProgramError):
        details = {key: value for key, value in (state.error or {}).items() if key in ("error", "cause")}
        kind, event = HistoryEventType.ExecutionFailed, {"executionFailedEventDetails": details}
    elif isinstance(state, ProgramStopped):
        details = {key: value for key, value in (("error", state.error), ("cause", state.cause)) if value}
        kind, event = HistoryEventType.ExecutionAborted, {"executionAbortedEventDetails": details}
        env.event_history_context.source_event_id = 0
    elif isinstance(state, ProgramTimedOut):
        kind, event = HistoryEventType.ExecutionTimedOut, {"executionTimedOutEventDetails": {"error": "States.Timeout"}}
    else:
        output = to_json_str(env.states.get_input(), separators=(",", ":"))
        details = {"output": output, "outputDetails": {"truncated": False}}
        kind, event = HistoryEventType.ExecutionSucceeded, {"executionSucceededEventDetails": details}
    env.event_manager.add_event(context=env.event_history_context, event_type=kind, event_details=event)
    env.event_manager.closed = True


def _match_errors() -> None:
    """Match error names as the developer guide's "Error names" says."""
    from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task import StateTask
    from moto.stepfunctions.parser.asl.eval.callback.callback import HeartbeatTimeoutError

    heartbeat = StatesErrorName(typ=StatesErrorNameType.StatesHeartbeatTimeout)
    from_error = StateTask._from_error

    def name_heartbeats(self: Any, env: Any, ex: Exception) -> Any:
        failure = from_error(self, env=env, ex=ex)
        if isinstance(ex, HeartbeatTimeoutError):
            failure.error_name = heartbeat
            failure.event_details["taskTimedOutEventDetails"]["error"] = heartbeat.error_name
        return failure

    def match(self: Any, env: Any) -> None:
        raised = env.stack.pop()
        names = {name.error_name for name in self.error_names}
        env.stack.append(error_matches(getattr(raised, "error_name", None), names))

    StateTask._from_error = name_heartbeats
    ErrorEqualsDecl._eval_body = match


def error_matches(raised: str | None, names: set[str]) -> bool:
    """Tell whether ErrorEquals catches an error: terminal errors only by their own name."""
    if raised in names:
        return True
    if raised in TERMINAL_ERRORS:
        return False
    if raised == "States.HeartbeatTimeout" and "States.Timeout" in names:
        return True
    return "States.ALL" in names or ("States.TaskFailed" in names and raised != "States.Timeout")


def _catch_errors_of_output() -> None:
    """Let Catch see a query that fails in a state's Output, not only in its Arguments."""
    from moto.stepfunctions.parser.asl.component.common.catch.catch_outcome import CatchOutcome
    from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
    from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState

    write = ExecutionState._eval_state_output

    def write_or_catch(self: Any, env: Any) -> None:
        try:
            write(self, env)
        except FailureEventException as error:
            if not self.catch:
                raise
            failure = error.failure_event
            _record(env, failure)
            env.states.set_error_output(self._construct_error_output_value(failure_event=failure))
            self._handle_catch(env=env, failure_event=failure)
            if env.stack[-1] != CatchOutcome.Caught:
                raise

    ExecutionState._eval_state_output = write_or_catch


def _record(env: Any, failure: Any) -> None:
    env.event_manager.add_event(
        context=env.event_history_context, event_type=failure.event_type, event_details=failure.event_details
    )


def _parse_once() -> None:
    """Parse a definition once; the parser is slow and its result holds no state of an execution."""
    from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

    parse = AmazonStateLanguageParser.parse
    AmazonStateLanguageParser.parse = staticmethod(lru_cache(maxsize=64)(parse))
