"""The signature of a release's artifact: its pinned bundle, verified, and held against the releases before."""

from __future__ import annotations

from dataclasses import replace

from modeldrop.artifact.signature import MAX_BUNDLE_BYTES, SignedModel, refusal, verify_bundle
from modeldrop.aws import objects
from modeldrop.aws.keys import public_key
from modeldrop.aws.releases import ReleaseTable
from modeldrop.policy.model import SignaturePolicy
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.replay import is_replayed
from modeldrop.release.restore import is_roll_back
from modeldrop.release.upload import signature_key


def signed_model(record: ReleaseRecord, policy: SignaturePolicy, table: ReleaseTable) -> SignedModel | None:
    """Return what the policy's key vouches for, None where no signature is asked for; ArtifactRejectedError else."""
    if not policy.required:
        return None
    key = signature_key(record.key)
    if not record.signature_version_id:
        raise refusal("SIGNATURE_MISSING", "it was not there when the artifact arrived; upload it first", key)
    bundle = objects.read_bounded(record.bucket, key, MAX_BUNDLE_BYTES, record.signature_version_id)
    signed = verify_bundle(bundle, public_key(policy.key))
    older = replay(record, signed.digest, table)
    if policy.older != "refuse":
        return signed
    if older and not is_roll_back(record):
        raise refusal("SIGNATURE_REPLAYED", older, record.key)
    return replace(signed, older=older)


def refuse_replay(record: ReleaseRecord, policy: SignaturePolicy, table: ReleaseTable) -> None:
    """Refuse again a signed model that is older than the live one: another release went live since it was validated."""
    digest = record.artifact.get("signature", {}).get("digest", "")
    if digest and policy.older == "refuse" and not is_roll_back(record):
        older = replay(record, digest, table)
        if older:
            raise refusal("SIGNATURE_REPLAYED", older, record.key)


def replay(record: ReleaseRecord, digest: str, table: ReleaseTable) -> str:
    """Note who brings this signed model, and say who did before the live one came; empty where nobody did."""
    first = table.first_brought(record.endpoint, digest, record.release, record.order)
    live = table.live(record.endpoint).live
    serving = table.get(record.endpoint, live) if live else None
    replayed = is_replayed(digest, first.order, serving)
    return f"{first.release} had this model already, and {live} is live since" if replayed else ""
