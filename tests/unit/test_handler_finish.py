"""Compensate and FinishRelease: alarms stand while traffic moves, others' things are left alone, the end is true."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from modeldrop.clock import now
from modeldrop.handlers import compensate, finish_release, notify
from modeldrop.release import ending
from modeldrop.rollout.alarms import alarm_names, verdict_period
from modeldrop.rollout.plan import plan_from_json
from modeldrop.times import iso, moment
from tests.unit.aws_builders import APPROVED, KilledError, an_error, killed_at
from tests.unit.rollout_world import ENDPOINT, OLD, OTHER, RELEASE, Rollout, a_rollout, moved, refusal
from tests.unit.test_handler_start import with_faults

BROKEN = {"state": "JudgeRollout", "error": "ClientError", "message": "AccessDenied"}


@pytest.fixture
def rollout(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rollout]:
    with a_rollout(monkeypatch) as made:
        yield made


def in_flight(rollout: Rollout, *, scales: bool = False, rolled: dict[str, Any] | None = None, **begins: Any) -> None:
    """Let a canary be in flight."""
    rollout.live()
    facts = rolled or {}
    if scales:
        target = rollout.scales()
        kept = {"min": 2, "max": 9, "suspended": target["SuspendedState"]}
        facts = {"scaling": kept | {"policies": list(rollout.scaling.policies.values())}} | facts
        rollout.scaling.target["SuspendedState"] = dict.fromkeys(target["SuspendedState"], True)
    record = rollout.begins(**begins)
    rollout.world.table.update(ENDPOINT, RELEASE, rollout=moved(record, **facts))
    made(rollout)
    rollout.sagemaker.move(RELEASE)


def made(rollout: Rollout) -> None:
    for kind in ("model", "endpoint-config"):
        rollout.sagemaker.put(kind, RELEASE, RELEASE)
    rollout.cloudwatch.alarms = dict.fromkeys(alarm_names(plan_from_json(rollout.record.plan)), "OK")


def a_first(rollout: Rollout, status: str = "InService", **facts: Any) -> None:
    """Let a first release have made the endpoint."""
    record = rollout.begins(first=True)
    rollout.world.table.update(ENDPOINT, RELEASE, rollout=moved(record, **facts))
    for kind in ("model", "endpoint-config"):
        rollout.sagemaker.put(kind, RELEASE, RELEASE)
    rollout.sagemaker.put("endpoint", ENDPOINT, RELEASE)
    rollout.sagemaker.rest(RELEASE, status)


def finish(rollout: Rollout, cause: dict[str, str] | None = None) -> Any:
    return rollout.run(finish_release.handler, cause=cause)


def older(rollout: Rollout, since: str, by: timedelta) -> None:
    """Let something have begun earlier."""
    before = rollout.record.rollout
    began = iso(moment(before[since]) - by)
    rollout.world.table.update(ENDPOINT, RELEASE, rollout={**before, since: began})


# the alarms, while the endpoint moves


@pytest.mark.parametrize("cause", [None, BROKEN])
@pytest.mark.parametrize("status", ["Updating", "RollingBack"])
def test_while_the_endpoint_moves_the_alarms_stand_and_nothing_is_told(
    rollout: Rollout, status: str, cause: dict[str, str] | None
) -> None:
    in_flight(rollout)
    rollout.sagemaker.move(RELEASE, status)
    alarms = dict(rollout.cloudwatch.alarms)
    answer = finish(rollout, cause)
    assert answer["finished"] is False
    assert answer["wait_seconds"] >= 5
    assert rollout.cloudwatch.alarms == alarms
    assert rollout.record.outcome is None
    assert rollout.sagemaker.has(RELEASE) == {"model", "endpoint-config"}


def test_an_endpoint_that_never_rests_is_told_as_it_is_and_its_alarms_are_left_to_work(rollout: Rollout) -> None:
    in_flight(rollout)
    older(rollout, "started_at", ending.MAX_WAIT)
    alarms = dict(rollout.cloudwatch.alarms)
    assert finish(rollout, BROKEN)["outcome"] == "failed"
    assert rollout.cloudwatch.alarms == alarms
    assert rollout.sagemaker.has(RELEASE) == {"model", "endpoint-config"}
    told = " ".join(rollout.record.reasons)
    assert "traffic may still move" in told
    assert "untouched" not in told
    body = rollout.world.table.outbox(ENDPOINT, RELEASE).message["body"]
    assert "untouched" not in body
    assert "(unchanged)" not in body
    assert "the endpoint is still changing" in body
    assert [one.release for one in rollout.world.table.open_releases()] == [RELEASE]


def test_what_comes_to_rest_later_is_tidied_later(rollout: Rollout) -> None:
    in_flight(rollout)
    older(rollout, "started_at", ending.MAX_WAIT)
    finish(rollout, BROKEN)
    rollout.sagemaker.rest(OLD)
    finish(rollout)
    assert rollout.cloudwatch.alarms == {}
    assert rollout.sagemaker.has(RELEASE) == set()


def test_a_roll_back_ends_with_everything_in_order(rollout: Rollout) -> None:
    in_flight(rollout, scales=True, rolled={"latched": {"reason": "errors 9x blue"}})
    rollout.cloudwatch.alarms[f"{RELEASE}-verdict"] = "ALARM"
    rollout.sagemaker.rest(OLD)
    assert finish(rollout) == {"finished": True, "wait_seconds": 0, "outcome": "rolled_back"}
    assert rollout.record.reasons == ("errors 9x blue",)
    assert not any(rollout.scaling.target["SuspendedState"].values())
    assert rollout.cloudwatch.alarms == {}
    assert rollout.sagemaker.has(RELEASE) == set()
    assert rollout.sagemaker.has(OLD) == {"model", "endpoint-config"}
    assert "all traffic on the old model again" in rollout.world.table.outbox(ENDPOINT, RELEASE).message["body"]


# what is another's


def test_a_late_recovery_leaves_another_releases_endpoint_alone(rollout: Rollout) -> None:
    a_first(rollout)
    rollout.another_takes_over()
    rollout.sagemaker.rest(OTHER)
    rollout.world.table.set_live(ENDPOINT, OTHER, 2)
    assert finish(rollout, BROKEN)["finished"] is False
    rollout.world.table.release_lease(ENDPOINT, OTHER, 2)
    assert finish(rollout, BROKEN)["outcome"] == "failed"
    assert rollout.sagemaker.made["endpoint"][ENDPOINT]["EndpointStatus"] == "InService"
    assert rollout.world.table.live(ENDPOINT).live == OTHER
    assert rollout.sagemaker.has(RELEASE) == set()
    assert f"InService on config {OTHER}" in " ".join(rollout.record.reasons)


def test_a_late_recovery_leaves_another_releases_scaling_alone(rollout: Rollout) -> None:
    in_flight(rollout, scales=True)
    rollout.another_takes_over()
    rollout.sagemaker.rest(OTHER)
    rollout.scaling.target = {"MinCapacity": 5, "MaxCapacity": 50, "SuspendedState": {}}
    assert finish(rollout, BROKEN)["finished"] is False
    rollout.world.table.release_lease(ENDPOINT, OTHER, 2)
    while not finish(rollout, BROKEN)["finished"]:
        older(rollout, "trying_since", ending.PATIENCE)
    assert rollout.scaling.target["MaxCapacity"] == 50


def test_without_the_lease_a_release_that_never_started_ends_only_what_bears_its_name(rollout: Rollout) -> None:
    rollout.live()
    rollout.begins()
    made(rollout)
    rollout.another_takes_over()
    assert finish(rollout, BROKEN)["outcome"] == "failed"
    assert rollout.sagemaker.has(RELEASE) == set()
    assert rollout.world.table.live(ENDPOINT).live == OLD
    assert rollout.world.table.lease(ENDPOINT).owner == OTHER


def test_a_model_that_another_made_under_the_name_is_not_deleted(rollout: Rollout) -> None:
    rollout.live()
    rollout.begins()
    rollout.sagemaker.put("model", RELEASE, OTHER)
    finish(rollout, BROKEN)
    assert rollout.sagemaker.has(RELEASE) == {"model"}


# first releases


def test_the_message_and_the_card_lead_to_the_stack_s_runbook(rollout: Rollout) -> None:
    a_first(rollout)
    rollout.run(finish_release.handler, cause=None, runbook="https://example.com/runbook")
    body = rollout.world.table.outbox(ENDPOINT, RELEASE).message["body"]
    assert body.endswith("\nRunbook   https://example.com/runbook#created\n")
    assert rollout.record.evidence["runbook"] == "https://example.com/runbook"


def test_a_first_release_that_answers_is_created(rollout: Rollout) -> None:
    a_first(rollout)
    assert finish(rollout)["outcome"] == "created"
    assert rollout.record.reasons == (
        "the endpoint is in service; there are no golden requests, so no answer was asked for",
    )
    assert rollout.world.table.live(ENDPOINT).live == RELEASE
    assert rollout.sagemaker.has(RELEASE) == {"model", "endpoint-config"}


def test_a_first_release_that_failed_is_deleted_waited_for_and_told_as_it_was_decided(rollout: Rollout) -> None:
    a_first(rollout, "Failed", failure_reason="the container does not start")
    assert finish(rollout)["finished"] is False
    assert rollout.sagemaker.made["endpoint"][ENDPOINT]["EndpointStatus"] == "Deleting"
    assert finish(rollout)["finished"] is False
    rollout.sagemaker.gone()
    assert finish(rollout)["outcome"] == "failed"
    assert rollout.record.reasons[0] == "the endpoint is Failed: the container does not start"
    assert rollout.sagemaker.has(RELEASE) == set()


def test_an_endpoint_that_bears_no_tag_of_ours_stays_and_that_is_told(rollout: Rollout) -> None:
    a_first(rollout, "Failed")
    rollout.sagemaker.tags.clear()
    assert finish(rollout)["finished"] is False
    older(rollout, "trying_since", ending.PATIENCE)
    assert finish(rollout)["outcome"] == "failed"
    assert rollout.sagemaker.made["endpoint"][ENDPOINT]["EndpointStatus"] == "Failed"
    assert "not done, and tried again later: to delete the endpoint" in " ".join(rollout.record.reasons)


def test_a_first_endpoint_that_could_not_be_deleted_is_deleted_by_the_closing_run(rollout: Rollout) -> None:
    a_first(rollout, "Failed")
    kept = dict(rollout.sagemaker.tags)
    rollout.sagemaker.tags.clear()
    finish(rollout)
    older(rollout, "trying_since", ending.PATIENCE)
    assert finish(rollout)["outcome"] == "failed"
    rollout.sagemaker.tags.update(kept)
    finished_long_ago(rollout)
    finish(rollout)
    assert rollout.sagemaker.made["endpoint"][ENDPOINT]["EndpointStatus"] == "Deleting"
    assert list(rollout.world.table.open_releases())
    rollout.sagemaker.gone()
    finish(rollout)
    assert not list(rollout.world.table.open_releases())


# what breaks on the way to the end


FINISH_CALLS = 25


# a death after one call is a death before the next
@pytest.mark.parametrize("number", range(FINISH_CALLS))
def test_a_death_at_the_end_of_a_promotion_loses_nothing(rollout: Rollout, number: int) -> None:
    in_flight(rollout, scales=True)
    rollout.sagemaker.rest(RELEASE)
    with_faults(rollout, **killed_at(number, after=True))
    try:
        finish(rollout)
    except KilledError:
        with_faults(rollout)
        assert finish(rollout)["outcome"] == "promoted"
    record = rollout.record
    assert record.reasons == ("all traffic is on the new model",)
    assert rollout.world.table.live(ENDPOINT).live == RELEASE
    assert rollout.cloudwatch.alarms == {}
    assert not any(rollout.scaling.target["SuspendedState"].values())
    assert rollout.sagemaker.has(RELEASE) == {"model", "endpoint-config"}
    assert there(rollout, "evidence.html")


def test_the_sweep_covers_every_call_of_the_end(rollout: Rollout) -> None:
    in_flight(rollout, scales=True)
    rollout.sagemaker.rest(RELEASE)
    with_faults(rollout)
    finish(rollout)
    assert len(rollout.world.calls.made) == FINISH_CALLS


def there(rollout: Rollout, name: str) -> bool:
    key = f"reports/{ENDPOINT}/{RELEASE}/{name}"
    return bool(rollout.world.s3.list_objects_v2(Bucket=APPROVED, Prefix=key)["KeyCount"])


@pytest.mark.parametrize(
    "call", ["s3.put_object", "cloudwatch.delete_alarms", "sagemaker.delete_model", "sagemaker.list_tags"]
)
def test_what_is_denied_keeps_no_release_from_its_outcome_and_is_done_later(rollout: Rollout, call: str) -> None:
    in_flight(rollout)
    rollout.sagemaker.rest(OLD)
    rollout.cloudwatch.alarms[f"{RELEASE}-verdict"] = "ALARM"
    with_faults(rollout, before=lambda _, name: an_error("AccessDenied", 403) if name == call else None)
    assert finish(rollout)["outcome"] == "rolled_back"
    if call == "s3.put_object":
        assert "the report could not be written yet" in rollout.record.reasons[-1]
    with_faults(rollout)
    assert finish(rollout)["outcome"] == "rolled_back"
    assert there(rollout, "evidence.html")
    assert rollout.cloudwatch.alarms == {}
    assert rollout.sagemaker.has(RELEASE) == set()


def test_scaling_that_can_not_be_put_back_is_tried_for_a_while_then_told_then_tried_again(rollout: Rollout) -> None:
    in_flight(rollout, scales=True)
    rollout.sagemaker.rest(OLD)
    denied = "application_autoscaling.register_scalable_target"
    with_faults(rollout, before=lambda _, name: an_error("AccessDenied", 403) if name == denied else None)
    assert finish(rollout)["finished"] is False
    older(rollout, "trying_since", ending.PATIENCE)
    assert finish(rollout)["finished"] is True
    assert "not done, and tried again later: to put autoscaling back" in rollout.record.reasons[-1]
    with_faults(rollout)
    finish(rollout)
    assert not any(rollout.scaling.target["SuspendedState"].values())


def test_golden_requests_that_can_not_be_asked_are_not_said_to_be_answered(rollout: Rollout) -> None:
    a_first(rollout)
    rollout.world.table.update(ENDPOINT, RELEASE, artifact={"golden_requests": 3})
    assert finish(rollout)["finished"] is False
    older(rollout, "trying_since", ending.PATIENCE)
    assert finish(rollout)["outcome"] == "created"
    assert "golden requests could not be asked" in rollout.record.reasons[0]


def test_harm_that_is_not_known_is_not_told_as_none(rollout: Rollout) -> None:
    in_flight(rollout)
    rollout.sagemaker.rest(RELEASE)
    rollout.cloudwatch.get_metric_data = lambda **_: (_ for _ in ()).throw(refusal("AccessDenied", "no"))  # type: ignore[method-assign]  # denied
    assert finish(rollout)["outcome"] == "promoted"
    body = rollout.world.table.outbox(ENDPOINT, RELEASE).message["body"]
    assert "no request of a user" not in body
    assert "not known" in body


# after the outcome


def finished_long_ago(rollout: Rollout) -> None:
    rollout.run(notify.handler)
    later = iso(now() - ending.CLOSE_AFTER)
    rollout.world.calls.made.clear()
    rollout.world.table._update(  # a test's own clock
        ENDPOINT, RELEASE, "SET finished_at = :at", "attribute_exists(endpoint)", {}, {":at": {"S": later}}
    )


def test_a_release_is_closed_when_nothing_of_it_can_act_any_more(rollout: Rollout) -> None:
    in_flight(rollout)
    rollout.sagemaker.rest(OLD)
    finish(rollout)
    finish(rollout)
    assert list(rollout.world.table.open_releases())
    finished_long_ago(rollout)
    finish(rollout)
    assert not list(rollout.world.table.open_releases())


def test_what_a_function_left_that_went_on_after_the_end_is_tidied_before_the_release_is_closed(
    rollout: Rollout,
) -> None:
    in_flight(rollout, scales=True)
    rollout.sagemaker.rest(OLD)
    finish(rollout)
    finished_long_ago(rollout)
    made(rollout)
    rollout.scaling.target["SuspendedState"] = dict.fromkeys(rollout.scaling.target["SuspendedState"], True)
    finish(rollout)
    assert rollout.sagemaker.has(RELEASE) == set()
    assert rollout.cloudwatch.alarms == {}
    assert not any(rollout.scaling.target["SuspendedState"].values())
    assert not list(rollout.world.table.open_releases())


def test_what_is_not_tidy_stays_open(rollout: Rollout) -> None:
    in_flight(rollout)
    rollout.sagemaker.rest(OLD)
    finish(rollout)
    finished_long_ago(rollout)
    made(rollout)
    with_faults(rollout, before=lambda _, name: an_error("Throttling", 400) if name.endswith("delete_model") else None)
    finish(rollout)
    assert list(rollout.world.table.open_releases())
    with_faults(rollout)
    finish(rollout)
    assert not list(rollout.world.table.open_releases())


def test_bounds_that_somebody_changed_since_are_theirs(rollout: Rollout) -> None:
    in_flight(rollout, scales=True)
    rollout.sagemaker.rest(OLD)
    finish(rollout)
    rollout.scaling.target["MaxCapacity"] = 30
    finished_long_ago(rollout)
    finish(rollout)
    assert rollout.scaling.target["MaxCapacity"] == 30


def test_the_outcome_that_is_written_first_stands(rollout: Rollout) -> None:
    in_flight(rollout)
    rollout.sagemaker.rest(OLD)
    finish(rollout)
    first = rollout.record
    assert finish(rollout, BROKEN)["outcome"] == first.outcome
    assert rollout.record.reasons == first.reasons


# Compensate


def bring_to_rest(rollout: Rollout) -> Any:
    rollout.world.calls.made.clear()
    return rollout.run(compensate.handler)


def verdicts(rollout: Rollout) -> list[Any]:
    return [one["Timestamp"] for one in rollout.cloudwatch.published if one["MetricName"] == "Verdict"]


def test_the_roll_back_is_asked_for_now_and_a_whole_period_before(rollout: Rollout) -> None:
    in_flight(rollout)
    assert bring_to_rest(rollout)["settled"] is False
    first, second = verdicts(rollout)
    assert first - second == timedelta(seconds=verdict_period(plan_from_json(rollout.record.plan)))
    assert rollout.record.rollout["moved"] is True


@pytest.mark.parametrize("call", ["cloudwatch.put_metric_data", "dynamodb.update_item"])
def test_what_can_not_be_asked_for_is_waited_for(rollout: Rollout, call: str) -> None:
    in_flight(rollout)
    with_faults(rollout, before=lambda _, name: an_error("AccessDenied", 403) if name == call else None)
    assert bring_to_rest(rollout)["settled"] is False
    assert bool(verdicts(rollout)) is (call != "cloudwatch.put_metric_data")


def test_no_roll_back_is_asked_for_of_another_releases_deployment(rollout: Rollout) -> None:
    in_flight(rollout)
    rollout.sagemaker.move(OTHER)
    assert bring_to_rest(rollout)["settled"] is True
    assert verdicts(rollout) == []


def test_a_recovery_holds_the_lease_of_the_release_and_says_who_it_is(rollout: Rollout) -> None:
    in_flight(rollout)
    rollout.world.table.release_lease(ENDPOINT, RELEASE, 1)
    event = {"endpoint": ENDPOINT, "release": RELEASE, "execution_arn": "arn:recovery"}
    compensate.handler.__wrapped__(event)
    lease = rollout.world.table.lease(ENDPOINT)
    assert (lease.owner, lease.execution_arn, lease.fence) == (RELEASE, "arn:recovery", 2)
    assert (rollout.record.fence, rollout.record.execution_arn) == (2, "arn:recovery")


def test_a_status_that_nobody_knows_fails(rollout: Rollout) -> None:
    in_flight(rollout)
    rollout.sagemaker.rest(OLD, "Meditating")
    with pytest.raises(Exception, match="Meditating"):
        bring_to_rest(rollout)


def test_a_try_that_goes_on_after_another_wrote_the_outcome_is_no_failure(rollout: Rollout) -> None:
    in_flight(rollout)
    record = rollout.record
    rollout.world.table.finish(replace(record, outcome="failed"), {})
    assert finish_release.note(rollout.world.table, record, {"trying_since": "now"}) == record
