"""The rehearsal's names and its next step, decided from what is there."""

from __future__ import annotations

import hashlib
from typing import Literal

from modeldrop.release.observe import EndpointView

# a throw-away endpoint that is not in service by then is given up (CreateEndpoint usually takes 3 to 8 minutes)
MAX_SECONDS = 1_800

Step = Literal["create", "wait", "probe", "give_up"]


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
    """Return how long to wait for the endpoint: a few looks soon, then every half minute."""
    return max(2, min(30, int(age_seconds / 4)))
