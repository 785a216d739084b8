"""The policy of a release, from the version of rollout.yaml that was pinned when it was admitted."""

from __future__ import annotations

from modeldrop.aws import objects, signatures
from modeldrop.policy.model import Policy
from modeldrop.policy.strict_yaml import MAX_POLICY_BYTES
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.upload import policy_key
from modeldrop.settings import Settings


def read_policy(record: ReleaseRecord, stack: Settings, signature_key: str) -> Policy:
    """Read and check the policy; PolicyRejectedError names every field that is wrong. No rollout.yaml: the defaults.

    signature_key: the stack's parameter SignatureKey, which no rollout.yaml can switch off; empty where it has none.
    A bad bundle is an ArtifactRejectedError where the policy needs to be signed by it.
    """
    from modeldrop.policy.parse import parse_policy

    text = b""
    if record.policy_version_id:
        key = policy_key(record.endpoint)
        text = objects.read_bounded(record.bucket, key, MAX_POLICY_BYTES, record.policy_version_id)
    return parse_policy(
        text,
        default_instance_type=stack.default_instance_type,
        default_instance_count=stack.default_instance_count,
        signature_key=signature_key,
        is_signed=lambda: signatures.signs_policy(record, signature_key, text),
    )
