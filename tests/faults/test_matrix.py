"""A sample of the matrix, and the matrix itself tested: each fault that the product once had is found when put back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from modeldrop.aws import cleanup, clients, endpoints, golden
from modeldrop.aws.releases import ReleaseTable
from modeldrop.handlers import (
    admit,
    compensate,
    finish_release,
    notify,
    prepare_rollout,
    reconcile,
    start_rollout,
)
from modeldrop.release import ending
from modeldrop.release.restore import Claim
from tests.faults import world
from tests.faults.kinds import Fault
from tests.faults.matrix import Result, chunk, run, single_faults
from tests.faults.stories import STORIES

# every Nth fault of the whole; a prime, so that kinds and calls are mixed
EVERY = 149


def test_a_sample_of_all_single_faults_violates_nothing() -> None:
    jobs = [(name, (fault,)) for name, story in STORIES.items() for fault in single_faults(story)]
    assert len(jobs) > 5000
    results = run(jobs[::EVERY], workers=2, quiet=True)
    assert len(results) == len(jobs[::EVERY])
    assert [(one.story, *map(str, one.faults), one.violations) for one in results if one.violations] == []


Patch = Callable[[ExitStack], object]
PUT_BACK: dict[str, tuple[Patch, str, tuple[str, ...], str, str]] = {}


def put_back(name: str, story: str, kinds: str, function: str, rule: str) -> Callable[[Patch], Patch]:
    """Register a fault that was in the product: where it shows, and the rule that it breaks."""

    def register(patch: Patch) -> Patch:
        PUT_BACK[name] = (patch, story, tuple(kinds.split()), function, rule)
        return patch

    return register


def setting(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    stack.enter_context(mock.patch.object(owner, name, value))


@put_back("1 alarms go while traffic moves", "roll_back", "forbidden", "JudgeRolloutFunction", "alarms stand")
def alarms_go(stack: ExitStack) -> None:
    setting(stack, ending, "must_wait", lambda _: False)
    setting(stack, cleanup, "may_delete_alarms", lambda _: True)
    setting(stack, cleanup, "end_model", lambda *_, **__: True)
    setting(stack, compensate, "attempt", lambda _what, act: act())


@put_back(
    "2 a late recovery deletes another's endpoint", "late_recovery", "", "", "an endpoint is deleted by its owner"
)
def late_delete(stack: ExitStack) -> None:
    setting(stack, ending, "must_wait", lambda _: False)
    setting(stack, ending, "may_delete_endpoint", lambda _: True)

    def act(_table: Any, record: Any, _scene: Any, decision: Any) -> Any:
        if record.plan["first_release"]:
            endpoints.clients.sagemaker().delete_endpoint(EndpointName=record.endpoint)
        return decision

    setting(stack, finish_release, "act", act)


@put_back(
    "3 scaling is written down after it was touched",
    "autoscaled_roll_back",
    "lost killed_after killed_before",
    "StartRolloutFunction",
    "autoscaling",
)
def scaling_late(stack: ExitStack) -> None:
    setting(
        stack,
        start_rollout,
        "scaling_before",
        lambda _table, _plan, record, _at: start_rollout.scaling.to_json(
            start_rollout.scaling.read(clients.application_autoscaling(), record.endpoint)
        ),
    )


@put_back(
    "4 a marker before the calls guards them",
    "promote",
    "throttled",
    "PrepareRolloutFunction",
    "one passing fault loses nothing",
)
def marker_first(stack: ExitStack) -> None:
    def make(table: Any, record: Any, plan: Any, at: Any) -> Any:
        if record.rollout.get("made_at"):
            return record
        record = prepare_rollout.note(table, record, {"made_at": prepare_rollout.iso(at)})
        endpoints.ensure_model(prepare_rollout.create_model_request(plan))
        endpoints.ensure_config(prepare_rollout.create_endpoint_config_request(plan))
        return record

    setting(stack, prepare_rollout, "make", make)


@put_back(
    "5 a lost answer that the SDK asked for again",
    "promote",
    "lost_retried",
    "StartRolloutFunction",
    "one passing fault loses nothing",
)
def never_ours(stack: ExitStack) -> None:
    setting(stack, endpoints, "_is_on", lambda _: False)
    setting(stack, start_rollout, "wait", refuse)


def refuse(*_: Any) -> Any:
    raise start_rollout.EndpointChangedError("it is in progress")


@put_back(
    "6 a lost roll back is admitted as a plain upload", "restore_unheard", "", "", "one passing fault loses nothing"
)
def forgets_claim(stack: ExitStack) -> None:
    read = admit.read_upload
    setting(stack, reconcile, "read_upload", lambda detail: replace(read(detail), claim=Claim("x", "")))


@put_back(
    "7 a death between record and index is never repaired",
    "create",
    "killed_before",
    "AdmitFunction",
    "every release ends",
)
def never_open(stack: ExitStack) -> None:
    setting(stack, ReleaseTable, "open_releases", lambda _: iter(()))
    setting(stack, world, "ASYNC_WAITS", ())


@put_back("8 an event without a version makes a record that can't be read", "unversioned", "", "", "open work is done")
def no_version(stack: ExitStack) -> None:
    read = admit.read_upload
    setting(stack, admit, "read_upload", lambda detail: replace(read(detail), version_id=""))


@put_back(
    "9 the outcome is sent for as long as marking fails", "promote", "outage denied", "NotifyFunction", "told once"
)
def sends_on(stack: ExitStack) -> None:
    setting(stack, notify, "may_send", lambda *_: True)
    setting(stack, ReleaseTable, "begin_sending", lambda *_: True)
    setting(
        stack, notify, "mark_sent", lambda table, record, sent: table.mark_sent(record.endpoint, record.release, sent)
    )


@put_back(
    "10 a state ends before its function does",
    "promote",
    "hung",
    "JudgeRolloutFunction",
    "one passing fault loses nothing",
)
def short_states(stack: ExitStack) -> None:
    given = json.loads(json.dumps(world.definition()))
    for state in given["States"].values():
        for rule in state.get("Retry", ()):
            rule["ErrorEquals"] = [one for one in rule["ErrorEquals"] if one != "States.Timeout"]
        if state.get("TimeoutSeconds", 9999) < 100:
            state["TimeoutSeconds"] = 60
    setting(stack, world, "definition", lambda: given)


@put_back("12 what a zombie leaves is swept by nobody", "promote", "zombie", "PrepareRolloutFunction", "no orphans")
def not_tidied(stack: ExitStack) -> None:
    def close(table: Any, record: Any, _at: Any, **_: Any) -> Any:
        table.close(record.endpoint, record.release, None)
        return {"finished": True, "wait_seconds": 0, "outcome": record.outcome}

    setting(stack, finish_release, "close", close)


@put_back(
    "13 an upload supersedes before it was validated", "junk_behind_good", "", "", "one passing fault loses nothing"
)
def announces_junk(stack: ExitStack) -> None:
    admission = admit.admission

    def announced(upload: Any, table: Any) -> Any:
        record = admission(upload, table)
        table.announce(record.endpoint, record.order)
        return record

    setting(stack, admit, "admission", announced)


@put_back(
    "17 two functions of one step write over each other",
    "promote",
    "doubled",
    "StartRolloutFunction",
    "one passing fault loses nothing",
)
def writes_blindly(stack: ExitStack) -> None:
    def change(table: ReleaseTable, record: Any, *, fenced: bool, **fields: Any) -> Any:
        table.update(record.endpoint, record.release, if_fence=record.fence if fenced else None, **fields)
        return replace(record, **fields)

    setting(stack, ReleaseTable, "change", change)


@put_back(
    "18 an earlier try's token is waited for by nobody",
    "rehearse_and_approve",
    "doubled",
    "RequestApprovalFunction",
    "every release ends",
)
def keeps_any_token(stack: ExitStack) -> None:
    def wait_for_token(table: ReleaseTable, endpoint: str, release: str, token: str, _attempt: int) -> bool:
        values = {":token": {"S": token}, ":phase": {"S": "approving"}}
        update, names = "SET approval_token = :token, #phase = :phase", {"#phase": "phase"}
        return table._update(endpoint, release, update, "attribute_exists(endpoint)", names, values)

    setting(stack, ReleaseTable, "wait_for_token", wait_for_token)


@put_back(
    "19 one failure of a cold container counts",
    "create",
    "failing_container",
    "FinishReleaseFunction",
    "one passing fault loses nothing",
)
def asks_once(stack: ExitStack) -> None:
    setting(stack, golden, "was_not_answered", lambda _: False)


@put_back(
    "20 a write that the SDK sent again is taken for another's",
    "roll_back",
    "lost_retried",
    "NotifyFunction",
    "told in time",
)
def never_its_own(stack: ExitStack) -> None:
    def begin_sending(table: ReleaseTable, endpoint: str, release: str, seen: Any, now: int) -> bool:
        values = {":seen": {"N": str(seen.attempts)}, ":mine": {"N": str(seen.attempts + 1)}, ":now": {"N": str(now)}}
        condition = "attribute_not_exists(sending) OR sending = :seen"
        return table._update(endpoint, release, "SET sending = :mine, sending_at = :now", condition, {}, values)

    setting(stack, ReleaseTable, "begin_sending", begin_sending)


@contextmanager
def with_the_fault(name: str) -> Iterator[None]:
    with ExitStack() as stack:
        PUT_BACK[name][0](stack)
        yield


def found(name: str) -> Iterator[Result]:
    """Play the faults that show it, until one does."""
    _, story, kinds, function, _ = PUT_BACK[name]
    if not kinds:
        yield from chunk(story, [()])
        return
    faults: list[Fault] = [
        one for one in single_faults(STORIES[story]) if one.kind in kinds and one.function == function
    ]
    assert faults
    for at in range(0, len(faults), 6):
        yield from chunk(story, [(fault,) for fault in faults[at : at + 6]])


@pytest.mark.parametrize("name", sorted(PUT_BACK))
def test_a_fault_that_is_put_back_is_found(name: str) -> None:
    rule = PUT_BACK[name][-1]
    with with_the_fault(name):
        assert any(line.startswith(rule) for one in found(name) for line in one.violations), f"{rule} was never broken"


def test_the_lease_is_asked_for_after_validation() -> None:
    states = world.definition()["States"]
    assert states["CheckAdmission"]["Default"] == "ValidateArtifact"
