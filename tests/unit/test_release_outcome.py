"""How a release ends."""

from __future__ import annotations

from typing import Any

import pytest

from modeldrop.release.observe import ABSENT, EndpointView
from modeldrop.release.outcome import EndFacts, decide_ending


def an_endpoint(status: str = "InService", config: str = "old", reason: str = "") -> EndpointView:
    return EndpointView(status, config, "", reason, 2, 2, ())


def an_end(**overrides: Any) -> EndFacts:
    values: dict[str, Any] = {
        "endpoint": an_endpoint(),
        "started": True,
        "first_release": False,
        "target": "new",
        "previous": "old",
    }
    return EndFacts(**(values | overrides))


def outcome(**overrides: Any) -> str:
    return decide_ending(an_end(**overrides)).outcome


def test_success_needs_the_target_config() -> None:
    assert outcome(endpoint=an_endpoint(config="new")) == "promoted"
    assert outcome(endpoint=an_endpoint(config="old")) == "rolled_back"


def test_a_third_config_is_neither_promoted_nor_rolled_back() -> None:
    assert outcome(endpoint=an_endpoint(config="somebody-elses")) == "failed"


@pytest.mark.parametrize("status", ["UpdateRollbackFailed", "OutOfService", "Failed"])
def test_a_broken_endpoint_is_failed_with_what_is_left(status: str) -> None:
    ending = decide_ending(an_end(endpoint=an_endpoint(status, "old", "why")))
    assert ending.outcome == "failed"
    assert "why" in ending.reasons[0]
    assert "old" in ending.reasons[1]


def test_no_capacity_is_parked_not_failed() -> None:
    text = "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error."
    assert outcome(failure_reason=text) == "parked"
    assert outcome(endpoint=an_endpoint("Failed", "new", text), first_release=True, previous="") == "parked"


def test_a_silent_judge_is_told_as_nobody_was_judging() -> None:
    ending = decide_ending(an_end(alarms=("r-heartbeat",)))
    assert ending.outcome == "rolled_back"
    assert "nobody was judging" in ending.reasons[0]


def test_an_abort_names_who() -> None:
    ending = decide_ending(an_end(aborted_by="ada", alarms=("r-verdict",), verdict_reason="aborted by ada"))
    assert ending.outcome == "aborted"
    assert "ada" in ending.reasons[0]


def test_the_verdict_is_the_reason_when_its_alarm_fired() -> None:
    ending = decide_ending(an_end(alarms=("r-verdict",), verdict_reason="errors 9x blue"))
    assert ending.reasons == ("errors 9x blue",)


def test_a_defect_after_success_does_not_hide_that_the_model_is_live() -> None:
    ending = decide_ending(an_end(endpoint=an_endpoint(config="new"), error="KeyError", message="x"))
    assert ending.outcome == "promoted"
    assert any("KeyError" in reason for reason in ending.reasons)


def test_a_defect_that_was_rolled_back_is_failed() -> None:
    ending = decide_ending(an_end(error="KeyError", message="x"))
    assert ending.outcome == "failed"
    assert ending.reasons[1] == "the old model (old) serves all traffic again"


def test_the_old_model_is_untouched_where_no_rollout_began() -> None:
    ending = decide_ending(an_end(error="KeyError", message="x", started=False))
    assert ending.reasons[1] == "the old model (old) is untouched"
    ending = decide_ending(an_end(error="KeyError", message="x", began=False))
    assert ending.reasons[1] == "the old model (old) is untouched"


def test_the_old_model_is_not_called_untouched_while_traffic_moves() -> None:
    seen = EndpointView("Updating", "old", "new", "", 2, 2, ())
    ending = decide_ending(an_end(endpoint=seen, error="KeyError", message="x", waited="9 h"))
    assert ending.outcome == "failed"
    told = " ".join(ending.reasons)
    assert "untouched" not in told
    assert "Updating on config old, on its way to new: traffic may still move" in told
    assert "its rollback alarms are left to work" in told


def test_a_first_release_that_never_rests_has_no_alarms_to_leave() -> None:
    seen = EndpointView("Creating", "new", "", "", 0, 2, ())
    ending = decide_ending(an_end(endpoint=seen, first_release=True, previous="", waited="9 h"))
    assert "alarms" not in " ".join(ending.reasons)


def test_nobody_was_judging_only_where_a_rollout_began() -> None:
    ending = decide_ending(an_end(began=False, alarms=("r-heartbeat",), error="ClientError", message="throttled"))
    assert ending.outcome == "failed"
    assert "nobody was judging" not in " ".join(ending.reasons)
    ending = decide_ending(an_end(began=False, alarms=("r-heartbeat",)))
    assert ending.outcome == "failed"
    assert "not seen to begin" in ending.reasons[0]


def test_an_alarm_without_a_rollout_is_no_verdict_on_the_model() -> None:
    assert outcome(began=False, alarms=("r-verdict",), verdict_reason="bad") == "failed"


def test_a_rejection_tells_what_is_left_where_a_rollout_had_begun() -> None:
    ending = decide_ending(an_end(error="ParkedError", message="no quota"))
    assert ending.outcome == "parked"
    assert ending.reasons == ("no quota", "the old model (old) serves all traffic again")


@pytest.mark.parametrize(
    ("golden", "told"),
    [
        ({"golden_asked": 3, "golden_known": 3}, "answers its golden requests"),
        ({}, "there are no golden requests, so no answer was asked for"),
        ({"golden_asked": 20, "golden_known": 30}, "answers 20 golden requests; the other 10 were not asked"),
        ({"golden_known": 3}, "none of its 3 golden requests was asked"),
        ({"golden_known": 3, "golden_unasked": "AccessDenied"}, "could not be asked: AccessDenied"),
    ],
)
def test_answers_are_told_where_they_were_asked_for(golden: dict[str, Any], told: str) -> None:
    ending = decide_ending(an_end(endpoint=an_endpoint(config="new"), first_release=True, previous="", **golden))
    assert ending.outcome == "created"
    assert told in ending.reasons[0]


def test_a_rejection_before_the_rollout_touches_nothing() -> None:
    facts = {"error": "ArtifactRejectedError", "message": "a link", "started": False}
    assert outcome(**facts) == "rejected"
    assert outcome(**facts, endpoint=ABSENT, first_release=True, previous="") == "rejected"


def test_a_first_release_that_answers_wrongly_is_rejected() -> None:
    facts = {"endpoint": an_endpoint(config="new"), "first_release": True, "previous": ""}
    assert outcome(**facts) == "created"
    assert outcome(**facts, golden_problem="label: expected a, found b") == "rejected"


def test_a_workflow_that_ends_without_a_word_is_failed() -> None:
    assert outcome(started=False) == "failed"


def test_a_judge_that_died_is_told_as_nobody_was_judging_also_when_the_workflow_noticed() -> None:
    ending = decide_ending(an_end(error="Lambda.TooManyRequestsException", message="Rate", alarms=("r-heartbeat",)))
    assert ending.outcome == "rolled_back"
    assert "nobody was judging" in ending.reasons[0]
    assert "Lambda.TooManyRequestsException" in ending.reasons[1]


def test_an_abort_with_a_dead_judge_still_names_who() -> None:
    ending = decide_ending(an_end(error="Lambda.TooManyRequestsException", aborted_by="ada", alarms=("r-verdict",)))
    assert ending.outcome == "aborted"
    assert "ada" in ending.reasons[0]
