"""The lease: who may change an endpoint, decided from the lease item as it was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# longer than any one step (ValidateArtifact may run 900 s), renewed at each look
LEASE_SECONDS = 1_200
MAX_WAIT_SECONDS = 12 * 3600


@dataclass(frozen=True)
class Lease:
    """The `#lease` row.

    fence grows by one with each new owner. expires: seconds since 1970. newest: the greatest `order` of a validated
    release that wanted the endpoint. approving, approving_order: the release that waits for approval without the lease.
    """

    owner: str = ""
    execution_arn: str = ""
    fence: int = 0
    expires: int = 0
    newest: str = ""
    approving: str = ""
    approving_order: str = ""


Decision = Literal["acquire", "keep", "wait", "superseded"]


def must_ask_for_owner(lease: Lease, release: str, now: int) -> bool:
    """Say whether the decision needs to know if the owner's execution still runs."""
    return lease.owner not in ("", release) and lease.expires <= now


def decide(lease: Lease, release: str, order: str, now: int, *, owner_running: bool) -> Decision:
    """Say what a release that wants the endpoint does next.

    Only waiting releases are superseded: the owner keeps what it has. An expired lease is taken over only when its
    owner's execution no longer runs, so that a slow owner is never raced.
    """
    if lease.owner == release:
        return "keep"
    if lease.newest > order:
        return "superseded"
    if not lease.owner:
        return "acquire"
    if lease.expires <= now and not owner_running:
        return "acquire"
    return "wait"


def decide_hold(lease: Lease, release: str, now: int, *, owner_running: bool) -> Literal["keep", "acquire", "wait"]:
    """Say what a release that ends does: no newer release supersedes an ending, and an owner that runs is not raced."""
    if lease.owner == release:
        return "keep"
    return "acquire" if not lease.owner or (lease.expires <= now and not owner_running) else "wait"


def supersedes(lease: Lease, order: str) -> str:
    """Return the release that waits for approval and is older than the one of this order; empty where there is none."""
    return lease.approving if lease.approving and lease.approving_order < order else ""


def wait_seconds(waited: float) -> int:
    """Return how long to wait before asking again: soon at first, then ever longer, for at most 160 asks in all.

    The bound keeps the worst execution under Step Functions' 25,000 history events.
    """
    return max(5, min(600, int(waited / 8)))
