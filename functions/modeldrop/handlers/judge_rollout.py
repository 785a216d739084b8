"""JudgeRollout: one look at a rollout: new bins, verdict, heartbeat, and whether SageMaker is done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from modeldrop.aws import alarms, bins, clients, endpoints, messages, signals
from modeldrop.aws.alarms import AlarmView
from modeldrop.aws.attempts import attempt, read
from modeldrop.aws.bins import Frozen
from modeldrop.aws.releases import ReleaseTable
from modeldrop.aws.steps import begin_as_owner
from modeldrop.entry import entry
from modeldrop.errors import ModeldropError
from modeldrop.evidence.messages import canary_started
from modeldrop.judge.judge import Verdict, verdict_to_json
from modeldrop.judge.luck import instance_luck
from modeldrop.judge.terms import Terms, judge_by
from modeldrop.policy.model import Policy, RateName
from modeldrop.policy.wire import policy_from_json
from modeldrop.release.ending import BEGIN_GRACE
from modeldrop.release.observe import EndpointView, Passage, advance, passage_from_json, passage_to_json
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.steer import Look, reason_to_roll_back
from modeldrop.rollout.alarms import alarm_names
from modeldrop.rollout.plan import RolloutPlan, plan_from_json
from modeldrop.rollout.timing import next_look_seconds
from modeldrop.settings import settings
from modeldrop.times import iso, moment

# bins that can't be stored are tried again at each look, and also so often once the rollout is over
MAX_UNSAVED_LOOKS = 5


class RolloutStuckError(ModeldropError):
    """SageMaker did not end the deployment within its own time limits."""


@dataclass(frozen=True)
class Seen:
    """One look: the time, the endpoint, the passage so far, everything that was counted and the verdict on it."""

    at: datetime
    endpoint: EndpointView
    passage: Passage
    frozen: Frozen
    verdict: Verdict | None
    reason: str


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Answer {terminal, wait_seconds, phase}."""
    table, record, at = begin_as_owner(event)
    plan, policy = plan_from_json(record.plan), policy_from_json(record.policy)
    seen = look(record, plan, policy, at)
    signals.judged(plan, at, bad=bool(seen.reason))
    rollout = remember(table, record, plan, seen)
    # people are told as well as can be: a message that does not go out ends no look
    runbook = event.get("runbook", "")
    attempt("to tell of the canary", lambda: tell_canary(table, record, plan, seen, runbook))
    if is_over(record, seen) and not 0 < rollout["bins_unsaved"] < MAX_UNSAVED_LOOKS:
        return {"terminal": True, "wait_seconds": 0, "phase": "finishing"}
    age = (at - moment(record.rollout["started_at"])).total_seconds()
    if age > plan.deadline:
        raise RolloutStuckError(f"the endpoint is still {seen.endpoint.status} after {age / 60:.0f} min")
    wait = next_look_seconds(
        at,
        look=plan.look,
        period=plan.metrics_every,
        lag=plan.metric_lag,
        judging=bool(seen.passage.bakes),
        looks=rollout["looks"],
        remaining=plan.deadline - age,
    )
    return {"terminal": False, "wait_seconds": wait, "phase": phase(seen, plan)}


def look(record: ReleaseRecord, plan: RolloutPlan, policy: Policy, at: datetime) -> Seen:
    """See the endpoint and the counts, and judge."""
    endpoint = endpoints.describe(clients.sagemaker(), record.endpoint)
    passage = passage_from_json(record.rollout.get("passage", {}))
    passage = advance(passage, endpoint, moment(record.rollout["last_look"]), at)
    if plan.first_release or passage.canary_started is None:
        seen = Seen(at, endpoint, passage, Frozen(), None, "")
    else:
        frozen = bins.up_to_now(record, plan, passage, at)
        verdict = judge_by(terms_of(plan, policy, passage.canary_started), frozen.bins, frozen.answers)
        seen = Seen(at, endpoint, passage, frozen, verdict, "")
    return replace(seen, reason=reason_to_roll_back(as_look(record, plan, policy, seen)))


