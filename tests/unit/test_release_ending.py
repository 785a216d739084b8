"""What a release that ends may touch: a table of scenes for each act."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from modeldrop.release.ending import (
    Scene,
    may_delete_alarms,
    may_delete_endpoint,
    may_delete_model,
    may_touch_scaling,
    moves_for,
    must_wait,
    wait_seconds,
)
from modeldrop.release.observe import ABSENT, EndpointView

MOVING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


def an_endpoint(status: str = "InService", config: str = "old", pending: str = "") -> EndpointView:
    return EndpointView(status, config, pending, "", 2, 2, ())


def a_scene(seen: EndpointView, **overrides: Any) -> Scene:
    values: dict[str, Any] = {"previous": "old", "started": True, "holds_lease": True, "owner": "new"}
    return Scene("new", seen, **(values | overrides))


def a_first(seen: EndpointView, **overrides: Any) -> Scene:
    return a_scene(seen, **({"first_release": True, "previous": ""} | overrides))


@pytest.mark.parametrize("status", MOVING)
@pytest.mark.parametrize(
    ("config", "pending", "started", "moves"),
    [
        ("old", "new", True, True),
        ("old", "new", False, True),  # the call was answered, the note of it was lost
        ("old", "other", True, False),
        ("new", "other", True, False),  # a later release replaces us
        ("new", "", True, True),
        ("old", "", True, True),  # SageMaker does not say whose it is: it may be ours
        ("old", "", False, False),
    ],
)
def test_whose_movement_it_is(status: str, config: str, pending: str, started: bool, moves: bool) -> None:
    assert moves_for("new", an_endpoint(status, config, pending), started=started) is moves


@pytest.mark.parametrize("seen", [ABSENT, an_endpoint(), an_endpoint("Failed", "new")])
def test_what_rests_moves_for_nobody(seen: EndpointView) -> None:
    assert not moves_for("new", seen, started=True)


@pytest.mark.parametrize(
    ("seen", "overrides", "waits"),
    [
        (an_endpoint("Updating", "old", "new"), {}, True),
        (an_endpoint("Updating", "old", "new"), {"started": False, "holds_lease": False}, True),
        (an_endpoint("Updating", "old", ""), {}, True),
        (an_endpoint("Updating", "new", ""), {}, True),
        (an_endpoint("Updating", "old", "other"), {}, True),
        (an_endpoint("Updating", "old", "other"), {"started": False, "holds_lease": False}, False),
        (an_endpoint("Updating", "old", ""), {"started": False}, False),
        (an_endpoint(), {"holds_lease": False}, True),  # another release may be about to move it
        (an_endpoint(), {}, False),
        (an_endpoint(), {"started": False, "holds_lease": False}, False),
        (an_endpoint("Failed", "new"), {}, False),
        (ABSENT, {}, False),
        # a description that may be from before the deployment was taken
        (an_endpoint(), {"since_start": timedelta(seconds=59)}, True),
        (an_endpoint(), {"since_start": timedelta(seconds=60)}, False),
        (an_endpoint("InService", "new"), {"since_start": timedelta(seconds=1)}, False),
    ],
)
def test_what_is_waited_for(seen: EndpointView, overrides: dict[str, Any], waits: bool) -> None:
    assert must_wait(a_scene(seen, **overrides)) is waits


@pytest.mark.parametrize(
    ("seen", "started", "may"),
    [
        (an_endpoint("Updating", "old", "new"), True, False),
        (an_endpoint("RollingBack", "old", "new"), True, False),
        (an_endpoint("Updating", "old", "new"), False, False),
        (an_endpoint("Updating", "old", ""), True, False),
        (an_endpoint("Updating", "new", ""), True, False),
        (an_endpoint("Updating", "new", "other"), True, False),
        (an_endpoint("Updating", "old", "other"), True, True),
        (an_endpoint("Updating", "old", ""), False, True),
        (an_endpoint(), True, True),
        (an_endpoint(config="new"), True, True),
        (an_endpoint("InService", "old", "new"), True, False),
        (an_endpoint("UpdateRollbackFailed", "old"), True, True),
        (ABSENT, True, True),
    ],
)
def test_alarms_stand_while_traffic_may_move(seen: EndpointView, started: bool, may: bool) -> None:
    assert may_delete_alarms(a_scene(seen, started=started)) is may


@pytest.mark.parametrize(
    ("seen", "kept", "may"),
    [
        (an_endpoint(), (), True),
        (an_endpoint(), ("old", "older"), True),
        (ABSENT, (), True),
        (an_endpoint(), ("new",), False),
        (an_endpoint(config="new"), (), False),
        (an_endpoint("InService", "old", "new"), (), False),
        (an_endpoint("Updating", "old", "other"), (), False),
        (an_endpoint("Updating", "old", "new"), (), False),
        (an_endpoint("Failed", "new"), (), False),
        (an_endpoint("UpdateRollbackFailed", "old"), (), False),
    ],
)
def test_a_model_is_deleted_when_it_can_not_serve(seen: EndpointView, kept: tuple[str, ...], may: bool) -> None:
    assert may_delete_model(a_scene(seen, kept=frozenset(kept))) is may
    assert may_delete_model(a_scene(seen, kept=frozenset(kept), holds_lease=False, started=False)) is may


@pytest.mark.parametrize(
    ("overrides", "may"),
    [
        ({}, True),
        ({"seen": an_endpoint("Failed", "new")}, True),
        ({"seen": an_endpoint("Creating", "new")}, False),
        ({"seen": an_endpoint("Deleting", "new")}, False),
        ({"seen": an_endpoint(config="other")}, False),  # the blocker: a late recovery, and another release is live
        ({"seen": an_endpoint("InService", "new", "other")}, False),
        ({"seen": ABSENT}, False),
        ({"holds_lease": False}, False),
        ({"first_release": False}, False),
        ({"started": False}, False),
        ({"owner": "other"}, False),
        ({"owner": ""}, False),
        ({"kept": frozenset({"new"})}, False),
        ({"kept": frozenset({"gone-since"})}, True),  # the endpoint was deleted by hand, and made anew by this release
    ],
)
def test_an_endpoint_is_deleted_by_the_release_that_made_it_only(overrides: dict[str, Any], may: bool) -> None:
    seen = overrides.pop("seen", an_endpoint(config="new"))
    assert may_delete_endpoint(a_first(seen, **overrides)) is may


@pytest.mark.parametrize(
    ("seen", "overrides", "may"),
    [
        (an_endpoint(config="old"), {}, True),
        (an_endpoint(config="new"), {}, True),
        (an_endpoint(config="other"), {}, False),  # the blocker's sibling: old bounds over a newer release's
        (an_endpoint(config="old"), {"holds_lease": False}, False),
        (an_endpoint(config="old"), {"started": False}, False),
        (an_endpoint("Updating", "old", "new"), {}, False),
        (an_endpoint("Failed", "old"), {}, False),
        (ABSENT, {"previous": ""}, False),
    ],
)
def test_scaling_is_touched_where_our_config_or_the_one_before_serves(
    seen: EndpointView, overrides: dict[str, Any], may: bool
) -> None:
    assert may_touch_scaling(a_scene(seen, **overrides)) is may


def test_waits_grow() -> None:
    assert [wait_seconds(waited) for waited in (0, 80, 10_000)] == [5, 20, 600]
