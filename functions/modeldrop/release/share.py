"""Green's part of the traffic: as it is planned, and as it was counted in one closed metric period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from modeldrop.judge.bins import Bin
from modeldrop.release.observe import Passage, touches_shift
from modeldrop.rollout.model import RolloutPlan

# of fewer requests in a period chance alone makes any share
MIN_REQUESTS = 20


@dataclass(frozen=True)
class Share:
    """Green's part of the requests, as a fraction of 1; what is not known is None.

    planned: what the stage gives green; None while traffic moves. seen: what green had of both fleets' requests in the
    period that ended at `at`; both None before green has a period. moving: traffic moved in that period.
    """

    planned: float | None
    seen: float | None
    at: datetime | None
    moving: bool = False


def planned_share(plan: RolloutPlan, bake_number: int) -> float:
    """Return green's share in one bake; the first that is seen has the number 1."""
    return plan.strategy.stage(plan.instance_count, bake_number).green_share


def share_of(plan: RolloutPlan, passage: Passage, bins: Sequence[Bin]) -> Share:
    """Return green's share in the newest of these closed bins, beside what was planned for that period."""
    last = bins[-1] if bins else None
    if last is not None and touches_shift(passage, last.start, last.end):
        return Share(None, seen_share(last), last.end, moving=True)
    begun = sum(1 for bake in passage.bakes if last is not None and bake <= last.start)
    if last is None or not begun:
        return Share(planned_share(plan, len(passage.bakes)) if passage.bakes else None, None, None)
    return Share(planned_share(plan, begun), seen_share(last), last.end)


def seen_share(one: Bin) -> float | None:
    """Return green's part of the requests of one bin; None where a fleet has no data, or both have too few requests."""
    if one.blue is None or one.green is None:
        return None
    total = one.blue.requests + one.green.requests
    return one.green.requests / total if total >= MIN_REQUESTS else None
