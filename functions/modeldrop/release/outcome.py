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

    started: it was written down that CreateEndpoint or UpdateEndpoint would be called. began: SageMaker was seen to
    take that call, or to work on it. error, message: of the step that broke, or empty. target, previous: endpoint
    configs. golden_problem: what a golden request found on a new endpoint, or empty. golden_asked, golden_known: how
    many were asked of how many. golden_unasked: why they could not be asked, or empty. alarms: which of the rollback
    alarms fired. verdict_reason, aborted_by: why our verdict alarm was asked to fire. waited: for how long the endpoint
    has not come to rest, in words; empty when it is at rest.
    """

    endpoint: EndpointView
    started: bool
    first_release: bool
    target: str
    previous: str
    began: bool = True
    error: str = ""
    message: str = ""
    failure_reason: str = ""
    golden_problem: str = ""
    golden_asked: int = 0
    golden_known: int = 0
    golden_unasked: str = ""
    alarms: tuple[str, ...] = ()
    verdict_reason: str = ""
    aborted_by: str = ""
    waited: str = ""


def decide_ending(facts: EndFacts) -> Ending:
    """Say how the release ended. The endpoint's own state outranks what our steps thought (DESIGN 1.3)."""
    if facts.waited:
        return _not_at_rest(facts)
    if facts.error in BY_ERROR and not (facts.started and facts.endpoint.serves(facts.target)):
        left = (_left_in_place(facts),) if facts.began and facts.started else ()
        return Ending(BY_ERROR[facts.error], (facts.message, *left))
    if facts.started and facts.endpoint.serves(facts.target):
        return _arrived(facts)
    if facts.error:
        return _broken(facts)
    if not facts.started:
        return Ending("failed", ("the workflow ended before the rollout began, and without saying why",))
    if facts.endpoint.lacks_capacity or _is_capacity(facts.failure_reason):
        return Ending("parked", (facts.failure_reason or facts.endpoint.failure_reason, _left_in_place(facts)))
    if not facts.began:
        return Ending("failed", ("SageMaker was not seen to begin the deployment", _left_in_place(facts)))
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
        return Ending("created", (_created(facts), *broken))
    return Ending("promoted", ("all traffic is on the new model", *broken))


def _created(facts: EndFacts) -> str:
    if facts.golden_unasked:
        return f"the endpoint is in service; its golden requests could not be asked: {facts.golden_unasked}"
    if not facts.golden_known:
        return "the endpoint is in service; there are no golden requests, so no answer was asked for"
    if not facts.golden_asked:
        return f"the endpoint is in service; none of its {facts.golden_known} golden requests was asked"
    if facts.golden_asked < facts.golden_known:
        return (
            f"the endpoint is in service and answers {facts.golden_asked} golden requests; "
            f"the other {facts.golden_known - facts.golden_asked} were not asked"
        )
    return "the endpoint is in service and answers its golden requests"


def _not_at_rest(facts: EndFacts) -> Ending:
    """Say that nobody knows the end yet: whoever waits any longer keeps people from knowing that."""
    broken = (f"{facts.error}: {facts.message}",) if facts.error else ()
    alarms = "" if facts.first_release else "; its rollback alarms are left to work"
    told = f"after {facts.waited} {_left_in_place(facts)}{alarms}, and nothing was cleaned up"
    return Ending("failed", (*broken, told))


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
    back = facts.started and facts.began and not facts.first_release and facts.endpoint.serves(facts.previous)
    if back and (facts.aborted_by or _nobody_judged(facts)):
        ending = _rolled_back(facts)
        return Ending(ending.outcome, (*ending.reasons, f"the workflow broke on the way ({said})"))
    return Ending("failed", (said, _left_in_place(facts)))


def _nobody_judged(facts: EndFacts) -> bool:
    return any(name.endswith("-heartbeat") for name in facts.alarms)


def _is_capacity(text: str) -> bool:
    return EndpointView("", "", "", text, 0, 0, ()).lacks_capacity


def _left_in_place(facts: EndFacts) -> str:
    """Say what the endpoint is, as it was described; that it is untouched only where no rollout began and it rests."""
    seen = facts.endpoint
    if seen.standing == "absent":
        return "no endpoint is left in place"
    if facts.previous and seen.serves(facts.previous):
        if facts.started and facts.began:
            return f"the old model ({facts.previous}) serves all traffic again"
        return f"the old model ({facts.previous}) is untouched"
    pending = f", on its way to {seen.pending_config}" if seen.pending_config else ""
    moves = ": traffic may still move" if seen.standing == "moving" else ""
    return f"the endpoint is {seen.status} on config {seen.config or 'unknown'}{pending}{moves}"
