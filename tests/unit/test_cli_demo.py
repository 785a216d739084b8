"""What the demo calls a success: expected outcomes, no failure but the bad canary's, no silence."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

from cli.demo.results import EXPECTED, Drop, Story
from cli.demo.traffic import Request, Seen, Traffic
from modeldrop.release.record import ReleaseRecord


def a_drop(name: str, at: float, **overrides: Any) -> Drop:
    fields: dict[str, Any] = {"outcome": EXPECTED[name], "reasons": ("because",), **overrides}
    record = ReleaseRecord("sentiment", f"sentiment-{name}", "bucket", "key", "version", **fields)
    return Drop(name, record.release, at, at + 50, record, None)


def a_story(**overrides: Any) -> Story:
    drops = tuple(a_drop(name, 100.0 * number) for number, name in enumerate(EXPECTED, 1))
    requests = tuple(Request(at=150 + 0.04 * number, milliseconds=5) for number in range(8000))
    story = Story(drops, Seen(requests), ("modeldrop CREATED sentiment",), {"total": 400.0})
    return replace(story, **overrides)


def with_failure(story: Story, at: float) -> Story:
    requests = (*story.seen.requests, Request(at, 5, "ModelError: 400"))
    return replace(story, seen=Seen(requests))


def test_a_story_as_expected_has_no_problems() -> None:
    assert a_story().problems() == []


def test_another_outcome_is_a_problem() -> None:
    story = a_story()
    wrong = (*story.drops[:2], a_drop("release-3", 300.0, outcome="promoted"), *story.drops[3:])
    assert replace(story, drops=wrong).problems() == ["release-3 is promoted, expected rolled_back: because"]


def test_a_drop_that_was_never_made_is_a_problem() -> None:
    story = a_story()
    assert replace(story, drops=story.drops[:1]).problems()[0] == "release-2 was not dropped"


def test_users_may_fail_on_the_bad_canary_only() -> None:
    assert with_failure(a_story(), at=320).problems() == []
    assert with_failure(a_story(), at=220).problems() == ["1 requests failed around release-2: ModelError: 400"]


def test_a_request_that_was_lost_on_the_way_is_not_excused_by_a_bad_canary() -> None:
    story = a_story()
    lost = Seen((*story.seen.requests, Request(320, 5, "InternalFailure: connection reset")))
    told = "1 requests failed without the model's doing: InternalFailure: connection reset"
    assert replace(story, seen=lost).problems() == [told]


def test_a_silence_is_a_problem_also_when_nothing_failed() -> None:
    story = a_story()
    silent = Seen(tuple(one for one in story.seen.requests if not 300 < one.at < 312))
    assert replace(story, seen=silent).problems() == ["users had no answer for 12.0 s"]


def test_nobody_asking_is_not_health() -> None:
    assert "users had no answer" in a_story(seen=Seen(())).problems()[0]


def test_percentiles_are_of_answered_requests() -> None:
    answered = [Request(float(number), float(number)) for number in range(1, 101)]
    seen = Seen((*answered, Request(1, 9999, "failed")))
    assert (seen.percentile_ms(50), seen.percentile_ms(99)) == (50.0, 99.0)


def test_no_requests_have_no_percentile() -> None:
    assert Seen(()).percentile_ms(99) is None


def test_the_users_process_leaves_no_pipe_open() -> None:
    said = '[[1, 2, ""]]'
    process = subprocess.Popen([sys.executable, "-c", f"print({said!r})"], stdout=subprocess.PIPE)
    with Traffic(process) as traffic:
        process.wait(10)
        assert traffic.stop().requests == (Request(1, 2, ""),)
    assert process.stdout is not None
    assert process.stdout.closed
