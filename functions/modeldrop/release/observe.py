"""What DescribeEndpoint says, as the few facts a rollout is steered by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Standing = Literal["absent", "moving", "settled", "broken"]

MOVING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
SETTLED = frozenset({"InService"})
BROKEN = frozenset({"OutOfService", "Failed", "UpdateRollbackFailed"})
# the texts SageMaker is known to give (issues of its users, facts/sagemaker.md)
CAPACITY_TEXTS = ("InsufficientInstanceCapacity", "Insufficient capacity", "ResourceLimitExceeded")


class UnknownStatusError(Exception):
    """SageMaker gave an endpoint status this program does not know; it must not be taken for health."""


@dataclass(frozen=True)
class VariantStep:
    """One status of the pending production variant and when it began."""

    status: str
    message: str
    started: datetime


@dataclass(frozen=True)
class EndpointView:
    """One endpoint at one moment.

    config: the config that serves; pending_config: the one a deployment in flight is going to, or empty.
    """

    status: str
    config: str
    pending_config: str
    failure_reason: str
    instance_count: int
    desired_count: int
    steps: tuple[VariantStep, ...]
    arn: str = ""

    @property
    def standing(self) -> Standing:
        """Say whether the endpoint moves, rests or is broken; UnknownStatusError for a new word."""
        if self.status == "":
            return "absent"
        if self.status in MOVING:
            return "moving"
        if self.status in SETTLED:
            # InService with a deployment still pending is the gap between two descriptions, not the end
            return "moving" if self.pending_config else "settled"
        if self.status in BROKEN:
            return "broken"
        raise UnknownStatusError(f"endpoint status {self.status!r} is not known")

    def serves(self, config: str) -> bool:
        """Say whether the endpoint is in service on this config and nothing is in flight: the only success there is."""
        return self.standing == "settled" and self.config == config

    @property
    def lacks_capacity(self) -> bool:
        """Say whether the last deployment ended for want of instances or quota."""
        return any(text in self.failure_reason for text in CAPACITY_TEXTS)


ABSENT = EndpointView("", "", "", "", 0, 0, ())


def view(description: Mapping[str, Any]) -> EndpointView:
    """Read a DescribeEndpoint answer."""
    variants: Sequence[Mapping[str, Any]] = description.get("ProductionVariants", ())
    pending: Mapping[str, Any] = description.get("PendingDeploymentSummary") or {}
    steps = [
        VariantStep(step["Status"], step.get("StatusMessage", ""), step["StartTime"])
        for variant in pending.get("ProductionVariants", ())
        for step in variant.get("VariantStatus", ())
        if "StartTime" in step
    ]
    return EndpointView(
        status=description["EndpointStatus"],
        config=description.get("EndpointConfigName", ""),
        pending_config=pending.get("EndpointConfigName", ""),
        failure_reason=description.get("FailureReason", "")[:1024],
        instance_count=sum(int(variant.get("CurrentInstanceCount", 0)) for variant in variants),
        desired_count=sum(int(variant.get("DesiredInstanceCount", 0)) for variant in variants),
        steps=tuple(sorted(steps, key=lambda step: step.started)),
        arn=description.get("EndpointArn", ""),
    )


@dataclass(frozen=True)
class Passage:
    """How far a rollout has come, gathered over the looks.

    bakes: when each bake began. shifts: (from, to) of each time traffic moved; a bin that touches one is not judged.
    """

    bakes: tuple[datetime, ...] = ()
    shifts: tuple[tuple[datetime, datetime], ...] = ()
    rolling_back_since: datetime | None = None

    @property
    def canary_started(self) -> datetime | None:
        """When green first kept traffic."""
        return self.bakes[0] if self.bakes else None


def advance(passage: Passage, seen: EndpointView, last_look: datetime, now: datetime) -> Passage:
    """Add what one look saw.

    SageMaker's status messages are prose, so bakes are counted, not read: each new `Baking` is the next one. When the
    `ActivatingTraffic` before it was missed, traffic may have moved at any time since the last look.
    """
    bakes, shifts = list(passage.bakes), list(passage.shifts)
    activating = [step.started for step in seen.steps if step.status == "ActivatingTraffic"]
    for step in seen.steps:
        if step.status == "Baking" and step.started not in bakes:
            before = [moment for moment in activating if moment <= step.started]
            begin = max(before) if before else min(last_look, step.started)
            bakes.append(step.started)
            shifts.append((begin, step.started))
    latest_bake = bakes[-1] if bakes else None
    open_shift = [moment for moment in activating if latest_bake is None or moment > latest_bake]
    if open_shift:
        shifts = [one for one in shifts if one[0] != open_shift[-1]] + [(open_shift[-1], now)]
    back = passage.rolling_back_since
    if back is None and seen.status == "RollingBack":
        back = now
        shifts.append((min(last_look, now), now))
    return Passage(tuple(bakes), tuple(shifts), back)


def touches_shift(passage: Passage, start: datetime, end: datetime) -> bool:
    """Say whether traffic moved in this bin, or may have: such a bin compares two different times.

    Once a roll back has begun nothing is compared any more: a green that is being taken away is not blind.
    """
    if passage.rolling_back_since is not None and end > passage.rolling_back_since:
        return True
    return any(begin < end and until >= start for begin, until in passage.shifts)


def passage_to_json(passage: Passage) -> dict[str, Any]:
    """Return the passage as JSON for the record."""
    back = passage.rolling_back_since
    return {
        "bakes": [moment.isoformat() for moment in passage.bakes],
        "shifts": [[begin.isoformat(), until.isoformat()] for begin, until in passage.shifts],
        "rolling_back_since": back.isoformat() if back else None,
    }


def passage_from_json(data: Mapping[str, Any]) -> Passage:
    """Read what `passage_to_json` wrote; an empty mapping is the passage before any look."""
    back = data.get("rolling_back_since")
    return Passage(
        tuple(datetime.fromisoformat(text) for text in data.get("bakes", ())),
        tuple((datetime.fromisoformat(a), datetime.fromisoformat(b)) for a, b in data.get("shifts", ())),
        datetime.fromisoformat(back) if back else None,
    )
