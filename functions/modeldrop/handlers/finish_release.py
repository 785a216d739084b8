"""FinishRelease: find out what is true, put everything in order, and write the outcome with its message."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modeldrop.aws import alarms, bins, cleanup, endpoints, golden, measurements, objects, scaling
from modeldrop.aws.bins import Frozen
from modeldrop.aws.measurements import Scope
from modeldrop.aws.releases import ReleaseTable
from modeldrop.clock import iso, moment, now
from modeldrop.evidence.card import Harm, Surroundings, build_card
from modeldrop.evidence.html import render_html
from modeldrop.evidence.text import SEVERITY, render_text
from modeldrop.observability import entry, logger
from modeldrop.release.observe import EndpointView
from modeldrop.release.outcome import EndFacts, Ending, decide_ending
from modeldrop.release.record import GOOD_OUTCOMES, ReleaseRecord
from modeldrop.release.reports import report_key, to_bytes
from modeldrop.rollout.alarms import alarm_names
from modeldrop.rollout.plan import RolloutPlan, plan_from_json
from modeldrop.rollout.requests import scaling_policy
from modeldrop.settings import settings


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Answer {outcome}. Every step may run again: a second call finds things done and the outcome written."""
    table = ReleaseTable(settings().release_table)
    record = table.require(event["endpoint"], event["release"])
    if record.outcome is not None:
        return {"outcome": record.outcome}
    record = with_alarms(replace(record, cause=event.get("cause") or {}))
    seen = endpoints.describe(record.endpoint)
    ending = decide_ending(end_facts(record, seen))
    settle(table, record, ending, seen)
    card = build_card(record, ending, surroundings(table, record, ending))
    write_reports(record, card)
    subject, body = render_text(card)
    finished = replace(
        record,
        outcome=ending.outcome,
        phase="done",
        headline=subject,
        reasons=ending.reasons,
        finished_at=card["finished_at"],
        evidence=card,
    )
    table.finish(finished, {"subject": subject, "body": body, "severity": SEVERITY[ending.outcome]})
    return {"outcome": ending.outcome}


def with_alarms(record: ReleaseRecord) -> ReleaseRecord:
    """Add the alarms that are firing now: the last look may have been before."""
    if not record.plan or not record.rollout.get("started_at"):
        return record
    known = {alarm["name"]: alarm for alarm in record.rollout.get("alarms_fired", [])}
    for alarm in alarms.look(alarm_names(plan_from_json(record.plan))):
        if alarm.state == "ALARM" and alarm.name not in known:
            known[alarm.name] = {"name": alarm.name, "at": iso(alarm.since), "reason": alarm.reason}
    return replace(record, rollout={**record.rollout, "alarms_fired": list(known.values())})


def end_facts(record: ReleaseRecord, seen: EndpointView) -> EndFacts:
    """Gather what the outcome is decided from."""
    rollout, plan = record.rollout, record.plan
    first = bool(plan.get("first_release", True))
    new_and_up = first and bool(rollout.get("started_at")) and seen.serves(record.release)
    return EndFacts(
        endpoint=seen,
        started=bool(rollout.get("started_at")),
        first_release=first,
        target=record.release,
        previous=plan.get("previous_config", ""),
        error=record.cause.get("error", ""),
        message=said(record),
        failure_reason=rollout.get("failure_reason", ""),
        golden_problem=(golden.first_wrong_answer(record.endpoint, golden.stored(record)) or "") if new_and_up else "",
        alarms=tuple(alarm["name"] for alarm in rollout.get("alarms_fired", ())),
        verdict_reason=rollout.get("latched", {}).get("reason", ""),
        aborted_by=record.abort_requested_by,
    )


def said(record: ReleaseRecord) -> str:
    """Return what the broken step said, in its own words: a Lambda error's cause is JSON around the message."""
    message = record.cause.get("message", "")
    match = cleanup.error_message(message)
    return match if match is not None else message


