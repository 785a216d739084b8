"""How a release ended, decided from what is true at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modeldrop.release.observe import EndpointView
from modeldrop.release.record import Outcome

BY_ERROR: Mapping[str, Outcome] = {
    "ArtifactRejectedError": "rejected",
    "PolicyRejectedError": "rejected",
    "RehearsalRejectedError": "rejected",
    "RejectedError": "rejected",
    "ParkedError": "parked",
    "SupersededError": "superseded",
    "AbortedError": "aborted",
}


@dataclass(frozen=True)
class Ending:
    """An outcome and the sentences that say why, most important first."""

    outcome: Outcome
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class EndFacts:
    """What is known when a release ends.

    started: CreateEndpoint or UpdateEndpoint was called for this release. error, message: of the step that broke, or
    empty. target, previous: endpoint configs. golden_problem: what a golden request found on a new endpoint, or empty.
    alarms: which of the rollback alarms fired. verdict_reason, aborted_by: why our verdict alarm was asked to fire.
    """

    endpoint: EndpointView
    started: bool
    first_release: bool
    target: str
    previous: str
    error: str = ""
    message: str = ""
    failure_reason: str = ""
    golden_problem: str = ""
    alarms: tuple[str, ...] = ()
    verdict_reason: str = ""
    aborted_by: str = ""


def decide_ending(facts: EndFacts) -> Ending:
    """Say how the release ended. The endpoint's own state outranks what our steps thought (DESIGN 1.3)."""
    if facts.error in BY_ERROR and not facts.started:
        return Ending(BY_ERROR[facts.error], (facts.message,))
    if facts.error in BY_ERROR and not facts.endpoint.serves(facts.target):
        return Ending(BY_ERROR[facts.error], (facts.message,))
    if facts.started and facts.endpoint.serves(facts.target):
        return _arrived(facts)
    if facts.error:
        return _broken(facts)
    if not facts.started:
        return Ending("failed", ("the workflow ended before the rollout began, and without saying why",))
    if facts.endpoint.lacks_capacity or _is_capacity(facts.failure_reason):
        return Ending("parked", (facts.failure_reason or facts.endpoint.failure_reason, _left_in_place(facts)))
    if facts.endpoint.serves(facts.previous) and not facts.first_release:
        return _rolled_back(facts)
    why = facts.failure_reason or facts.endpoint.failure_reason or "SageMaker gave no reason"
    status = facts.endpoint.status or "gone"
    return Ending("failed", (f"the endpoint is {status}: {why}", _left_in_place(facts)))


def _arrived(facts: EndFacts) -> Ending:
    broken = (f"the workflow broke on the way ({facts.error}: {facts.message})",) if facts.error else ()
    if facts.first_release:
        if facts.golden_problem:
            return Ending("rejected", (f"golden request: {facts.golden_problem}", *broken))
        return Ending("created", ("the endpoint is in service and answers its golden requests", *broken))
    return Ending("promoted", ("all traffic is on the new model", *broken))


def _rolled_back(facts: EndFacts) -> Ending:
    if facts.aborted_by:
        return Ending("aborted", (f"aborted by {facts.aborted_by}; all traffic is back on the old model",))
    if facts.verdict_reason and any(name.endswith("-verdict") for name in facts.alarms):
        return Ending("rolled_back", (facts.verdict_reason,))
    if _nobody_judged(facts):
        return Ending("rolled_back", ("nobody was judging: the heartbeat stopped and the dead-man alarm fired",))
    if facts.alarms:
        return Ending("rolled_back", (f"alarm {', '.join(facts.alarms)} fired",))
    why = facts.failure_reason or facts.endpoint.failure_reason
    return Ending("rolled_back", (why or "SageMaker rolled back and gave no reason",))


def _broken(facts: EndFacts) -> Ending:
    """Say how a release ended whose workflow broke: what people or the dead-man alarm did comes first."""
    said = f"{facts.error}: {facts.message}"
    rolled_back = facts.started and not facts.first_release and facts.endpoint.serves(facts.previous)
    if rolled_back and (facts.aborted_by or _nobody_judged(facts)):
        ending = _rolled_back(facts)
        return Ending(ending.outcome, (*ending.reasons, f"the workflow broke on the way ({said})"))
    return Ending("failed", (said, _left_in_place(facts)))


def _nobody_judged(facts: EndFacts) -> bool:
    return any(name.endswith("-heartbeat") for name in facts.alarms)


def _is_capacity(text: str) -> bool:
    return EndpointView("", "", "", text, 0, 0, ()).lacks_capacity


def _left_in_place(facts: EndFacts) -> str:
    if facts.endpoint.standing == "absent":
        return "no endpoint is left in place"
    if facts.previous and facts.endpoint.config == facts.previous:
        return f"the old model ({facts.previous}) is untouched"
    return f"the endpoint is {facts.endpoint.status} on config {facts.endpoint.config or 'unknown'}"
