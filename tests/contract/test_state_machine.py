"""The state machine's graph: what no linter of the definition sees."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonata
import pytest

from modeldrop import errors
from modeldrop.handlers import compensate, finish_release, plan_rollout, prepare_rollout, start_rollout
from modeldrop.release import ending, lease, rehearsal
from modeldrop.rollout import timing
from scripts.translated import definition, translated

STATES: dict[str, Any] = definition()["States"]
TASKS = [name for name, state in STATES.items() if state["Type"] == "Task"]
CHOICES = [name for name, state in STATES.items() if state["Type"] == "Choice"]
# names that Step Functions, Lambda and the SDK integrations give (Step Functions guide, error names; Lambda errors)
AWS_ERRORS = re.compile(
    r"States\.(ALL|Timeout|TaskFailed|HeartbeatTimeout|DataLimitExceeded|QueryEvaluationError)"
    r"|Lambda\.(ServiceException|AWSLambdaException|SdkClientException|TooManyRequestsException|Unknown)"
    r"|Runtime\.ExitError|Sandbox\.Timedout|DynamoDB\.[A-Za-z]+Exception"
)
OUR_ERRORS = {
    name for name, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, errors.ModeldropError)
}
# what a handler may raise: families are for `except`, never raised themselves
RAISED = OUR_ERRORS - {"ModeldropError", "RejectedError"}


def next_states(state: dict[str, Any]) -> Iterator[str]:
    """Every state that can follow."""
    if "Next" in state:
        yield state["Next"]
    if "Default" in state:
        yield state["Default"]
    for branch in [*state.get("Choices", []), *state.get("Catch", [])]:
        yield branch["Next"]


def named_errors(state: dict[str, Any]) -> Iterator[str]:
    """Every error name that a state's Retry and Catch list, or its choices sort by."""
    for rule in [*state.get("Retry", []), *state.get("Catch", [])]:
        yield from rule["ErrorEquals"]
    for choice in state.get("Choices", []):
        if "$cause.error in" in choice["Condition"]:
            yield from re.findall(r"'(\w+)'", choice["Condition"])


def expressions(value: Any) -> Iterator[str]:
    """Every JSONata expression in a part of the definition."""
    if isinstance(value, dict):
        for one in value.values():
            yield from expressions(one)
    elif isinstance(value, list):
        for one in value:
            yield from expressions(one)
    elif isinstance(value, str) and value.startswith("{%"):
        yield value


def reachable(start: str) -> set[str]:
    """Every state that can be entered from one, itself included."""
    seen, todo = set(), [start]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(next_states(STATES[name]))
    return seen


def test_every_transition_leads_to_a_state(machine):
    targets = {machine["StartAt"]} | {target for state in STATES.values() for target in next_states(state)}
    assert targets <= set(STATES)


def test_every_state_can_be_reached(machine):
    assert reachable(machine["StartAt"]) == set(STATES)


def test_every_state_can_reach_an_end():
    ends = {name for name, state in STATES.items() if state["Type"] in ("Succeed", "Fail") or state.get("End")}
    assert ends
    assert [name for name in STATES if not reachable(name) & ends] == []


def test_the_machine_ends_by_itself(machine):
    assert machine["TimeoutSeconds"] > lease.MAX_WAIT_SECONDS


def test_the_machine_speaks_jsonata_only(machine):
    assert machine["QueryLanguage"] == "JSONata"
    text = json.dumps(machine)
    for old in (
        'QueryLanguage": "JSONPath',
        "InputPath",
        "ResultPath",
        "OutputPath",
        "ResultSelector",
        'Parameters"',
        '.$"',
    ):
        assert old not in text


def test_every_expression_is_valid_jsonata(machine):
    for expression in expressions(machine):
        assert expression.endswith("%}"), expression
        jsonata.Jsonata(expression.removeprefix("{%").removesuffix("%}").strip())


@pytest.mark.parametrize("name", STATES)
def test_a_state_says_in_one_sentence_what_it_is_for(name):
    comment = STATES[name].get("Comment", "")
    assert comment.endswith(".")
    assert 10 < len(comment) <= 140


