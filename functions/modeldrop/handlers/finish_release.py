"""FinishRelease: find out what is true, do what the ending needs, write the outcome with its message, then tidy.

The outcome needs only the table and a description of the endpoint. All else is tried, told where it failed, and done
again by the run that closes the release.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from modeldrop.aws import alarms, cleanup, endpoints, golden, reports, scaling
from modeldrop.aws.attempts import attempt, read
from modeldrop.aws.holding import hold
from modeldrop.aws.releases import ReleaseTable
from modeldrop.aws.steps import begin
from modeldrop.clock import now
from modeldrop.entry import entry
from modeldrop.errors import LeaseLostError
from modeldrop.evidence.card import Harm, Surroundings, build_card
from modeldrop.evidence.messages import stored_outcome
from modeldrop.observability import logger
from modeldrop.release import ending as rules
from modeldrop.release.ending import Scene
from modeldrop.release.observe import EndpointView
from modeldrop.release.outcome import EndFacts, Ending, decide_ending
from modeldrop.release.record import GOOD_OUTCOMES, ReleaseRecord
from modeldrop.release.rehearsal import Answers
from modeldrop.release.reports import report_key
from modeldrop.rollout.alarms import alarm_names
from modeldrop.rollout.plan import plan_from_json
from modeldrop.settings import settings
from modeldrop.times import iso, moment

# between two tries of what an ending needs, or of what is being deleted
TRY_SECONDS = 15
# evidence is gathered while the function has this much time behind it; the outcome does not wait for it
EVIDENCE_SECONDS = 60
UNKNOWN_HARM = Harm(0, 0, known=False)


@dataclass(frozen=True)
class Decision:
    """How a release ends; fired: its alarms that fired; troubles: what could not be read or done for it, in words."""

    ending: Ending
    fired: tuple[dict[str, str], ...] = ()
    troubles: tuple[str, ...] = ()


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Answer {finished, wait_seconds, outcome}; a second call finds things done and the outcome written."""
    table, record, at = begin(event)
    record, holds = hold(table, record, event["execution_arn"], at)
    if record.outcome is not None:
        return close(table, record, at, holds_lease=holds)
    record = replace(record, cause=event.get("cause") or {})
    scene = cleanup.scene_of(table, record, holds_lease=holds)
    rests = not rules.must_wait(scene)
    if not rests and waited(record, "started_at", at) < rules.MAX_WAIT:
        return wait(table, record, scene, at)
    decision = decide(record, scene, rests=rests)
    if rests:
        record, decision = act(table, record, scene, decision)
    if decision.troubles and waited(record, "trying_since", at) < rules.PATIENCE:
        return again(table, record, at)
    outcome = finish(table, record, scene, decision, at, runbook=event.get("runbook", ""))
    if rests:
        cleanup.tidy(table, table.require(record.endpoint, record.release), holds_lease=holds)
    return {"finished": True, "wait_seconds": 0, "outcome": outcome}


def waited(record: ReleaseRecord, since: str, at: datetime) -> timedelta:
    """Return how long ago something began; no time at all when it has not."""
    return at - moment(record.rollout.get(since) or iso(at))


def wait(table: ReleaseTable, record: ReleaseRecord, scene: Scene, at: datetime) -> dict[str, Any]:
    """Leave everything as it is, the alarms above all, until the endpoint rests and nobody else has it."""
    moves = rules.moves_for(record.release, scene.seen, started=scene.started)
    logger.info("waiting for the endpoint", extra={"status": scene.seen.status, "holds_lease": scene.holds_lease})
    note(table, record, {"ending_since": iso(at)} | ({"moved": True} if moves else {}))
    seconds = rules.wait_seconds(waited(record, "ending_since", at).total_seconds())
    return {"finished": False, "wait_seconds": seconds, "outcome": ""}


def again(table: ReleaseTable, record: ReleaseRecord, at: datetime) -> dict[str, Any]:
    """Try once more what the ending needs: what passes soon must not be told as done by halves."""
    note(table, record, {"trying_since": iso(at)})
    return {"finished": False, "wait_seconds": TRY_SECONDS, "outcome": ""}


def note(table: ReleaseTable, record: ReleaseRecord, facts: dict[str, Any]) -> ReleaseRecord:
    """Add facts to the record where they are not there yet, and it has not ended meanwhile."""
    if facts.keys() <= record.rollout.keys():
        return record
    try:
        return table.change(record, fenced=False, rollout={**facts, **record.rollout})
    except LeaseLostError:
        # another try of this step wrote the outcome; the next call of this one finds it
        return record


