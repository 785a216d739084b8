"""What every strategy can say of itself: its stages, times, request to SageMaker, refusals and words.

SageMaker's deployment guardrails do the shifting (UpdateEndpoint, DeploymentConfig; developer guide, "Deployment
guardrails"). The strategies themselves are in policy.strategies.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from modeldrop.errors import Problem

# UpdateEndpoint: MaximumExecutionTimeoutInSeconds
MIN_EXECUTION_SECONDS, MAX_EXECUTION_SECONDS = 600, 28_800
# what a fleet may need before it takes traffic; rollout.requests gives SageMaker the last two as limits
PROVISIONING_SECONDS = 900
DOWNLOAD_SECONDS = 1_200
HEALTH_CHECK_SECONDS = 600
FLEET_SECONDS = PROVISIONING_SECONDS + DOWNLOAD_SECONDS + HEALTH_CHECK_SECONDS
# for the shifts themselves, and for what AWS does not document
RESERVE_SECONDS = 600

StagePhase = Literal["canary", "baking", "final_bake"]
Sections = Mapping[str, Mapping[str, Any]]


def whole_instances(fraction: float, instances: int) -> int:
    """Return a part of a fleet, rounded up as SageMaker does; 7% of 100 is 7, whatever the fraction's last digit."""
    return math.ceil(fraction * instances - 1e-9)


@dataclass(frozen=True)
class CapacitySize:
    """Part of a fleet: exactly `instances`, or the fraction `share`; one of the two is set."""

    instances: int | None = None
    share: float | None = None

    def of(self, instances: int) -> int:
        """Return the part of so many instances; SageMaker rounds a share up."""
        return self.instances if self.instances is not None else whole_instances(self.share or 0.0, instances)

    def __str__(self) -> str:
        """Write the size as a policy does."""
        return f"{self.share:.0%}" if self.instances is None else f"{self.instances}"


@dataclass(frozen=True)
class Stage:
    """Green gets its share of the traffic, as a fraction of 1, and then nothing moves for the bake."""

    green_share: float
    bake_seconds: int
    phase: StagePhase

    @property
    def has_blue(self) -> bool:
        """Say whether blue answers beside green, so that the two can be compared."""
        return self.green_share < 1


