"""A model that its callers could not call: refused beside a live one with a diff, or let through by the policy."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from modeldrop.release.record import ReleaseRecord
from tests.workflow.stack import ROOT, Stack

# nobody sends requests here, so silence must not decide
POLICY = """
endpoint: {instance_count: 2, metrics_every: 10s}
canary: {size: 1, bake: 20s, final_bake: 15s}
judge: {metric_lag: 3s, dead_man: 20s, slow: 50ms, warm_up: 0s, min_green: 1}
on_blind: promote
gates: {rehearsal: "off"}
"""
ALLOWED = POLICY + "artifact: {breaking: allow}\n"


@pytest.fixture(scope="module")
def ended(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[ReleaseRecord, str]]:
    """A model goes live, then one with a renamed input is dropped, then once more with a policy that allows it."""
    out = tmp_path_factory.mktemp("models")
    command = [sys.executable, "-m", "model", "build", "--out", str(out)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}, check=True, capture_output=True)
    live, breaking = ((out / name / "model.tar.gz").read_bytes() for name in ("release-1", "release-5"))
    found = {}
    for story, archive, policy in (
        ("live", live, POLICY),
        ("refused", breaking, POLICY),
        ("allowed", breaking, ALLOWED),
    ):
        release = stack.drop("language", archive, policy, label=story)
        record = stack.finished("language", release, 240)
        found[story] = record, stack.outcome_messages(release)[0]["text"]
    return found


def test_a_renamed_input_is_refused_with_a_readable_diff(ended: dict[str, tuple[ReleaseRecord, str]]) -> None:
    record, text = ended["refused"]
    assert record.outcome == "rejected"
    assert "SERVING_BREAKING: input text: string[?] -> gone (signature serving_default)" in text
    assert "input review: not there -> string[?], which no request of today has (signature serving_default)" in text
    assert "breaking: allow" in text


def test_the_live_model_stays(ended: dict[str, tuple[ReleaseRecord, str]]) -> None:
    live, _ = ended["live"]
    assert f"Live      {live.release} (unchanged)" in ended["refused"][1]


def test_what_the_policy_lets_through_is_named_in_the_message(ended: dict[str, tuple[ReleaseRecord, str]]) -> None:
    record, text = ended["allowed"]
    assert record.outcome == "promoted"
    expected = "allowed by the policy (breaking: allow): signature serving_default: input text: string[?] -> gone"
    assert expected in text
