"""Admit: one upload, one release, whatever dies between two writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from modeldrop.clock import now
from modeldrop.errors import RejectedError
from modeldrop.handlers import admit, reconcile
from modeldrop.release.restore import Claim, as_metadata
from tests.unit.aws_builders import UPLOADS, Calls, KilledError, World, a_world, killed_at, run

KEY = "sentiment/model.tar.gz"
WHEN = ["before", "after"]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with a_world(monkeypatch) as made:
        yield made


def records(world: World, endpoint: str = "sentiment") -> list[Any]:
    return world.table.recent(endpoint)


def test_an_upload_becomes_a_release_and_an_execution_of_its_name(world: World) -> None:
    world.upload("sentiment/rollout.yaml", b"retain: 3\n")
    version = world.upload(KEY)
    answer = run(admit.handler, **world.event(KEY, version))
    (record,) = records(world)
    assert answer == {"endpoint": "sentiment", "release": record.release, "created": True}
    assert (record.version_id, bool(record.policy_version_id), record.phase) == (version, True, "waiting")
    assert json.loads(world.executions.inputs[record.release])["release"] == record.release
    assert [one.release for one in world.table.open_releases()] == [record.release]


def test_a_duplicate_event_makes_nothing_new(world: World) -> None:
    event = world.event(KEY, world.upload(KEY))
    run(admit.handler, **event)
    assert not run(admit.handler, **event)["created"]
    assert (len(records(world)), len(world.executions.inputs)) == (1, 1)


def test_an_event_that_comes_after_the_outcome_starts_nothing(world: World) -> None:
    event = world.event(KEY, world.upload(KEY))
    run(admit.handler, **event)
    (record,) = records(world)
    world.table.finish(replace(record, outcome="failed"), {})
    world.executions.inputs.clear()
    run(admit.handler, **event)
    assert world.executions.inputs == {}


def deaths(world: World, event: dict[str, Any]) -> int:
    """The calls that Admit makes, each of which it may die at."""
    run(admit.handler, **event)
    return len(world.calls.made)


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("mended_by", ["the event's next delivery", "Reconcile"])
def test_a_death_at_any_call_is_mended(monkeypatch: pytest.MonkeyPatch, when: str, mended_by: str) -> None:
    with a_world(monkeypatch) as world:
        total = deaths(world, world.event(KEY, world.upload(KEY)))
    assert total >= 5
    for number in range(total):
        with a_world(monkeypatch) as world:
            event = world.event(KEY, world.upload(KEY))
            vars(world.calls).update(vars(Calls(**killed_at(number, after=when == "after"))))
            with pytest.raises(KilledError):
                run(admit.handler, **event)
            vars(world.calls).update(vars(Calls()))
            if mended_by == "Reconcile":
                monkeypatch.setattr(reconcile, "now", lambda: now() + timedelta(minutes=10))
                run(reconcile.handler)
            else:
                run(admit.handler, **event)
            (record,) = records(world)
            assert world.table.endpoints() == ["sentiment"]
            assert list(world.executions.inputs) == [record.release], f"died {when} call {number}"


def test_an_event_without_a_version_pins_the_current_one(world: World) -> None:
    version = world.upload(KEY)
    event = world.event(KEY, version)
    del event["detail"]["object"]["version-id"]
    run(admit.handler, **event)
    assert records(world)[0].version_id == version


def test_an_upload_to_a_bucket_without_versions_is_refused_and_leaves_no_record(world: World) -> None:
    world.s3.put_bucket_versioning(Bucket=UPLOADS, VersioningConfiguration={"Status": "Suspended"})
    world.s3.put_object(Bucket=UPLOADS, Key=KEY, Body=b"model")
    event = world.event(KEY, "")
    with pytest.raises(RejectedError, match="UPLOAD_UNVERSIONED: bucket uploads keeps no versions"):
        run(admit.handler, **event)
    assert records(world) == []


def test_an_older_event_that_comes_late_is_a_release_too_and_the_lease_decides(world: World) -> None:
    first, second = world.upload(KEY, b"1"), world.upload(KEY, b"2")
    for version, sequencer in ((second, "0B"), (first, "0A")):
        run(admit.handler, **world.event(KEY, version, sequencer))
    assert all(record.outcome is None and not record.reasons for record in records(world))
    by_version = {record.version_id: record.order for record in records(world)}
    assert by_version[first] < by_version[second]


def test_a_name_in_another_case_is_filed_under_the_known_one_and_refused(world: World) -> None:
    world.table.set_live("Sentiment", "sentiment-20200101000000-aaaaaa", 1)
    run(admit.handler, **world.event(KEY, world.upload(KEY)))
    (record,) = records(world)
    assert (record.endpoint, record.problems[0]["code"]) == ("Sentiment", "ENDPOINT_CASE")
    assert json.loads(world.executions.inputs[record.release])["cause"]["error"] == "RejectedError"


@pytest.mark.parametrize("name", ["r-20261123201000-0123456789ab", "R-20261123201000-0123456789AB"])
def test_a_name_that_looks_like_a_rehearsal_s_is_refused_with_the_reason(world: World, name: str) -> None:
    run(admit.handler, **world.event(f"{name}/model.tar.gz", world.upload(f"{name}/model.tar.gz")))
    (record,) = records(world, name)
    assert record.problems[0]["code"] == "ENDPOINT_REHEARSAL"
    assert "throw-away endpoint" in record.problems[0]["what"]


def test_a_roll_back_that_was_asked_for_is_admitted_as_one_by_a_redelivered_event_too(world: World) -> None:
    claim = Claim("sentiment-20200101000000-aaaaaa", "a" * 32)
    world.table.ask_restore("sentiment", claim, "an operator", int(now().timestamp()) + 60)
    event = world.event(KEY, world.upload(KEY, Metadata=as_metadata(claim)))
    vars(world.calls).update(vars(Calls(before=lambda _, name: KilledError() if name == "dynamodb.put_item" else None)))
    with pytest.raises(KilledError):
        run(admit.handler, **event)
    vars(world.calls).update(vars(Calls()))
    run(admit.handler, **event)
    assert records(world)[0].restore_asked_by == "an operator"
