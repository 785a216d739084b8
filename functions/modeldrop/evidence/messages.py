"""Every message to people: subject, lines, and the attributes by which a subscription filters. A channel sends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modeldrop.evidence.plain import plain
from modeldrop.evidence.runbook import runbook_link
from modeldrop.evidence.text import MAX_LINE, SEVERITY, fitting, render_text
from modeldrop.times import iso


@dataclass(frozen=True)
class Message:
    """What people are sent. subject: ASCII, under 100 characters. attributes: SNS message attributes, by name."""

    subject: str
    body: str
    attributes: Mapping[str, str]


def canary_started(
    endpoint: str, release: str, *, live: str, traffic: str, since: datetime, runbook: str = ""
) -> Message:
    """Say that users meet the new model now. traffic: how much of it, in words; live: what serves the rest."""
    lines = (
        ("Release", release),
        ("Traffic", f"{traffic} since {iso(since)}"),
        ("Live", f"{live} until it is promoted"),
        ("Next", f"modeldrop watch {endpoint}, or modeldrop abort {endpoint}"),
        ("Runbook", runbook_link(runbook, "canary-started")),
    )
    return _message(f"modeldrop CANARY STARTED {endpoint}: {traffic}", lines, endpoint, "canary")


def approval_wanted(endpoint: str, release: str, *, runbook: str = "") -> Message:
    """Ask a person to let a release go on."""
    lines = (
        ("Release", release),
        ("Endpoint", endpoint),
        ("Waiting", "for approval before the rollout, 24 hours at most"),
        ("Next", f"modeldrop approve {release}, or modeldrop deny {release}"),
        ("Runbook", runbook_link(runbook, "approval-wanted")),
    )
    return _message(f"modeldrop APPROVAL WANTED {endpoint}", lines, endpoint, "approving")


def stored_outcome(card: Mapping[str, Any]) -> dict[str, str]:
    """Return the outcome's message as the outbox keeps it."""
    subject, body = render_text(card)
    return {"subject": subject, "body": body, "severity": SEVERITY[card["outcome"]]}


def outcome_told(endpoint: str, release: str, outcome: str, stored: Mapping[str, str]) -> Message:
    """Return the outcome's message from the outbox; dedupe_id lets a receiver drop a second copy."""
    attributes = {"endpoint": endpoint, "outcome": outcome, "severity": stored["severity"], "dedupe_id": release}
    return Message(stored["subject"], stored["body"], attributes)


def _message(subject: str, lines: tuple[tuple[str, str], ...], endpoint: str, outcome: str) -> Message:
    body = "".join(f"{name:<10}{plain(text, MAX_LINE)}\n" for name, text in lines)
    return Message(fitting(subject), body, {"endpoint": endpoint, "outcome": outcome, "severity": "info"})
