"""A roll back to an earlier release, and the replay of a past release's bins, on the deployed stack."""

from __future__ import annotations

import json
from pathlib import Path

from tests.workflow.stack import Models, Stack
from tests.workflow.stories import policy


def test_an_earlier_release_comes_back_as_a_new_one(stack: Stack, models: Models, tmp_path: Path) -> None:
    first = stack.finished("again", stack.drop("again", models[0], policy()))
    assert stack.modeldrop("rollback", "again", status=1) == ""
    second = stack.finished("again", stack.drop("again", models[1]))
    assert (first.outcome, second.outcome) == ("created", "promoted"), second.reasons

    answer = json.loads(stack.modeldrop("rollback", "again", "--json"))
    third = stack.finished("again", answer["release"])

    assert answer["restores"] == third.restores == first.release
    assert third.release not in (first.release, second.release)
    assert third.outcome == "promoted", third.reasons
    assert third.artifact["sha256"] == first.artifact["sha256"]
    assert stack.serving("again") == third.release
    assert stack.table.live("again")["live"] == third.release
    told = stack.outcome_messages(third.release)
    assert len(told) == 1
    assert f"Restores  {first.release}, on a new fleet: minutes" in told[0]["text"]

    bins = tmp_path / "bins.jsonl"
    stack.modeldrop("show", third.release, "--bins", "-o", str(bins))
    replayed = json.loads(stack.modeldrop("judge", "replay", str(bins), "--json"))
    assert {"outcome": replayed.pop("verdict"), **replayed} == {"file": str(bins), **third.verdict}


def test_a_file_that_only_claims_to_restore_is_refused(stack: Stack, models: Models) -> None:
    first = stack.finished("claim", stack.drop("claim", models[0], policy()))
    s3, bucket = stack.client("s3"), stack.outputs["UploadBucket"]
    metadata = {"modeldrop-restores": first.release}
    s3.put_object(Bucket=bucket, Key="claim/model.tar.gz", Body=models[1], Metadata=metadata)
    newest = max(stack.table.recent("claim"), key=lambda one: one.order)
    for _ in range(100):
        newest = max(stack.table.recent("claim"), key=lambda one: one.order)
        if newest.release != first.release:
            break
        stack.lease_is_free("claim", 0.3)
    ended = stack.finished("claim", newest.release)
    assert ended.outcome == "rejected"
    assert "RESTORES_MISMATCH" in stack.outcome_messages(ended.release)[0]["text"]
