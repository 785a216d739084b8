"""What is read from DescribeEndpoint."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modeldrop.release.observe import (
    Passage,
    UnknownStatusError,
    advance,
    passage_from_json,
    passage_to_json,
    touches_shift,
    view,
)

T0 = datetime(2026, 11, 23, 20, 0, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def a_description(status: str = "InService", config: str = "old", **more: Any) -> dict[str, Any]:
    return {"EndpointStatus": status, "EndpointConfigName": config, "EndpointArn": "arn", **more}


def pending(*steps: tuple[str, float], config: str = "new") -> dict[str, Any]:
    statuses = [{"Status": status, "StartTime": at(seconds)} for status, seconds in steps]
    variants = [{"VariantName": "AllTraffic", "VariantStatus": statuses}]
    return {"PendingDeploymentSummary": {"EndpointConfigName": config, "ProductionVariants": variants}}


def test_in_service_on_the_old_config_is_not_success() -> None:
    seen = view(a_description("InService", "old"))
    assert seen.standing == "settled"
    assert not seen.serves("new")


def test_in_service_with_a_deployment_pending_still_moves() -> None:
    seen = view(a_description("InService", "new", **pending(("Baking", 0))))
    assert seen.standing == "moving"
    assert not seen.serves("new")


def test_an_unknown_status_is_an_error_not_health() -> None:
    with pytest.raises(UnknownStatusError):
        _ = view(a_description("Paused")).standing


def test_each_new_bake_is_counted_once() -> None:
    first = view(a_description("Updating", **pending(("ActivatingTraffic", 10), ("Baking", 12))))
    passage = advance(Passage(), first, at(5), at(15))
    passage = advance(passage, first, at(15), at(20))
    assert passage.bakes == (at(12),)
    assert passage.canary_started == at(12)
    second = view(a_description("Updating", **pending(("Baking", 45))))
    assert advance(passage, second, at(40), at(50)).bakes == (at(12), at(45))


def test_a_bin_in_which_traffic_moved_is_marked() -> None:
    seen = view(a_description("Updating", **pending(("ActivatingTraffic", 10), ("Baking", 12))))
    passage = advance(Passage(), seen, at(5), at(15))
    assert touches_shift(passage, at(10), at(20))
    assert not touches_shift(passage, at(20), at(30))
    assert not touches_shift(passage, at(0), at(10))


def test_a_shift_that_was_missed_may_have_happened_since_the_last_look() -> None:
    seen = view(a_description("Updating", **pending(("Baking", 42))))
    passage = advance(Passage(), seen, at(15), at(45))
    assert touches_shift(passage, at(20), at(30))
    assert not touches_shift(passage, at(0), at(10))


def test_a_shift_that_is_going_on_covers_now() -> None:
    seen = view(a_description("Updating", **pending(("ActivatingTraffic", 42))))
    passage = advance(Passage(), seen, at(40), at(45))
    assert touches_shift(passage, at(40), at(50))
    later = advance(passage, seen, at(45), at(55))
    assert later.shifts == ((at(42), at(55)),)


def test_a_passage_survives_the_record() -> None:
    seen = view(a_description("Updating", **pending(("ActivatingTraffic", 10), ("Baking", 12))))
    passage = advance(Passage(), seen, at(5), at(15))
    assert passage_from_json(passage_to_json(passage)) == passage
    assert passage_from_json({}) == Passage()


def test_nothing_is_judged_once_a_roll_back_has_begun() -> None:
    seen = view(a_description("Updating", **pending(("ActivatingTraffic", 10), ("Baking", 12))))
    passage = advance(Passage(), seen, at(5), at(15))
    passage = advance(passage, view(a_description("RollingBack")), at(30), at(35))
    assert not touches_shift(passage, at(15), at(25))
    assert touches_shift(passage, at(30), at(40))
    assert touches_shift(passage, at(60), at(70))
