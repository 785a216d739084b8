"""AcquireLease and RequestApproval: one owner an endpoint, and only a validated newer release supersedes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from modeldrop.clock import now
from modeldrop.errors import AbortedError, LeaseLostError, SupersededError
from modeldrop.handlers import acquire_lease, admit, request_approval
from modeldrop.release.lease import LEASE_SECONDS
from modeldrop.times import iso
from tests.unit.aws_builders import Calls, KilledError, World, a_release, a_world, an_error, killed_at, run

ONE, TWO, THREE = (a_release(number, admitted_at=iso(now())) for number in (1, 2, 3))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with a_world(monkeypatch) as made:
        for record in (ONE, TWO, THREE):
            made.table.create(record)
        yield made


def arn(record: Any) -> str:
    return f"arn:execution:{record.release}"


def acquire(world: World, record: Any) -> bool:
    event = {"endpoint": "sentiment", "release": record.release, "execution_arn": arn(record)}
    return bool(run(acquire_lease.handler, **event)["acquired"])


def ask(world: World, record: Any) -> None:
    event = {"endpoint": "sentiment", "release": record.release, "runbook": "https://example.com/runbook"}
    run(request_approval.handler, **event, attempt=0, task_token=f"token of {record.release}")


def test_the_first_takes_the_lease_and_the_record_knows_its_fence(world: World) -> None:
    assert acquire(world, ONE)
    record = world.table.require("sentiment", ONE.release)
    assert (record.fence, record.execution_arn) == (1, arn(ONE))
    assert world.table.lease("sentiment").owner == ONE.release


def test_another_waits_and_the_owner_keeps(world: World) -> None:
    assert acquire(world, ONE)
    assert not acquire(world, TWO)
    assert acquire(world, ONE)


def test_an_older_one_that_waits_is_superseded(world: World) -> None:
    acquire(world, ONE)
    acquire(world, THREE)
    with pytest.raises(SupersededError):
        acquire(world, TWO)


def test_a_newer_upload_that_was_never_validated_supersedes_nothing(world: World) -> None:
    key = "sentiment/model.tar.gz"
    run(admit.handler, **world.event(key, world.upload(key, b"junk")))
    assert world.table.lease("sentiment").newest == ""
    assert acquire(world, ONE)


def test_an_aborted_one_does_not_even_announce_itself(world: World) -> None:
    world.table.request_abort("sentiment", ONE.release, "somebody")
    with pytest.raises(AbortedError):
        acquire(world, ONE)
    assert world.table.lease("sentiment").newest == ""


def test_a_dead_owner_is_followed_after_its_lease_expired(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    acquire(world, ONE)
    late = now().timestamp() + LEASE_SECONDS + 1
    monkeypatch.setattr(acquire_lease, "now", lambda: now().fromtimestamp(late, now().tzinfo))
    world.executions.inputs[ONE.release] = "{}"
    world.executions.running = {ONE.release}
    assert not acquire(world, TWO)
    world.executions.running.clear()
    assert acquire(world, TWO)
    assert world.table.lease("sentiment").fence == 2


def test_a_recovery_that_runs_is_not_raced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    acquire(world, ONE)
    seconds = int(now().timestamp())
    assert world.table.hold("sentiment", ONE.release, 1, "arn:execution:recovery", seconds, lambda _: False) == 1
    late = seconds + LEASE_SECONDS + 1
    monkeypatch.setattr(acquire_lease, "now", lambda: now().fromtimestamp(late, now().tzinfo))
    world.executions.inputs["recovery"] = "{}"
    world.executions.running = {"recovery"}
    assert not acquire(world, TWO)


def test_one_that_was_ended_while_it_waited_leaves_the_lease_free(world: World) -> None:
    world.table.finish(replace(ONE, outcome="failed"), {})
    with pytest.raises(LeaseLostError):
        acquire(world, ONE)
    assert world.table.lease("sentiment").owner == ""


@pytest.mark.parametrize("after", [False, True])
def test_a_death_at_any_call_is_mended_by_the_next_try(monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    with a_world(monkeypatch) as world:
        world.table.create(ONE)
        acquire(world, ONE)
    for number in range(len(world.calls.made)):
        with a_world(monkeypatch) as fresh:
            fresh.table.create(ONE)
            vars(fresh.calls).update(vars(Calls(**killed_at(number, after=after))))
            with pytest.raises(KilledError):
                acquire(fresh, ONE)
            assert acquire(fresh, ONE)
            fence = fresh.table.lease("sentiment").fence
            assert fresh.table.require("sentiment", ONE.release).fence == fence == 1


# approvals


def test_who_waits_for_approval_gives_the_lease_back_and_asks_once(world: World) -> None:
    acquire(world, ONE)
    ask(world, ONE)
    ask(world, ONE)
    lease = world.table.lease("sentiment")
    assert (lease.owner, lease.approving) == ("", ONE.release)
    assert len(world.topic.sent) == 1
    assert "token" not in str(world.topic.sent)
    assert "\nRunbook   https://example.com/runbook#approval-wanted\n" in world.topic.sent[0]["Message"]


def test_a_newer_validated_release_ends_an_older_one_s_wait_for_approval(world: World) -> None:
    acquire(world, ONE)
    ask(world, ONE)
    assert acquire(world, TWO)
    assert world.executions.failed_tasks == [(f"token of {ONE.release}", "SupersededError")]
    assert world.table.lease("sentiment").approving == ""


def test_a_newer_upload_that_is_no_release_yet_lets_the_wait_go_on(world: World) -> None:
    acquire(world, ONE)
    ask(world, ONE)
    key = "sentiment/model.tar.gz"
    run(admit.handler, **world.event(key, world.upload(key, b"junk")))
    assert world.executions.failed_tasks == []
    assert world.table.lease("sentiment").approving == ONE.release


def test_the_one_that_was_approved_does_not_end_itself(world: World) -> None:
    acquire(world, ONE)
    ask(world, ONE)
    assert acquire(world, ONE)
    assert world.executions.failed_tasks == []


@pytest.mark.parametrize("after", [False, True])
def test_a_death_while_an_approval_is_ended_is_mended_by_the_next_try(
    monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    for number in range(8):
        with a_world(monkeypatch) as fresh:
            for record in (ONE, TWO):
                fresh.table.create(record)
            acquire(fresh, ONE)
            ask(fresh, ONE)
            vars(fresh.calls).update(vars(Calls(**killed_at(number, after=after))))
            with pytest.raises(KilledError):
                acquire(fresh, TWO)
            acquire(fresh, TWO)
            assert fresh.executions.failed_tasks[0] == (f"token of {ONE.release}", "SupersededError")
            assert fresh.table.lease("sentiment").owner == TWO.release


def test_one_that_asks_when_a_newer_one_wants_the_endpoint_is_superseded_at_once(world: World) -> None:
    acquire(world, ONE)
    assert not acquire(world, TWO)
    with pytest.raises(SupersededError):
        ask(world, ONE)
    assert world.topic.sent == []
    assert acquire(world, TWO)


def test_a_question_that_could_not_be_sent_is_sent_by_the_next_try(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire(world, ONE)
    world.calls.before = lambda _, name: an_error("AuthorizationError", 403) if name == "sns.publish" else None
    with pytest.raises(Exception, match="AuthorizationError"):
        ask(world, ONE)
    world.calls.before = Calls().before
    ask(world, ONE)
    assert len(world.topic.sent) == 1


def test_a_question_that_could_not_be_marked_is_not_asked_again_for_that(world: World) -> None:
    acquire(world, ONE)
    published = []

    def refused(_: int, name: str) -> BaseException | None:
        published.extend([name] if name == "sns.publish" else [])
        return an_error("Internal", 500) if published and name == "dynamodb.update_item" else None

    world.calls.before = refused
    ask(world, ONE)
    assert len(world.topic.sent) == 1


# cost


def test_the_cost_does_not_grow_with_the_records(world: World) -> None:
    acquire(world, ONE)
    few = list(world.calls.made)
    world.table.release_lease("sentiment", ONE.release, 1)
    for number in range(4, 34):
        world.table.create(a_release(number, policy={"x": "y" * 1000}))
    vars(world.calls).update(vars(Calls()))
    acquire(world, a_release(3))
    assert world.calls.made == few
    assert "dynamodb.query" not in few


def test_the_wait_counts_from_the_first_asking_and_not_from_the_upload(world: World) -> None:
    early, late = (a_release(number, admitted_at=iso(now() - timedelta(hours=20))) for number in (4, 5))
    for record in (early, late):
        world.table.create(record)
    assert acquire(world, early)
    assert not acquire(world, late)
    wanted = world.table.require("sentiment", late.release)
    overdue = {acquire_lease.WANTED_SINCE: iso(now() - timedelta(hours=12, minutes=1))}
    world.table.change(wanted, fenced=False, rollout=overdue)
    with pytest.raises(LeaseLostError, match=f"not free for 12 h, and {early.release} holds it now"):
        acquire(world, late)


def test_after_an_approval_the_wait_counts_anew(world: World) -> None:
    assert acquire(world, ONE)
    assert not acquire(world, TWO)
    world.table.release_lease("sentiment", ONE.release, 1)
    assert acquire(world, TWO)
    assert world.table.require("sentiment", TWO.release).rollout == {}


def test_a_try_that_goes_on_beside_a_later_one_takes_nothing_from_it(world: World) -> None:
    acquire(world, ONE)
    event = {"endpoint": "sentiment", "release": ONE.release, "runbook": ""}
    run(request_approval.handler, **event, attempt=1, task_token="second")
    with pytest.raises(LeaseLostError, match="later try"):
        run(request_approval.handler, **event, attempt=0, task_token="first")
    assert world.table.approval_token("sentiment", ONE.release) == "second"


def test_a_lease_that_was_taken_again_is_not_given_back(world: World) -> None:
    acquire(world, ONE)
    world.table.release_lease("sentiment", ONE.release, 1)
    acquire(world, ONE)
    assert not world.table.release_lease("sentiment", ONE.release, 1)
    assert world.table.lease("sentiment").owner == ONE.release
