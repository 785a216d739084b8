"""ValidateArtifact: read the pinned artifact once, refuse what would not load or is not safe, copy it to be served."""

from __future__ import annotations

import time
from typing import Any

from modeldrop.artifact.inspect import inspect_artifact
from modeldrop.artifact.progress import ProgressReporter
from modeldrop.artifact.report import ArtifactReport, report_to_json
from modeldrop.aws import golden, objects
from modeldrop.aws.failures import is_transient
from modeldrop.aws.policies import read_policy
from modeldrop.aws.releases import ReleaseTable
from modeldrop.observability import entry
from modeldrop.policy.model import Policy
from modeldrop.policy.wire import policy_to_json
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.reports import approved_key, report_key, to_bytes
from modeldrop.settings import settings


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Answer with the digest of what will be served; a rejection error names every problem."""
    table = ReleaseTable(settings().release_table)
    record = table.require(event["endpoint"], event["release"])
    table.update(record.endpoint, record.release, phase="validating")
    policy = read_policy(record, settings())
    table.update(record.endpoint, record.release, policy=policy_to_json(policy))
    report = inspect(record, policy, table)
    store(record, report, table)
    report.require_good()
    if report.golden:
        golden.store(record, report.golden)
    approve(record, report.sha256)
    return {"sha256": report.sha256}


def inspect(record: ReleaseRecord, policy: Policy, table: ReleaseTable) -> ArtifactReport:
    """Stream the pinned version through the checks; the record tells now and then how far it is."""
    began = time.monotonic()

    def tell(progress: dict[str, Any]) -> None:
        try:
            table.update(record.endpoint, record.release, artifact={"progress": progress})
        except Exception as error:  # a throttled write is not worth the reading done so far
            if not is_transient(error):
                raise

    with objects.open_version(record.bucket, record.key, record.version_id) as body:
        return inspect_artifact(
            body,
            allow_code=policy.artifact.code == "allow",
            max_size_bytes=policy.artifact.max_size_bytes,
            progress=ProgressReporter(record.size_bytes, lambda: time.monotonic() - began, tell),
        )


def store(record: ReleaseRecord, report: ArtifactReport, table: ReleaseTable) -> None:
    """Keep the whole report beside the release, and its facts in the record."""
    whole = report_to_json(report)
    key = report_key(record, "artifact.json")
    objects.write(settings().approved_bucket, key, to_bytes(whole), "application/json")
    facts = {
        "sha256": report.sha256,
        "size_bytes": report.size_bytes,
        "uncompressed_bytes": report.uncompressed_bytes,
        "model_name": report.model_name,
        "version": report.version,
        "tensorflow_version": report.tensorflow_version,
        "golden_requests": len(report.golden),
        "warnings": [check.what for check in report.warnings][:20],
    }
    table.update(record.endpoint, record.release, artifact=facts)


def approve(record: ReleaseRecord, sha256: str) -> None:
    """Copy the pinned version under its digest; a copy that is there already is the same bytes."""
    key = approved_key(record.endpoint, sha256)
    if not objects.exists(settings().approved_bucket, key):
        objects.copy_version(record.bucket, record.key, record.version_id, settings().approved_bucket, key)
