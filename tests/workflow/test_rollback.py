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
    assert stack.table.live("again").live == third.release
    told = stack.outcome_messages(third.release)
    assert len(told) == 1
    assert f"Restores  {first.release}, on a new fleet: minutes" in told[0]["text"]
    assert "arn:aws:" in third.restore_asked_by


def test_a_replay_of_a_release_says_what_its_judge_said(stack: Stack, played: Played, tmp_path: Path) -> None:
    _, _, third = played["restored"].result()
    bins = tmp_path / "bins.jsonl"
    stack.modeldrop("show", third.release, "--bins", "-o", str(bins))
    replayed = json.loads(stack.modeldrop("judge", "replay", str(bins), "--json"))
    assert {"outcome": replayed.pop("verdict"), **replayed} == {"file": str(bins), **third.verdict}


def code(stack: Stack, played: Played, number: int) -> str:
    """Return why an upload that claimed to restore a release was rejected."""
    record = played["claim"].result()[number]
    assert record.outcome == "rejected"
    text = str(stack.outcome_messages(record.release)[0]["text"])
    return next(one for one in ("RESTORES_UNASKED", "RESTORES_MISMATCH") if one in text)


def test_a_forged_roll_back_is_refused_though_its_bytes_were_good(stack: Stack, played: Played) -> None:
    assert code(stack, played, 1) == "RESTORES_UNASKED"  # metadata alone
    assert code(stack, played, 2) == "RESTORES_UNASKED"  # an ask that nobody made
    assert stack.serving("claim") == played["claim"].result()[0].release


def test_an_ask_for_a_roll_back_that_is_too_old_is_refused(stack: Stack, played: Played) -> None:
    assert code(stack, played, 3) == "RESTORES_UNASKED"


def test_other_bytes_under_a_real_ask_are_refused_and_the_ask_is_used_up(stack: Stack, played: Played) -> None:
    assert code(stack, played, 4) == "RESTORES_MISMATCH"
    assert code(stack, played, 5) == "RESTORES_UNASKED"