@pytest.mark.parametrize("name", STATES)
def test_a_state_is_named_in_pascal_case(name):
    assert re.fullmatch(r"([A-Z][a-z]+)+", name)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_can_not_hang(name):
    assert 0 < STATES[name]["TimeoutSeconds"] <= 86_400


@pytest.mark.parametrize("name", TASKS)
def test_a_task_retries_what_passes_with_full_jitter(name):
    retries = STATES[name]["Retry"]
    assert retries
    for rule in retries:
        assert rule["JitterStrategy"] == "FULL"
        assert 1 <= rule["MaxAttempts"] <= 10
        assert "States.ALL" not in rule["ErrorEquals"]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_catches_everything_in_the_end(name):
    assert STATES[name]["Catch"][-1]["ErrorEquals"] == ["States.ALL"]


@pytest.mark.parametrize("name", TASKS)
def test_a_rejection_is_never_retried(name):
    retried = {error for rule in STATES[name]["Retry"] for error in rule["ErrorEquals"]}
    assert not retried & (OUR_ERRORS - {"TransientError"})


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_has_an_answer_for_what_it_does_not_know(name):
    assert STATES[name]["Default"] in STATES


@pytest.mark.parametrize("name", CHOICES)
def test_the_default_of_a_choice_is_a_failure(name):
    # CheckAdmission's input has no answer of a function in it: a release without a cause goes on
    failures = {"UnknownInput", "UnknownAnswer", "OutcomeMissing", "RecoveryEnds", "MessageNotSent", "Compensate"}
    assert STATES[name]["Default"] in failures | ({"ValidateArtifact"} if name == "CheckAdmission" else set())


def test_the_refusals_are_listed_once():
    listed = [name for name, state in STATES.items() if "ParkedError" in set(named_errors(state))]
    assert listed == ["SortCause"]


LAMBDAS = [name for name in TASKS if "lambda:invoke" in STATES[name]["Resource"]]
# it waits for a person
PATIENT = "RequestApproval"


def timeout_of(state: dict[str, Any]) -> int:
    """The timeout of the function that a state calls, in seconds."""
    (name,) = re.fullmatch(r"\$\{(\w+)\}", state["Arguments"]["FunctionName"]).groups()
    return int(translated()["Resources"][name]["Properties"]["Timeout"])


@pytest.mark.parametrize("name", LAMBDAS)
def test_a_task_outlasts_its_function(name):
    # Step Functions counts from earlier: queueing and the start of the environment are in it
    assert STATES[name]["TimeoutSeconds"] >= timeout_of(STATES[name]) + 30


@pytest.mark.parametrize("name", LAMBDAS)
def test_one_hung_call_is_made_again(name):
    retried = {error for rule in STATES[name]["Retry"] for error in rule["ErrorEquals"]}
    assert ("States.Timeout" in retried) is (name != PATIENT)


def test_a_minute_of_failures_ends_no_rollout():
    rule = STATES["JudgeRollout"]["Retry"][0]
    waits = [
        min(rule["MaxDelaySeconds"], rule["IntervalSeconds"] * rule["BackoffRate"] ** n)
        for n in range(rule["MaxAttempts"])
    ]
    # full jitter takes half of each on average
    assert sum(waits) / 2 > 90


def test_only_a_validated_release_asks_for_the_lease():
    for name, state in STATES.items():
        if "AcquireLease" in set(next_states(state)):
            assert name in ("ValidateArtifact", "WaitForLease", "RememberApproval")


@pytest.mark.parametrize("name", ["AcquireLease", "Compensate", "FinishRelease"])
def test_whoever_may_hold_the_lease_says_which_execution_it_is(name):
    assert STATES[name]["Arguments"]["Payload"]["execution_arn"] == "{% $states.context.Execution.Id %}"


def test_a_lease_that_a_recovery_took_is_given_back():
    assert "ReleaseLease" in reachable("RememberFailedRelease")
    assert "ReleaseLease" in {STATES["Notify"]["Next"], *(rule["Next"] for rule in STATES["Notify"]["Catch"])}


def test_every_error_the_machine_names_exists():
    named = {error for state in STATES.values() for error in named_errors(state)}
    assert {error for error in named if not AWS_ERRORS.fullmatch(error)} <= OUR_ERRORS


