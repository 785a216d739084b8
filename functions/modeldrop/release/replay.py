"""Is a signed model older than what is live: an attacker who can upload may bring back what once was signed."""

from __future__ import annotations

from collections.abc import Sequence

from modeldrop.release.record import ReleaseRecord


def replayed(signed_digest: str, live: ReleaseRecord | None, known: Sequence[ReleaseRecord]) -> ReleaseRecord | None:
    """Return the release that brought this signed model before the live one was uploaded; None when it is no replay.

    The live model itself may be dropped again, and so may one that was parked or failed after the live one came. A
    signed model that was never dropped on this endpoint is not known here: a bundle made with a key bears no time.
    """
    if live is None or _signed(live) == signed_digest:
        return None
    earlier = [one for one in known if one.order < live.order and _signed(one) == signed_digest]
    return max(earlier, key=lambda one: one.order, default=None)


def _signed(record: ReleaseRecord) -> str:
    found: str = record.artifact.get("signature", {}).get("digest", "")
    return found
