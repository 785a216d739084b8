"""The evidence card as a message: a subject that says it all, and lines a person can act on in one minute."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from modeldrop.evidence.plain import plain
from modeldrop.evidence.runbook import runbook_link

# SNS: ASCII, under 100 characters
MAX_SUBJECT = 99
MAX_PROBLEMS_SHOWN = 12
MAX_LINE = 700
MAX_NOTES_SHOWN = 6

WORDS = {
    "promoted": "PROMOTED",
    "created": "CREATED",
    "rolled_back": "ROLLED BACK",
    "rejected": "REJECTED",
    "superseded": "SUPERSEDED",
    "parked": "PARKED",
    "aborted": "ABORTED",
    "failed": "FAILED",
}
SEVERITY = {
    "promoted": "info",
    "created": "info",
    "superseded": "info",
    "rejected": "warning",
    "parked": "warning",
    "aborted": "warning",
    "rolled_back": "high",
    "failed": "critical",
}
NEXT = {
    "promoted": "nothing; modeldrop rollback {endpoint} brings the previous release back, which takes minutes",
    "created": "send it requests: InvokeEndpoint, or the API",
    "rejected": "fix what is listed and drop again",
    "superseded": "nothing; the newer release has its own message",
    "parked": "do what the reason asks for (AWS gives capacity and quota), then drop the same artifact again",
    "aborted": "drop again when it is ready",
    "failed": "modeldrop show {release} ; look at what is left in place, then drop again",
}
NEXT_AFTER_ROLL_BACK = {
    "verdict": "modeldrop show {release} ; fix and drop again",
    "drift": "modeldrop show {release} ; fix the model, or, if it is to answer so, raise quality.tolerance in "
    "rollout.yaml, and drop again",
    "slo": "modeldrop show {release} ; fix the model, or the slo in rollout.yaml, and drop again",
    "dead_man": "find out why nobody judged: modeldrop show {release} ; the model may be good, drop it again",
    "unknown": "modeldrop show {release} ; look at the endpoint's events and logs, then drop again",
}
NEXT_WITHOUT_EARLIER = "nothing; there is no earlier release of modeldrop to go back to"
Cause = Literal["verdict", "drift", "slo", "dead_man", "unknown"]


def render_text(card: Mapping[str, Any]) -> tuple[str, str]:
    """Return subject (ASCII, under 100 characters) and body of the outcome's one message."""
    subject = fitting(f"modeldrop {WORDS[card['outcome']]} {card['endpoint']}: {headline(card)}")
    lines = [
        ("", subject),
        ("Release", f"{card['release']}{_origin(card)}"),
        *([("Restores", f"{card['restores']}, on a new fleet: minutes, not an instant")] if card["restores"] else []),
        *_why(card, subject),
        *_rollout(card),
        *([("Rehearsal", card["rehearsal"])] if card.get("rehearsal") else []),
        ("Live", live_words(card)),
        *(("Breaking", f"{_breaking_by(card)}: {one}") for one in card["artifact"]["breaking"]),
        *(("Note", note) for note in card["artifact"]["warnings"][:MAX_NOTES_SHOWN]),
        *([("Report", card["report_url"])] if card["report_url"] else []),
        ("Next", next_step(card)),
        ("Runbook", runbook_entry(card)),
    ]
    body = "".join(f"{f'{name:<10}' if name else ''}{plain(text, MAX_LINE)}\n" for name, text in lines)
    return subject, body


