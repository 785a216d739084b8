"""Whether to ask for a roll back: the judge's verdict, an operator's word, and the policy for doubt and blindness."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

OnDoubt = Literal["promote", "rollback"]


@dataclass(frozen=True)
class Look:
    """What one look knows when it decides.

    outcome, reason: the verdict's. green_requests: judged so far. canary_ends, rollout_ends: when the bake that is
    going on ends and when promotion can't be stopped any more; None while that is not known yet. notice: how long
    before an end a roll back must be asked for to take effect.
    """

    now: datetime
    outcome: Literal["bad", "safe", "inconclusive", "blind"]
    reason: str
    green_requests: int
    min_green: int
    on_inconclusive: OnDoubt
    on_blind: OnDoubt
    notice: timedelta
    canary_ends: datetime | None = None
    rollout_ends: datetime | None = None
    aborted_by: str = ""
    latched: str = ""


def reason_to_roll_back(look: Look) -> str:
    """Return why the verdict alarm must fire, or nothing. What was once decided stays decided (latched)."""
    if look.latched:
        return look.latched
    if look.aborted_by:
        return f"aborted by {look.aborted_by}"
    if look.outcome == "bad":
        return look.reason
    if look.outcome == "blind" and look.on_blind == "rollback":
        return look.reason
    if (
        look.on_inconclusive == "rollback"
        and look.outcome == "inconclusive"
        and _late(look.now, look.canary_ends, look)
    ):
        return f"inconclusive at the end of the bake, and the policy says rollback: {look.reason}"
    few = look.green_requests < look.min_green
    if few and look.on_blind == "rollback" and _late(look.now, look.rollout_ends, look):
        return f"green had {look.green_requests} requests; the policy promotes nothing below {look.min_green}"
    return ""


def _late(now: datetime, end: datetime | None, look: Look) -> bool:
    return end is not None and now >= end - look.notice
