"""Reconcile: every 15 minutes, find what no event will mend any more, and mend it.

It looks at uploads of the last day and at open releases only. What a release leaves in SageMaker, CloudWatch and S3 is
found by its own names, in the run that is started for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from modeldrop.aws import executions, objects
from modeldrop.aws.releases import ReleaseTable
from modeldrop.clock import now
from modeldrop.entry import entry
from modeldrop.handlers.admit import admit, execution_input, read_upload
from modeldrop.observability import logger, metrics
from modeldrop.release import upload as uploads
from modeldrop.release.recovery import OpenRelease, is_due, may_begin, recovery_input, recovery_name
from modeldrop.settings import settings

# an event is usually there in seconds; EventBridge itself gives up after 24 hours
EVENT_LATE = timedelta(minutes=5)
EVENT_LOST = timedelta(hours=24)
# S3's listing has no sequencer: what was overwritten is the oldest of its second, what is current the newest
OVERWRITTEN = "0"

Mended = dict[str, list[str]]


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Answer with what was mended, by kind, and with what could not be: one fault costs only what it hits."""
    table, at = ReleaseTable(settings().release_table), now()
    mended: Mended = {"admitted": [], "begun": [], "ended": [], "unreconciled": []}
    # endings first: the listing of uploads is the part that may run out of time
    attempt(mended, "releases", partial(end_lost_releases, table, at, mended))
    attempt(mended, "uploads", partial(admit_lost_uploads, table, at, mended))
    metrics.add_metric(name="Reconciled", unit=MetricUnit.Count, value=1)
    if any(mended.values()):
        logger.warning("mended", extra={"mended": mended})
    return mended


def attempt(mended: Mended, what: str, step: Callable[[], None]) -> None:
    """Take one step; its error is told, and ends nothing else."""
    try:
        step()
    except Exception as error:
        logger.exception("could not be reconciled: %s", what)
        metrics.add_metric(name="Unreconciled", unit=MetricUnit.Count, value=1)
        mended["unreconciled"].append(f"{what}: {type(error).__name__}: {error}"[:500])


def admit_lost_uploads(table: ReleaseTable, at: datetime, mended: Mended) -> None:
    """Admit every upload of the last day that no event told us of, the oldest first.

    Overwritten ones, too: a newer upload supersedes them only once it passed validation.
    """
    listed = objects.versions(settings().upload_bucket, uploads.ARTIFACT_NAME)
    late = [one for one in listed if EVENT_LATE < at - one["LastModified"] < EVENT_LOST]
    for version in sorted(late, key=lambda one: one["LastModified"]):
        attempt(mended, version["Key"], partial(admit_lost, table, version, mended))


def admit_lost(table: ReleaseTable, version: dict[str, Any], mended: Mended) -> None:
    """Admit one upload that has no release; its metadata is read, since it may be a roll back that was asked for."""
    endpoint = uploads.table_endpoint(version["Key"])
    named = {"key": version["Key"], "version-id": version["VersionId"]}
    if not version["IsLatest"]:
        named["sequencer"] = OVERWRITTEN
    bucket = settings().upload_bucket
    listed = uploads.Upload(bucket, version["Key"], version["VersionId"], version["LastModified"], "", version["Size"])
    if not table.exists(endpoint, uploads.release_id(listed, endpoint)):
        mended["admitted"].append(admit(read_upload({"bucket": {"name": bucket}, "object": named}))["release"])


def end_lost_releases(table: ReleaseTable, at: datetime, mended: Mended) -> None:
    """Bring every open release that nothing works on to its outcome, its message, and its end."""
    for seen in table.open_releases():
        attempt(mended, seen.release, partial(end_lost, table, seen, at, mended))


def end_lost(table: ReleaseTable, seen: OpenRelease, at: datetime, mended: Mended) -> None:
    """Begin a release that never began, or start the run that ends it."""
    if not is_due(seen, at) or is_worked_on(table, seen):
        return
    # the index may be late, and a record that can't be read is told here instead of by a run that fails each hour
    record = table.require(seen.endpoint, seen.release)
    machine = settings().state_machine_arn
    if may_begin(record, at) and executions.start_once(machine, seen.release, json.dumps(execution_input(record))):
        mended["begun"].append(seen.release)
    elif executions.start_once(machine, recovery_name(seen.release, at), json.dumps(recovery_input(seen))):
        mended["ended"].append(seen.release)


def is_worked_on(table: ReleaseTable, seen: OpenRelease) -> bool:
    """Say whether an execution of the release runs: its own, the one its record names, or one that holds its lease."""
    own = executions.arn(settings().state_machine_arn, seen.release)
    known = {own, seen.execution_arn or own}
    if any(executions.is_running(arn) for arn in sorted(known)):
        return True
    lease = table.lease(seen.endpoint)
    named = lease.execution_arn if lease.owner == seen.release else ""
    return bool(named) and named not in known and executions.is_running(named)
