"""Blue and green told apart in CloudWatch, period by period: for the judge, and for whoever looks on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from modeldrop.aws import measurements
from modeldrop.aws.measurements import Scope
from modeldrop.judge.bins import Bin, blue_of
from modeldrop.rollout.model import RolloutPlan

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient


@dataclass(frozen=True)
class Fleets:
    """The fleets of an endpoint by their endpoint configs. blue: empty where green is alone."""

    endpoint: str
    green: str
    blue: str

    @property
    def scopes(self) -> dict[str, Scope]:
        """Return whose metrics are read: green's, and with a blue its own and those of all traffic."""
        green = {"green": Scope(self.endpoint, self.green)}
        return green | {"blue": Scope(self.endpoint, self.blue), "all": Scope(self.endpoint)} if self.blue else green


def fleets_of(plan: RolloutPlan) -> Fleets:
    """Return the fleets of a rollout."""
    return Fleets(plan.endpoint, green=plan.release, blue=plan.previous_config)


def bins_between(
    cloudwatch: CloudWatchClient,
    fleets: Fleets,
    begin: datetime,
    end: datetime,
    period_seconds: int,
    slow_ms: float | None,
) -> list[Bin]:
    """Return a bin for each period of [begin, end), whose counts of blue and green are of that same period.

    begin, end: whole periods; the end at most `closed_until`, for later periods are counted in part only.
    """
    if end <= begin:
        return []
    counts = measurements.counts(cloudwatch, fleets.scopes, begin, end, period_seconds, slow_ms)
    bins = []
    for number in range(int((end - begin).total_seconds()) // period_seconds):
        start = begin + timedelta(seconds=number * period_seconds)
        whole, own, green = (counts.get(name, {}).get(start) for name in ("all", "blue", "green"))
        bins.append(Bin(start, period_seconds, blue_of(own, whole, green), green))
    return bins
