"""`modeldrop lint --endpoint`: it plans from what the workflow plans from, and says what it cannot know."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.failures import CommandError
from cli.main import main
from modeldrop.aws import clients
from modeldrop.clock import now
from modeldrop.handlers import plan_rollout
from modeldrop.policy.parse import parse_policy
from modeldrop.policy.wire import policy_to_json
from modeldrop.times import iso
from tests.unit.aws_builders import APPROVED
from tests.unit.rollout_builders import GPU
from tests.unit.rollout_world import ENDPOINT, OLD, Pages, Rollout, a_rollout

POLICY = "endpoint: {instance_count: 10}\ncanary: {size: 1}\n"
Lint = Callable[..., tuple[int, dict[str, Any]]]


@dataclass
class Quotas:
    """The quota of the fleet's instance type, None where nobody knows it."""

    value: int | None = None

    def get_paginator(self, _: str) -> Pages:
        known = [] if self.value is None else [{"QuotaName": f"{GPU} for endpoint usage", "Value": self.value}]
        return Pages(lambda **_: {"Quotas": known})


@pytest.fixture
def quotas() -> Quotas:
    return Quotas()


@pytest.fixture
def rollout(monkeypatch: pytest.MonkeyPatch, quotas: Quotas) -> Iterator[Rollout]:
    with a_rollout(monkeypatch) as made:
        monkeypatch.setattr(clients, "service_quotas", lambda: quotas)
        made.live()
        fleet = {"CurrentInstanceCount": 14, "DesiredInstanceCount": 14}
        made.sagemaker.made["endpoint"][ENDPOINT]["ProductionVariants"] = [fleet]
        yield made


