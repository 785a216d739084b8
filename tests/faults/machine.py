"""The shipped state machine on a virtual clock: as much of Amazon States Language (JSONata) as it uses.

What is unknown to it is an error, so that a definition that needs more is seen at once. The queries are evaluated by
the local cloud's own reading of JSONata, and errors are matched as the local cloud matches them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from jsonata import Jsonata

from localcloud.stepfunctions import query
from localcloud.stepfunctions.interpreter import error_matches

Json = dict[str, Any]
LAMBDA, CALLBACK, UPDATE_ITEM = (
    "arn:aws:states:::lambda:invoke",
    "arn:aws:states:::lambda:invoke.waitForTaskToken",
    "arn:aws:states:::dynamodb:updateItem",
)


class TaskError(Exception):
    """A task that did not succeed: the name that Retry and Catch match, and the cause."""

    def __init__(self, name: str, cause: str) -> None:
        super().__init__(f"{name}: {cause}")
        self.name, self.cause = name, cause


class Host(Protocol):
    """What an execution needs of its world."""

    def after(self, seconds: float, call: Callable[[], None]) -> None: ...
    def jitter(self) -> float: ...
    def lambda_task(self, execution: Execution, state: Json, arguments: Json) -> Any: ...
    def update_item(self, execution: Execution, arguments: Json) -> Json: ...
    def ended(self, execution: Execution) -> None: ...


@dataclass
class Execution:
    """One execution: where it stands, and what it remembers. log: the states it entered, for people."""

    host: Host
    definition: Json
    arn: str
    name: str
    given: Json
    status: str = "RUNNING"
    error: str = ""
    cause: str = ""
    state: str = ""
    token: str = ""
    log: list[str] = field(default_factory=list)
    _variables: Json = field(default_factory=dict)
    _input: Any = None
    _tries: dict[int, int] = field(default_factory=dict)
    _turn: int = 0
    _walks: int = 0

    def begin(self) -> None:
        """Enter the first state."""
        self._input, self.state = self.given, self.definition["StartAt"]
        self._later(self.definition["TimeoutSeconds"], self._time_out, always=True)
        self._enter(self.state)
        self._go_on()

    def stop(self, status: str, error: str, cause: str) -> None:
        """End it from outside; a function that runs for it goes on, and nobody waits for its answer."""
        if self.status == "RUNNING":
            self._end(status, error, cause)

    def answer(self, token: str, result: Any = None, error: TaskError | None = None) -> bool:
        """Answer the task that waits for a token; False when none does any more."""
        if self.status != "RUNNING" or not token or token != self.token:
            return False
        self.token = ""

        def go_on() -> None:
            self._finish_task(self.definition["States"][self.state], result, error)
            self._go_on()

        # not inside the function that asked: its own call has not returned yet
        self._later(0, go_on)
        return True

    def unheard(self) -> bool:
        """Lose the answer of the task that runs: it is tried again while its function goes on; False: never again."""
        self._turn += 1
        state = self.definition["States"][self.state]
        return self.status == "RUNNING" and self._retry(state, TaskError("Lambda.SdkClientException", ""))

    def _later(self, seconds: float, call: Callable[[], None], *, always: bool = False) -> None:
        turn = self._turn

        def resume() -> None:
            if self.status == "RUNNING" and (always or self._turn == turn):
                call()

        self.host.after(seconds, resume)

    def _time_out(self) -> None:
        self._end("TIMED_OUT", "States.Timeout", "")

    def _end(self, status: str, error: str, cause: str) -> None:
        self.status, self.error, self.cause = status, error, cause
        self._turn += 1
        self.host.ended(self)

    def _enter(self, name: str) -> None:
        self.state, self._tries = name, {}
        self._turn += 1
        self.log.append(name)

    def _next(self, name: str) -> None:
        self._enter(name)
        self._go_on()

    def _go_on(self) -> None:
        """Go through states until one has to be waited for; what began later has gone on from here."""
        self._walks += 1
        walk = self._walks
        while self.status == "RUNNING" and self._walks == walk:
            turn = self._turn
            self._step(self.definition["States"][self.state])
            if self._turn == turn:
                return

    def _step(self, state: Json) -> None:
        kind = state["Type"]
        if kind == "Task":
            self._task(state)
        elif kind == "Pass":
            self._leave(state, self._input)
        elif kind == "Choice":
            self._enter(self._choose(state))
        elif kind == "Wait":
            self._later(float(self._value(state["Seconds"])), lambda: self._next(state["Next"]))
        elif kind == "Succeed":
            self._end("SUCCEEDED", "", "")
        elif kind == "Fail":
            self._end("FAILED", state["Error"], state["Cause"])
        else:
            raise NotImplementedError(f"state type {kind}")

    def _choose(self, state: Json) -> str:
        for choice in state["Choices"]:
            if self._value(choice["Condition"]):
                return str(choice["Next"])
        return str(state["Default"])

    def _task(self, state: Json) -> None:
        if state["Resource"] == CALLBACK:
            self.token = f"{self.name}#{self._turn}#{sum(self._tries.values())}"
        result, error, turn = None, None, self._turn
        try:
            arguments = self._value(state["Arguments"])
            if state["Resource"] == UPDATE_ITEM:
                result = self.host.update_item(self, arguments)
            elif state["Resource"] in (LAMBDA, CALLBACK):
                result = self.host.lambda_task(self, state, arguments)
            else:
                raise NotImplementedError(state["Resource"])
        except TaskError as failure:
            error = failure
        if self.status != "RUNNING" or self._turn != turn:
            return  # it was stopped, or answered, while the function ran
        if state["Resource"] == CALLBACK and error is None:
            token = self.token
            self._later(state["TimeoutSeconds"], lambda: self._callback_late(state, token))
            return
        self._finish_task(state, result, error)

    def _callback_late(self, state: Json, token: str) -> None:
        if self.token == token:
            self.token = ""
            self._finish_task(state, None, TaskError("States.Timeout", ""))
            self._go_on()

    def _finish_task(self, state: Json, result: Any, error: TaskError | None) -> None:
        if error is None:
            try:
                self._leave(state, result, {"result": result})
                return
            except query.QueryError as failure:
                error = TaskError("States.QueryEvaluationError", str(failure))
        if self._retry(state, error):
            return
        for catch in state.get("Catch", []):
            if error_matches(error.name, set(catch["ErrorEquals"])):
                output = {"Error": error.name, "Cause": error.cause}
                self._leave(catch, output, {"errorOutput": output})
                return
        self._end("FAILED", error.name, error.cause)

    def _retry(self, state: Json, error: TaskError) -> bool:
        for place, rule in enumerate(state.get("Retry", [])):
            if not error_matches(error.name, set(rule["ErrorEquals"])):
                continue
            done = self._tries.get(place, 0)
            if done >= rule.get("MaxAttempts", 3):
                return False
            self._tries[place] = done + 1
            wait = rule.get("IntervalSeconds", 1) * rule.get("BackoffRate", 2.0) ** done
            wait = min(wait, rule.get("MaxDelaySeconds", wait))
            if rule.get("JitterStrategy") == "FULL":
                wait *= self.host.jitter()
            self._later(wait, self._go_on)
            return True
        return False

    def _leave(self, rule: Json, output: Any, states: Json | None = None) -> None:
        """Assign, write the output and enter the next state."""
        bound = {**(states or {})}
        assigned = self._value(rule.get("Assign", {}), bound)
        self._input = self._value(rule["Output"], bound) if "Output" in rule else output
        self._variables |= assigned
        self._enter(rule["Next"])

    def _value(self, value: Any, states: Json | None = None) -> Any:
        if isinstance(value, dict):
            return {key: self._value(one, states) for key, one in value.items()}
        if isinstance(value, list):
            return [self._value(one, states) for one in value]
        if not isinstance(value, str) or not value.startswith("{%"):
            return value
        context = {
            "Execution": {"Id": self.arn, "Name": self.name, "Input": self.given},
            "State": {"Name": self.state, "RetryCount": sum(self._tries.values())},
            "Task": {"Token": self.token},
        }
        bound = {"input": self._input, "context": context, **(states or {})}
        return evaluate(value.removeprefix("{%").removesuffix("%}").strip(), {**self._variables, "states": bound})


def evaluate(expression: str, bindings: Mapping[str, Any]) -> Any:
    """Evaluate as localcloud.stepfunctions.query does, with the expression parsed once."""
    variables = {name: query._with_nulls(value) for name, value in bindings.items()}
    try:
        found = _compiled(expression).evaluate(None, {**query._FUNCTIONS, **variables})
    except Exception as error:  # whatever the engine trips over, it is the expression that failed
        raise query.QueryError(f"The JSONata expression '{expression}' could not be evaluated: {error}") from None
    if found is None:
        raise query.QueryError(f"The JSONata expression '{expression}' returned nothing (undefined).")
    return query._to_json(found, expression)


@cache
def _compiled(expression: str) -> Any:
    compiled = Jsonata(expression)
    compiled.set_output_convert_nulls(False)
    return compiled


def lambda_cause(kind: str, message: str) -> str:
    """Return the cause of a function's error as Step Functions gives it."""
    return json.dumps({"errorMessage": message, "errorType": kind, "requestId": "request", "stackTrace": []})
