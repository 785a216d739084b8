"""How every step of a release begins: with its record, the time and, where it may move the endpoint, the lease."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from modeldrop.aws.releases import ReleaseTable
from modeldrop.clock import now
from modeldrop.errors import LeaseLostError
from modeldrop.release.record import ReleaseRecord
from modeldrop.settings import settings


def begin(event: dict[str, Any]) -> tuple[ReleaseTable, ReleaseRecord, datetime]:
    """Return what every step begins with: the table, the release that the event names, and the time."""
    table, at = ReleaseTable(settings().release_table), now()
    return table, table.require(event["endpoint"], event["release"]), at


def begin_as_owner(event: dict[str, Any]) -> tuple[ReleaseTable, ReleaseRecord, datetime]:
    """Begin a step that only the lease's owner may take, and renew the lease; LeaseLostError when it is another's."""
    table, record, at = begin(event)
    if not table.renew(record.endpoint, record.fence, int(at.timestamp())):
        raise LeaseLostError(f"the lease of {record.endpoint} is no longer this release's")
    return table, record, at
