"""Admit: one S3 event becomes one release and one execution of the state machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from modeldrop.aws import executions, objects
from modeldrop.aws.releases import ReleaseTable
from modeldrop.clock import now
from modeldrop.entry import entry
from modeldrop.errors import Problem, RejectedError
from modeldrop.observability import logger
from modeldrop.release import upload as uploads
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.restore import Claim, claimed
from modeldrop.release.upload import Upload
from modeldrop.settings import settings
from modeldrop.times import iso


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Take an EventBridge `Object Created` event; answer with the release, and whether this event made it."""
    return admit(read_upload(event["detail"]))


def admit(upload: Upload) -> dict[str, Any]:
    """Make the release of an upload, once, and start its execution, once."""
    table = ReleaseTable(settings().release_table)
    record = admission(upload, table)
    created = table.create(record)
    if not created:
        logger.info("duplicate event", extra={"release": record.release})
        record = table.require(record.endpoint, record.release)
    # started for a duplicate too: the first event's function may have died between the two calls. A death between any
    # two writes is mended by the event's next delivery, or by Reconcile: it finds an upload without a record, and an
    # open record without an execution
    if record.outcome is None:
        executions.start_once(settings().state_machine_arn, record.release, json.dumps(execution_input(record)))
    return {"endpoint": record.endpoint, "release": record.release, "created": created}


def read_upload(detail: dict[str, Any]) -> Upload:
    """Pin the version that the event names; the current one where it names none, as Reconcile's own calls do."""
    bucket, key = detail["bucket"]["name"], detail["object"]["key"]
    version = detail["object"].get("version-id", "")
    head = objects.head(bucket, key, version)
    if not version:
        version = head.get("VersionId", "")
    require_version(bucket, key, version)
    modified: datetime = head["LastModified"]
    sequencer = detail["object"].get("sequencer", "")
    claim = claimed(head.get("Metadata") or {})
    return Upload(bucket, key, version, modified, sequencer, int(head["ContentLength"]), claim)


def require_version(bucket: str, key: str, version: str) -> None:
    """Refuse an upload without a version of its own: what is validated and what is served could be two things."""
    if version in ("", "null"):
        what = f"bucket {bucket} keeps no versions, so that nothing pins what was uploaded"
        fix = "Enable versioning on the bucket, as template.yaml does, and upload again."
        raise RejectedError([Problem("UPLOAD_UNVERSIONED", what, where=uploads.shown(key), fix=fix)])


def admission(upload: Upload, table: ReleaseTable) -> ReleaseRecord:
    """Make the record of an upload; one that can't become a release carries its problems from the start."""
    endpoint, label = uploads.table_endpoint(upload.key), ""
    problems: tuple[dict[str, str], ...] = ()
    try:
        asked = uploads.destination(upload.key)
        label = asked.label
        # filed under the name that is known, also where it is refused
        endpoint = table.live(asked.endpoint).name or asked.endpoint
        require_same_case(asked.endpoint, endpoint)
    except RejectedError as error:
        problems = tuple({name: str(value) for name, value in asdict(one).items()} for one in error.problems)
    release = uploads.release_id(upload, endpoint)
    beside = {} if problems else pinned(upload, endpoint)
    return ReleaseRecord(
        endpoint=endpoint,
        release=release,
        bucket=upload.bucket,
        key=upload.key,
        version_id=upload.version_id,
        label=label,
        size_bytes=upload.size_bytes,
        uploaded_at=iso(upload.modified),
        order=uploads.order(upload, release),
        restores=upload.claim.restores,
        restore_asked_by=asked_by(upload.claim, endpoint, release, table),
        policy_version_id=beside.get("policy", ""),
        signature_version_id=beside.get("signature", ""),
        admitted_at=iso(now()),
        phase="waiting",
        problems=problems,
    )


def pinned(upload: Upload, endpoint: str) -> dict[str, str]:
    """Pin what was uploaded before the artifact and belongs to it; empty versions for what is not there."""
    keys = {"policy": uploads.policy_key(endpoint), "signature": uploads.signature_key(upload.key)}
    return {name: objects.current_version(upload.bucket, key) for name, key in keys.items()}


def asked_by(claim: Claim, endpoint: str, release: str, table: ReleaseTable) -> str:
    """Return who asked for a roll back, empty where the table knows of no such ask or it was used before."""
    return table.take_restore(endpoint, claim, release, int(now().timestamp())) if claim.restores else ""


def require_same_case(endpoint: str, known: str) -> None:
    """Refuse a name that differs from a known endpoint's only in case: one name to SageMaker (CreateEndpoint)."""
    if known != endpoint:
        what = f"the endpoint is called {known!r}; {endpoint!r} differs only in case, and SageMaker takes them for one"
        raise RejectedError([Problem("ENDPOINT_CASE", what, fix=f"Upload to {known}/.")])


def execution_input(record: ReleaseRecord) -> dict[str, Any]:
    """Return what the state machine starts with: ids, and what admission already knows the end to be."""
    if record.problems:
        cause = {"state": "Admit", "error": "RejectedError", "message": record.problems[0]["what"]}
    else:
        cause = {}
    return {"endpoint": record.endpoint, "release": record.release, "cause": cause}
