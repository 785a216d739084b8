"""ValidateArtifact: read the pinned artifact once, refuse what would not load or is not safe, copy it to be served."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, BinaryIO

from modeldrop.artifact.inspect import inspect_artifact
from modeldrop.artifact.language import Live, told
from modeldrop.artifact.progress import ProgressReporter
from modeldrop.artifact.report import ArtifactReport
from modeldrop.artifact.signature import FileDigests, SignedModel, with_signature
from modeldrop.aws import golden, language, objects, signatures
from modeldrop.aws.failures import is_transient
from modeldrop.aws.policies import read_policy
from modeldrop.aws.releases import ReleaseTable
from modeldrop.aws.steps import begin
from modeldrop.entry import entry
from modeldrop.policy.model import Policy
from modeldrop.policy.wire import policy_to_json
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.reports import approved_key
from modeldrop.release.restore import in_force, require_asked, require_restored
from modeldrop.release.upload import signature_key
from modeldrop.settings import settings


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Answer with the digest of what will be served; a rejection error names every problem."""
    table, record, _ = begin(event)
    table.update(record.endpoint, record.release, phase="validating")
    require_asked(record)
    policy = in_force(read_policy(record, settings(), event["signature_key"]), record)
    table.update(record.endpoint, record.release, policy=policy_to_json(policy))
    signed = signatures.signed_model(record, policy.signature, table)
    live = language.live_model(record, table)
    report = inspect(record, policy, live, signed, progress(record, table))
    store(record, report, table, signed, live)
    report.require_good()
    if record.restores:
        require_restored(record, table.get(record.endpoint, record.restores), report.sha256)
    if report.golden:
        golden.store(record, report.golden)
    approve(record, report.sha256, signed)
    return {"sha256": report.sha256}


def progress(record: ReleaseRecord, table: ReleaseTable) -> Callable[[int], None]:
    """Return what tells the record now and then how far the reading is."""
    began = time.monotonic()

    def tell(progress: dict[str, Any]) -> None:
        try:
            table.update(record.endpoint, record.release, progress=progress)
        except Exception as error:  # a throttled write is not worth the reading done so far
            if not is_transient(error):
                raise

    return ProgressReporter(record.size_bytes, lambda: time.monotonic() - began, tell)


def inspect(
    record: ReleaseRecord,
    policy: Policy,
    live: Live | None,
    signed: SignedModel | None,
    progress: Callable[[int], None],
) -> ArtifactReport:
    """Stream the pinned version through the checks."""
    digests = FileDigests()

    def pinned() -> BinaryIO:
        return objects.open_version(record.bucket, record.key, record.version_id)

    with pinned() as body:
        report = inspect_artifact(
            body,
            allow_code=policy.artifact.code == "allow",
            max_size_bytes=policy.artifact.max_size_bytes,
            again=pinned,
            live=live,
            breaking=language.breaking_of(record, policy),
            instance_type=policy.endpoint.instance_type,
            progress=progress,
            each_file=digests.begin if signed else None,
        )
    # the digests of an archive that was refused half way say nothing
    return with_signature(report, signed, digests.hex()) if signed and not report.refusals else report


def store(
    record: ReleaseRecord, report: ArtifactReport, table: ReleaseTable, signed: SignedModel | None, live: Live | None
) -> None:
    """Keep the whole report beside the release, and its facts in the record."""
    language.keep(record, report)
    facts: dict[str, Any] = {
        "sha256": report.sha256,
        "size_bytes": report.size_bytes,
        "uncompressed_bytes": report.uncompressed_bytes,
        "model_name": report.model_name,
        "version": report.version,
        "tensorflow_version": report.tensorflow_version,
        "golden_requests": len(report.golden),
        "outputs": sorted(report.serving_signatures.get("serving_default", {}).get("outputs", ())),
        # the release that serves by the time of the plan may be another one
        "compared_with": live.release if live else "",
        **told(report),
    }
    if signed and not report.refusals:
        facts["signature"] = {"digest": signed.digest, "files": len(signed.files)}
    table.change(record, fenced=False, artifact=facts)


def approve(record: ReleaseRecord, sha256: str, signed: SignedModel | None) -> None:
    """Copy the pinned version under its digest; a copy that is there already is the same bytes.

    Its signature goes beside it: a roll back needs it after the upload bucket has forgotten old versions.
    """
    bucket, key = settings().approved_bucket, approved_key(record.endpoint, sha256)
    if not objects.exists(bucket, key):
        objects.copy_version(record.bucket, record.key, record.version_id, bucket, key)
    if signed:
        source, version = signature_key(record.key), record.signature_version_id
        objects.copy_version(record.bucket, source, version, bucket, signature_key(key))
