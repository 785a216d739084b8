"""The one message of a release: what happened, why, what next."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from modeldrop.evidence.card import Harm
from modeldrop.evidence.limits import not_covered
from modeldrop.evidence.plain import plain
from modeldrop.evidence.text import MAX_SUBJECT, SEVERITY, WORDS, render_text
from modeldrop.release.record import OUTCOMES
from tests.unit.evidence_builders import LIVE, a_card, a_drift_verdict, a_record, a_roll_back, a_verdict, fired
from tests.unit.rollout_builders import RELEASE

GOLDEN = Path(__file__).parent / "golden"
BLIND = "no data on green, which should have had 40 requests since its last"
PROBLEMS = (
    {
        "code": "TAR_ESCAPES",
        "what": "a member leaves the folder",
        "where": "../../etc/passwd",
        "fix": "Pack the model's folder from inside.",
    },
    {"code": "SAVED_MODEL_NONE", "what": "there is no saved_model.pb", "where": "", "fix": "Export a SavedModel."},
)


def rolled_back(*alarms: dict[str, str], reason: str, **overrides: Any) -> dict[str, Any]:
    record = a_record(**overrides)
    return a_card("rolled_back", reason, record=a_record(**{"rollout": a_roll_back(record, *alarms)} | overrides))


def cards() -> dict[str, dict[str, Any]]:
    """One card for each ending that has words of its own."""
    nobody = Harm(0, 0)
    bad, flattering = a_verdict(8), a_drift_verdict()
    first = a_record(verdict={})
    first.plan["first_release"] = True
    return {
        "promoted": a_card(
            "promoted", "all traffic is on the new model", live=RELEASE, previous=LIVE, live_unchanged=False
        ),
        "created": a_card(
            "created",
            "the endpoint is in service and answers its golden requests",
            record=first,
            live=RELEASE,
            live_unchanged=False,
            harm=nobody,
        ),
        "rolled_back_verdict": rolled_back(fired("verdict", 42), reason="; ".join(bad["reasons"]), verdict=bad),
        "rolled_back_drift": rolled_back(
            fired("verdict", 42), reason="; ".join(flattering["reasons"]), verdict=flattering
        ),
        "rolled_back_blind": rolled_back(
            fired("verdict", 42),
            reason=BLIND,
            verdict={**a_verdict(), "outcome": "blind", "reasons": [BLIND]},
        ),
        "rolled_back_slo": rolled_back(
            fired("errors", 40), fired("latency-p99", 44), reason=f"alarm {RELEASE}-errors fired"
        ),
        "rolled_back_dead_man": rolled_back(
            fired("heartbeat", 44), reason="nobody was judging: the heartbeat stopped and the dead-man alarm fired"
        ),
        "rolled_back_unknown": rolled_back(reason="SageMaker rolled back and gave no reason"),
        "aborted": a_card(
            "aborted",
            "aborted by ada; all traffic is back on the old model",
            record=a_record(abort_requested_by="ada", rollout=a_roll_back(a_record(), fired("verdict", 42))),
        ),
        "rejected": a_card(
            "rejected", "two problems", record=a_record(rolled=False, problems=PROBLEMS), harm=nobody, report_url=""
        ),
        "superseded": a_card(
            "superseded", "sentiment-20261123203000-aa0001 came later", record=a_record(rolled=False), harm=nobody
        ),
        "parked": a_card(
            "parked",
            "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error.",
            "the old model (sentiment-20261120101500-77ab01) is untouched",
            record=a_record(verdict={}),
            harm=nobody,
        ),
        "failed": a_card(
            "failed",
            "RolloutStuckError: the endpoint is still Updating after 95 min",
            "the endpoint is Updating on config sentiment-20261120101500-77ab01",
        ),
    }


@pytest.mark.parametrize("name", cards())
def test_the_message_is_as_agreed(name: str) -> None:
    """`GOLDEN=write pytest` writes the files anew; read what changed before it is committed."""
    subject, body = render_text(cards()[name])
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(body)
    assert body == path.read_text()
    assert body.splitlines()[0] == subject


def test_every_outcome_has_a_message() -> None:
    assert {card["outcome"] for card in cards().values()} == set(OUTCOMES) == set(WORDS) == set(SEVERITY)


@pytest.mark.parametrize("name", cards())
def test_every_message_has_a_subject_that_sns_takes_and_a_next_step(name: str) -> None:
    subject, body = render_text(cards()[name])
    assert subject.isascii()
    assert len(subject) <= MAX_SUBJECT
    assert "\nLive      " in body
    assert "\nNext      " in body


@pytest.mark.parametrize("name", cards())
def test_every_message_leads_to_its_entry_in_the_runbook(name: str) -> None:
    card = {**cards()[name], "runbook": "https://example.com/runbook"}
    told = render_text(card)[1].splitlines()[-1]
    assert told.startswith(f"Runbook   https://example.com/runbook#{card['outcome']}")
    older = {key: value for key, value in card.items() if key != "runbook"}
    assert render_text(older)[1].splitlines()[-1].startswith("Runbook   docs/runbook.md#")


def test_a_rejection_lists_every_problem_with_its_fix() -> None:
    _, body = render_text(cards()["rejected"])
    for problem in PROBLEMS:
        assert problem["code"] in body
        assert problem["fix"] in body


def test_many_problems_are_cut_and_counted() -> None:
    record = a_record(rolled=False, problems=PROBLEMS * 20)
    subject, body = render_text(a_card("rejected", "many", record=record))
    assert "and 28 more: see the report" in body
    assert "(and 39 more)" in subject


def test_who_aborted_is_told() -> None:
    subject, _ = render_text(cards()["aborted"])
    assert "aborted by ada" in subject


def test_a_dead_judge_is_not_the_models_fault() -> None:
    subject, body = render_text(cards()["rolled_back_dead_man"])
    assert "nobody was judging" in subject
    assert "find out why nobody judged" in body


def test_what_a_failure_leaves_in_place_is_told() -> None:
    _, body = render_text(cards()["failed"])
    assert "the endpoint is Updating on config sentiment-20261120101500-77ab01" in body


def test_traffic_is_said_to_be_back_only_where_the_old_model_was_seen_to_serve() -> None:
    record = a_record(rollout=a_roll_back(a_record(), fired("verdict", 42)))
    assert "all traffic on the old model again" in render_text(a_card("rolled_back", "bad", record=record))[1]
    for serves in ("", "another"):
        _, body = render_text(a_card("rolled_back", "bad", record=record, serves=serves))
        assert "all traffic on the old model again" not in body


def test_an_endpoint_that_still_moves_is_told_beside_what_is_live() -> None:
    _, body = render_text(a_card("failed", "stuck", live_unchanged=False, endpoint_moves=True))
    assert "the endpoint is still changing, so others may get traffic" in body
    assert "(unchanged)" not in body


def test_harm_that_could_not_be_read_is_not_none() -> None:
    _, body = render_text(a_card("promoted", "all", harm=Harm(0, 0, known=False)))
    assert "Harm      not known" in body


def test_one_failed_request_is_a_request() -> None:
    assert "1 failed request reached users" in render_text(a_card("promoted", "all", harm=Harm(9, 1)))[1]


def test_nothing_from_outside_can_steer_the_terminal_or_forge_a_line() -> None:
    record = a_record(rolled=False, label="v3\u202egnp.exe\x1b[31m\nLive      forged")
    _, body = render_text(a_card("superseded", "a\r\nNext      forged\u2066", record=record))
    assert "\x1b" not in body
    assert "\u202e" not in body
    assert "\nLive      forged" not in body
    assert "\nNext      forged" not in body


def test_a_long_reason_is_cut() -> None:
    subject, body = render_text(a_card("failed", "x" * 5000))
    assert len(subject) <= MAX_SUBJECT
    assert max(map(len, body.splitlines())) < 720


def test_a_subject_is_ascii_whatever_the_reason_is() -> None:
    subject, _ = render_text(a_card("failed", "größer als ∞ 模型"))
    assert subject.isascii()
    assert "gr??er" in subject


@pytest.mark.parametrize(("text", "told"), [("a\tb", "a b"), ("x" * 300, "x" * 197 + "..."), ("", ""), (7, "7")])
def test_plain_text_is_one_line_of_bounded_length(text: object, told: str) -> None:
    assert plain(text) == told


def test_a_breaking_change_that_the_policy_let_through_is_named() -> None:
    artifact = {"breaking": ["signature serving_default: input text: string[?] -> gone"]}
    _, body = render_text(a_card("promoted", "all traffic is on the new model", record=a_record(artifact=artifact)))
    line = (
        "Breaking  allowed by the policy (breaking: allow): signature serving_default: input text: string[?] -> gone\n"
    )
    assert line in body


def test_what_was_live_is_said_to_come_back_only_where_there_is_an_earlier_release() -> None:
    assert "modeldrop rollback sentiment" in render_text(a_card("promoted", "all", previous=LIVE))[1]
    assert "modeldrop rollback" not in render_text(a_card("promoted", "all"))[1]


@pytest.mark.parametrize("doubt", ["inconclusive", "blind"])
def test_the_policy_is_named_as_the_cause_only_where_it_says_so(doubt: str) -> None:
    verdict = {**a_verdict(), "outcome": doubt}
    for word, told in (("promote", True), ("rollback", False)):
        record = a_record(verdict=verdict, policy={**a_record().policy, f"on_{doubt}": word})
        _, body = render_text(a_card("promoted", "all", record=record))
        assert (f"on_{doubt} is promote, so it was promoted all the same" in body) is told
        assert (f"on_{doubt} is rollback, but SageMaker had promoted it" in body) is not told


def test_no_alarm_is_told_to_be_silent_that_was_only_not_seen_to_fire() -> None:
    record = a_record(rollout={**a_roll_back(a_record()), "passage": {}})
    assert "no alarm of ours was seen to fire" in render_text(a_card("rolled_back", "bad", record=record))[1]


def test_what_serves_is_named_where_no_release_is_live() -> None:
    body = render_text(a_card("failed", "stuck", live="", live_unchanged=False, serves="theirs"))[1]
    assert "Live      no release; the endpoint serves theirs" in body
    assert "nothing is live" not in render_text(a_card("failed", "stuck", live="", serves=""))[1]


def test_a_release_that_was_parked_for_a_moving_endpoint_is_not_told_to_ask_for_capacity_alone() -> None:
    assert "what the reason asks for" in render_text(a_card("parked", "somebody else changes it"))[1]


def test_only_what_was_judged_is_said_to_have_been_judged() -> None:
    verdict = a_verdict()
    shown = [{**one, "observed_only": one["metric"] == "slow"} for one in verdict["metrics"]]
    errors = not_covered(a_card("promoted", "all", record=a_record(verdict={**verdict, "metrics": shown})))[0]
    nothing = not_covered(a_card("rolled_back", "blind", record=a_record(verdict={**verdict, "metrics": []})))[0]
    assert "counts of failures were judged" in errors
    assert "nothing was judged" in nothing
