"""What hosting keeps: models, endpoint configs, endpoints with their variants, fleets and rollouts."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from localcloud.model_server.launcher import ServerProcess

Json = dict[str, Any]
# names of statuses are SageMaker's own
CREATING, UPDATING, ROLLING_BACK, IN_SERVICE = "Creating", "Updating", "RollingBack", "InService"
FAILED, ROLLBACK_FAILED, DELETING = "Failed", "UpdateRollbackFailed", "Deleting"
IN_PROGRESS = frozenset((CREATING, UPDATING, ROLLING_BACK, DELETING, "SystemUpdating"))
TAKES_TRAFFIC = frozenset((IN_SERVICE, UPDATING, ROLLING_BACK, ROLLBACK_FAILED))


@dataclass(frozen=True)
class Model:
    """A model as it was created."""

    name: str
    arn: str
    request: Json
    created: float

    @property
    def containers(self) -> list[Json]:
        """The container definitions, primary first."""
        primary = self.request.get("PrimaryContainer")
        return [primary] if primary else list(self.request.get("Containers") or [])


@dataclass(frozen=True)
class EndpointConfig:
    """An endpoint config as it was created."""

    name: str
    arn: str
    request: Json
    created: float

    @property
    def variants(self) -> list[Json]:
        """The production variants."""
        return list(self.request["ProductionVariants"])


@dataclass
class Fleet:
    """The instances of one variant of one config: virtual, served by one process.

    share: part of the variant's traffic; published_config: whether its metrics carry EndpointConfigName; capture: the
    front's rule for data capture, if its config has one.
    """

    name: str
    endpoint: str
    variant: str
    config: str
    container: Json
    instances: int
    published_config: bool
    capture: Json | None = None
    share: float = 0.0
    process: ServerProcess | None = None
    wanted: bool = True


@dataclass
class Variant:
    """A production variant as it is now. counts are instances; serverless variants have none."""

    name: str
    settings: Json
    weight: float
    instances: int
    desired_weight: float
    desired_instances: int
    image: str
    fleets: list[Fleet] = field(default_factory=list)


@dataclass
class Pending:
    """A rollout under way, as PendingDeploymentSummary shows it."""

    config: str
    started: float
    variants: dict[str, Variant]
    statuses: dict[str, Json] = field(default_factory=dict)


@dataclass
class Endpoint:
    """An endpoint; changed only under the lock of Hosting. creating: its variants until they are in service."""

    name: str
    arn: str
    config: str
    created: float
    status: str = CREATING
    modified: float = field(default_factory=time.time)
    failure_reason: str = ""
    variants: dict[str, Variant] = field(default_factory=dict)
    pending: Pending | None = None
    creating: dict[str, Variant] = field(default_factory=dict)
    deployment_config: Json | None = None
    config_request: Json = field(default_factory=dict)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def key(self) -> str:
        """Names know no case."""
        return self.name.lower()
