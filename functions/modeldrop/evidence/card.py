"""The evidence card as JSON: what happened to a release and why, in a stable schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modeldrop.evidence.plain import plain
from modeldrop.release.outcome import Ending
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.rehearsal import rehearsal_line
from modeldrop.rollout.model import RolloutPlan, plan_from_json

SCHEMA = 1


@dataclass(frozen=True)
class Harm:
    """What users met on green: requests it answered, how many of them failed, how many were slow (None: not known).

    known: False where CloudWatch could not be read, so that the noughts say nothing.
    """

    green_requests: int
    failed_requests: int
    slow_requests: int | None = None
    known: bool = True


@dataclass(frozen=True)
class Surroundings:
    """What an ending leaves behind. live, previous: release ids or empty. report_url: of the HTML card, or empty.

    live_unchanged: the live release was seen to serve, at rest. serves: the endpoint config that was seen to serve, at
    rest, or empty. endpoint_moves: SageMaker was still changing it. runbook: the address of its page, or empty.

    latency: {since, every, blue, green}; a fleet is {p50: [...], p99: [...]} in milliseconds, one number for every
    `every` seconds, None where there was no data; a fleet that is not known is None, and so is all of it.
    """

    finished_at: str
    live: str
    previous: str
    live_unchanged: bool
    report_url: str
    harm: Harm
    latency: Mapping[str, Any] | None = None
    serves: str = ""
    endpoint_moves: bool = False
    runbook: str = ""


def build_card(record: ReleaseRecord, ending: Ending, around: Surroundings) -> dict[str, Any]:
    """Return evidence.json (schema 1): keys may be added, never taken away or given another meaning.

    Every text that came from a key, a tag, a policy or AWS is stripped of control and bidi characters and capped.
    `verdict` and `policy` are as the judge (judge.verdict) and the policy (policy.wire) wrote them, {} where there was
    none. Times are ISO 8601 UTC, "" where the release did not come so far.
    problems: {code, what, where, fix}. timeline: [time, phase] as first seen. alarms: {name, at, reason} of those that
    fired. canary_started: green first kept traffic. rolling_back_since: SageMaker was first seen rolling back. harm:
    {green_requests, failed_requests, slow_requests, known} as users met them. serves, endpoint_moves: see Surroundings.
    previous_config: what served before the rollout. runbook: see Surroundings. clump: how many failures count as one.
    latency: as in Surroundings. metrics_every: seconds of a bin. strategy_words: how the traffic went, once it did.
    """
    rollout = record.rollout
    plan = _plan(record)
    passage = rollout.get("passage", {})
    return {
        "schema": SCHEMA,
        "endpoint": plain(record.endpoint),
        "release": plain(record.release),
        "label": plain(record.label),
        "restores": plain(record.restores),
        "outcome": ending.outcome,
        "reasons": [plain(reason, 600) for reason in ending.reasons],
        "problems": [{name: plain(text, 400) for name, text in problem.items()} for problem in record.problems],
        "artifact": _artifact(record),
        "strategy": plan.strategy.name if plan else "",
        "strategy_words": _strategy_words(plan) if plan and rollout.get("started_at") else "",
        "canary_instances": plan.canary_instances if plan else 0,
        "instance_count": record.plan.get("instance_count", 0),
        "notes": [plain(note, 300) for note in record.plan.get("notes", ())],
        "policy": record.policy,
        "rehearsal": plain(rehearsal_line(record.artifact.get("rehearsal", {}), record.plan), 500),
        "verdict": record.verdict,
        "slow_ms": record.plan.get("slow_ms"),
        "clump": record.plan.get("clump", 1),
        "latency": around.latency,
        "metrics_every": record.plan.get("metrics_every"),
        "first_release": bool(record.plan.get("first_release", False)),
        "canary_started": (passage.get("bakes") or [""])[0],
        "rolling_back_since": passage.get("rolling_back_since") or "",
        "timeline": [[plain(at), plain(what)] for at, what in rollout.get("timeline", ())],
        "alarms": [_alarm(alarm) for alarm in rollout.get("alarms_fired", ())],
        "harm": vars(around.harm),
        "live": plain(around.live),
        "previous": plain(around.previous),
        "live_unchanged": around.live_unchanged,
        "serves": plain(around.serves),
        "endpoint_moves": around.endpoint_moves,
        "previous_config": plain(record.plan.get("previous_config", "")),
        "aborted_by": plain(record.abort_requested_by),
        "uploaded_at": record.uploaded_at,
        "started_at": rollout.get("started_at", ""),
        "finished_at": around.finished_at,
        "report_url": around.report_url,
        "runbook": plain(around.runbook, 500),
    }


def _plan(record: ReleaseRecord) -> RolloutPlan | None:
    """Return the plan; None also where this version can't read it, since an outcome must be told all the same."""
    try:
        return plan_from_json(record.plan) if record.plan else None
    except (KeyError, TypeError, ValueError):
        return None


def _strategy_words(plan: RolloutPlan) -> str:
    return plan.strategy.name if plan.first_release else plan.strategy.card_words(plan.instance_count)


def _artifact(record: ReleaseRecord) -> dict[str, Any]:
    known = {name: record.artifact.get(name) for name in ("sha256", "tensorflow_version", "golden_requests")}
    warnings: Sequence[str] = record.artifact.get("warnings", ())
    source = plain(f"s3://{record.bucket}/{record.key}", 300)
    return {
        **known,
        "source": source,
        "size_bytes": record.size_bytes,
        "breaking": [plain(one, 300) for one in record.artifact.get("breaking", ())],
        "warnings": [plain(one, 300) for one in warnings],
    }


def _alarm(alarm: Mapping[str, str]) -> dict[str, str]:
    return {name: plain(alarm[name], 300) for name in ("name", "at", "reason")}
