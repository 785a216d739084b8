"""Every way a release can end, on the virtual clock: the shipped state machine, handlers and template, no waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from modeldrop.release.record import ReleaseRecord
from tests.faults.invariants import Watch, in_the_end, outcome_messages
from tests.faults.matrix import REST_SECONDS, play, prepared
from tests.faults.stories import ENDPOINT, STORIES, Play, Story, nothing, one_release, policy
from tests.faults.world import APPROVED, resources


@pytest.mark.parametrize("name", sorted(STORIES))
def test_a_story_in_which_nothing_goes_wrong_ends_as_it_should(name: str) -> None:
    assert play(STORIES[name]).violations == ()


@contextmanager
def told(before: Callable[[Play], None] = one_release) -> Iterator[Play]:
    """Begin a story; at its end nothing may be left or untrue."""
    story = Story("own", before, nothing)
    with prepared(story) as own:
        watch = Watch(own)
        own.world.watchers.append(watch)
        yield own
        own.world.run(REST_SECONDS)
        assert [*watch.found, *in_the_end(story, own, passing=True, at_most=1)] == []


def ended(own: Play, release: str) -> ReleaseRecord:
    own.end()
    record = own.record(release)
    assert record is not None
    assert len(outcome_messages(own, release)) == 1
    return record


def test_an_abort_before_the_canary_rolls_back_and_names_who() -> None:
    with told() as own:
        release = own.drop("good", 2, "aborted")
        own.wait_for_phase(release, "rolling_out")
        own.table.request_abort(ENDPOINT, release, "arn:aws:iam::1:user/op")
        assert "aborted by arn:" in ended(own, release).reasons[0]


def test_a_green_that_nobody_asked_is_not_promoted() -> None:
    with told() as own:
        own.world.requests_a_tick = 0
        release = own.drop("good", 2, "rolled_back", text=policy(on_blind="rollback"))
        assert "green had 0 requests" in ended(own, release).reasons[0]


def test_doubt_is_rolled_back_in_time_where_the_policy_says_so() -> None:
    with told() as own:
        own.world.requests_a_tick = 4
        release = own.drop("good", 2, "rolled_back", text=policy(on_inconclusive="rollback", bake="4m"))
        assert "inconclusive at the end of the bake" in ended(own, release).reasons[0]


def test_no_capacity_parks_the_release() -> None:
    with told() as own:
        release = own.drop("no_capacity", 2, "parked")
        assert "InsufficientInstanceCapacity" in ended(own, release).reasons[0]


def test_a_container_that_dies_is_rolled_back_with_the_reason() -> None:
    with told() as own:
        release = own.drop("crash", 2, "rolled_back")
        assert "ping health check" in ended(own, release).reasons[0]


def test_a_function_that_throws_at_every_look_ends_the_rollout_and_says_why() -> None:
    with told() as own:
        release = own.drop("good", 2, "failed")
        own.wait_for_phase(release, "canary")
        own.world.buckets.put(APPROVED, f"reports/{ENDPOINT}/{release}/bins.jsonl", b"this is no bin\n")
        assert "line 1" in " ".join(ended(own, release).reasons)


def test_a_killed_workflow_is_finished_by_another() -> None:
    with told() as own:
        release = own.drop("good", 2, "failed")
        own.wait_for_phase(release, "canary")
        own.world.executions[release].stop("ABORTED", "Killed", "by a test")
        assert ended(own, release).reasons[0]


def test_only_the_last_good_releases_are_kept() -> None:
    with told() as own:
        releases = [own.settled("good", number) for number in (2, 3, 4)]
        own.world.run(REST_SECONDS)
        assert [one.name for one in own.world.hosting.registry.configs.values()] == releases[1:]


def test_a_newer_drop_ends_the_wait_for_approval_of_an_older_one() -> None:
    with told() as own:
        older = own.drop("good", 2, "superseded", text=policy(approval="before_rollout"))
        own.wait_for_phase(older, "approving")
        assert "owner" not in own.world.tables.item(ENDPOINT, "#lease")
        newer = own.drop("good", 3, "promoted", text=policy())
        assert newer in ended(own, older).reasons[0]


def test_an_approval_that_nobody_gives_ends_in_a_day() -> None:
    with told() as own:
        release = own.drop("good", 2, "aborted", text=policy(approval="before_rollout"))
        assert own.wait_for(lambda: own.has_ended(release), 26 * 3600)
        assert "24 hours" in ended(own, release).reasons[0]


FUNCTIONS = frozenset(name for name, one in resources().items() if one["Type"] == "AWS::Serverless::Function")


@pytest.mark.parametrize("kind", ["good", "bad"])
def test_a_rollout_of_which_every_function_is_dead_is_rolled_back_by_the_heartbeat(kind: str) -> None:
    with told() as own:
        before = own.world.hosting.endpoints[ENDPOINT].config
        release = own.drop(kind, 2, "rolled_back")
        own.wait_for_phase(release, "canary")
        own.world.unreachable = FUNCTIONS
        own.world.run(900)
        assert own.world.hosting.endpoints[ENDPOINT].config == before
        assert own.world.hosting.endpoints[ENDPOINT].pending is None
        own.world.unreachable = frozenset()
        assert "nobody was judging" in ended(own, release).reasons[0]


def test_an_abort_needs_no_judge() -> None:
    with told() as own:
        release = own.drop("good", 2, "aborted")
        own.wait_for_phase(release, "canary")
        own.world.unreachable = FUNCTIONS
        own.table.request_abort(ENDPOINT, release, "arn:aws:iam::1:user/op")
        own.world.run(900)
        assert own.world.hosting.endpoints[ENDPOINT].config != release
        own.world.unreachable = frozenset()
        assert "aborted by arn:" in ended(own, release).reasons[0]
