"""The lease of an endpoint in the hands of whoever ends a release: its own execution, or the one that recovers it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from modeldrop.aws import executions
from modeldrop.aws.attempts import read
from modeldrop.aws.releases import ReleaseTable
from modeldrop.release.record import ReleaseRecord


def hold(table: ReleaseTable, record: ReleaseRecord, execution_arn: str, at: datetime) -> tuple[ReleaseRecord, bool]:
    """Hold the lease to end a release that once had it; the record as it is then, and whether the lease is held.

    The record names the execution that works on the release, so that Reconcile starts no second one beside it.
    """
    known = record
    if record.execution_arn != execution_arn:
        record = replace(record, execution_arn=execution_arn)
    fence = _held(table, record, int(at.timestamp())) if record.fence else None
    if fence is not None:
        # what goes on without us carries the old fence, and finds that it is not its own any more
        record = replace(record, fence=fence)
    if record != known and record.outcome is None:
        table.update(record.endpoint, record.release, fence=record.fence, execution_arn=record.execution_arn)
    return record, fence is not None


def _held(table: ReleaseTable, record: ReleaseRecord, seconds: int) -> int | None:
    arn = record.execution_arn
    return table.hold(record.endpoint, record.release, record.fence, arn, seconds, _may_run)


def _may_run(execution_arn: str) -> bool:
    """Say whether an execution runs; one that can't be seen may, and is not raced."""
    running, _ = read("to see the lease's owner", lambda: executions.is_running(execution_arn), otherwise=True)
    return running