class Strategy(ABC):
    """What every strategy can say of itself. instances: of the green fleet, which its share counts from."""

    name: ClassVar[str]
    # the fields of rollout.yaml that set the bakes
    bake_field: ClassVar[str]
    all_bake_fields: ClassVar[str]
    # a fleet of one can have no part of it replaced first
    splits_the_fleet: ClassVar[bool] = True

    # What the policy and the records say.

    @classmethod
    @abstractmethod
    def from_sections(cls, sections: Sections) -> Self:
        """Read the strategy from rollout.yaml's sections, in which every default is filled in."""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the strategy's own part of what `strategy_to_json` wrote."""
        return cls(**document)

    @classmethod
    def from_older_record(cls, document: Mapping[str, Any]) -> Self:
        """Read a plan or policy that was written before strategies were values: a release may be on its way."""
        raise KeyError(cls.name)

    # How the traffic goes.

    @abstractmethod
    def stages(self, instances: int) -> tuple[Stage, ...]:
        """Return the stages in their order; in the last one all traffic is on green."""

    @abstractmethod
    def deployment(self, instances: int, timeout_seconds: int) -> dict[str, Any]:
        """Return the strategy's part of UpdateEndpoint's DeploymentConfig."""

    def first_share(self, instances: int) -> float:
        """Return green's share of the traffic when it first has any."""
        return self.stages(instances)[0].green_share

    def canary_instances(self, instances: int) -> int:
        """Return green's instances with traffic in the canary; 0 where there is no canary."""
        return 0

    def extra_instances(self, instances: int) -> int:
        """Return how many instances run beside blue at most."""
        return instances

    def instances_needed(self, instances: int, blue: int) -> int:
        """Return how many instances of one type run at once at most; blue: instances of that type that are live."""
        return blue + instances

    def compares(self, instances: int) -> bool:
        """Say whether there is a stage in which blue is beside green."""
        return any(stage.has_blue for stage in self.stages(instances))

    def decides_in_one_bake(self, instances: int) -> bool:
        """Say whether green goes from its first share to all of the traffic."""
        return sum(stage.has_blue for stage in self.stages(instances)) == 1

    # How long it takes.

    def first_bake_seconds(self, instances: int) -> int:
        """Return the first bake with blue beside green; 0 where there is none."""
        first = self.stages(instances)[0]
        return first.bake_seconds if first.has_blue else 0

    def final_bake_seconds_of(self, instances: int) -> int:
        """Return the bake with all traffic on green, before blue is gone."""
        return self.stages(instances)[-1].bake_seconds

    def longest_bake_seconds(self, instances: int) -> int:
        """Return how long alarms act on green at a stretch."""
        return max(stage.bake_seconds for stage in self.stages(instances))

    def waits_seconds(self, instances: int) -> int:
        """Return the sum of the waits that SageMaker makes, which its own timeout must exceed."""
        return sum(stage.bake_seconds for stage in self.stages(instances))

    def fleets_started(self, instances: int) -> int:
        """Return how often SageMaker provisions instances, one after the other."""
        return 1

    def execution_timeout_seconds(self, instances: int) -> int:
        """Return MaximumExecutionTimeoutInSeconds: waits, time for each fleet and the reserve, bounded."""
        fleets = self.fleets_started(instances) * FLEET_SECONDS
        wanted = self.waits_seconds(instances) + fleets + RESERVE_SECONDS
        return max(MIN_EXECUTION_SECONDS, min(MAX_EXECUTION_SECONDS, wanted))

    # Where a rollout is. A bake of 0 s is never seen.

    def stage(self, instances: int, bakes_seen: int) -> Stage:
        """Return the stage whose bake was seen last."""
        visible = self._visible_stages(instances)
        return visible[min(bakes_seen, len(visible)) - 1]

    def may_be_last(self, instances: int, bakes_seen: int, seconds_since_first: float) -> bool:
        """Say whether the bake that was seen last may be the final one.

        A look that came too late misses a bake. So the final one is taken to have begun once it can have.
        """
        visible = self._visible_stages(instances)
        earliest = sum(stage.bake_seconds for stage in visible[:-1])
        return bakes_seen >= len(visible) or seconds_since_first >= earliest

    def _visible_stages(self, instances: int) -> tuple[Stage, ...]:
        stages = self.stages(instances)
        return tuple(stage for stage in stages if stage.bake_seconds) or stages[-1:]

    # What is refused.

    def policy_problems(self, instances: int, most_instances: int) -> list[Problem]:
        """Return what the policy alone shows to be wrong; most_instances: what the fleet may scale to."""
        # more instances may mean more steps: what is refused at peak load is refused at once
        return self.time_problems(instances) or self.time_problems(most_instances)

    def fleet_problems(self, instances: int) -> list[Problem]:
        """Return why this fleet cannot be split as it is asked for."""
        return []

    def time_problems(self, instances: int) -> list[Problem]:
        """Refuse waits that do not fit into the longest deployment that SageMaker allows.

        One fleet's time must fit. Where several start one after the other, they have to be quicker than their limit.
        """
        waits = self.waits_seconds(instances)
        needed = waits + FLEET_SECONDS + RESERVE_SECONDS
        if needed <= MAX_EXECUTION_SECONDS:
            return []
        what = (
            f"the {self.name} waits are {waits:,} s in all on {instances} instances; with {FLEET_SECONDS:,} s to "
            f"provision and {RESERVE_SECONDS:,} s in reserve that is {needed:,} s, and a deployment may take "
            f"{MAX_EXECUTION_SECONDS:,} s"
        )
        return [Problem("POLICY_CONFLICT", what, self.bake_field, "Shorten the bake or take larger steps.")]

    # What people are told.

    @abstractmethod
    def summary(self) -> str:
        """Say what the policy asks for, in one line."""

    def traffic_words(self, instances: int) -> str:
        """Say what green has at first, for the message that users meet it."""
        return self.name

    def card_words(self, instances: int) -> str:
        """Say how the traffic went, for the evidence card."""
        return self.name

    def notes(self, instances: int) -> list[str]:
        """Say what the plan will do, where it is not what a reader would expect."""
        return []
