"""How traffic goes from blue to green: one class a strategy.

A new strategy is a class here, in STRATEGIES, and its section in policy.schema.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

from modeldrop.errors import Problem
from modeldrop.policy.strategy import CapacitySize, Sections, Stage, Strategy, whole_instances
from modeldrop.policy.units import seconds, share


@dataclass(frozen=True)
class Canary(Strategy):
    """First `size`, bake, then all, bake again."""

    size: CapacitySize
    bake_seconds: int
    final_bake_seconds: int

    name: ClassVar = "canary"
    bake_field: ClassVar = "canary.bake"
    all_bake_fields: ClassVar = "canary.bake and canary.final_bake"

    @classmethod
    def from_sections(cls, sections: Sections) -> Self:
        """Read `canary: {size, bake, final_bake}`."""
        section = sections["canary"]
        size = section["size"]
        capacity = CapacitySize(share=share(size)) if isinstance(size, str) else CapacitySize(instances=size)
        return cls(capacity, seconds(section["bake"]), seconds(section["final_bake"]))

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a size in instances or as a share, and two bakes."""
        size = document["size"]
        part = None if size["share"] is None else float(size["share"])
        return cls(**{**document, "size": CapacitySize(size["instances"], part)})

    @classmethod
    def from_older_record(cls, document: Mapping[str, Any]) -> Self:
        """Read a plan; it names the canary's instances."""
        return cls(CapacitySize(document["canary_instances"]), document["bake"], document["final_bake"])

    def stages(self, instances: int) -> tuple[Stage, ...]:
        """Return the canary and the final bake."""
        first = Stage(self.size.of(instances) / instances, self.bake_seconds, "canary")
        return (first, _last(self.final_bake_seconds))

    def deployment(self, instances: int, timeout_seconds: int) -> dict[str, Any]:
        """Return a blue/green update with a CANARY of so many instances."""
        size = {"Type": "INSTANCE_COUNT", "Value": self.size.of(instances)}
        routing = {"Type": "CANARY", "WaitIntervalInSeconds": self.bake_seconds, "CanarySize": size}
        return _blue_green(routing, self.final_bake_seconds_of(instances), timeout_seconds)

    def canary_instances(self, instances: int) -> int:
        """Return the canary's instances."""
        return self.size.of(instances)

    def policy_problems(self, instances: int, most_instances: int) -> list[Problem]:
        """CanarySize is at most half of the instances; for a fleet of one the plan decides what to do instead."""
        size = self.size.instances
        problems = []
        if size is not None and most_instances > 1 and size * 2 > most_instances:
            what = (
                f"canary.size is {size} of at most {most_instances} instances; allowed: half of the instances, "
                f"{most_instances // 2}"
            )
            fix = "Make the canary smaller, or the fleet larger."
            problems.append(Problem("POLICY_CONFLICT", what, "canary.size", fix))
        return [*problems, *super().policy_problems(instances, most_instances)]

    def fleet_problems(self, instances: int) -> list[Problem]:
        """Refuse more than half of the fleet, and a share that whole instances more than double."""
        size, wanted = self.size.of(instances), self.size.share
        if size > instances // 2:
            what = f"a canary of {size} of {instances} instances is more than half (SageMaker's CanarySize allows 50%)"
            fix = f"Use canary.size of at most {instances // 2}, or more instances."
            return [Problem("CANARY_SIZE", what, "canary.size", fix)]
        if wanted is not None and size / instances > 2 * wanted:
            what = f"a share of {wanted:.0%} of {instances} instances is {size} instance, {size / instances:.0%}"
            fix = f"Ask for {size / instances:.0%} if that is meant, or run at least {math.ceil(1 / wanted / 2)} "
            return [Problem("CANARY_SIZE", what, "canary.size", f"{fix}instances.")]
        return []

    def summary(self) -> str:
        """Say the size and both bakes."""
        return f"{self.size}, bake {self.bake_seconds} s, final bake {self.final_bake_seconds} s"

    def traffic_words(self, instances: int) -> str:
        """Say how many instances are the canary."""
        return f"{self.size.of(instances)} of {instances} instances"

    def card_words(self, instances: int) -> str:
        """Say how many instances came first."""
        return f"{self.name}, {self.traffic_words(instances)} first"

    def notes(self, instances: int) -> list[str]:
        """Say the canary's size as it is planned."""
        return [f"canary of {self.traffic_words(instances)} ({self.first_share(instances):.0%} of traffic)"]


