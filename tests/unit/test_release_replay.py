"""An older signed model does not come back by itself."""

from __future__ import annotations

from modeldrop.release.record import ReleaseRecord
from modeldrop.release.replay import replayed


def a_release(order: str, digest: str) -> ReleaseRecord:
    artifact = {"signature": {"digest": digest}} if digest else {}
    return ReleaseRecord("e", f"e-{order}", "bucket", "e/model.tar.gz", "v", order=order, artifact=artifact)


ONE, TWO, THREE = a_release("1", "one"), a_release("2", "two"), a_release("3", "three")
KNOWN = [THREE, TWO, ONE]


def test_a_replayed_older_version_is_found() -> None:
    assert replayed("one", THREE, KNOWN) == ONE


def test_a_version_that_never_went_live_is_a_replay_too() -> None:
    assert replayed("two", THREE, KNOWN) == TWO


def test_a_new_model_is_no_replay() -> None:
    assert replayed("four", THREE, KNOWN) is None


def test_the_live_model_may_be_dropped_again() -> None:
    assert replayed("three", THREE, [*KNOWN, a_release("0", "three")]) is None


def test_what_was_parked_after_the_live_one_came_may_be_dropped_again() -> None:
    assert replayed("three", TWO, KNOWN) is None


def test_on_a_new_endpoint_nothing_is_older() -> None:
    assert replayed("one", None, KNOWN) is None


def test_releases_that_were_never_signed_do_not_count() -> None:
    assert replayed("one", a_release("3", ""), [a_release("1", "")]) is None
