"""The routing table of the front: which fleet answers for which endpoint, swapped as a whole."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CaptureRule:
    """Which requests of a fleet are written to S3, where, and how. types: in lower case, without parameters."""

    percent: int
    bucket: str
    prefix: str
    kms_key_id: str | None
    input: bool
    output: bool
    csv_types: tuple[str, ...]
    json_types: tuple[str, ...]


@dataclass(frozen=True)
class FleetRoute:
    """A model server that takes traffic. weight: its share within the variant, any unit."""

    fleet: str
    port: int
    weight: float
    config: str
    published_config: bool
    capture: CaptureRule | None = None


@dataclass(frozen=True)
class VariantRoute:
    """A production variant. weight: its share of the endpoint; instances: what InvocationsPerInstance divides by."""

    name: str
    weight: float
    instances: int
    fleets: tuple[FleetRoute, ...]


@dataclass(frozen=True)
class EndpointRoute:
    """An endpoint that answers, by its name as it was created."""

    name: str
    variants: tuple[VariantRoute, ...]

    def variant(self, name: str) -> VariantRoute | None:
        """Return a variant by name."""
        return next((variant for variant in self.variants if variant.name == name), None)

    def pick_variant(self) -> VariantRoute:
        """Choose a variant at random by weight."""
        return pick(self.variants, [variant.weight for variant in self.variants])


@dataclass(frozen=True)
class RouteTable:
    """All endpoints by lower-case name, as SageMaker's names know no case. version grows with each change."""

    version: int
    endpoints: Mapping[str, EndpointRoute]

    def find(self, name: str) -> EndpointRoute | None:
        """Return an endpoint that takes traffic."""
        return self.endpoints.get(name.lower())


EMPTY = RouteTable(0, {})


def pick_fleet(variant: VariantRoute) -> FleetRoute:
    """Choose a fleet of a variant at random by weight."""
    return pick(variant.fleets, [fleet.weight for fleet in variant.fleets])


def pick[T](choices: Sequence[T], weights: Sequence[float]) -> T:
    """Choose one by weight; all alike when no weight is positive."""
    if len(choices) == 1:
        return choices[0]
    total = sum(weights)
    if total <= 0:
        return random.choice(choices)  # noqa: S311 spreading load is no secret
    return random.choices(choices, weights)[0]  # noqa: S311 spreading load is no secret


def table_from_json(document: Mapping[str, Any]) -> RouteTable:
    """Build a table from what the core pushes; raises KeyError or TypeError when it is malformed."""
    endpoints = {}
    for entry in document["endpoints"]:
        variants = tuple(
            VariantRoute(
                variant["name"],
                float(variant["weight"]),
                max(1, int(variant["instances"])),
                tuple(_fleet_from_json(fleet) for fleet in variant["fleets"]),
            )
            for variant in entry["variants"]
            if variant["fleets"]
        )
        if variants:
            endpoints[entry["name"].lower()] = EndpointRoute(entry["name"], variants)
    return RouteTable(int(document["version"]), endpoints)


def _fleet_from_json(fleet: Mapping[str, Any]) -> FleetRoute:
    rule = fleet.get("capture")
    if rule is None:
        return FleetRoute(**fleet)
    types = {name: tuple(rule[name]) for name in ("csv_types", "json_types")}
    return FleetRoute(**{**fleet, "capture": CaptureRule(**{**rule, **types})})
