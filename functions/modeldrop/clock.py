"""The one place that takes the time, for handlers; the core gets it as a parameter."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the time now, UTC."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """Write a moment as ISO 8601 UTC with milliseconds and Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """Read what `iso` wrote."""
    return datetime.fromisoformat(text)
