"""The evidence of a release's end: what users met on green, and the card as files for programs and for people."""

from __future__ import annotations

from typing import Any

from modeldrop.aws import bins, clients, measurements, objects
from modeldrop.aws.bins import Frozen
from modeldrop.aws.measurements import Scope
from modeldrop.clock import now
from modeldrop.evidence.card import Harm
from modeldrop.evidence.html import render_html
from modeldrop.observability import logger
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.reports import report_key, to_bytes
from modeldrop.settings import settings
from modeldrop.times import moment

# an event carries a card, and has 256 KB at most
MAX_CARD_BYTES = 1024 * 1024


def harm(record: ReleaseRecord) -> Harm:
    """Count the requests that green answered, and those that failed, from its first traffic until now."""
    started = record.rollout.get("started_at")
    if not started or record.plan.get("first_release", True):
        return Harm(0, 0)
    scope = {"green": Scope(record.endpoint, record.release)}
    slow_ms = record.plan["slow_ms"]
    period = record.plan["metrics_every"]
    found = measurements.counts(clients.cloudwatch(), scope, moment(started), now(), period, slow_ms)
    green = found["green"].values()
    slow = [one.slow for one in green if one.slow is not None]
    return Harm(
        green_requests=sum(one.requests for one in green),
        failed_requests=sum(one.errors for one in green),
        slow_requests=sum(slow) if slow else None,
    )


def latency(record: ReleaseRecord) -> dict[str, Any] | None:
    """Read the latency of both fleets since green's first traffic, for the card's chart."""
    bakes = record.rollout.get("passage", {}).get("bakes", [])
    if not bakes or record.plan.get("first_release", True):
        return None
    scopes = {
        "blue": Scope(record.endpoint, record.plan["previous_config"]),
        "green": Scope(record.endpoint, record.release),
    }
    period = record.plan["metrics_every"]
    return measurements.percentiles(clients.cloudwatch(), scopes, moment(bakes[0]), now(), period)


def write(record: ReleaseRecord, card: dict[str, Any]) -> None:
    """Write the evidence card beside the release; the JSON last, so that it stands for both."""
    bucket = settings().approved_bucket
    counted = readable_bins(record)
    page = render_html(card, counted.bins, counted.answers).encode()
    objects.write(bucket, report_key(record, "evidence.html"), page, "text/html; charset=utf-8")
    objects.write(bucket, report_key(record, "evidence.json"), to_bytes(card), "application/json")


def write_missing(record: ReleaseRecord) -> None:
    """Write the reports of a release that has ended, where they are missing or another's opinion of its end."""
    bucket, key = settings().approved_bucket, report_key(record, "evidence.json")
    there = objects.read_bounded(bucket, key, MAX_CARD_BYTES) if objects.exists(bucket, key) else b""
    if there != to_bytes(record.evidence):
        write(record, record.evidence)


def readable_bins(record: ReleaseRecord) -> Frozen:
    """Read what the card's charts show; bins that broke the judge must not keep the release from ending."""
    if not record.rollout.get("started_at"):
        return Frozen()
    try:
        return bins.kept(record)
    except ValueError as error:
        logger.warning("the card has no charts: %s", error)
        return Frozen()
