"""The policy of a release, from the version of rollout.yaml that was pinned when it was admitted."""

from __future__ import annotations

from modeldrop.aws import objects
from modeldrop.policy.model import Policy
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.upload import policy_key
from modeldrop.settings import Settings

MAX_POLICY_BYTES = 64 * 1024


def read_policy(record: ReleaseRecord, stack: Settings, signature_key: str) -> Policy:
    """Read and check the policy; PolicyRejectedError names every field that is wrong. No rollout.yaml: the defaults.

    signature_key: the stack's parameter SignatureKey, which no rollout.yaml can switch off; empty where it has none.
    """
    from modeldrop.policy.parse import parse_policy

    text = None
    if record.policy_version_id:
        key = policy_key(record.endpoint)
        text = objects.read_bounded(record.bucket, key, MAX_POLICY_BYTES, record.policy_version_id)
    return parse_policy(
        text,
        default_instance_type=stack.default_instance_type,
        default_instance_count=stack.default_instance_count,
        signature_key=signature_key,
    )
