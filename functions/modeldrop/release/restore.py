"""A release that brings an earlier one back: a new release with a new id, from the artifact that was good before.

What an operator asks for may be older than the live model and break its callers, so it must be sure that an operator
asked. Who may upload may write any metadata: the upload only says which ask it belongs to, and the ask itself is a row
of the release table, which only operators and functions write. It is used once, and soon.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from modeldrop.errors import ArtifactRejectedError, Problem
from modeldrop.policy.model import Policy
from modeldrop.release.record import GOOD_OUTCOMES, ReleaseRecord

# S3 metadata of the upload: a claim until it was checked
METADATA_KEY = "modeldrop-restores"
ASK_KEY = "modeldrop-ask"
RELEASE_ID = re.compile(r"[a-zA-Z0-9-]{1,40}-[0-9]{14}-[0-9a-f]{6}")
ASK_ID = re.compile(r"[0-9a-f]{32}")
# from the ask to the admission of the upload, which is a matter of seconds; a lost event is found after 15 minutes
ASK_SECONDS = 3600


@dataclass(frozen=True)
class Claim:
    """What an upload says of itself: which release it restores, and by which ask. Both are empty for a plain upload."""

    restores: str = ""
    ask: str = ""


def claimed(metadata: dict[str, str]) -> Claim:
    """Read the claim of an upload; what is no release id is no claim, what is no ask's id belongs to no ask."""
    restores, ask = metadata.get(METADATA_KEY, ""), metadata.get(ASK_KEY, "")
    if not RELEASE_ID.fullmatch(restores):
        return Claim()
    return Claim(restores, ask if ASK_ID.fullmatch(ask) else "")


def as_metadata(claim: Claim) -> dict[str, str]:
    """Write the claim of an upload; the inverse of `claimed`."""
    return {METADATA_KEY: claim.restores, ASK_KEY: claim.ask}


def cannot_be_restored(target: ReleaseRecord, live: str | None) -> str:
    """Return why a release cannot be brought back, or nothing."""
    if target.release == live:
        return f"{target.release} is live already"
    if target.outcome not in GOOD_OUTCOMES:
        return f"{target.release} was never good: it is {target.outcome or target.phase}"
    return "" if target.artifact.get("sha256") else f"the artifact of {target.release} is not known"


def is_roll_back(record: ReleaseRecord) -> bool:
    """Say whether an operator asked for this release, by the table: it may be older than what is live, and break."""
    return bool(record.restores and record.restore_asked_by)


def in_force(policy: Policy, record: ReleaseRecord) -> Policy:
    """Return the policy as it is for this release: of a roll back, drift is shown and not acted on.

    That an earlier model answers otherwise than the live one is what an operator brings it back for.
    """
    if not is_roll_back(record) or not policy.quality.output or "drift" in policy.judge.observe:
        return policy
    return replace(policy, judge=replace(policy.judge, observe=(*policy.judge.observe, "drift")))


def require_asked(record: ReleaseRecord) -> None:
    """Refuse an upload that says it restores a release, and nobody asked for it."""
    if record.restores and not is_roll_back(record):
        what = f"the upload says that it restores {record.restores}, and nobody asked for that in the last hour"
        raise ArtifactRejectedError([Problem("RESTORES_UNASKED", what, record.key, _fix(record))])


def require_restored(record: ReleaseRecord, target: ReleaseRecord | None, sha256: str) -> None:
    """Refuse an upload that says it restores a release whose good artifact it is not."""
    if not record.restores:
        return
    good = target is not None and target.outcome in GOOD_OUTCOMES
    if good and target is not None and target.artifact.get("sha256") == sha256:
        return
    what = f"the upload says that it restores {record.restores}, and it is not the artifact of that good release"
    raise ArtifactRejectedError([Problem("RESTORES_MISMATCH", what, record.key, _fix(record))])


def _fix(record: ReleaseRecord) -> str:
    return f"Use modeldrop rollback {record.endpoint}, or drop the file without the metadata {METADATA_KEY}."