def decide(record: ReleaseRecord, scene: Scene, *, rests: bool) -> Decision:
    """Decide the ending from what is true now."""
    before, known = record.rollout.get("alarms_fired", []), record.rollout.get("ended_as")
    if known and scene.seen.standing == "absent":  # the endpoint is gone because this ending took it away
        return Decision(Ending(known["outcome"], tuple(known["reasons"])), tuple(before))
    fired, unread = read("to read the alarms", lambda: alarms_fired(record), before)
    answers, unasked = asked(record, scene.seen)
    facts = replace(
        end_facts(with_alarms(record, fired), scene.seen),
        golden_problem=answers.problem,
        golden_asked=answers.asked,
        golden_known=answers.known,
        golden_unasked=unasked,
        waited="" if rests else f"{rules.MAX_WAIT.total_seconds() / 3600:.0f} h",
    )
    return Decision(decide_ending(facts), tuple(fired), tuple(one for one in (unread, unasked) if one))


def with_alarms(record: ReleaseRecord, fired: Sequence[dict[str, str]]) -> ReleaseRecord:
    """Return the record with the alarms that fired, as it is told."""
    return replace(record, rollout={**record.rollout, "alarms_fired": list(fired)})


def alarms_fired(record: ReleaseRecord) -> list[dict[str, str]]:
    """Return the alarms that fired, with those that are firing now: the last look may have been before."""
    known = {alarm["name"]: alarm for alarm in record.rollout.get("alarms_fired", [])}
    names = alarm_names(plan_from_json(record.plan)) if record.plan and record.rollout.get("started_at") else []
    for alarm in alarms.look(names):
        if alarm.state == "ALARM" and alarm.name not in known:
            known[alarm.name] = {"name": alarm.name, "at": iso(alarm.since), "reason": alarm.reason}
    return list(known.values())


def asked(record: ReleaseRecord, seen: EndpointView) -> tuple[Answers, str]:
    """Ask a new endpoint its golden requests: the answers, and why they could not be had."""
    nothing = Answers(0, int(record.artifact.get("golden_requests") or 0))
    first = bool(record.plan.get("first_release", True))
    if not (first and record.rollout.get("started_at") and seen.serves(record.release)):
        return nothing, ""
    return read("to ask the golden requests", lambda: golden.ask(record.endpoint, golden.stored(record)), nothing)


def end_facts(record: ReleaseRecord, seen: EndpointView) -> EndFacts:
    """Gather what the outcome is decided from."""
    rollout, plan = record.rollout, record.plan
    seen_ours = record.release in (seen.config, seen.pending_config)
    return EndFacts(
        endpoint=seen,
        started=bool(rollout.get("started_at")),
        began=bool(rollout.get("accepted_at") or rollout.get("moved") or seen_ours),
        first_release=bool(plan.get("first_release", True)),
        target=record.release,
        previous=plan.get("previous_config", ""),
        error=record.cause.get("error", ""),
        message=said(record),
        failure_reason=rollout.get("failure_reason", ""),
        alarms=tuple(alarm["name"] for alarm in rollout.get("alarms_fired", ())),
        verdict_reason=rollout.get("latched", {}).get("reason", ""),
        aborted_by=record.abort_requested_by,
    )


def said(record: ReleaseRecord) -> str:
    """Return what the broken step said, in its own words: a Lambda error's cause is JSON around the message."""
    message = record.cause.get("message", "")
    match = cleanup.error_message(message)
    return match if match is not None else message


def act(table: ReleaseTable, record: ReleaseRecord, scene: Scene, decision: Decision) -> tuple[ReleaseRecord, Decision]:
    """Do what the ending needs before it is told: what is live, the scaling, a first endpoint that is not good."""
    good = decision.ending.outcome in GOOD_OUTCOMES
    if good and not table.set_live(record.endpoint, record.release, record.fence):
        logger.error("a later release is live already")
    troubles = [settle_scaling(replace(record, outcome=decision.ending.outcome), scene)]
    if not good and scene.first_release and scene.seen.config == record.release:
        # once it is gone, nothing of the endpoint says how the release ended
        ending = {"outcome": decision.ending.outcome, "reasons": list(decision.ending.reasons)}
        record = note(table, record, {"ended_as": ending})
        troubles.append(attempt("to delete the endpoint", lambda: delete_first(record, scene)))
    return record, replace(decision, troubles=(*decision.troubles, *(one for one in troubles if one)))


def settle_scaling(record: ReleaseRecord, scene: Scene) -> str:
    """Give the variant the scaling that this release leaves; empty, or why it has not."""
    wanted = cleanup.scaling_after(record)
    if wanted is None or not scene.started:
        return ""
    if rules.may_touch_scaling(scene):
        return attempt("to put autoscaling back", lambda: scaling.restore(record.endpoint, wanted))
    if scene.seen.standing == "absent":
        return ""
    return f"autoscaling is left as it is: the endpoint is {scene.seen.status} on config {scene.seen.config}"


