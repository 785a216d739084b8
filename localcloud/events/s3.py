"""What S3 tells EventBridge about objects: one event a change, with the fields that AWS documents."""

from __future__ import annotations

import secrets
import string
import threading
import time
from collections.abc import Callable
from typing import Any

from localcloud.core import ACCOUNT_ID

# S3 stores first and tells later; a listener must find the object with its metadata and tags.
DELAY_SECONDS = 0.1
EMPTY_ETAG = "d41d8cd98f00b204e9800998ecf8427e"  # of a delete marker: the MD5 of nothing

REASONS = {
    "s3:ObjectCreated:Put": "PutObject",
    "s3:ObjectCreated:Post": "POST Object",
    "s3:ObjectCreated:Copy": "CopyObject",
    "s3:ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
}

_call = threading.local()
_sequence_lock = threading.Lock()
_last_sequence = 0


def install(emit: Callable[..., None]) -> None:
    """Replace moto's EventBridge message for S3, which has a constant sequencer and moto's own reasons."""
    from moto.s3 import notifications
    from moto.s3.models import S3Backend
    from moto.s3.responses import S3Response

    moto_delete, moto_tagging = S3Backend.delete_object, S3Response.put_object_tagging

    def send(account_id: str, bucket: Any, event_name: str, key: Any) -> None:
        kind = str(getattr(event_name, "value", event_name))
        # moto stores an assembled upload with an inner put, which AWS never shows
        inner_put = kind == "s3:ObjectCreated:Put" and key.multipart is not None
        tags_of_a_put = kind == "s3:ObjectTagging:Put" and not getattr(_call, "tagging", False)
        # deletions are told below, where it is known what was deleted
        if inner_put or tags_of_a_put or kind.startswith("s3:ObjectRemoved"):
            return
        if kind in REASONS:
            detail = created(bucket, key, REASONS[kind])
            emit("aws.s3", "Object Created", detail, [bucket.arn], delay_seconds=DELAY_SECONDS)
        else:
            entry = {"key": key.name, "etag": key.etag.strip('"')} | version_of(bucket, key.version_id)
            name = notifications._detail_type(event_name)
            emit("aws.s3", name, common(bucket, entry), [bucket.arn], delay_seconds=DELAY_SECONDS)

    def delete_object(
        self: Any, bucket_name: str, key_name: str, version_id: str | None = None, bypass: bool = False
    ) -> tuple[bool, dict[str, Any]]:
        bucket = self.get_bucket(bucket_name)
        before = _versions(bucket, key_name)
        done, answer = moto_delete(self, bucket_name, key_name, version_id=version_id, bypass=bypass)
        listening = bucket.notification_configuration and bucket.notification_configuration.event_bridge is not None
        marker = bucket.is_versioned and version_id is None
        changed = marker or _versions(bucket, key_name) != before
        if done and listening and changed:
            told = answer.get("version-id") if marker else version_id
            detail = deleted(bucket, key_name, told, marker=bool(marker))
            emit("aws.s3", "Object Deleted", detail, [bucket.arn], delay_seconds=DELAY_SECONDS)
        return done, answer

    def put_object_tagging(self: Any) -> Any:
        _call.tagging = True
        try:
            return moto_tagging(self)
        finally:
            _call.tagging = False

    notifications._send_event_bridge_message = send
    S3Backend.delete_object = delete_object
    S3Response.put_object_tagging = put_object_tagging


def created(bucket: Any, key: Any, reason: str) -> dict[str, Any]:
    """Return the detail of "Object Created"; the key is as it is, not URL-encoded (unlike S3's own notifications)."""
    entry = {"key": key.name, "size": key.size, "etag": key.etag.strip('"')} | version_of(bucket, key.version_id)
    return common(bucket, entry) | {"reason": reason}


def deleted(bucket: Any, key_name: str, version_id: str | None, *, marker: bool) -> dict[str, Any]:
    """Return the detail of "Object Deleted": a marker, or a version that is gone for good."""
    entry: dict[str, Any] = {"key": key_name} | ({"etag": EMPTY_ETAG} if marker else {})
    kind = "Delete Marker Created" if marker else "Permanently Deleted"
    told = common(bucket, entry | version_of(bucket, version_id))
    return told | {"reason": "DeleteObject", "deletion-type": kind}


def common(bucket: Any, entry: dict[str, Any]) -> dict[str, Any]:
    """Return what every S3 event has."""
    alphabet = string.ascii_uppercase + string.digits
    return {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": entry | {"sequencer": next_sequencer()},
        "request-id": "".join(secrets.choice(alphabet) for _ in range(16)),
        "requester": ACCOUNT_ID,
        "source-ip-address": "127.0.0.1",
    }


def version_of(bucket: Any, version_id: str | None) -> dict[str, str]:
    """Return the version id, which only a versioned bucket's events have."""
    return {"version-id": str(version_id)} if bucket.is_versioned and version_id not in (None, "null") else {}


def next_sequencer() -> str:
    """Return 16 hexadecimal digits, higher than all before: the later change of a key compares higher."""
    global _last_sequence
    with _sequence_lock:
        _last_sequence = max(_last_sequence + 1, time.time_ns())
        return f"{_last_sequence:016X}"


def _versions(bucket: Any, key_name: str) -> list[Any]:
    return [id(key) for key in bucket.keys.getlist(key_name, [])]