def settle(table: ReleaseTable, record: ReleaseRecord, ending: Ending, seen: EndpointView) -> None:
    """Leave nothing behind but what is live and what is kept for a roll back."""
    good = ending.outcome in GOOD_OUTCOMES
    plan = plan_from_json(record.plan) if record.plan else None
    if record.rollout.get("rehearsing_since"):
        cleanup.end_rehearsal(record)
    if plan and record.rollout.get("preparing_since"):
        alarms.remove(alarm_names(plan))
    if good and plan:
        table.set_live(record.endpoint, record.release, record.fence)
        settle_scaling(record, plan)
        cleanup.retire_old_releases(table, record)
        return
    if plan and record.rollout.get("started_at"):
        restore_scaling(record, seen)
    if plan and plan.first_release and record.rollout.get("started_at") and seen.standing in ("broken", "settled"):
        endpoints.delete_endpoint(record.endpoint)
        seen = endpoints.describe(record.endpoint)
    if record.rollout.get("preparing_since") and not cleanup.in_use(record.release, seen):
        endpoints.delete_config(record.release)
        endpoints.delete_model(record.release)


def settle_scaling(record: ReleaseRecord, plan: RolloutPlan) -> None:
    """Give the promoted variant the scaling its policy asks for, or else what it had."""
    wanted = scaling_policy(plan)
    if wanted is not None and plan.scaling_min is not None and plan.scaling_max is not None:
        scaling.restore(
            record.endpoint, scaling.Scaling(plan.scaling_min, plan.scaling_max, scaling.RUNNING, (wanted,))
        )
        return
    kept = scaling.from_json(record.rollout.get("scaling"))
    if kept is not None:
        scaling.restore(record.endpoint, kept)


def restore_scaling(record: ReleaseRecord, seen: EndpointView) -> None:
    """Put back what the variant had; while it still moves AWS refuses, and the log says what is left to do."""
    kept = scaling.from_json(record.rollout.get("scaling"))
    if kept is None:
        return
    if seen.standing != "settled":
        logger.error("autoscaling is left suspended", extra={"status": seen.status, "scaling": scaling.to_json(kept)})
        return
    scaling.restore(record.endpoint, kept)


def surroundings(table: ReleaseTable, record: ReleaseRecord, ending: Ending) -> Surroundings:
    """Say what is live now, what users lost, and where the report is."""
    live = table.live(record.endpoint)
    bucket, key = settings().approved_bucket, report_key(record, "evidence.html")
    return Surroundings(
        finished_at=iso(now()),
        live=live.live,
        previous=live.previous,
        live_unchanged=ending.outcome not in GOOD_OUTCOMES,
        report_url=f"s3://{bucket}/{key}",
        harm=harm(record),
        latency=latency(record),
    )


def harm(record: ReleaseRecord) -> Harm:
    """Count the requests that green answered, and those that failed, from its first traffic until now."""
    started = record.rollout.get("started_at")
    if not started or record.plan.get("first_release", True):
        return Harm(0, 0)
    scope = {"green": Scope(record.endpoint, record.release)}
    slow_ms = record.plan["slow_ms"]
    green = measurements.counts(scope, moment(started), now(), record.plan["metrics_every"], slow_ms)["green"].values()
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
    return measurements.percentiles(scopes, moment(bakes[0]), now(), record.plan["metrics_every"])


def write_reports(record: ReleaseRecord, card: dict[str, Any]) -> None:
    """Write the evidence card beside the release, for programs and for people."""
    bucket = settings().approved_bucket
    objects.write(bucket, report_key(record, "evidence.json"), to_bytes(card), "application/json")
    counted = readable_bins(record)
    page = render_html(card, counted.bins, counted.answers).encode()
    objects.write(bucket, report_key(record, "evidence.html"), page, "text/html; charset=utf-8")


def readable_bins(record: ReleaseRecord) -> Frozen:
    """Read what the card's charts show; bins that broke the judge must not keep the release from ending."""
    if not record.rollout.get("started_at"):
        return Frozen()
    try:
        return bins.kept(record)
    except ValueError as error:
        logger.warning("the card has no charts: %s", error)
        return Frozen()
