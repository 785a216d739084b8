"""A release that brings an earlier one back: a new release with a new id, from the artifact that was good before."""

from __future__ import annotations

import re

from modeldrop.errors import ArtifactRejectedError, Problem
from modeldrop.release.record import GOOD_OUTCOMES, ReleaseRecord

# S3 metadata of the upload; who may upload may write it, so that it is a claim until it was checked
METADATA_KEY = "modeldrop-restores"
RELEASE_ID = re.compile(r"[a-zA-Z0-9-]{1,40}-[0-9]{14}-[0-9a-f]{6}")


def claimed(metadata: dict[str, str]) -> str:
    """Return which release an upload says it restores; empty for none, and for what is no release id."""
    found = metadata.get(METADATA_KEY, "")
    return found if RELEASE_ID.fullmatch(found) else ""


def cannot_be_restored(target: ReleaseRecord, live: str | None) -> str:
    """Return why a release cannot be brought back, or nothing."""
    if target.release == live:
        return f"{target.release} is live already"
    if target.outcome not in GOOD_OUTCOMES:
        return f"{target.release} was never good: it is {target.outcome or target.phase}"
    return "" if target.artifact.get("sha256") else f"the artifact of {target.release} is not known"


def require_restored(record: ReleaseRecord, target: ReleaseRecord | None, sha256: str) -> None:
    """Refuse an upload that says it restores a release whose good artifact it is not."""
    if not record.restores:
        return
    good = target is not None and target.outcome in GOOD_OUTCOMES
    if good and target is not None and target.artifact.get("sha256") == sha256:
        return
    what = f"the upload says that it restores {record.restores}, and it is not the artifact of that good release"
    fix = f"Use modeldrop rollback {record.endpoint}, or drop the file without the metadata {METADATA_KEY}."
    raise ArtifactRejectedError([Problem("RESTORES_MISMATCH", what, record.key, fix)])
