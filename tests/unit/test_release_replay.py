"""A signed model that was dropped before the live one came is a replay."""

from __future__ import annotations

from modeldrop.release.record import ReleaseRecord
from modeldrop.release.replay import is_replayed


def a_live_release(order: str, digest: str) -> ReleaseRecord:
    artifact = {"signature": {"digest": digest}} if digest else {}
    return ReleaseRecord("e", f"r{order}", "b", "k", "v", order=order, artifact=artifact)


LIVE = a_live_release("3", "three")


def test_a_model_that_came_before_the_live_one_is_a_replay() -> None:
    assert is_replayed("one", "1", LIVE)


def test_a_model_that_came_first_after_the_live_one_is_none() -> None:
    assert not is_replayed("four", "4", LIVE)


def test_the_live_model_may_be_dropped_again() -> None:
    assert not is_replayed("three", "0", LIVE)


def test_where_nothing_is_live_nothing_is_replayed() -> None:
    assert not is_replayed("one", "1", None)


def test_a_live_model_without_a_signature_has_an_order_too() -> None:
    assert is_replayed("one", "1", a_live_release("3", ""))
