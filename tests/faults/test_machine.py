"""The state machine on the virtual clock against the local cloud's own interpreter of it: the same ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.machine import Execution, Json, TaskError


class Alone:
    """A host whose tasks answer from a list."""

    def __init__(self, answers: list[Json | TaskError]) -> None:
        self.answers = answers
        self.line: list[tuple[float, Callable[[], None]]] = []
        self.ends: list[str] = []
        self.waited: list[float] = []

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        self.waited.append(seconds)
        if seconds < 10_000:
            self.line.append((seconds, call))

    def jitter(self) -> float:
        return 1.0

    def lambda_task(self, execution: Execution, state: Json, arguments: Json) -> Json:
        answer = self.answers.pop(0)
        if isinstance(answer, TaskError):
            raise answer
        return {"Payload": answer}

    def update_item(self, execution: Execution, arguments: Json) -> Json:
        return self.lambda_task(execution, {}, arguments)

    def ended(self, execution: Execution) -> None:
        self.ends.append(execution.status)

    def play(self, definition: Json, given: Json) -> Execution:
        made = Execution(self, definition, "arn", "name", given)
        made.begin()
        while self.line:
            self.line.pop(0)[1]()
        return made


def machine(**states: Json) -> Json:
    return {"StartAt": next(iter(states)), "TimeoutSeconds": 172_800, "States": states}


def task(**more: object) -> Json:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": "F", "Payload": {"id": "{% $states.input.id %}"}},
        "TimeoutSeconds": 60,
        "Output": "{% $states.result.Payload %}",
        **more,
    }


DONE: Json = {"Type": "Succeed"}
RETRY = {"ErrorEquals": ["TransientError"], "IntervalSeconds": 2, "MaxAttempts": 2, "BackoffRate": 2.0}


def test_a_task_is_tried_again_with_growing_waits_and_then_caught() -> None:
    catch = {"ErrorEquals": ["States.ALL"], "Next": "Caught", "Assign": {"why": "{% $states.errorOutput.Error %}"}}
    states = machine(One=task(Retry=[RETRY], Catch=[catch], Next="Done"), Done=DONE, Caught=DONE)
    host = Alone([TaskError("TransientError", "")] * 3)
    ended = host.play(states, {"id": 1})
    assert ended.log == ["One", "Caught"]
    assert [one for one in host.waited if one < 60] == [2.0, 4.0]
    assert ended._variables == {"why": "TransientError"}


def test_an_error_that_nobody_names_ends_the_execution() -> None:
    ended = Alone([TaskError("Other", "why")]).play(machine(One=task(Retry=[RETRY], Next="Done"), Done=DONE), {"id": 1})
    assert (ended.status, ended.error, ended.cause) == ("FAILED", "Other", "why")


def test_choices_see_the_output_and_the_variables() -> None:
    right = {"Condition": "{% $states.input.n = 2 and $kept = 1 %}", "Next": "Done"}
    choice = {"Type": "Choice", "Choices": [right], "Default": "Bad"}
    fail = {"Type": "Fail", "Error": "E", "Cause": "C"}
    first = task(Next="Pick", Assign={"kept": "{% $states.input.id %}"})
    ended = Alone([{"n": 2}]).play(machine(One=first, Pick=choice, Done=DONE, Bad=fail), {"id": 1})
    assert ended.log == ["One", "Pick", "Done"]


def test_a_wait_passes_on_the_clock_and_what_was_stopped_goes_no_further() -> None:
    wait = {"Type": "Wait", "Seconds": "{% $states.input.n %}", "Next": "Done"}
    host = Alone([{"n": 7}])
    made = Execution(host, machine(One=task(Next="Rest"), Rest=wait, Done=DONE), "arn", "name", {"id": 1})
    made.begin()
    assert host.waited[-1] == 7.0
    made.stop("ABORTED", "E", "C")
    for _, call in host.line:
        call()
    assert (made.status, made.log) == ("ABORTED", ["One", "Rest"])


def test_what_the_definition_does_not_use_is_an_error() -> None:
    with pytest.raises(NotImplementedError, match="Map"):
        Alone([]).play(machine(One={"Type": "Map"}), {})