def test_every_error_we_raise_is_handled_by_name_or_is_a_defect():
    named = {error for state in STATES.values() for error in named_errors(state)}
    # a lost lease must not finish as if it were an answer: it takes the way of a defect, by States.ALL
    assert RAISED - named == {"LeaseLostError"}


def test_only_one_state_finishes_a_release_and_only_one_tells_it():
    assert [name for name in TASKS if "FinishReleaseFunction" in json.dumps(STATES[name])] == ["FinishRelease"]
    assert [name for name in TASKS if "NotifyFunction" in json.dumps(STATES[name])] == ["Notify"]


def test_no_way_to_a_good_end_leaves_out_the_outcome_the_message_and_the_lease():
    # take one of the three away and Done must be out of reach
    for needed in ("FinishRelease", "Notify", "ReleaseLease"):
        seen, todo = {needed}, ["RememberRelease"]
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo.extend(next_states(STATES[name]))
        assert "Done" not in seen, f"Done can be reached without {needed}"


def test_everything_that_goes_wrong_after_admission_leads_to_an_outcome():
    for name in TASKS:
        if name in ("FinishRelease", "Notify", "ReleaseLease"):
            continue
        for rule in STATES[name]["Catch"]:
            assert "FinishRelease" in reachable(rule["Next"]), name


def history_events(loop: tuple[str, ...]) -> int:
    """History events of one round: a task has 5 (entered, scheduled, started, succeeded, exited), others 2."""
    return sum(5 if STATES[name]["Type"] == "Task" else 2 for name in loop)


def rounds(seconds: float, wait: Callable[[float], float]) -> int:
    """How many rounds fill a time when each waits as long as `wait` says of the time gone by."""
    gone, count = 0.0, 0
    while gone < seconds:
        gone += wait(gone)
        count += 1
    return count


LOOPS = {
    # once for the release, once more after an approval
    ("AcquireLease", "CheckLease", "WaitForLease"): 2 * rounds(lease.MAX_WAIT_SECONDS, lease.wait_seconds),
    ("Rehearse", "CheckRehearsal", "WaitForRehearsal"): rounds(rehearsal.MAX_SECONDS, rehearsal.wait_seconds),
    # once for the release, once more after an approval
    ("PlanRollout", "CheckGates", "WaitForEndpoint"): 2
    * rounds(plan_rollout.MAX_WAIT.total_seconds(), plan_rollout.wait_seconds),
    ("PrepareRollout", "CheckPreparation", "WaitForAlarms"): rounds(
        prepare_rollout.MAX_WAIT.total_seconds(), prepare_rollout.wait_seconds
    ),
    ("StartRollout", "CheckStart", "WaitForStart"): start_rollout.MAX_LOOKS,
    ("FinishRelease", "CheckFinish", "WaitForRest"): rounds(ending.MAX_WAIT.total_seconds(), ending.wait_seconds)
    + rounds(ending.PATIENCE.total_seconds(), lambda _: finish_release.TRY_SECONDS),
    ("JudgeRollout", "CheckRollout", "WaitForLook"): timing.MAX_LOOKS,
}
COMPENSATION = ("Compensate", "CheckCompensation", "WaitForCompensation")


@pytest.mark.parametrize("loop", [*LOOPS, COMPENSATION])
def test_a_loop_waits_in_every_round(loop):
    for name, following in zip(loop, (*loop[1:], loop[0]), strict=True):
        assert following in set(next_states(STATES[name]))
    assert STATES[loop[-1]]["Type"] == "Wait"


def longest_history() -> int:
    """Events of a release that waits, rehearses, prepares and watches for as long as each may, all with retries."""
    retries = 4 * sum(rule["MaxAttempts"] for name in TASKS for rule in STATES[name]["Retry"])
    return history_events(tuple(STATES)) + retries + sum(history_events(loop) * count for loop, count in LOOPS.items())


def test_the_longest_release_stays_under_10_000_history_events():
    assert longest_history() < 10_000


def test_a_release_that_breaks_at_its_last_look_still_has_room_to_come_to_rest():
    # 25,000 events end an execution for good, and its recovery begins with the same wait
    settle = rounds(ending.MAX_WAIT.total_seconds(), compensate.wait_seconds)
    assert longest_history() + history_events(COMPENSATION) * settle < 25_000