@dataclass(frozen=True)
class Linear(Strategy):
    """Equal steps of `step_share`, a bake after each; after the last step that is the final bake."""

    step_share: float
    bake_seconds: int
    final_bake_seconds: int

    name: ClassVar = "linear"
    bake_field: ClassVar = "linear.bake"
    all_bake_fields: ClassVar = "linear.bake and linear.final_bake"

    @classmethod
    def from_sections(cls, sections: Sections) -> Self:
        """Read `linear: {step, bake, final_bake}`."""
        section = sections["linear"]
        return cls(share(section["step"]), seconds(section["bake"]), seconds(section["final_bake"]))

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the step and two bakes."""
        return cls(**{**document, "step_share": float(document["step_share"])})

    @classmethod
    def from_older_record(cls, document: Mapping[str, Any]) -> Self:
        """Read a plan; it names the step in percent."""
        return cls(document["linear_step_percent"] / 100, document["bake"], document["final_bake"])

    def stages(self, instances: int) -> tuple[Stage, ...]:
        """Return a stage for each step."""
        shares = _steps(self.step_share, instances)
        return (*_before_last(shares, self.bake_seconds), _last(self.final_bake_seconds))

    def deployment(self, instances: int, timeout_seconds: int) -> dict[str, Any]:
        """Return a blue/green update with LINEAR steps."""
        step = {"Type": "CAPACITY_PERCENT", "Value": round(self.step_share * 100)}
        routing = {"Type": "LINEAR", "WaitIntervalInSeconds": self.bake_seconds, "LinearStepSize": step}
        return _blue_green(routing, self.final_bake_seconds_of(instances), timeout_seconds)

    def summary(self) -> str:
        """Say the step and both bakes."""
        return f"steps of {self.step_share:.0%}, bake {self.bake_seconds} s, final bake {self.final_bake_seconds} s"


@dataclass(frozen=True)
class Rolling(Strategy):
    """Batches of `batch_share`, replaced in place, a bake after each; after the last one blue is gone."""

    batch_share: float
    bake_seconds: int

    name: ClassVar = "rolling"
    bake_field: ClassVar = "rolling.bake"
    all_bake_fields: ClassVar = "rolling.bake"

    @classmethod
    def from_sections(cls, sections: Sections) -> Self:
        """Read `rolling: {batch, bake}`."""
        section = sections["rolling"]
        return cls(share(section["batch"]), seconds(section["bake"]))

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the batch and its bake."""
        return cls(**{**document, "batch_share": float(document["batch_share"])})

    @classmethod
    def from_older_record(cls, document: Mapping[str, Any]) -> Self:
        """Read a plan; it names the batch in percent."""
        return cls(document["rolling_batch_percent"] / 100, document["bake"])

    def stages(self, instances: int) -> tuple[Stage, ...]:
        """Return a stage for each batch."""
        shares = _steps(self.batch_share, instances)
        return (*_before_last(shares, self.bake_seconds), Stage(1.0, self.bake_seconds, "final_bake"))

    def deployment(self, instances: int, timeout_seconds: int) -> dict[str, Any]:
        """Return a rolling update."""
        policy = {
            "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": round(self.batch_share * 100)},
            "WaitIntervalInSeconds": self.bake_seconds,
            "MaximumExecutionTimeoutInSeconds": timeout_seconds,
        }
        return {"RollingUpdatePolicy": policy}

    def extra_instances(self, instances: int) -> int:
        """Return one batch: blue's instances end as green's take their place."""
        return whole_instances(self.batch_share, instances)

    def instances_needed(self, instances: int, blue: int) -> int:
        """Return the larger fleet, and a batch where blue has instances of the type."""
        return max(instances, blue) + self.extra_instances(instances) if blue else instances

    def fleets_started(self, instances: int) -> int:
        """Return the number of batches."""
        return len(_steps(self.batch_share, instances))

    def summary(self) -> str:
        """Say the batch and its bake."""
        return f"batches of {self.batch_share:.0%}, bake {self.bake_seconds} s"

    def notes(self, instances: int) -> list[str]:
        """Say what a roll back costs."""
        return ["rolling replaces blue batch by batch: rolling back provisions the old instances again"]


