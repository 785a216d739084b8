"""Put a policy and a model into the upload bucket, and know the id of the release they will be."""

from __future__ import annotations

from pathlib import Path

from cli.account import Stack
from cli.failures import USAGE, CommandError
from modeldrop.errors import RejectedError
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.reports import approved_key
from modeldrop.release.restore import METADATA_KEY
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


def restore_model(stack: Stack, target: ReleaseRecord) -> str:
    """Drop the approved artifact of a good release again, as a new version of the key it came from; the new id."""
    source = {"Bucket": stack.approved_bucket, "Key": approved_key(target.endpoint, target.artifact["sha256"])}
    if target.signature_version_id:  # a release is pinned to the signature it finds
        key = signature_key(target.key)
        signature = {"Bucket": target.bucket, "Key": key, "VersionId": target.signature_version_id}
        stack.account.client("s3").copy(signature, stack.upload_bucket, key)
    named = {"Metadata": {METADATA_KEY: target.release}, "MetadataDirective": "REPLACE", "TaggingDirective": "REPLACE"}
    stack.account.client("s3").copy(source, stack.upload_bucket, target.key, ExtraArgs=named)
    return _release_of(stack, target.key, target.endpoint)