class NotGoneError(Exception):
    """The endpoint that a failed first release made is still there."""


def delete_first(record: ReleaseRecord, scene: Scene) -> None:
    """Delete the endpoint that a failed first release made; NotGoneError until it is seen to be gone."""
    owner = endpoints.owner(scene.seen.arn)
    if not rules.may_delete_endpoint(replace(scene, owner=owner)):
        raise NotGoneError(f"it is {scene.seen.status}, and its owner is {owner or 'not known'}")
    endpoints.delete_endpoint(record.endpoint, record.release)
    raise NotGoneError("SageMaker is deleting it")


def end_first(table: ReleaseTable, record: ReleaseRecord, *, holds_lease: bool) -> None:
    """Delete the endpoint of a failed first release, where its end left it: nothing else can be made in its name."""
    scene = cleanup.scene_of(table, record, holds_lease=holds_lease)
    ours = scene.first_release and scene.started and scene.seen.config == record.release
    if ours and record.outcome not in GOOD_OUTCOMES:
        delete_first(record, scene)


def finish(
    table: ReleaseTable, record: ReleaseRecord, scene: Scene, decision: Decision, at: datetime, *, runbook: str
) -> str:
    """Write the outcome with its message, and the evidence as far as it can be had in time; the outcome that stands."""
    known, record = record.rollout, with_alarms(record, decision.fired)
    troubles = [f"not done, and tried again later: {one}" for one in decision.troubles]
    ending = replace(decision.ending, reasons=(*decision.ending.reasons, *troubles))
    in_time = (now() - at).total_seconds() < EVIDENCE_SECONDS
    lost, _ = read("to count the harm", lambda: reports.harm(record), UNKNOWN_HARM) if in_time else (UNKNOWN_HARM, "")
    in_time = in_time and (now() - at).total_seconds() < EVIDENCE_SECONDS
    times, _ = read("to read latencies", lambda: reports.latency(record), None) if in_time else (None, "")
    around = replace(surroundings(table, record, scene, ending, lost, times), runbook=runbook)
    card = build_card(record, ending, around)
    in_time = in_time and (now() - at).total_seconds() < EVIDENCE_SECONDS
    unwritten = attempt("to write the report", lambda: reports.write(record, card)) if in_time else "no time was left"
    if unwritten:
        ending = replace(ending, reasons=(*ending.reasons, f"the report could not be written yet: {unwritten}"))
        card = build_card(record, ending, around)
    message = stored_outcome(card)
    finished = replace(
        record,
        outcome=ending.outcome,
        phase="done",
        headline=message["subject"],
        reasons=ending.reasons,
        finished_at=card["finished_at"],
        evidence=card,
    )
    if table.finish(finished, message, known=known):
        return ending.outcome
    return str(table.require(record.endpoint, record.release).outcome)


def surroundings(
    table: ReleaseTable, record: ReleaseRecord, scene: Scene, ending: Ending, lost: Harm, times: dict[str, Any] | None
) -> Surroundings:
    """Say what is live now, what users lost, and where the report is."""
    live = table.live(record.endpoint)
    seen = scene.seen
    return Surroundings(
        finished_at=iso(now()),
        live=live.live,
        previous=live.previous,
        live_unchanged=ending.outcome not in GOOD_OUTCOMES and seen.standing == "settled" and seen.config == live.live,
        endpoint_moves=seen.standing == "moving",
        serves=seen.config if seen.standing == "settled" else "",
        report_url=f"s3://{settings().approved_bucket}/{report_key(record, 'evidence.html')}",
        harm=lost,
        latency=times,
    )


def close(table: ReleaseTable, record: ReleaseRecord, at: datetime, *, holds_lease: bool) -> dict[str, Any]:
    """Tidy a release that has ended, again and again, and close it once nothing of it can act any more."""
    tried = (
        attempt("to delete the endpoint", lambda: end_first(table, record, holds_lease=holds_lease)),
        *cleanup.tidy(table, record, holds_lease=holds_lease),
        attempt("to write the report", lambda: reports.write_missing(record)),
    )
    left = [one for one in tried if one]
    if left:
        logger.warning("not all is tidy", extra={"left": left})
    age = at - moment(record.finished_at)
    if age >= rules.CLOSE_AFTER and (not left or age >= rules.GIVE_UP_AFTER):
        table.close(record.endpoint, record.release, cleanup.forget_after(record))
    return {"finished": True, "wait_seconds": 0, "outcome": record.outcome}
