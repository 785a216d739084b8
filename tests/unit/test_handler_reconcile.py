"""Reconcile: what no event will mend any more; one fault costs only what it hits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modeldrop.clock import now
from modeldrop.handlers import reconcile
from modeldrop.release import recovery
from modeldrop.release.recovery import OpenRelease, is_due, may_begin, recovery_name
from modeldrop.release.restore import Claim, as_metadata
from modeldrop.release.upload import Upload, release_id
from modeldrop.times import iso
from tests.unit.aws_builders import Calls, World, a_release, a_world, an_error, run

KEY = "sentiment/model.tar.gz"
AT = datetime(2026, 11, 23, 20, 30, tzinfo=UTC)
ONE, TWO, THREE = (a_release(number) for number in (1, 2, 3))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with a_world(monkeypatch) as made:
        monkeypatch.setattr(reconcile, "now", lambda: AT)
        yield made


def later(monkeypatch: pytest.MonkeyPatch, **passed: int) -> None:
    monkeypatch.setattr(reconcile, "now", lambda: now() + timedelta(**passed))


def spoil(world: World, release: str, attribute: str) -> None:
    key = {"endpoint": {"S": "sentiment"}, "release": {"S": release}}
    world.table._dynamodb.update_item(
        TableName=world.table._table,
        Key=key,
        UpdateExpression="REMOVE #a",
        ExpressionAttributeNames={"#a": attribute},
    )


def started(world: World, *records: Any) -> None:
    """Create releases whose executions began and ended."""
    for record in records:
        world.table.create(replace(record, phase="validating"))
        world.executions.inputs[record.release] = "{}"


# which are due


def an_open(**fields: str) -> OpenRelease:
    return OpenRelease("sentiment", ONE.release, admitted_at=ONE.admitted_at, **fields)


@pytest.mark.parametrize(
    ("seen", "minutes", "due"),
    [
        (an_open(), 1, False),
        (an_open(), 2, True),
        (an_open(outcome="failed", finished_at="2026-11-23T20:11:00Z"), 0, True),
        (an_open(outcome="failed", finished_at="2026-11-23T20:11:00Z", message_sent="m"), 19, False),
        (an_open(outcome="failed", finished_at="2026-11-23T20:11:00Z", message_sent="m"), 20, True),
    ],
)
def test_a_release_is_due_when_it_should_have_gone_on(seen: OpenRelease, minutes: int, due: bool) -> None:
    assert is_due(seen, datetime(2026, 11, 23, 20, 11 + minutes, tzinfo=UTC)) == due


@pytest.mark.parametrize(
    ("record", "begins"),
    [
        (ONE, True),
        (replace(ONE, phase="validating"), False),
        (replace(ONE, fence=1), False),
        (replace(ONE, outcome="failed"), False),
        (replace(ONE, admitted_at="2026-11-22T20:30:00Z"), False),
    ],
)
def test_only_what_did_nothing_yet_may_begin(record: Any, begins: bool) -> None:
    assert may_begin(record, AT) == begins


@pytest.mark.parametrize("length", [1, 40, 41, 63])
def test_a_recovery_s_name_is_one_that_step_functions_takes(length: int) -> None:
    upload = Upload("uploads", "x", "v", AT, "", 1)
    name = recovery_name(release_id(upload, "e" * length), AT)
    assert len(name) <= 80
    assert name.endswith("-end-26112320")


# uploads


def test_a_lost_upload_of_a_key_that_was_used_before_is_newer_than_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = world.upload(KEY, b"1"), world.upload(KEY, b"2")
    later(monkeypatch, minutes=10)
    answer = run(reconcile.handler)
    records = {one.version_id: one for one in world.table.recent("sentiment")}
    assert sorted(answer["admitted"]) == sorted(world.executions.inputs)
    assert records[newer].order.split("|")[1] > "F" * 40
    # what was overwritten before it was admitted is told too, and is the older one also within one second
    assert records[older].order < records[newer].order


def test_a_lost_roll_back_is_admitted_as_the_roll_back_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = Claim("sentiment-20200101000000-aaaaaa", "a" * 32)
    world.table.ask_restore("sentiment", claim, "an operator", int(now().timestamp()) + 3600)
    world.upload(KEY, Metadata=as_metadata(claim))
    later(monkeypatch, minutes=10)
    run(reconcile.handler)
    (record,) = world.table.recent("sentiment")
    assert (record.restores, record.restore_asked_by) == (claim.restores, "an operator")


@pytest.mark.parametrize("passed", [{"minutes": 1}, {"hours": 25}])
def test_an_upload_that_is_new_or_old_is_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, passed: dict[str, int]
) -> None:
    world.upload(KEY)
    later(monkeypatch, **passed)
    assert run(reconcile.handler)["admitted"] == []


def test_an_upload_that_has_its_release_is_not_admitted_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.upload(KEY)
    later(monkeypatch, minutes=10)
    run(reconcile.handler)
    assert run(reconcile.handler)["admitted"] == []


def test_one_upload_that_can_t_be_read_costs_only_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.upload("a/model.tar.gz")
    world.upload("b/model.tar.gz")
    later(monkeypatch, minutes=10)
    refused = iter([an_error("AccessDenied", 403)])
    world.calls.before = lambda _, name: next(refused, None) if name == "s3.head_object" else None
    answer = run(reconcile.handler)
    assert answer["unreconciled"][0].startswith("a/model.tar.gz: ClientError")
    assert [one[0] for one in answer["admitted"]] == ["b"]


# releases


def test_a_release_whose_execution_never_began_is_begun(world: World) -> None:
    world.table.create(ONE)
    assert run(reconcile.handler)["begun"] == [ONE.release]
    assert json.loads(world.executions.inputs[ONE.release]) == {
        "endpoint": "sentiment",
        "release": ONE.release,
        "cause": {},
    }


def test_a_release_whose_execution_ended_without_an_outcome_is_ended_once_an_hour(world: World) -> None:
    started(world, ONE)
    name = recovery_name(ONE.release, AT)
    assert run(reconcile.handler)["ended"] == [ONE.release]
    assert json.loads(json.loads(world.executions.inputs[name])["detail"]["input"])["release"] == ONE.release
    world.executions.running.clear()
    assert run(reconcile.handler)["ended"] == []


@pytest.mark.parametrize("runs", ["its own", "the one of its record", "the one that holds its lease"])
def test_a_release_that_an_execution_works_on_is_left_alone(world: World, runs: str) -> None:
    own, other = ONE.release, "somebody"
    record = replace(ONE, execution_arn=f"arn:execution:{other}") if runs == "the one of its record" else ONE
    started(world, record)
    if runs == "the one that holds its lease":
        world.table.acquire("sentiment", ONE.release, f"arn:execution:{other}", world.table.lease("sentiment"), 0)
    world.executions.inputs[other] = "{}"
    world.executions.running = {own if runs == "its own" else other}
    assert not any(run(reconcile.handler).values())


def test_another_release_s_execution_at_the_lease_says_nothing_of_this_one(world: World) -> None:
    started(world, ONE)
    world.table.acquire("sentiment", TWO.release, "arn:execution:other", world.table.lease("sentiment"), 0)
    world.executions.inputs["other"] = "{}"
    world.executions.running = {"other"}
    assert run(reconcile.handler)["ended"] == [ONE.release]


def test_a_message_that_was_not_sent_is_sent_by_a_run_at_once(world: World) -> None:
    started(world, ONE)
    world.table.finish(replace(ONE, outcome="failed", finished_at=iso(AT)), {})
    assert run(reconcile.handler)["ended"] == [ONE.release]


def test_a_release_that_ended_is_closed_by_a_run_when_nothing_of_it_can_act_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(world, ONE)
    world.table.finish(replace(ONE, outcome="failed", finished_at=iso(AT)), {})
    world.table.mark_sent("sentiment", ONE.release, "m")
    assert run(reconcile.handler)["ended"] == []
    monkeypatch.setattr(reconcile, "now", lambda: AT + recovery.PAST_ACTING)
    assert run(reconcile.handler)["ended"] == [ONE.release]
    world.table.close("sentiment", ONE.release, None)
    monkeypatch.setattr(reconcile, "now", lambda: AT + timedelta(hours=3))
    assert not any(run(reconcile.handler).values())


@pytest.mark.parametrize("attribute", ["version_id", "admitted_at"])
def test_one_record_that_can_t_be_read_costs_only_itself_and_is_told(world: World, attribute: str) -> None:
    started(world, ONE, TWO, THREE)
    spoil(world, TWO.release, attribute)
    answer = run(reconcile.handler)
    assert answer["ended"] == [ONE.release, THREE.release]
    assert len(answer["unreconciled"]) == 1
    assert answer["unreconciled"][0].startswith(TWO.release)


def test_uploads_that_can_t_be_listed_keep_no_release_from_its_end(world: World) -> None:
    started(world, ONE)
    world.s3.delete_bucket(Bucket="uploads")
    answer = run(reconcile.handler)
    assert answer["ended"] == [ONE.release]
    assert answer["unreconciled"][0].startswith("uploads: NoSuchBucket")


def test_the_cost_of_a_run_does_not_grow_with_what_has_ended(world: World) -> None:
    def cost(ended: range) -> list[str]:
        for number in ended:
            record = a_release(number, endpoint=f"e{number}")
            world.table.create(record)
            world.table.finish(replace(record, outcome="failed"), {})
            world.table.mark_sent(record.endpoint, record.release, "m")
            world.table.close(record.endpoint, record.release, None)
        vars(world.calls).update(vars(Calls()))
        run(reconcile.handler)
        return world.calls.made

    assert cost(range(1, 3)) == cost(range(3, 15)) == ["dynamodb.query"]
