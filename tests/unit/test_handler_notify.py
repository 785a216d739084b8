"""Notify: the outcome's message goes out once, at most twice under any one fault, and never not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from modeldrop.aws import steps
from modeldrop.clock import now
from modeldrop.errors import TransientError
from modeldrop.handlers import notify
from tests.unit.aws_builders import Calls, KilledError, World, a_release, a_world, an_error, killed_at, run

ONE = a_release(1)
MESSAGE = {"subject": "modeldrop FAILED sentiment", "body": "why", "severity": "critical"}
# a state's tries of one function, and the runs that Reconcile starts
TRIES = 8
Fault = Callable[[int, str], BaseException | None]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(notify, "MARK_PAUSES_SECONDS", (0.0, 0.0, 0.0))
    with a_world(monkeypatch) as made:
        with_outcome(made)
        yield made


def with_outcome(world: World) -> None:
    world.table.create(ONE)
    world.table.finish(replace(ONE, outcome="failed", evidence={"outcome": "failed"}), MESSAGE)


def try_again_and_again(world: World) -> None:
    """Call Notify as the workflow does, until it ends well, and then as one more run does."""
    for _ in range(TRIES):
        try:
            run(notify.handler, endpoint="sentiment", release=ONE.release)
            break
        except (Exception, KilledError):
            continue
    try:
        run(notify.handler, endpoint="sentiment", release=ONE.release)
    except Exception:
        return


def befalls(world: World, *, before: Fault | None = None, after: Fault | None = None) -> None:
    nothing = Calls()
    vars(world.calls).update(made=[], before=before or nothing.before, after=after or nothing.after)


def every(name: str, error: Callable[[], BaseException]) -> Fault:
    return lambda _, called: error() if called == name else None


def an_outcome(world: World) -> tuple[int, bool]:
    return len(world.topic.sent), world.table.outbox("sentiment", ONE.release) is None


def test_the_message_is_sent_once_and_marked(world: World) -> None:
    assert run(notify.handler, endpoint="sentiment", release=ONE.release) == {"sent": True}
    assert run(notify.handler, endpoint="sentiment", release=ONE.release) == {"sent": False}
    (message,) = world.topic.sent
    assert (message["Subject"], message["Message"]) == (MESSAGE["subject"], "why")
    assert message["MessageAttributes"]["dedupe_id"]["StringValue"] == ONE.release
    assert an_outcome(world) == (1, True)
    assert [one["DetailType"] for one in world.bus.put] == ["Release Outcome"]


def test_a_release_without_an_outcome_tells_nothing(world: World) -> None:
    other = a_release(2)
    world.table.create(other)
    assert run(notify.handler, endpoint="sentiment", release=other.release) == {"sent": False}
    assert (world.topic.sent, world.bus.put) == ([], [])


@pytest.mark.parametrize("after", [False, True])
def test_a_death_at_any_call_sends_it_once_or_twice(monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    with a_world(monkeypatch) as world:
        with_outcome(world)
        run(notify.handler, endpoint="sentiment", release=ONE.release)
    total = len(world.calls.made)
    assert total >= 6
    for number in range(total):
        with a_world(monkeypatch) as fresh:
            with_outcome(fresh)
            befalls(fresh, **killed_at(number, after=after))
            try_again_and_again(fresh)
            sent, marked = an_outcome(fresh)
            assert sent in (1, 2), f"died at call {number}"
            assert marked
            assert fresh.bus.put


ALWAYS = {
    "its answer is lost": every("sns.publish", lambda: ReadTimeoutError(endpoint_url="sns")),
    "it is AWS's own failure, after it was taken": every("sns.publish", lambda: an_error("Internal", 500)),
    "the function dies after it": every("sns.publish", KilledError),
}


@pytest.mark.parametrize("fault", ALWAYS)
def test_a_fault_that_lasts_sends_it_twice(world: World, fault: str) -> None:
    befalls(world, after=ALWAYS[fault])
    for _ in range(3):
        try_again_and_again(world)
    assert len(world.topic.sent) == 2


def test_marks_that_are_refused_for_long_let_it_be_sent_twice(world: World) -> None:
    def refused(_: int, name: str) -> BaseException | None:
        made = world.calls.made[::-1]
        marks = "sns.publish" in made and made.index("sns.publish") <= 3 and name == "dynamodb.update_item"
        return an_error("AccessDenied", 403) if marks else None

    befalls(world, before=refused)
    for _ in range(6):
        run(notify.handler, endpoint="sentiment", release=ONE.release)
    assert an_outcome(world) == (2, False)


def test_a_mark_that_fails_sends_it_no_second_time_in_the_same_execution(world: World) -> None:
    befalls(world, before=lambda number, name: an_error("Internal", 500) if number in MARKS else None)
    run(notify.handler, endpoint="sentiment", release=ONE.release)
    assert world.calls.made[3] == "sns.publish"
    assert an_outcome(world) == (1, False)
    befalls(world)
    try_again_and_again(world)
    assert an_outcome(world) == (2, True)


# record, outbox, begin, publish, then three tries to mark
MARKS = (4, 5, 6)


@pytest.mark.parametrize(
    "error",
    [
        lambda: an_error("Throttled", 400),
        lambda: an_error("AuthorizationError", 403),
        lambda: ConnectTimeoutError(endpoint_url="sns"),
    ],
)
def test_a_refusal_is_tried_as_often_as_it_takes(world: World, error: Callable[[], BaseException]) -> None:
    befalls(world, before=every("sns.publish", error))
    try_again_and_again(world)
    assert an_outcome(world) == (0, False)
    befalls(world)
    try_again_and_again(world)
    assert an_outcome(world) == (1, True)


def test_a_long_outage_still_ends_in_a_message(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    befalls(world, before=every("sns.publish", lambda: an_error("Internal", 500)))
    try_again_and_again(world)
    befalls(world)
    try_again_and_again(world)
    assert an_outcome(world) == (0, False)
    monkeypatch.setattr(steps, "now", lambda: now() + timedelta(minutes=15))
    try_again_and_again(world)
    assert an_outcome(world) == (1, True)


def test_two_functions_at_once_send_it_twice_at_most(world: World) -> None:
    inside = iter([True])

    def another_comes(_: int, name: str) -> None:
        if name == "sns.publish" and next(inside, False):
            run(notify.handler, endpoint="sentiment", release=ONE.release)

    befalls(world, before=another_comes)
    run(notify.handler, endpoint="sentiment", release=ONE.release)
    assert an_outcome(world) == (2, True)


def test_an_event_bus_that_is_down_keeps_nobody_from_the_message_and_is_told_later(world: World) -> None:
    befalls(world, before=every("events.put_events", lambda: an_error("InternalFailure", 500)))
    try_again_and_again(world)
    assert an_outcome(world) == (1, True)
    assert world.bus.put == []
    befalls(world)
    try_again_and_again(world)
    assert len(world.bus.put) == 1


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure"])
def test_an_entry_that_the_bus_throttles_is_put_later(world: World, code: str) -> None:
    world.bus.refuses = code
    with pytest.raises(TransientError):
        run(notify.handler, endpoint="sentiment", release=ONE.release)
    world.bus.refuses = ""
    run(notify.handler, endpoint="sentiment", release=ONE.release)
    assert an_outcome(world) == (1, True)
    assert len(world.bus.put) == 1


def test_an_event_that_is_refused_is_not_tried_again(world: World) -> None:
    befalls(world, before=every("events.put_events", lambda: an_error("ValidationException", 400)))
    assert run(notify.handler, endpoint="sentiment", release=ONE.release) == {"sent": True}
    befalls(world)
    run(notify.handler, endpoint="sentiment", release=ONE.release)
    assert world.bus.put == []