@pytest.fixture
def lint(rollout: Rollout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Lint:
    """Lint a policy against the endpoint, in an account whose clients are the world's."""

    class Account:
        region = "eu-central-1"

        def client(self, service: str) -> Any:
            return getattr(clients, service.replace("-", "_"))()

    def run(policy: str = POLICY) -> tuple[int, dict[str, Any]]:
        (tmp_path / "rollout.yaml").write_text(policy)
        arguments = ["lint", str(tmp_path / "rollout.yaml"), "--endpoint", ENDPOINT, "--json"]
        monkeypatch.setattr(sys, "argv", ["modeldrop", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr().out
        assert isinstance(ended.value.code, int)
        return ended.value.code, json.loads(said) if said else {}

    monkeypatch.setattr("cli.account.Account", Account)
    monkeypatch.setattr("cli.account.find_stack", lambda name, _: SimpleNamespace(approved_bucket=APPROVED))
    return run


def test_an_autoscaled_fleet_is_linted_as_large_as_it_is(rollout: Rollout, lint: Lint) -> None:
    rollout.scales()
    status, answer = lint()
    assert (status, answer["notes"][0]) == (0, "canary of 1 of 14 instances (7% of traffic)")


def test_a_fleet_that_does_not_scale_gets_the_policy_s_count(lint: Lint) -> None:
    assert lint()[1]["notes"][0] == "canary of 1 of 10 instances (10% of traffic)"


def test_lint_and_workflow_plan_from_the_same(rollout: Rollout, lint: Lint, quotas: Quotas) -> None:
    rollout.scales()
    quotas.value = 40
    policy = parse_policy(POLICY.encode(), default_instance_type=GPU, default_instance_count=2)
    facts = {"sha256": "9b1d" * 16, "size_bytes": 9, "uncompressed_bytes": 9, "compared_with": OLD}
    rollout.begins(plan={}, policy=policy_to_json(policy), artifact=facts)
    rollout.run(plan_rollout.handler)
    notes = [one for one in lint()[1]["notes"] if not one.startswith("not known")]
    assert notes == list(rollout.record.plan["notes"])
    assert rollout.record.plan["instance_count"] == 14


def test_a_quota_that_does_not_hold_both_fleets_is_refused(rollout: Rollout, lint: Lint, quotas: Quotas) -> None:
    rollout.scales()
    quotas.value = 27
    status, answer = lint()
    assert (status, [one["code"] for one in answer["problems"]]) == (1, ["QUOTA"])
    assert "is 27 and the rollout needs 28" in answer["problems"][0]["what"]


@pytest.mark.parametrize(("state", "code"), [("Updating", "ENDPOINT_MOVING"), ("Failed", "ENDPOINT_BROKEN")])
def test_an_endpoint_that_cannot_be_planned_for_is_told(rollout: Rollout, lint: Lint, state: str, code: str) -> None:
    rollout.sagemaker.rest(OLD, state)
    status, answer = lint()
    assert (status, [one["code"] for one in answer["problems"]]) == (1, [code])
    assert f"endpoint {ENDPOINT} is {state}" in answer["problems"][0]["what"]
    assert answer["notes"] == []


def test_a_status_that_nobody_knows_is_no_plan(rollout: Rollout, lint: Lint) -> None:
    rollout.sagemaker.rest(OLD, "Dreaming")
    assert lint()[0] == 3


def test_an_endpoint_that_is_not_there_is_a_first_release(rollout: Rollout, lint: Lint) -> None:
    rollout.sagemaker.gone()
    status, answer = lint()
    assert (status, answer["notes"][0].partition(":")[0]) == (0, "first release")


def test_what_was_not_known_is_said(lint: Lint, quotas: Quotas) -> None:
    assert lint()[1]["notes"][-1] == (
        f"not known, so not checked: whether the model fits where it is rehearsed (ml.c5.large), "
        f"the quota '{GPU} for endpoint usage'"
    )
    quotas.value = 40
    assert lint(POLICY + "gates: {rehearsal: off}\n")[1]["notes"][-1] == "not rehearsed: gates.rehearsal is off"
    assert "whether the model has the output label" in lint(POLICY + "quality: {output: label}\n")[1]["notes"][-1]


def captures_to(rollout: Rollout, monkeypatch: pytest.MonkeyPatch, bucket: str) -> None:
    """Let the live endpoint config capture to a bucket."""
    described = rollout.sagemaker.describe_endpoint_config

    def describe(EndpointConfigName: str) -> dict[str, Any]:  # noqa: N803  # boto3's name
        config = described(EndpointConfigName)
        return {**config, "DataCaptureConfig": {"EnableCapture": True, "DestinationS3Uri": f"s3://{bucket}/captures/o"}}

    monkeypatch.setattr(rollout.sagemaker, "describe_endpoint_config", describe)


@pytest.mark.parametrize(("bucket", "said"), [(APPROVED, "0 were captured"), ("elsewhere", "the live model's are not")])
def test_answers_count_where_the_workflow_would_read_them(
    rollout: Rollout, lint: Lint, monkeypatch: pytest.MonkeyPatch, bucket: str, said: str
) -> None:
    captures_to(rollout, monkeypatch, bucket)
    notes = lint(POLICY + "quality: {output: label}\n")[1]["notes"]
    assert said in next(one for one in notes if one.startswith("answers are captured, not judged"))
    assert "which was not found" not in notes[-1]


def test_captured_answers_are_read_and_judged(rollout: Rollout, lint: Lint, monkeypatch: pytest.MonkeyPatch) -> None:
    captures_to(rollout, monkeypatch, APPROVED)
    at = now() - timedelta(minutes=5)
    output = {"mode": "OUTPUT", "encoding": "JSON", "data": json.dumps({"predictions": [{"label": "positive"}]})}
    event = {
        "captureData": {"endpointOutput": output},
        "eventMetadata": {"inferenceTime": iso(at)},
        "eventVersion": "0",
    }
    key = f"captures/o/{ENDPOINT}/AllTraffic/{at:%Y/%m/%d/%H}/00-a.jsonl"
    rollout.world.s3.put_object(Bucket=APPROVED, Key=key, Body="\n".join([json.dumps(event)] * 60).encode())
    notes = lint(POLICY + "quality: {output: label}\n")[1]["notes"]
    assert any(one.startswith("answers (label) are judged on 10% of requests: 1 classes") for one in notes)


def test_without_the_stack_its_bucket_is_not_known(
    rollout: Rollout, lint: Lint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_stack(name: str, _: Any) -> Any:
        raise CommandError(f"there is no stack {name}")

    monkeypatch.setattr("cli.account.find_stack", no_stack)
    captures_to(rollout, monkeypatch, APPROVED)
    assert (
        "the bucket of stack modeldrop, which was not found"
        in lint(POLICY + "quality: {output: label}\n")[1]["notes"][-1]
    )
