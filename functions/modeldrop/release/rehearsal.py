"""The rehearsal's names and its next step, decided from what is there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from modeldrop.release.observe import EndpointView

# a throw-away endpoint that is not in service by then is given up (CreateEndpoint usually takes 3 to 8 minutes)
MAX_SECONDS = 1_800


@dataclass(frozen=True)
class Answers:
    """What the throw-away endpoint answered, with times as the caller saw them.

    cold_ms: the first request ever; warm_ms: the median of the others; None where there was none. problem: what was
    wrong with an answer, or empty. gpu_only: it is that an operation has no kernel on a CPU.
    """

    asked: int
    known: int
    cold_ms: float | None = None
    warm_ms: float | None = None
    problem: str = ""
    gpu_only: bool = False


def rehearsal_line(facts: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """Say in one line what the rehearsal showed, or that the policy wanted none; empty where it did not come so far."""
    if not plan:
        return ""
    if plan.get("rehearsal_instance_type") == "off":
        return "none: gates.rehearsal is off in rollout.yaml, so the model ran on no throw-away endpoint"
    if not facts:
        return ""
    where = f"on {facts['place']}{f' ({note})' if (note := plan.get('rehearsal_note')) else ''}"
    if facts["problem"]:
        told = "an operation runs on GPU only, so no answer was compared: " if facts["gpu_only"] else ""
        return f"{where}: {told}{facts['problem']}"
    if not facts["known"]:
        return f"{where}: the model loads; there are no golden requests, so no answer was asked for"
    if not facts["asked"]:
        return f"{where}: the model loads; none of its {facts['known']} golden requests was asked"
    times = [f"{name} {facts[key]:.0f} ms" for name, key in (("cold", "cold_ms"), ("warm", "warm_ms")) if facts[key]]
    return f"{where}: {facts['asked']} of {facts['known']} golden requests asked, all answered; {', '.join(times)}"


Step = Literal["create", "wait", "probe", "give_up"]


# of endpoints that we make and delete; SageMaker compares names without case
REHEARSAL_NAME = re.compile(r"r-[0-9]{14}-[0-9a-f]{12}", re.IGNORECASE)


def rehearsal_name(release: str) -> str:
    """Return `r-<14 digits>-<12 hex>`: the release's time and the hash of its id (DESIGN 4.3)."""
    stamp = release.rsplit("-", 2)[-2]
    return f"r-{stamp}-{hashlib.sha256(release.encode()).hexdigest()[:12]}"


def next_step(seen: EndpointView, age_seconds: float) -> Step:
    """Say what to do with the throw-away endpoint."""
    if seen.standing == "absent":
        return "create"
    if seen.standing == "settled":
        return "probe"
    if seen.standing == "broken" or age_seconds > MAX_SECONDS:
        return "give_up"
    return "wait"


def wait_seconds(age_seconds: float) -> int:
    """Return how long to wait for the endpoint: a few looks soon, then every minute."""
    return max(2, min(60, int(age_seconds / 4)))
