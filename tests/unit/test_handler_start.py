"""PrepareRollout and StartRollout: a death or a lost answer loses nothing, scaling is known before it is touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from modeldrop.aws.endpoints import NameTakenError
from modeldrop.clock import now
from modeldrop.errors import LeaseLostError, ParkedError
from modeldrop.handlers import prepare_rollout, start_rollout
from modeldrop.handlers.start_rollout import EndpointChangedError
from modeldrop.times import iso
from tests.unit.aws_builders import Calls, KilledError, a_release, an_error, killed_at
from tests.unit.rollout_world import ENDPOINT, OLD, OTHER, RELEASE, Rollout, a_rollout, refusal

PREPARE_CALLS, START_CALLS = 11, 11


@pytest.fixture
def rollout(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rollout]:
    with a_rollout(monkeypatch) as made:
        yield made


def with_faults(rollout: Rollout, **faults: Any) -> None:
    calls = Calls(**faults)
    rollout.world.calls.made.clear()
    rollout.world.calls.before, rollout.world.calls.after = calls.before, calls.after


def prepared(rollout: Rollout, **begins: Any) -> None:
    rollout.live()
    rollout.begins(**begins)
    assert rollout.run(prepare_rollout.handler) == {"ready": True, "wait_seconds": 0}


# a death after one call is a death before the next
@pytest.mark.parametrize("number", range(PREPARE_CALLS))
def test_a_death_in_preparation_loses_nothing(rollout: Rollout, number: int) -> None:
    rollout.live()
    rollout.begins()
    with_faults(rollout, **killed_at(number, after=True))
    with pytest.raises(KilledError):
        rollout.run(prepare_rollout.handler)
    with_faults(rollout)
    assert rollout.run(prepare_rollout.handler)["ready"]
    assert rollout.sagemaker.has(RELEASE) == {"model", "endpoint-config"}
    assert f"{RELEASE}-heartbeat" in rollout.cloudwatch.alarms


def test_the_sweep_covers_every_call_of_preparation(rollout: Rollout) -> None:
    rollout.live()
    rollout.begins()
    with_faults(rollout)
    rollout.run(prepare_rollout.handler)
    assert len(rollout.world.calls.made) == PREPARE_CALLS


@pytest.mark.parametrize("call", ["sagemaker.create_model", "sagemaker.create_endpoint_config"])
def test_one_throttle_of_a_create_loses_nothing(rollout: Rollout, call: str) -> None:
    rollout.live()
    rollout.begins()
    with_faults(rollout, before=lambda _, name: an_error("ThrottlingException", 400) if name == call else None)
    with pytest.raises(Exception, match="Throttling"):
        rollout.run(prepare_rollout.handler)
    with_faults(rollout)
    assert rollout.run(prepare_rollout.handler)["ready"]
    assert rollout.sagemaker.has(RELEASE) == {"model", "endpoint-config"}


@pytest.mark.parametrize("kind", ["model", "endpoint-config"])
@pytest.mark.parametrize("owner", ["", OTHER])
def test_what_another_made_under_the_name_is_not_adopted(rollout: Rollout, kind: str, owner: str) -> None:
    rollout.live()
    rollout.begins()
    rollout.sagemaker.put(kind, RELEASE, owner)
    with pytest.raises(NameTakenError):
        rollout.run(prepare_rollout.handler)


def test_a_release_that_was_ended_prepares_nothing(rollout: Rollout) -> None:
    rollout.live()
    rollout.begins()
    rollout.world.table.update(ENDPOINT, RELEASE, fence=2)
    with_faults(rollout)
    record = rollout.record
    with pytest.raises(LeaseLostError):
        prepare_rollout.note(rollout.world.table, replace(record, fence=1), {"preparing_since": "now"})


@pytest.mark.parametrize("changed", [{}, {"instance_type_changed": True}])
@pytest.mark.parametrize("number", range(START_CALLS))
def test_a_death_at_the_start_loses_nothing(rollout: Rollout, number: int, changed: dict[str, bool]) -> None:
    before = rollout.scales()
    prepared(rollout, plan=changed)
    with_faults(rollout, **killed_at(number, after=True))
    try:
        rollout.run(start_rollout.handler)
    except KilledError:
        with_faults(rollout)
        assert rollout.run(start_rollout.handler)["started"]
    record = rollout.record.rollout
    assert rollout.sagemaker.updates == [RELEASE]
    assert record["scaling"]["min"] == before["MinCapacity"]
    assert record["scaling"]["suspended"] == before["SuspendedState"]
    assert [one["PolicyName"] for one in record["scaling"]["policies"]] == ["theirs"]
    assert record["accepted_at"]
    if changed:
        assert rollout.scaling.target is None
    else:
        assert all(rollout.scaling.target["SuspendedState"].values())


def test_the_sweep_covers_every_call_of_the_start(rollout: Rollout) -> None:
    rollout.scales()
    prepared(rollout, plan={"instance_type_changed": True})
    with_faults(rollout)
    rollout.run(start_rollout.handler)
    assert len(rollout.world.calls.made) == START_CALLS


def test_scaling_and_owner_are_written_down_before_anything_moves(rollout: Rollout) -> None:
    rollout.scales()
    prepared(rollout)
    with_faults(rollout)
    rollout.run(start_rollout.handler)
    made = [name for name in rollout.world.calls.made if not name.endswith(("get_item", "describe_endpoint"))]
    assert made == [
        "dynamodb.update_item",  # the lease
        "application_autoscaling.describe_scalable_targets",
        "application_autoscaling.describe_scaling_policies",
        "dynamodb.update_item",  # the intent
        "sagemaker.add_tags",
        "application_autoscaling.register_scalable_target",
        "sagemaker.update_endpoint",
        "dynamodb.update_item",  # it was accepted
    ]


def test_an_update_that_the_sdk_sent_twice_is_adopted(rollout: Rollout) -> None:
    prepared(rollout)
    update = rollout.sagemaker.update_endpoint

    def twice(**request: Any) -> None:
        update(**request)
        update(**request)

    rollout.sagemaker.update_endpoint = twice  # type: ignore[method-assign]  # the SDK's own retry
    assert rollout.run(start_rollout.handler)["started"]
    assert rollout.sagemaker.updates == [RELEASE]


def test_a_creation_that_the_sdk_sent_twice_is_adopted(rollout: Rollout) -> None:
    rollout.begins(first=True)
    rollout.run(prepare_rollout.handler)
    create = rollout.sagemaker.create_endpoint

    def twice(**request: Any) -> None:
        create(**request)
        create(**request)

    rollout.sagemaker.create_endpoint = twice  # type: ignore[method-assign]  # the SDK's own retry
    assert rollout.run(start_rollout.handler)["started"]


def test_a_tag_that_is_refused_is_refused_before_anything_moved(rollout: Rollout) -> None:
    rollout.scales()
    prepared(rollout)
    with_faults(rollout, before=lambda _, name: an_error("Throttling", 400) if name == "sagemaker.add_tags" else None)
    with pytest.raises(Exception, match="Throttling"):
        rollout.run(start_rollout.handler)
    assert rollout.sagemaker.updates == []
    assert not any(rollout.scaling.target["SuspendedState"].values())


@pytest.mark.parametrize("gone", [False, True])
def test_scaling_that_an_earlier_release_took_away_after_its_end_is_known_as_it_was(
    rollout: Rollout, gone: bool
) -> None:
    before = rollout.scales()
    kept = {"min": 2, "max": 9, "suspended": before["SuspendedState"]}
    kept["policies"] = list(rollout.scaling.policies.values())
    ended = {"outcome": "rolled_back", "finished_at": iso(now()), "rollout": {"scaling": kept}}
    rollout.world.table.create(a_release(1, **ended))
    if gone:
        rollout.scaling.target, rollout.scaling.policies = None, {}
    else:
        rollout.scaling.target["SuspendedState"] = dict.fromkeys(before["SuspendedState"], True)
    prepared(rollout)
    rollout.run(start_rollout.handler)
    assert rollout.record.rollout["scaling"] == kept


def test_an_endpoint_that_scales_is_waited_for_with_a_heartbeat(rollout: Rollout) -> None:
    prepared(rollout)
    rollout.sagemaker.rest(OLD, "Updating")
    beats = len(rollout.cloudwatch.published)
    answer = rollout.run(start_rollout.handler)
    assert answer["started"] is False
    assert 0 < answer["wait_seconds"] * 2 < rollout.record.plan["silence"]
    assert len(rollout.cloudwatch.published) == beats + 1
    rollout.sagemaker.rest(OLD)
    assert rollout.run(start_rollout.handler)["started"]


def test_scaling_that_begins_at_the_last_moment_is_waited_for_too(rollout: Rollout) -> None:
    rollout.scales()
    prepared(rollout)
    busy = refusal("ValidationException", 'Cannot update in-progress endpoint "x".')
    with_faults(rollout, before=lambda _, name: busy if name == "sagemaker.update_endpoint" else None)
    assert rollout.run(start_rollout.handler)["started"] is False
    with_faults(rollout)
    assert rollout.run(start_rollout.handler)["started"]
    assert not any(rollout.record.rollout["scaling"]["suspended"].values())


def test_an_endpoint_that_never_rests_is_not_waited_for_for_ever(rollout: Rollout) -> None:
    prepared(rollout)
    rollout.sagemaker.rest(OLD, "Updating")
    for _ in range(start_rollout.MAX_LOOKS):
        assert rollout.run(start_rollout.handler)["started"] is False
    with pytest.raises(ParkedError):
        rollout.run(start_rollout.handler)


def test_an_endpoint_that_another_changed_is_left_alone(rollout: Rollout) -> None:
    prepared(rollout)
    rollout.sagemaker.rest("somebodys")
    with pytest.raises(EndpointChangedError, match="somebodys"):
        rollout.run(start_rollout.handler)


def test_no_quota_parks_and_nothing_was_accepted(rollout: Rollout) -> None:
    prepared(rollout)
    full = refusal("ResourceLimitExceeded", "The account-level service limit is 2")
    with_faults(rollout, before=lambda _, name: full if name == "sagemaker.update_endpoint" else None)
    with pytest.raises(ParkedError):
        rollout.run(start_rollout.handler)
    assert "accepted_at" not in rollout.record.rollout
