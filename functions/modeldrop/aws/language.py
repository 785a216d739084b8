"""Reports of artifacts in the approved bucket: what the live release and a new one say of their serving signatures."""

from __future__ import annotations

import json
from dataclasses import replace

from modeldrop.artifact.language import Breaking, Live, signatures_of
from modeldrop.artifact.report import MAX_REPORT_BYTES, ArtifactReport, report_from_json, report_to_json
from modeldrop.aws import objects
from modeldrop.aws.releases import ReleaseTable
from modeldrop.policy.model import Policy
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.reports import report_key, to_bytes
from modeldrop.release.restore import is_roll_back
from modeldrop.settings import settings

NAME = "artifact.json"


def live_model(record: ReleaseRecord, table: ReleaseTable) -> Live | None:
    """Read what the live release's artifact.json says of its serving signatures; None where nothing is live."""
    release = table.live(record.endpoint).live
    if not release or release == record.release:
        return None
    key = report_key(replace(record, release=release), NAME)
    if not objects.exists(settings().approved_bucket, key):
        return Live(release, None)
    return Live(release, signatures_of(objects.read_bounded(settings().approved_bucket, key, MAX_REPORT_BYTES)))


def breaking_of(record: ReleaseRecord, policy: Policy) -> Breaking:
    """Return what becomes of a change that breaks callers."""
    return "restore" if is_roll_back(record) else policy.artifact.breaking


def keep(record: ReleaseRecord, report: ArtifactReport) -> None:
    """Keep the whole report beside the release."""
    body = to_bytes(report_to_json(report))
    objects.write(settings().approved_bucket, report_key(record, NAME), body, "application/json")


def kept(record: ReleaseRecord) -> ArtifactReport:
    """Read what `keep` wrote."""
    body = objects.read_bounded(settings().approved_bucket, report_key(record, NAME), MAX_REPORT_BYTES)
    return report_from_json(json.loads(body))
