"""The messages on the way: what they say, and that SNS takes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from modeldrop.evidence.messages import Message, approval_wanted, canary_started, outcome_told

RELEASE = "sentiment-20261123201000-4f1c2a"
SINCE = datetime(2026, 11, 23, 20, 12, tzinfo=UTC)


def canary(endpoint: str = "sentiment", traffic: str = "1 of 10 instances") -> Message:
    return canary_started(endpoint, RELEASE, live="old", traffic=traffic, since=SINCE)


def test_users_who_meet_a_canary_are_told_with_what_stays_live() -> None:
    message = canary()
    assert message.subject == "modeldrop CANARY STARTED sentiment: 1 of 10 instances"
    assert message.body.splitlines() == [
        f"Release   {RELEASE}",
        "Traffic   1 of 10 instances since 2026-11-23T20:12:00.000Z",
        "Live      old until it is promoted",
        "Next      modeldrop watch sentiment, or modeldrop abort sentiment",
        "Runbook   docs/runbook.md#canary-started",
    ]
    assert message.attributes == {"endpoint": "sentiment", "outcome": "canary", "severity": "info"}


def test_an_approval_says_how_to_answer() -> None:
    message = approval_wanted("sentiment", RELEASE, runbook="https://example.com/book")
    assert message.subject == "modeldrop APPROVAL WANTED sentiment"
    assert f"Next      modeldrop approve {RELEASE}, or modeldrop deny {RELEASE}" in message.body
    assert "Runbook   https://example.com/book#approval-wanted" in message.body


@pytest.mark.parametrize("endpoint", ["x" * 63, "x" * 200])
def test_a_subject_is_one_line_that_sns_takes(endpoint: str) -> None:
    for message in (canary(endpoint, "ünïcode\nNext forged"), approval_wanted(endpoint, RELEASE)):
        assert len(message.subject) < 100
        assert message.subject.isascii()
        assert "\n" not in message.subject
        assert "\nNext forged" not in message.body


def test_an_outcome_is_told_with_what_a_receiver_filters_and_drops_copies_by() -> None:
    message = outcome_told("sentiment", RELEASE, "failed", {"subject": "s", "body": "b", "severity": "critical"})
    assert (message.subject, message.body) == ("s", "b")
    assert message.attributes["dedupe_id"] == RELEASE
    assert message.attributes["severity"] == "critical"
