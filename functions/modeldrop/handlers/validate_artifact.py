"""ValidateArtifact: read the pinned artifact once, refuse what would not load or is not safe, copy it to be served."""

from __future__ import annotations

from typing import Any

from modeldrop.artifact.inspect import inspect_artifact
from modeldrop.artifact.report import ArtifactReport, report_to_json
from modeldrop.artifact.signature import FileDigests, SignedModel, with_signature
from modeldrop.aws import golden, objects, signatures
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
    signed = signatures.signed_model(record, policy.signature, table)
    report = inspect(record, policy, signed)
    store(record, report, table, signed)
    report.require_good()
    if report.golden:
        golden.store(record, report.golden)
    approve(record, report.sha256)
    return {"sha256": report.sha256}


def inspect(record: ReleaseRecord, policy: Policy, signed: SignedModel | None) -> ArtifactReport:
    """Stream the pinned version through the checks."""
    digests = FileDigests()
    with objects.open_version(record.bucket, record.key, record.version_id) as body:
        report = inspect_artifact(
            body,
            allow_code=policy.artifact.code == "allow",
            max_size_bytes=policy.artifact.max_size_bytes,
            each_file=digests.begin if signed else None,
        )
    # the digests of an archive that was refused half way say nothing
    return with_signature(report, signed, digests.hex()) if signed and not report.refusals else report


def store(record: ReleaseRecord, report: ArtifactReport, table: ReleaseTable, signed: SignedModel | None) -> None:
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
    if signed and not report.refusals:
        facts["signature"] = {"digest": signed.digest, "files": len(signed.files)}
    table.update(record.endpoint, record.release, artifact=facts)


def approve(record: ReleaseRecord, sha256: str) -> None:
    """Copy the pinned version under its digest; a copy that is there already is the same bytes."""
    key = approved_key(record.endpoint, sha256)
    if not objects.exists(settings().approved_bucket, key):
        objects.copy_version(record.bucket, record.key, record.version_id, settings().approved_bucket, key)
