"""The one place that takes the time, for handlers and adapters; the core gets it as a parameter."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the time now, UTC."""
    return datetime.now(UTC)
