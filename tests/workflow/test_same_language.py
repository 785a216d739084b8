"""A model that its callers could not call: refused beside a live one with a diff, or let through by the policy."""

from __future__ import annotations

import json
from pathlib import Path

from modeldrop.release.record import ReleaseRecord
from tests.workflow.stack import Models, Stack
from tests.workflow.stories import Played


def text_of(stack: Stack, record: ReleaseRecord) -> str:
    return str(stack.outcome_messages(record.release)[0]["text"])


def test_a_renamed_input_is_refused_with_a_readable_diff(stack: Stack, played: Played) -> None:
    _, refused, *_ = played["language"].result()
    assert refused.outcome == "rejected"
    text = text_of(stack, refused)
    assert "SERVING_BREAKING: input text: string[?] -> gone (signature serving_default)" in text
    assert "input review: not there -> string[?], which no request of today has (signature serving_default)" in text
    assert "breaking: allow" in text


def test_the_live_model_stays(stack: Stack, played: Played) -> None:
    first, refused, *_ = played["language"].result()
    assert f"Live      {first.release} (unchanged)" in text_of(stack, refused)


def test_what_the_policy_lets_through_is_named_in_the_message(stack: Stack, played: Played) -> None:
    _, _, allowed, _ = played["language"].result()
    assert allowed.outcome == "promoted"
    expected = "allowed by the policy (breaking: allow): signature serving_default: input text: string[?] -> gone"
    assert expected in text_of(stack, allowed)


def test_a_roll_back_to_fewer_words_is_not_refused_and_the_difference_is_told(stack: Stack, played: Played) -> None:
    first, _, _, back = played["language"].result()
    assert back.restores == first.release
    assert back.policy["artifact"]["breaking"] == "refuse"
    assert back.outcome == "promoted", back.reasons
    told = "callers, and a roll back may: signature serving_default: input review: string[?] -> gone"
    assert told in text_of(stack, back)


def test_validate_compares_with_a_release_of_the_stack(
    stack: Stack, models: Models, played: Played, tmp_path: Path
) -> None:
    release = played["language"].result()[0].release
    breaking, live = tmp_path / "breaking.tar.gz", tmp_path / "live.tar.gz"
    breaking.write_bytes(models.breaking)
    live.write_bytes(models[0])
    said = stack.modeldrop("validate", str(breaking), str(live), "--against", release, "--json", status=1)
    refused, good = json.loads(said)
    breaks = [one for one in refused["checks"] if one["code"] == "SERVING_BREAKING"]
    assert [one["what"] for one in breaks if one["where"] == "signature serving_default"] == [
        "input review: not there -> string[?], which no request of today has",
        "input text: string[?] -> gone",
    ]
    assert good["good"]
    unknown = "language-20200101000000-000000"
    assert stack.modeldrop("validate", str(live), "--against", unknown, status=2) == ""
