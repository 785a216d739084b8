"""Put a policy and a model into the upload bucket, and know the id of the release they will be."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from cli.account import Stack
from cli.failures import ANSWER_IS_NO, USAGE, CommandError
from modeldrop.errors import RejectedError
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.reports import approved_key
from modeldrop.release.restore import ASK_SECONDS, Claim, as_metadata
from modeldrop.release.upload import ARTIFACT_NAME, Upload, destination, policy_key, release_id, signature_key


def drop_model(stack: Stack, file: Path, endpoint: str, *, label: str = "", policy: bytes | None = None) -> str:
    """Upload, the policy first, since a release is pinned to the policy it finds; the release id."""
    key = "/".join(part for part in (endpoint, label, ARTIFACT_NAME) if part)
    try:
        destination(key)
    except RejectedError as error:
        raise CommandError(str(error), status=USAGE) from None
    s3 = stack.account.client("s3")
    if policy is not None:
        s3.put_object(Bucket=stack.upload_bucket, Key=policy_key(endpoint), Body=policy, ContentType="application/yaml")
    signature = file.with_name(f"{file.name}.sig")
    if signature.is_file():  # a release is pinned to the signature it finds, too
        s3.upload_file(str(signature), stack.upload_bucket, signature_key(key))
    s3.upload_file(str(file), stack.upload_bucket, key)
    return _release_of(stack, key, endpoint)


def _release_of(stack: Stack, key: str, endpoint: str) -> str:
    """Return the id of the release that the newest version of a key will be."""
    head = stack.account.client("s3").head_object(Bucket=stack.upload_bucket, Key=key)
    size = int(head["ContentLength"])
    return release_id(Upload(stack.upload_bucket, key, head["VersionId"], head["LastModified"], "", size), endpoint)


def restore_model(stack: Stack, target: ReleaseRecord, who: str) -> str:
    """Drop the approved artifact of a good release again, as a new version of the key it came from; the new id.

    who: the operator. The ask goes into the table first: an upload alone could be anybody's (release.restore).
    """
    s3, key = stack.account.client("s3"), approved_key(target.endpoint, target.artifact["sha256"])
    if not _is_there(s3, stack.approved_bucket, key):
        what = f"the artifact of {target.release} is no longer kept: s3://{stack.approved_bucket}/{key}"
        raise CommandError(what, fix=f"modeldrop drop FILE {target.endpoint}", status=ANSWER_IS_NO)
    if target.signature_version_id:  # a release is pinned to the signature it finds
        _restore_signature(stack, target, signature_key(key))
    claim = Claim(target.release, uuid4().hex)
    stack.releases().ask_restore(target.endpoint, claim, who, int(time.time()) + ASK_SECONDS)
    named = {"Metadata": as_metadata(claim), "MetadataDirective": "REPLACE", "TaggingDirective": "REPLACE"}
    s3.copy({"Bucket": stack.approved_bucket, "Key": key}, stack.upload_bucket, target.key, ExtraArgs=named)
    return _release_of(stack, target.key, target.endpoint)


def _restore_signature(stack: Stack, target: ReleaseRecord, approved: str) -> None:
    """Upload the artifact's signature again: the copy beside the artifact, or the version it was read from."""
    s3, key = stack.account.client("s3"), signature_key(target.key)
    kept = {"Bucket": stack.approved_bucket, "Key": approved}
    pinned = {"Bucket": target.bucket, "Key": key, "VersionId": target.signature_version_id}
    s3.copy(kept if _is_there(s3, stack.approved_bucket, approved) else pinned, stack.upload_bucket, key)


def _is_there(s3: Any, bucket: str, key: str) -> bool:
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
            return False
        raise
    return True