def fitting(subject: str) -> str:
    """Return a subject that SNS takes: ASCII, one line, under 100 characters."""
    told = plain(subject, MAX_LINE)
    if len(told) > MAX_SUBJECT:
        # a word that is cut in two reads as another word; one endless word is cut all the same
        whole = told[: MAX_SUBJECT - 3].rpartition(" ")[0]
        told = (whole if len(whole) > MAX_SUBJECT // 2 else told[: MAX_SUBJECT - 3]) + "..."
    # what ASCII lacks becomes one question mark, so that the length stays
    return told.encode("ascii", "replace").decode()


def _breaking_by(card: Mapping[str, Any]) -> str:
    return "callers, and a roll back may" if card["restores"] else "allowed by the policy (breaking: allow)"


def headline(card: Mapping[str, Any]) -> str:
    """Say the outcome's reason in a few words."""
    match card["outcome"]:
        case "rolled_back":
            return _roll_back_headline(card)
        case "rejected" if card["problems"]:
            more = len(card["problems"]) - 1
            return f"{card['problems'][0]['what']}{f' (and {more} more)' if more else ''}"
        case "promoted":
            harm = card["harm"]
            served = f", {harm['failed_requests']} of its {harm['green_requests']} requests failed"
            return f"all traffic is on the new model{served if harm['green_requests'] else ''}"
        case _:
            return card["reasons"][0] if card["reasons"] else "no reason was given"


def cause_of_roll_back(card: Mapping[str, Any]) -> Cause:
    """Say which sensor rolled back: the judge (by answers or by rates), a ceiling, or the silence of the judge."""
    names = [alarm["name"] for alarm in card["alarms"]]
    if any(name.endswith("-verdict") for name in names):
        return "drift" if _telling_drift(card) else "verdict"
    if any(name.endswith("-heartbeat") for name in names):
        return "dead_man"
    return "slo" if names else "unknown"


def next_step(card: Mapping[str, Any]) -> str:
    """Say what a person does now."""
    if card["outcome"] == "rolled_back":
        told = NEXT_AFTER_ROLL_BACK[cause_of_roll_back(card)]
    elif card["outcome"] == "promoted" and not card["previous"]:
        told = NEXT_WITHOUT_EARLIER
    else:
        told = NEXT[card["outcome"]]
    return told.format(release=card["release"], endpoint=card["endpoint"])


def runbook_entry(card: Mapping[str, Any]) -> str:
    """Return the link to what the runbook says of this outcome; a roll back has an entry for each cause."""
    outcome = card["outcome"]
    anchor = f"{outcome}_{cause_of_roll_back(card)}" if outcome == "rolled_back" else outcome
    return runbook_link(card.get("runbook", ""), anchor)


def verdict_line(card: Mapping[str, Any]) -> str:
    """Say the verdict, when it fell, on which share of the fleet, and the counts it rests on."""
    verdict = card["verdict"]
    when = f" at {verdict['decided_after_seconds']} s" if verdict["decided_after_seconds"] is not None else ""
    size = card["canary_instances"]
    share = f" on {size} of {card['instance_count']} instances" if size else ""
    told = verdict["reasons"][1:] if verdict["outcome"] == "bad" else verdict["reasons"]
    return f"{verdict['outcome']}{when}{share}: {'; '.join(told)}"


def harm_words(card: Mapping[str, Any]) -> str:
    """Say what users met on green, and how much of it the old model would have spared them; empty: no rollout."""
    harm = card["harm"]
    if not card["started_at"] or card["first_release"]:
        return ""
    if not harm.get("known", True):
        return "not known: what green answered could not be read in CloudWatch"
    failed, requests, slow = harm["failed_requests"], harm["green_requests"], harm.get("slow_requests")
    if not requests:
        return "no request of a user was counted on green"
    told = f"{failed} failed {'request' if failed == 1 else 'requests'} reached users, of {requests} on green"
    rates = [one["blue_rate"] for one in card["verdict"].get("metrics", ()) if one["metric"] == "errors"]
    usual = round(rates[0] * requests) if rates and rates[0] is not None else None
    if failed and usual is not None:
        told += f" (the old model's rate would have failed {usual or 'none'})"
    return told + (f"; {slow} were slow" if slow else "") + _swayed_words(card, requests)


def _swayed_words(card: Mapping[str, Any], requests: int) -> str:
    """Say how many answers green gave that blue would not have, where that is what the verdict rests on."""
    drift = _telling_drift(card)
    if drift is None:
        return ""
    swayed = round((drift["green_rate"] - drift["blue_rate"]) * requests)
    return f'; about {swayed} were told "{drift["answer"]}" where the old model says something else'


def _telling_drift(card: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what drift says where it is what made the verdict bad."""
    metrics = [one for one in card["verdict"].get("metrics", ()) if not one["observed_only"]]
    worst: Mapping[str, Any] | None = max(metrics, key=lambda one: float(one["log10_evidence"]), default=None)
    bad = card["verdict"].get("outcome") == "bad"
    return worst if bad and worst is not None and worst["metric"] == "drift" else None


def clock(text: str) -> str:
    """Return the time of day of an ISO moment, UTC."""
    return f"{datetime.fromisoformat(text):%H:%M:%S}"


def _roll_back_headline(card: Mapping[str, Any]) -> str:
    verdict = card["verdict"]
    cause = cause_of_roll_back(card)
    if cause in ("verdict", "drift") and verdict.get("outcome") in ("bad", "blind"):
        return str(verdict["reasons"][0])
    if cause == "dead_man":
        return "nobody was judging, the dead-man alarm fired"
    if cause == "slo":
        kinds = sorted({alarm["name"].removeprefix(f"{card['release']}-") for alarm in card["alarms"]})
        return f"green broke its slo ({', '.join(kinds)})"
    return card["reasons"][0] if card["reasons"] else "SageMaker gave no reason"


def _origin(card: Mapping[str, Any]) -> str:
    known = []
    if card["artifact"]["sha256"]:
        known.append(f"artifact sha256 {card['artifact']['sha256'][:12]}...")
    if card["label"]:
        known.append(f"label {card['label']}")
    return f"  ({', '.join(known)})" if known else ""


def _why(card: Mapping[str, Any], subject: str) -> list[tuple[str, str]]:
    """Return the problems with their fixes, or else the reasons that neither subject nor verdict tells already."""
    if card["problems"]:
        return _problems(card)
    if card["outcome"] == "rolled_back" and card["verdict"] and cause_of_roll_back(card) in ("verdict", "drift"):
        told = "; ".join(card["verdict"]["reasons"])
        return [("Why", one) for one in card["reasons"] if one and one not in told and told not in one]
    return [("Why", one) for one in card["reasons"] if one and one not in subject]


def _problems(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = []
    for problem in card["problems"][:MAX_PROBLEMS_SHOWN]:
        where = f" ({problem['where']})" if problem.get("where") else ""
        lines.append(("Problem", f"{problem['code']}: {problem['what']}{where}"))
        if problem.get("fix"):
            lines.append(("  fix", problem["fix"]))
    hidden = len(card["problems"]) - MAX_PROBLEMS_SHOWN
    return lines + ([("  ...", f"and {hidden} more: see the report")] if hidden > 0 else [])


def _rollout(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not card["started_at"] or card["first_release"]:
        return []
    lines = []
    if card["verdict"]:
        lines.append(("Verdict", verdict_line(card)))
        if card["outcome"] == "promoted" and card["verdict"]["outcome"] in ("inconclusive", "blind"):
            lines += _in_doubt(f"on_{card['verdict']['outcome']}", card["policy"])
    if card["outcome"] in ("rolled_back", "aborted"):
        lines.append(("Rollback", _roll_back(card)))
    lines.append(("Harm", harm_words(card)))
    return lines


def _in_doubt(rule: str, policy: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say what the policy makes of the doubt in which a release was promoted."""
    match policy.get(rule):
        case "promote":
            return [("Because", f"{rule} is promote, so it was promoted all the same")]
        case "rollback":
            return [("Because", f"{rule} is rollback, but SageMaker had promoted it before a roll back took effect")]
    return []


def _roll_back(card: Mapping[str, Any]) -> str:
    short = [(alarm["name"].removeprefix(f"{card['release']}-"), clock(alarm["at"])) for alarm in card["alarms"]]
    parts = [f"alarm {name} fired {at} UTC" for name, at in short]
    if card["rolling_back_since"]:
        parts.append(f"seen rolling back at {clock(card['rolling_back_since'])}")
    back = card["finished_at"] and card.get("serves") and card["serves"] == card.get("previous_config")
    ended = f"all traffic on the old model again by {clock(card['finished_at'])} UTC" if back else ""
    return "; ".join([*(parts or ["no alarm of ours was seen to fire"]), ended] if ended else parts)


def live_words(card: Mapping[str, Any]) -> str:
    """Say which release serves now."""
    if not card["live"]:
        serves = card.get("serves")
        return f"no release; the endpoint serves {serves}" if serves else "no release is live on this endpoint"
    moves = "; the endpoint is still changing, so others may get traffic" if card.get("endpoint_moves") else ""
    return f"{card['live']}{' (unchanged)' if card['live_unchanged'] else ''}{moves}"
