"""A roll back to an earlier release, and the replay of a past release's bins, on the deployed stack."""

from __future__ import annotations

import json
from pathlib import Path

from tests.workflow.stack import Stack
from tests.workflow.stories import Played


def test_an_earlier_release_comes_back_as_a_new_one(stack: Stack, played: Played) -> None:
    first, second, third = played["restored"].result()
    assert second.outcome == "promoted", second.reasons
    assert third.restores == first.release
    assert third.release not in (first.release, second.release)
    assert third.outcome == "promoted", third.reasons
    assert third.artifact["sha256"] == first.artifact["sha256"]
    assert stack.serving("again") == third.release
    assert stack.table.live("again")["live"] == third.release
    told = stack.outcome_messages(third.release)
    assert len(told) == 1
    assert f"Restores  {first.release}, on a new fleet: minutes" in told[0]["text"]


def test_a_replay_of_a_release_says_what_its_judge_said(stack: Stack, played: Played, tmp_path: Path) -> None:
    _, _, third = played["restored"].result()
    bins = tmp_path / "bins.jsonl"
    stack.modeldrop("show", third.release, "--bins", "-o", str(bins))
    replayed = json.loads(stack.modeldrop("judge", "replay", str(bins), "--json"))
    assert {"outcome": replayed.pop("verdict"), **replayed} == {"file": str(bins), **third.verdict}


def test_a_file_that_only_claims_to_restore_is_refused(stack: Stack, played: Played) -> None:
    first, second = played["claim"].result()
    assert second.outcome == "rejected"
    assert "RESTORES_MISMATCH" in stack.outcome_messages(second.release)[0]["text"]
    assert stack.serving("claim") == first.release