def terms_of(plan: RolloutPlan, policy: Policy, canary_started: datetime) -> Terms:
    """Return what every look at this rollout is judged with; kept beside the bins, it makes a replay exact."""
    return Terms(
        policy=policy.judge,
        canary_started=canary_started,
        clump=plan.clump,
        luck=instance_luck(plan.canary_share, plan.instance_count),
        green_share=plan.canary_share,
        expected_bins=max(1, plan.bake // plan.metrics_every),
        metrics=tuple(name for name in plan.metrics if name != "drift"),
        blue_rates=blue_rates(plan),
        error_ceiling=plan.error_ceiling,
        drift=plan.drift,
    )


def blue_rates(plan: RolloutPlan) -> dict[RateName, float]:
    """Return blue's rates in the hour before the release, where they are known."""
    rates: dict[RateName, float | None] = {"errors": plan.blue_error_rate, "slow": plan.blue_slow_rate}
    return {metric: rate for metric, rate in rates.items() if rate is not None}


def as_look(record: ReleaseRecord, plan: RolloutPlan, policy: Policy, seen: Seen) -> Look:
    """Put what was seen into the terms that the decision is made in."""
    bakes = seen.passage.bakes
    verdict = seen.verdict
    final = bool(bakes) and plan.may_end_with(len(bakes), bakes[-1] - bakes[0])
    return Look(
        now=seen.at,
        outcome=verdict.outcome if verdict else "inconclusive",
        reason="; ".join(verdict.reasons) if verdict else "green has no traffic yet",
        green_requests=sum(one.green.requests for one in seen.frozen.bins if one.green),
        min_green=policy.judge.min_green,
        on_inconclusive=policy.on_inconclusive,
        on_blind=policy.on_blind,
        notice=timedelta(seconds=plan.notice),
        canary_ends=bakes[0] + timedelta(seconds=plan.bake) if bakes else None,
        rollout_ends=bakes[-1] + timedelta(seconds=plan.final_bake) if final else None,
        aborted_by=record.abort_requested_by,
        latched=record.rollout.get("latched", {}).get("reason", ""),
    )


def remember(table: ReleaseTable, record: ReleaseRecord, plan: RolloutPlan, seen: Seen) -> dict[str, Any]:
    """Write what this look learned into the record; what it wrote."""
    rollout: dict[str, Any] = {
        **record.rollout,
        "last_look": iso(seen.at),
        "looks": record.rollout.get("looks", 0) + 1,
        "passage": passage_to_json(seen.passage),
        "failure_reason": seen.endpoint.failure_reason or record.rollout.get("failure_reason", ""),
        "moved": record.rollout.get("moved", False) or seen.endpoint.standing == "moving",
    }
    if seen.reason and "latched" not in record.rollout:
        rollout["latched"] = {"reason": seen.reason, "at": iso(seen.at)}
    fired = {one["name"]: one for one in record.rollout.get("alarms_fired", [])}
    nothing: list[AlarmView] = []
    for alarm in read("to look at the alarms", lambda: alarms.look(alarm_names(plan)), nothing)[0]:
        if alarm.state == "ALARM" and alarm.name not in fired:
            fired[alarm.name] = {"name": alarm.name, "at": iso(alarm.since), "reason": alarm.reason}
    rollout["alarms_fired"] = list(fired.values())
    now_phase = phase(seen, plan)
    timeline = list(record.rollout.get("timeline", []))
    if not timeline or timeline[-1][1] != now_phase:
        timeline.append([iso(seen.at), now_phase])
    rollout["timeline"] = timeline
    verdict = verdict_to_json(seen.verdict) if seen.verdict else {}
    unsaved = attempt("to store the bins", lambda: store(record, plan, seen))
    rollout["bins_unsaved"] = record.rollout.get("bins_unsaved", 0) + 1 if unsaved else 0
    fields: dict[str, Any] = {"rollout": rollout, "verdict": verdict, "phase": now_phase}
    table.change(record, fenced=True, **fields)
    return rollout


def store(record: ReleaseRecord, plan: RolloutPlan, seen: Seen) -> None:
    """Keep what was counted; while it can't be kept, the next look counts it again."""
    if seen.frozen.bins and seen.passage.canary_started is not None:
        terms = terms_of(plan, policy_from_json(record.policy), seen.passage.canary_started)
        bins.keep(record, seen.frozen, terms)


def phase(seen: Seen, plan: RolloutPlan) -> str:
    """Name where the rollout is, for people."""
    if plan.first_release:
        return "creating"
    if seen.passage.rolling_back_since:
        return "rolling_back"
    bakes = seen.passage.bakes
    if not bakes:
        return "rolling_out"
    if seen.passage.shifts and seen.passage.shifts[-1][0] > bakes[-1]:
        return "shifting"
    return plan.strategy.stage(plan.instance_count, len(bakes)).phase


def is_over(record: ReleaseRecord, seen: Seen) -> bool:
    """Say whether SageMaker has come to rest on this deployment's account."""
    if seen.endpoint.standing == "moving":
        return False
    if seen.endpoint.serves(record.release) or record.rollout.get("moved"):
        return True
    began = record.rollout.get("accepted_at") or record.rollout["started_at"]
    return seen.endpoint.standing == "broken" or seen.at - moment(began) > BEGIN_GRACE


def tell_canary(table: ReleaseTable, record: ReleaseRecord, plan: RolloutPlan, seen: Seen, runbook: str) -> None:
    """Tell people once that users meet the new model now."""
    if not seen.passage.bakes or not table.once(record.endpoint, record.release, "canary_told"):
        return
    message = canary_started(
        record.endpoint,
        record.release,
        live=plan.previous_config,
        traffic=plan.strategy.traffic_words(plan.instance_count),
        since=seen.passage.bakes[0],
        runbook=runbook,
    )
    detail = {"endpoint": record.endpoint, "release": record.release, "phase": "canary"}
    messages.emit("Release Phase", detail)
    messages.publish(settings().releases_topic_arn, message)
