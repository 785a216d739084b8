"""When a roll back is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from modeldrop.release.steer import Look, reason_to_roll_back

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)


def a_look(**overrides: Any) -> Look:
    values: dict[str, Any] = {
        "now": NOW,
        "outcome": "inconclusive",
        "reason": "because",
        "green_requests": 100,
        "min_green": 30,
        "on_inconclusive": "promote",
        "on_blind": "rollback",
        "notice": timedelta(seconds=60),
    }
    return Look(**(values | overrides))


def test_doubt_promotes_by_default() -> None:
    assert reason_to_roll_back(a_look(canary_ends=NOW, rollout_ends=NOW)) == ""


def test_a_bad_verdict_rolls_back() -> None:
    assert reason_to_roll_back(a_look(outcome="bad", reason="errors 9x")) == "errors 9x"


def test_a_bad_that_later_looks_good_stays_bad() -> None:
    assert reason_to_roll_back(a_look(outcome="safe", latched="errors 9x")) == "errors 9x"


def test_blindness_is_not_health() -> None:
    assert reason_to_roll_back(a_look(outcome="blind"))
    assert not reason_to_roll_back(a_look(outcome="blind", on_blind="promote"))


def test_an_abort_names_who() -> None:
    assert "ada" in reason_to_roll_back(a_look(aborted_by="ada"))


def test_doubt_may_roll_back_but_only_when_the_bake_is_nearly_over() -> None:
    early = a_look(on_inconclusive="rollback", canary_ends=NOW + timedelta(seconds=61))
    late = a_look(on_inconclusive="rollback", canary_ends=NOW + timedelta(seconds=60))
    assert not reason_to_roll_back(early)
    assert reason_to_roll_back(late)


def test_a_model_that_hardly_anybody_asked_is_not_promoted() -> None:
    few = a_look(green_requests=29, rollout_ends=NOW + timedelta(seconds=30))
    assert "29" in reason_to_roll_back(few)
    assert not reason_to_roll_back(a_look(green_requests=30, rollout_ends=NOW + timedelta(seconds=30)))
    assert not reason_to_roll_back(a_look(green_requests=29, rollout_ends=NOW + timedelta(seconds=90)))
