"""Reconcile: every 15 minutes, find what no event will mend any more, and mend it."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from modeldrop.aws import endpoints, executions, objects
from modeldrop.aws.releases import OpenRelease, ReleaseTable
from modeldrop.clock import moment, now
from modeldrop.handlers.admit import admit
from modeldrop.observability import entry, logger, metrics
from modeldrop.release import upload as uploads
from modeldrop.release.upload import Upload
from modeldrop.settings import settings

# an event is usually there in seconds; EventBridge itself gives up after 24 hours
EVENT_LATE = timedelta(minutes=5)
EVENT_LOST = timedelta(hours=24)
# admission starts the execution in the same call
EXECUTION_LATE = timedelta(minutes=2)
# a rehearsal that lives longer than its workflow allows
REHEARSAL_STALE = timedelta(hours=1)
REHEARSAL_NAME = re.compile(r"r-\d{14}-[0-9a-f]{12}")


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Answer with what was mended, by kind."""
    table, at = ReleaseTable(settings().release_table), now()
    mended = {
        "admitted": admit_lost_uploads(table, at),
        "recovered": recover_dead_releases(table, at),
        "swept": [*sweep_rehearsals(at), *sweep_copies(at)],
    }
    metrics.add_metric(name="Reconciled", unit=MetricUnit.Count, value=1)
    if any(mended.values()):
        logger.warning("mended", extra={"mended": mended})
    return mended


def admit_lost_uploads(table: ReleaseTable, at: datetime) -> list[str]:
    """Admit every upload of the last day that no event told us of."""
    admitted = []
    for version in objects.latest_versions(settings().upload_bucket, uploads.ARTIFACT_NAME):
        age = at - version["LastModified"]
        if not EVENT_LATE < age < EVENT_LOST:
            continue
        upload = Upload(
            settings().upload_bucket, version["Key"], version["VersionId"], version["LastModified"], "", version["Size"]
        )
        endpoint = uploads.table_endpoint(upload.key)
        if table.get(endpoint, uploads.release_id(upload, endpoint)) is None:
            admitted.append(admit(upload)["release"])
    return admitted


def recover_dead_releases(table: ReleaseTable, at: datetime) -> list[str]:
    """Bring every release without an outcome whose execution has ended to its outcome."""
    recovered = []
    for record in table.open_releases():
        finished = record.outcome and record.message_sent
        if finished or at - moment(record.admitted_at) < EXECUTION_LATE or runs(record):
            continue
        recover(record, at)
        recovered.append(record.release)
    return recovered


def runs(record: OpenRelease) -> bool:
    """Say whether the release's own execution still runs."""
    return executions.is_running(executions.arn(settings().state_machine_arn, record.release))


def recover(record: OpenRelease, at: datetime) -> None:
    """Start the recovery that a failed execution's event would have started; once an hour at most, by its name."""
    ids = {"endpoint": record.endpoint, "release": record.release}
    cause = "the execution ended and no event of it arrived"
    detail = {"input": json.dumps(ids), "name": record.release, "status": "LOST", "cause": cause}
    name = f"{record.release}-recover-{at:%Y%m%d%H}"
    executions.start_once(settings().state_machine_arn, name, json.dumps({"detail": detail}))


def sweep_rehearsals(at: datetime) -> list[str]:
    """Delete throw-away endpoints, configs and models that outlived their rehearsal."""
    stale = endpoints.older_than(at - REHEARSAL_STALE, "r-")
    delete = {
        "endpoint": endpoints.delete_endpoint,
        "config": endpoints.delete_config,
        "model": endpoints.delete_model,
    }
    # AWS refuses to delete what is being created; it is looked at again in 15 minutes
    busy = {name for name in stale["endpoint"] if endpoints.describe(name).status == "Creating"}
    swept = []
    for kind, names in stale.items():
        for name in filter(REHEARSAL_NAME.fullmatch, names):
            if name not in busy:
                delete[kind](name)
                swept.append(f"{kind} {name}")
    return swept


def sweep_copies(at: datetime) -> list[str]:
    """Delete copies of artifacts that outlived their rehearsal."""
    bucket = settings().approved_bucket
    old = list(objects.older_than(bucket, "rehearsal/", at - REHEARSAL_STALE))
    for key in old:
        objects.delete(bucket, key)
    return [f"copy {key}" for key in old]
