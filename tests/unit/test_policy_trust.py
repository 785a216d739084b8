"""On a stack that serves signed models only, a rollout.yaml that nobody signed says only what can do no harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modeldrop.errors import PolicyRejectedError
from modeldrop.policy.model import Policy
from modeldrop.policy.page import as_markdown
from modeldrop.policy.parse import parse_policy
from modeldrop.policy.schema import schema
from modeldrop.policy.trust import FIELDS

KEY = "ssm:/modeldrop/signing-key"


def under_the_key(text: str, *, signed: bool = False) -> Policy:
    return parse_policy(
        text.encode(),
        default_instance_type="ml.g5.xlarge",
        default_instance_count=2,
        signature_key=KEY,
        is_signed=lambda: signed,
    )


def fields(section: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, field in section.get("properties", {}).items():
        if "properties" in field:
            yield from fields(field, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def test_every_field_of_the_schema_is_decided() -> None:
    known = list(fields(schema()))
    assert [path for path in known if path not in FIELDS] == [], (
        "decide in policy/trust.py whether it needs a signature"
    )
    assert [path for path in FIELDS if path not in known] == []


LIMITED = {
    "artifact: {code: allow}": "artifact.code",
    "artifact: {breaking: allow}": "artifact.breaking",
    "gates: {rehearsal: serverless}": "gates.rehearsal",
    "gates: {rehearsal: off}": "gates.rehearsal",
    "endpoint: {environment: {SAGEMAKER_TFS_DEFAULT_MODEL_NAME: other}}": (
        "endpoint.environment.SAGEMAKER_TFS_DEFAULT_MODEL_NAME"
    ),
}


@pytest.mark.parametrize("text", LIMITED)
def test_an_unsigned_policy_is_refused_what_runs_code_or_weakens_a_check(text: str) -> None:
    with pytest.raises(PolicyRejectedError) as refused:
        under_the_key(text)
    (problem,) = refused.value.problems
    assert (problem.code, problem.where) == ("POLICY_SIGNATURE", f"{LIMITED[text]}, line 1")
    assert "nobody signed this rollout.yaml" in problem.what
    assert KEY in problem.what
    assert "--policy" in problem.fix


@pytest.mark.parametrize("text", LIMITED)
def test_a_signed_policy_may_say_it(text: str) -> None:
    assert under_the_key(text, signed=True).signature.required


def test_the_application_s_text_needs_a_signature_beside_code() -> None:
    text = "artifact: {code: allow}\nendpoint: {environment: {APP_URL: x}}"
    with pytest.raises(PolicyRejectedError) as refused:
        under_the_key(text)
    assert [one.where for one in refused.value.problems] == [
        "artifact.code, line 1",
        "endpoint.environment.APP_URL, line 2",
    ]
    assert under_the_key(text, signed=True).endpoint.environment == {"APP_URL": "x"}


@pytest.mark.parametrize("said", ["required: false", "key: 'kms:alias/mine'", "older: allow"])
def test_not_even_a_signed_policy_switches_the_stack_s_key_off(said: str) -> None:
    with pytest.raises(PolicyRejectedError):
        under_the_key(f"signature: {{{said}}}", signed=True)


def test_what_tunes_and_how_traffic_moves_stays_free() -> None:
    found = under_the_key(
        """
        endpoint: {instance_type: ml.c5.xlarge, environment: {SAGEMAKER_TFS_MAX_BATCH_SIZE: "32", OMP_NUM_THREADS: "4"}}
        strategy: linear
        slo: {error_rate: 1%, latency: {p99: 100ms}}
        judge: {alpha: 0.1, floor: {errors: 1%}}
        gates: {rehearsal: ml.g5.xlarge, approval: before_rollout}
        artifact: {code: refuse, breaking: refuse, max_size: 1GiB}
        """
    )
    assert found.endpoint.environment["OMP_NUM_THREADS"] == "4"


def test_nobody_is_asked_for_a_signature_that_does_not_matter() -> None:
    def never() -> bool:
        raise AssertionError("the bundle was read for nothing")

    for text in (b"retain: 4", b"signature: {older: allow}"):
        try:
            parse_policy(
                text, default_instance_type="ml.g5.xlarge", default_instance_count=2, signature_key=KEY, is_signed=never
            )
        except PolicyRejectedError as refused:
            assert "signature.older" in str(refused)


def test_a_policy_s_own_signature_limits_nothing_for_its_author_can_remove_it() -> None:
    text = f"signature: {{required: true, key: '{KEY}'}}\nartifact: {{code: allow}}"
    found = parse_policy(text.encode(), default_instance_type="ml.g5.xlarge", default_instance_count=2)
    assert found.artifact.code == "allow"


def test_the_page_is_current() -> None:
    published = (Path(__file__).parents[2] / "docs" / "policy-limits.md").read_text()
    assert published == as_markdown(), "run: python -m modeldrop.policy.page > docs/policy-limits.md"
