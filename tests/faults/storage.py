"""S3 of a story: versioned objects in memory."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]


class AwsError(Exception):
    """What a service answers in place of a result: its code, its sentence, the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True)
class Version:
    """One version of an object."""

    version_id: str
    body: bytes
    modified: float
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


class Buckets:
    """All buckets; each keeps every version. A delete puts a marker, which here is an empty list of versions."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._objects: dict[tuple[str, str], list[Version]] = {}
        self._count = 0

    def put(self, bucket: str, key: str, body: bytes, metadata: Mapping[str, str] | None = None) -> Version:
        """Add a version and return it."""
        self._count += 1
        version = Version(f"v{self._count}", body, float(int(self._now())), dict(metadata or {}))
        self._objects.setdefault((bucket, key), []).append(version)
        return version

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return the keys that have a current version."""
        having = [key for (own, key), versions in self._objects.items() if own == bucket and versions]
        return sorted(key for key in having if key.startswith(prefix))

    def call(self, operation: str, params: Json) -> Json:
        """Answer one call of S3."""
        found: Json = getattr(self, f"_{operation}")(params)
        return found

    def _find(self, params: Json, missing: str) -> Version:
        versions = self._objects.get((params["Bucket"], params["Key"]), [])
        wanted = params.get("VersionId")
        for version in reversed(versions):
            if wanted in (None, version.version_id):
                return version
        raise AwsError("NoSuchVersion" if wanted and missing != "404" else missing, "not there", 404)

    def _HeadObject(self, params: Json) -> Json:  # noqa: N802 named as the operation
        return _described(self._find(params, "404"))

    def _GetObject(self, params: Json) -> Json:  # noqa: N802 named as the operation
        version = self._find(params, "NoSuchKey")
        if params.get("IfMatch") not in (None, version.etag):
            raise AwsError("PreconditionFailed", "another object", 412)
        body = version.body
        if text := params.get("Range"):
            first, last = text.removeprefix("bytes=").split("-")
            body = body[int(first) : int(last) + 1]
        return {**_described(version), "Body": io.BytesIO(body)}

    def _PutObject(self, params: Json) -> Json:  # noqa: N802 named as the operation
        body = params.get("Body", b"")
        content = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else body.read()
        version = self.put(params["Bucket"], params["Key"], content, params.get("Metadata"))
        return {"VersionId": version.version_id, "ETag": version.etag}

    def _CopyObject(self, params: Json) -> Json:  # noqa: N802 named as the operation
        source = self._find(params["CopySource"], "NoSuchKey")
        metadata = params.get("Metadata") if params.get("MetadataDirective") == "REPLACE" else source.metadata
        version = self.put(params["Bucket"], params["Key"], source.body, metadata)
        return {"CopyObjectResult": {"ETag": version.etag}, "VersionId": version.version_id}

    def _DeleteObject(self, params: Json) -> Json:  # noqa: N802 named as the operation
        self._objects.pop((params["Bucket"], params["Key"]), None)
        return {}

    def _ListObjectsV2(self, params: Json) -> Json:  # noqa: N802 named as the operation
        keys = self.keys(params["Bucket"], params.get("Prefix", ""))
        shown = [(key, self._objects[params["Bucket"], key][-1]) for key in keys]
        contents = [{"Key": key, "Size": len(one.body), "LastModified": _time(one.modified)} for key, one in shown]
        return {"Contents": contents, "KeyCount": len(contents), "IsTruncated": False}

    def _ListObjectVersions(self, params: Json) -> Json:  # noqa: N802 named as the operation
        listed = [
            {
                "Key": key,
                "VersionId": one.version_id,
                "IsLatest": one is versions[-1],
                "LastModified": _time(one.modified),
                "Size": len(one.body),
            }
            for (bucket, key), versions in sorted(self._objects.items())
            if bucket == params["Bucket"] and key.startswith(params.get("Prefix", ""))
            for one in reversed(versions)
        ]
        return {"Versions": listed, "IsTruncated": False}


def _described(version: Version) -> Json:
    return {
        "ContentLength": len(version.body),
        "ETag": version.etag,
        "VersionId": version.version_id,
        "LastModified": _time(version.modified),
        "Metadata": dict(version.metadata),
    }


def _time(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)
