"""The signature of a release's artifact: its pinned bundle, verified, and held against the releases before."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from modeldrop.artifact.signature import MAX_BUNDLE_BYTES, SignedModel, refusal, verify_bundle
from modeldrop.aws import objects
from modeldrop.aws.keys import public_key
from modeldrop.aws.releases import ReleaseTable
from modeldrop.policy.model import SignaturePolicy
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.replay import replayed
from modeldrop.release.restore import is_roll_back
from modeldrop.release.upload import POLICY_NAME, signature_key

ALL = 1_000_000


def signed_model(record: ReleaseRecord, policy: SignaturePolicy, table: ReleaseTable) -> SignedModel | None:
    """Return what the policy's key vouches for, None where no signature is asked for; ArtifactRejectedError else."""
    if not policy.required:
        return None
    signed = _verified(record, policy.key)
    older = replay(record, signed, table) if policy.older == "refuse" else ""
    if older and not is_roll_back(record):
        raise refusal("SIGNATURE_REPLAYED", older, record.key)
    return replace(signed, older=older)


def signs_policy(record: ReleaseRecord, key: str, text: bytes) -> bool:
    """Say whether the artifact's bundle covers this rollout.yaml, as a file at the archive's root.

    That the archive holds that very file is checked with all its others. ArtifactRejectedError for a bad bundle.
    """
    return _verified(record, key).files.get(POLICY_NAME) == hashlib.sha256(text).hexdigest()


def _verified(record: ReleaseRecord, key: str) -> SignedModel:
    """Read the pinned bundle and hold it against the key."""
    place = signature_key(record.key)
    if not record.signature_version_id:
        raise refusal("SIGNATURE_MISSING", "it was not there when the artifact arrived; upload it first", place)
    bundle = objects.read_bounded(record.bucket, place, MAX_BUNDLE_BYTES, record.signature_version_id)
    return verify_bundle(bundle, public_key(key))


def replay(record: ReleaseRecord, signed: SignedModel, table: ReleaseTable) -> str:
    """Say that a signed model was dropped here before the live one; empty where it was not."""
    live = table.live(record.endpoint)["live"]
    serving = table.get(record.endpoint, live) if live else None
    earlier = replayed(signed.digest, serving, table.recent(record.endpoint, ALL)) if serving else None
    return f"{earlier.release} had this model already, and {live} is live since" if earlier else ""
