"""A model that its callers could not call: refused beside a live one with a diff, or let through by the policy."""

from __future__ import annotations

from modeldrop.release.record import ReleaseRecord
from tests.workflow.stack import Stack
from tests.workflow.stories import Played


def text_of(stack: Stack, record: ReleaseRecord) -> str:
    return str(stack.outcome_messages(record.release)[0]["text"])


def test_a_renamed_input_is_refused_with_a_readable_diff(stack: Stack, played: Played) -> None:
    _, refused, _ = played["language"].result()
    assert refused.outcome == "rejected"
    text = text_of(stack, refused)
    assert "SERVING_BREAKING: input text: string[?] -> gone (signature serving_default)" in text
    assert "input review: not there -> string[?], which no request of today has (signature serving_default)" in text
    assert "breaking: allow" in text


def test_the_live_model_stays(stack: Stack, played: Played) -> None:
    first, refused, _ = played["language"].result()
    assert f"Live      {first.release} (unchanged)" in text_of(stack, refused)


def test_what_the_policy_lets_through_is_named_in_the_message(stack: Stack, played: Played) -> None:
    _, _, allowed = played["language"].result()
    assert allowed.outcome == "promoted"
    expected = "allowed by the policy (breaking: allow): signature serving_default: input text: string[?] -> gone"
    assert expected in text_of(stack, allowed)
