"""Is a signed model older than what is live: an attacker who can upload may bring back what once was signed."""

from __future__ import annotations

from modeldrop.release.record import ReleaseRecord


def is_replayed(signed_digest: str, first_order: str, live: ReleaseRecord | None) -> bool:
    """Say whether a signed model was dropped here before the live one was uploaded.

    first_order: the order of the first release that brought this signed model. The live model itself may be dropped
    again, and so may one that was parked or failed after the live one came. A signed model that was never dropped on
    this endpoint is not known here: a bundle made with a key bears no time.
    """
    if live is None or live.artifact.get("signature", {}).get("digest", "") == signed_digest:
        return False
    return first_order < live.order
