"""The release record: everything known of one release, one DynamoDB item, plain JSON inside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["promoted", "created", "rolled_back", "rejected", "superseded", "parked", "aborted", "failed"]
Phase = Literal[
    "waiting",
    "validating",
    "planning",
    "rehearsing",
    "approving",
    "preparing",
    "rolling_out",
    "canary",
    "baking",
    "shifting",
    "final_bake",
    "rolling_back",
    "creating",
    "finishing",
    "done",
]

OUTCOMES: tuple[Outcome, ...] = (
    "promoted",
    "created",
    "rolled_back",
    "rejected",
    "superseded",
    "parked",
    "aborted",
    "failed",
)
GOOD_OUTCOMES: frozenset[Outcome] = frozenset({"promoted", "created"})


@dataclass(frozen=True)
class ReleaseRecord:
    """One release of one endpoint.

    endpoint is the name in its own case; the table's key is its lower case. Times are ISO 8601 UTC with `Z`. order: see
    release.upload.order. restores: the release that the upload claims to bring back; restore_asked_by: the operator who
    asked for that, from the table (release.restore), empty where nobody did. problems: what a rejection found, as
    {code, what, where, fix}. cause: where and how the release broke, as {state, error, message}. progress: how far the
    reading of the artifact is. policy, plan, artifact, verdict, rollout and evidence are JSON as written by the part
    that owns them.
    """

    endpoint: str
    release: str
    bucket: str
    key: str
    version_id: str
    label: str = ""
    size_bytes: int = 0
    uploaded_at: str = ""
    order: str = ""
    policy_version_id: str = ""
    restores: str = ""
    restore_asked_by: str = ""
    signature_version_id: str = ""
    admitted_at: str = ""
    fence: int = 0
    phase: Phase = "waiting"
    outcome: Outcome | None = None
    headline: str = ""
    reasons: tuple[str, ...] = ()
    problems: tuple[dict[str, str], ...] = ()
    cause: dict[str, str] = field(default_factory=dict)
    finished_at: str = ""
    execution_arn: str = ""
    abort_requested_by: str = ""
    progress: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)
    artifact: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    rollout: dict[str, Any] = field(default_factory=dict)
    verdict: dict[str, Any] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)