@dataclass(frozen=True)
class AllAtOnce(Strategy):
    """All traffic at once, then the final bake; blue has no traffic beside green, and can take it back."""

    final_bake_seconds: int

    name: ClassVar = "all_at_once"
    bake_field: ClassVar = "all_at_once.final_bake"
    all_bake_fields: ClassVar = "all_at_once.final_bake"
    splits_the_fleet: ClassVar = False

    @classmethod
    def from_sections(cls, sections: Sections) -> Self:
        """Read `all_at_once: {final_bake}`; without it, canary.final_bake, which it was called before."""
        earlier = sections["canary"]["final_bake"]
        return cls(seconds(sections["all_at_once"].get("final_bake", earlier)))

    @classmethod
    def from_older_record(cls, document: Mapping[str, Any]) -> Self:
        """Read a plan, or a policy, in which the final bake was canary's."""
        return cls(document["final_bake"] if "final_bake" in document else document["canary"]["final_bake_seconds"])

    def stages(self, instances: int) -> tuple[Stage, ...]:
        """Return the final bake."""
        return (_last(self.final_bake_seconds),)

    def deployment(self, instances: int, timeout_seconds: int) -> dict[str, Any]:
        """Return a blue/green update that shifts once."""
        routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
        return _blue_green(routing, self.final_bake_seconds_of(instances), timeout_seconds)

    def summary(self) -> str:
        """Say the final bake."""
        return f"final bake {self.final_bake_seconds} s"

    def notes(self, instances: int) -> list[str]:
        """Say what cannot be seen."""
        return ["no blue beside green: only the SLO alarms and the heartbeat act"]


STRATEGIES: tuple[type[Strategy], ...] = (Canary, Linear, Rolling, AllAtOnce)
STRATEGY_NAMES = frozenset(kind.name for kind in STRATEGIES)
DEFAULT_STRATEGY: type[Strategy] = Canary
# one instance cannot be split; what the default strategy becomes there
FOR_ONE_INSTANCE: type[Strategy] = AllAtOnce


def strategy_from_sections(name: str, sections: Sections) -> Strategy:
    """Return the strategy of this name as rollout.yaml asks for it."""
    return _named(name).from_sections(sections)


def strategy_to_json(strategy: Strategy) -> dict[str, Any]:
    """Return the strategy's name, and its fields in a section of that name, for a policy or plan."""
    return {"strategy": strategy.name, strategy.name: asdict(strategy)}  # type: ignore[call-overload]  # each is a dataclass


def strategy_from_json(document: Mapping[str, Any], kind: type[Strategy] | None = None) -> Strategy:
    """Read the strategy that a policy or plan names, or the one of this kind; KeyError for an unknown name."""
    kind = kind or _named(document["strategy"])
    section = document.get(kind.name)
    return kind.from_older_record(document) if section is None else kind.from_json(section)


def _named(name: str) -> type[Strategy]:
    return {kind.name: kind for kind in STRATEGIES}[name]


def _steps(fraction: float, instances: int) -> list[float]:
    """Return green's share after each equal step of whole instances."""
    step = max(1, whole_instances(fraction, instances))
    return [min(instances, step * number) / instances for number in range(1, math.ceil(instances / step) + 1)]


def _before_last(shares: list[float], bake_seconds: int) -> list[Stage]:
    """Return the stages in which blue is beside green."""
    return [
        Stage(green_share, bake_seconds, "baking" if number else "canary")
        for number, green_share in enumerate(shares[:-1])
    ]


def _last(final_bake_seconds: int) -> Stage:
    # 0 would delete blue at once: nothing could roll back after the last shift
    return Stage(1.0, max(1, final_bake_seconds), "final_bake")


def _blue_green(routing: dict[str, Any], final_bake_seconds: int, timeout_seconds: int) -> dict[str, Any]:
    policy = {
        "TrafficRoutingConfiguration": routing,
        "TerminationWaitInSeconds": final_bake_seconds,
        "MaximumExecutionTimeoutInSeconds": timeout_seconds,
    }
    return {"BlueGreenUpdatePolicy": policy}
