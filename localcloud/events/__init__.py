"""EventBridge: rules that reach their targets, S3 notifications, schedules, and events from inside.

moto keeps rules and matches patterns; what it lacks is here: delivery to Lambda, Step Functions and SNS, disabled
rules that stay silent, Input and InputPath, retries with a dead-letter queue, schedules that fire, and S3 events with
what AWS documents in them.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from localcloud.core import ACCOUNT_ID, Core
from localcloud.events.delivery import Delivery
from localcloud.events.targets import Targets

_core: Core | None = None
_delivery: Delivery | None = None


def install(core: Core) -> None:
    """Route every event of the core process through this package."""
    global _core, _delivery
    from localcloud.events import s3, schedules

    _core, _delivery = core, Delivery(Targets(core))
    core.emit = emit
    _patch_rules(_delivery)
    s3.install(emit)
    core.on_start(_delivery.start)
    core.on_stop(_delivery.stop)
    schedules.install(core, _delivery)


def emit(
    source: str,
    detail_type: str,
    detail: Mapping[str, Any],
    resources: Sequence[str] = (),
    *,
    delay_seconds: float = 0.0,
) -> None:
    """Put an event of an AWS service on the default bus; never raises into the caller.

    detail must be JSON; what fails is written to stderr, as there is nobody to answer to.
    """
    try:
        if _core is None or _delivery is None:
            raise RuntimeError("localcloud.events is not installed")
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": ACCOUNT_ID,
            "time": iso_time(time.time()),
            "region": _core.region,
            "resources": list(resources),
            "detail": json.loads(json.dumps(detail)),
        }
        _delivery.to_bus(event, "default", delay_seconds)
    except Exception:
        sys.stderr.write(f"event {source} {detail_type!r} is lost:\n{traceback.format_exc()}")


def iso_time(moment: float) -> str:
    """Return a unix time as EventBridge writes it: UTC, whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _patch_rules(delivery: Delivery) -> None:
    """Replace how moto sends an event to a rule's targets."""
    from moto.events.models import Rule

    def send_to_targets(self: Any, original_event: dict[str, Any], transform_input: bool = True) -> None:
        delivery.to_rule(original_event, self)

    Rule.send_to_targets = send_to_targets
