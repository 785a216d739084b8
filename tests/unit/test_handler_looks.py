"""PlanRollout, JudgeRollout, Rehearse: what ends a step and what does not, and what is compared again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from modeldrop.artifact.report import ArtifactReport, Check
from modeldrop.aws import clients, language
from modeldrop.clock import now
from modeldrop.entry import keep_problems
from modeldrop.errors import ArtifactRejectedError, LeaseLostError, ParkedError, Problem, TransientError
from modeldrop.handlers import judge_rollout, plan_rollout, prepare_rollout, rehearse
from modeldrop.release.rehearsal import rehearsal_name
from modeldrop.rollout.alarms import verdict_period
from modeldrop.rollout.plan import plan_from_json
from modeldrop.times import iso
from tests.unit.aws_builders import APPROVED, KilledError, an_error, killed_at
from tests.unit.rollout_world import ENDPOINT, OLD, RELEASE, Pages, Rollout, a_rollout, moved, refusal
from tests.unit.test_handler_start import with_faults

TEXT = {"method": "tensorflow/serving/predict", "inputs": {"text": {"dtype": "string", "shape": [None]}}, "outputs": {}}
OTHER_INPUT = {**TEXT, "inputs": {"words": {"dtype": "string", "shape": [None]}}}


@pytest.fixture
def rollout(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rollout]:
    with a_rollout(monkeypatch) as made:
        monkeypatch.setattr(clients, "service_quotas", lambda: Quotas())
        yield made


class Quotas:
    """Quotas that nobody knows."""

    def get_paginator(self, _: str) -> Pages:
        return Pages(lambda **_: {"Quotas": []})


# PlanRollout


def to_plan(rollout: Rollout, compared_with: str = OLD, signature: dict[str, Any] = TEXT) -> None:
    """Let a validated release be planned for, with the reports of both."""
    rollout.live()
    facts = {"sha256": "9b1d" * 16, "size_bytes": 9, "uncompressed_bytes": 9, "outputs": [], "breaking": []}
    record = rollout.begins(plan={}, artifact={**facts, "compared_with": compared_with})
    checks = (Check("SERVING_OK", "ok", f"like {compared_with}"), Check("GZIP_OK", "ok", "1 gzip member"))
    language.keep(record, ArtifactReport(checks, serving_signatures={"serving_default": signature}))
    live = ArtifactReport((), serving_signatures={"serving_default": TEXT})
    language.keep(replace(record, release=OLD), live)


def test_an_endpoint_that_moves_is_waited_for(rollout: Rollout) -> None:
    to_plan(rollout)
    rollout.sagemaker.rest(OLD, "Updating")
    answer = rollout.run(plan_rollout.handler)
    assert (answer["moving"], answer["wait_seconds"] >= 10) == (True, True)
    rollout.sagemaker.rest(OLD)
    assert rollout.run(plan_rollout.handler)["moving"] is False
    assert "moving_since" not in rollout.record.rollout


def test_an_endpoint_that_moves_for_half_an_hour_parks_the_release(rollout: Rollout) -> None:
    to_plan(rollout)
    rollout.sagemaker.rest(OLD, "Updating")
    since = iso(now() - plan_rollout.MAX_WAIT - timedelta(seconds=1))
    rollout.world.table.update(ENDPOINT, RELEASE, rollout={"moving_since": since})
    with pytest.raises(ParkedError, match="30 min"):
        rollout.run(plan_rollout.handler)


def test_a_release_that_breaks_callers_of_what_went_live_meanwhile_is_refused(rollout: Rollout) -> None:
    to_plan(rollout, compared_with="", signature=OTHER_INPUT)
    with pytest.raises(ArtifactRejectedError, match="SERVING_BREAKING"):
        rollout.run(plan_rollout.handler)
    assert "SERVING_BREAKING" in [check.code for check in language.kept(rollout.record).checks]


def test_a_release_that_suits_what_went_live_meanwhile_is_planned_and_says_so(rollout: Rollout) -> None:
    to_plan(rollout, compared_with="")
    assert rollout.run(plan_rollout.handler)["moving"] is False
    assert rollout.record.artifact["compared_with"] == OLD
    checks = language.kept(rollout.record).checks
    assert [check.code for check in checks] == ["SERVING_OK", "GZIP_OK"]
    assert OLD in checks[0].what


def test_what_was_compared_with_the_live_release_is_not_compared_again(rollout: Rollout) -> None:
    to_plan(rollout, signature=OTHER_INPUT)
    assert rollout.run(plan_rollout.handler)["moving"] is False


def test_a_plan_without_the_lease_is_none(rollout: Rollout) -> None:
    to_plan(rollout)
    rollout.another_takes_over()
    with pytest.raises(LeaseLostError):
        rollout.run(plan_rollout.handler)


# JudgeRollout


def in_its_canary(rollout: Rollout) -> None:
    rollout.live()
    record = rollout.begins()
    rollout.world.table.update(ENDPOINT, RELEASE, rollout=moved(record))
    rollout.run(prepare_rollout.handler)
    rollout.sagemaker.move(RELEASE)
    baking = {"Status": "Baking", "StartTime": now() - timedelta(seconds=60)}
    pending = rollout.sagemaker.made["endpoint"][ENDPOINT]["PendingDeploymentSummary"]
    pending["ProductionVariants"] = [{"VariantStatus": [baking]}]
    rollout.cloudwatch.get_metric_data = traffic  # type: ignore[method-assign]  # green and blue answer


def traffic(**request: Any) -> dict[str, Any]:
    """Ten requests of each fleet every ten seconds, none of which fails."""
    at: datetime = request["StartTime"]
    times = [at + timedelta(seconds=10 * n) for n in range(int((request["EndTime"] - at).total_seconds()) // 10)]
    told = []
    for query in request["MetricDataQueries"]:
        count = 10.0 if query["MetricStat"]["Metric"]["MetricName"] == "Invocations" else 0.0
        told.append({"Id": query["Id"], "Timestamps": times, "Values": [count] * len(times)})
    return {"MetricDataResults": told}


def denied(call: str) -> Any:
    return lambda _, name: an_error("AccessDenied", 403) if name == call else None


@pytest.mark.parametrize("call", ["sns.publish", "events.put_events", "s3.put_object", "cloudwatch.describe_alarms"])
def test_what_a_look_can_do_without_ends_no_look(rollout: Rollout, call: str) -> None:
    in_its_canary(rollout)
    with_faults(rollout, before=denied(call))
    answer = rollout.run(judge_rollout.handler)
    assert (answer["terminal"], answer["phase"]) == (False, "canary")
    assert {one["MetricName"] for one in rollout.cloudwatch.published} == {"Heartbeat", "Verdict"}
    assert rollout.record.rollout["looks"] == 1


def test_a_bad_verdict_falls_into_two_periods_of_its_alarm(rollout: Rollout) -> None:
    in_its_canary(rollout)
    rollout.world.table.request_abort(ENDPOINT, RELEASE, "ada")
    rollout.run(judge_rollout.handler)
    last, before = (datum for datum in rollout.cloudwatch.published if datum["MetricName"] == "Verdict")
    period = timedelta(seconds=verdict_period(plan_from_json(rollout.record.plan)))
    assert last["Timestamp"] - before["Timestamp"] == period
    assert (last["Value"], before["Value"]) == (1.0, 1.0)


@pytest.mark.parametrize("name", ["canary", "linear", "rolling"])
def test_a_rollout_that_was_planned_before_strategies_were_values_is_judged_on(rollout: Rollout, name: str) -> None:
    in_its_canary(rollout)
    older = json.loads((Path(__file__).parent / "golden" / "records_before_strategies.json").read_text())[name]
    rollout.world.table.update(ENDPOINT, RELEASE, plan=older["plan"], policy=older["policy"])
    answer = rollout.run(judge_rollout.handler)
    assert (answer["terminal"], answer["phase"]) == (False, "canary")


def test_a_look_that_can_not_publish_fails(rollout: Rollout) -> None:
    in_its_canary(rollout)
    with_faults(rollout, before=denied("cloudwatch.put_metric_data"))
    with pytest.raises(Exception, match="AccessDenied"):
        rollout.run(judge_rollout.handler)


def test_bins_that_could_not_be_stored_are_stored_before_the_rollout_is_called_over(rollout: Rollout) -> None:
    in_its_canary(rollout)
    rollout.run(judge_rollout.handler)
    rollout.sagemaker.rest(RELEASE)
    with_faults(rollout, before=denied("s3.put_object"))
    assert rollout.run(judge_rollout.handler)["terminal"] is False
    with_faults(rollout)
    assert rollout.run(judge_rollout.handler)["terminal"] is True
    assert rollout.world.s3.list_objects_v2(Bucket=APPROVED, Prefix=f"reports/{ENDPOINT}/{RELEASE}/bins")["KeyCount"]


def test_bins_that_can_never_be_stored_do_not_keep_a_rollout_from_its_end(rollout: Rollout) -> None:
    in_its_canary(rollout)
    with_faults(rollout, before=denied("s3.put_object"))
    rollout.run(judge_rollout.handler)
    rollout.sagemaker.rest(RELEASE)
    answers = [rollout.run(judge_rollout.handler)["terminal"] for _ in range(judge_rollout.MAX_UNSAVED_LOOKS)]
    assert answers[-1] is True


def test_a_judge_whose_release_was_taken_over_stops(rollout: Rollout) -> None:
    in_its_canary(rollout)
    record = rollout.record
    rollout.world.table.update(ENDPOINT, RELEASE, fence=2)
    plan = judge_rollout.plan_from_json(record.plan)
    policy = judge_rollout.policy_from_json(record.policy)
    seen = judge_rollout.look(record, plan, policy, now())
    with pytest.raises(LeaseLostError):
        judge_rollout.remember(rollout.world.table, record, plan, seen)


# Rehearse


def to_rehearse(rollout: Rollout) -> str:
    rollout.begins(first=True, plan={"rehearsal_instance_type": "ml.c5.large"})
    key = f"approved/{ENDPOINT}/{'9b1d' * 16}/model.tar.gz"
    rollout.world.s3.put_object(Bucket=APPROVED, Key=key, Body=b"model")
    return rehearsal_name(RELEASE)


def test_a_death_in_a_rehearsal_loses_nothing_and_leaves_nothing(rollout: Rollout) -> None:
    name = to_rehearse(rollout)
    for number in range(60):
        with_faults(rollout, **killed_at(number, after=True))
        try:
            answer = rollout.run(rehearse.handler)
        except KilledError:
            continue
        if name in rollout.sagemaker.made["endpoint"]:
            there = rollout.sagemaker.made["endpoint"][name]
            if there["EndpointStatus"] == "Creating":
                rollout.sagemaker.rest(name, "InService", name)
        if answer["done"]:
            break
    assert answer["done"] is True
    assert rollout.record.artifact["rehearsal"]["asked"] == 0
    assert rollout.sagemaker.made["endpoint"][name]["EndpointStatus"] == "Deleting"
    assert rollout.sagemaker.has(name) == {"endpoint"}


def test_a_throw_away_endpoint_that_was_made_twice_is_adopted(rollout: Rollout) -> None:
    to_rehearse(rollout)
    create = rollout.sagemaker.create_endpoint

    def twice(**request: Any) -> None:
        create(**request)
        create(**request)

    rollout.sagemaker.create_endpoint = twice  # type: ignore[method-assign]  # the SDK's own retry
    assert rollout.run(rehearse.handler)["done"] is False


def test_a_rehearsal_of_a_release_that_has_ended_makes_nothing(rollout: Rollout) -> None:
    to_rehearse(rollout)
    rollout.world.table.update(ENDPOINT, RELEASE, fence=2)
    record = replace(rollout.record, fence=1)
    with pytest.raises(LeaseLostError):
        rehearse.age_seconds(rollout.world.table, record, now())


# rejections


@pytest.mark.parametrize(
    ("fault", "raised"),
    [(an_error("ThrottlingException", 400), TransientError), (refusal("AccessDeniedException", "no"), None)],
)
def test_a_rejection_whose_problems_can_not_be_kept_is_made_again_or_stays_a_rejection(
    rollout: Rollout, fault: Exception, raised: type[Exception] | None
) -> None:
    rollout.live()
    rollout.begins()
    with_faults(rollout, before=lambda _, name: fault if name == "dynamodb.update_item" else None)
    error = ArtifactRejectedError([Problem("TAR_LINK", "a link")])
    ids = {"endpoint": ENDPOINT, "release": RELEASE}
    if raised is None:
        keep_problems(ids, error)
    else:
        with pytest.raises(raised):
            keep_problems(ids, error)
