"""A stack: what was asked for, what is deployed, and what happened."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

STACK_TYPE = "AWS::CloudFormation::Stack"


@dataclass(frozen=True)
class Deployed:
    """A resource that exists. properties: as they were deployed; definition: its entry in the template."""

    logical_id: str
    type_name: str
    physical_id: str
    properties: dict[str, Any]
    attributes: Mapping[str, Any]
    definition: Mapping[str, Any]


@dataclass(frozen=True)
class StackEvent:
    """One line of a stack's history."""

    stack_id: str
    stack_name: str
    logical_id: str
    physical_id: str
    type_name: str
    status: str
    reason: str | None
    event_id: str
    at: datetime


@dataclass(frozen=True)
class Wanted:
    """What a create or an update asks for. text: the template as given; document: with SAM translated."""

    text: str
    document: dict[str, Any]
    given: dict[str, str]
    values: dict[str, Any]
    tags: dict[str, str]
    capabilities: tuple[str, ...] = ()


@dataclass
class Stack:
    """The mutable record of one stack; only the engine changes it."""

    stack_id: str
    name: str
    wanted: Wanted
    status: str
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated: datetime | None = None
    deleted: datetime | None = None
    reason: str | None = None
    disable_rollback: bool = False
    protected: bool = False
    change_set_id: str | None = None
    resources: dict[str, Deployed] = field(default_factory=dict)
    states: dict[str, tuple[str, str | None, datetime]] = field(default_factory=dict)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    events: list[StackEvent] = field(default_factory=list)

    def tell(self, status: str, reason: str | None = None) -> None:
        """Set the stack's status, then write its event: who reads the event finds the status."""
        self.status, self.reason = status, reason
        self._write(self.name, self.stack_id, STACK_TYPE, status, reason)

    def tell_resource(
        self, logical_id: str, type_name: str, physical_id: str, status: str, reason: str | None = None
    ) -> None:
        """Write an event of one resource."""
        self.states[logical_id] = (status, reason, datetime.now(UTC))
        self._write(logical_id, physical_id, type_name, status, reason)

    def exports(self) -> dict[str, str]:
        """Return exported outputs by export name."""
        return {out["ExportName"]: out["OutputValue"] for out in self.outputs if "ExportName" in out}

    def _write(self, logical_id: str, physical_id: str, type_name: str, status: str, reason: str | None) -> None:
        self.events.append(
            StackEvent(
                stack_id=self.stack_id,
                stack_name=self.name,
                logical_id=logical_id,
                physical_id=physical_id,
                type_name=type_name,
                status=status,
                reason=reason,
                event_id=str(uuid.uuid4()),
                at=datetime.now(UTC),
            )
        )


@dataclass
class ChangeSet:
    """A create or an update that waits for its execution."""

    change_set_id: str
    name: str
    kind: str
    stack: Stack
    wanted: Wanted
    changes: list[dict[str, Any]]
    description: str | None
    status: str
    execution_status: str
    reason: str | None = None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
