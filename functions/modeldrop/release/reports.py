"""Where a release's files are in the approved bucket (DESIGN 4.1)."""

from __future__ import annotations

import json
from typing import Any

from modeldrop.release.record import ReleaseRecord


def approved_key(endpoint: str, sha256: str) -> str:
    """Return the key of what is served: an overwritten upload can never change it."""
    return f"approved/{endpoint}/{sha256}/model.tar.gz"


def rehearsal_key(release: str) -> str:
    """Return the key of the temporary copy that the throw-away endpoint may read."""
    return f"rehearsal/{release}/model.tar.gz"


def captures_prefix(bucket: str) -> str:
    """Return what the prefix of every release's captured answers begins with."""
    return f"s3://{bucket}/captures/"


def report_key(record: ReleaseRecord, name: str) -> str:
    """Return the key of one of the release's reports."""
    return f"reports/{record.endpoint}/{record.release}/{name}"


def to_bytes(document: Any) -> bytes:
    """Write JSON as a report holds it."""
    return json.dumps(document, indent=1, sort_keys=False).encode() + b"\n"
