"""What must hold whatever goes wrong: each a function with a name, watched during a story or looked at in its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from localcloud import autoscaling
from localcloud.cloudwatch import alarms
from localcloud.sagemaker import records
from modeldrop.release.record import GOOD_OUTCOMES
from modeldrop.release.rehearsal import rehearsal_name
from modeldrop.times import moment
from tests.faults.machine import Json
from tests.faults.storage import AwsError
from tests.faults.stories import ENDPOINT, Play, Story
from tests.faults.world import APPROVED, Invocation, Message

# a fault that passes: FinishRelease tidies after the outcome and may hang for its whole time limit (300 s), and then
# Step Functions' longest wait for the next try
MAX_DELAY_SECONDS = 330
GOOD = frozenset(GOOD_OUTCOMES)


@dataclass
class Watch:
    """Look at every call before it is answered, and at every message."""

    play: Play
    found: list[str] = field(default_factory=list)
    began: set[str] = field(default_factory=set)
    served: bool = False

    def __call__(self, running: Invocation | None, service: str, operation: str, params: Json) -> None:
        check = getattr(self, f"_{operation}", None)
        if service in ("sagemaker", "cloudwatch", "s3", "sns") and check is not None:
            check(running, params)
        self._blue_answers()

    def violated(self, rule: str, detail: str) -> None:
        line = f"{rule}: {detail}"
        if line not in self.found:
            self.found.append(line)

    def _blue_answers(self) -> None:
        """Blue answers throughout: an endpoint that once served goes on serving."""
        endpoint = self.play.world.hosting.endpoints.get(ENDPOINT)
        serves = endpoint is not None and endpoint.status in records.TAKES_TRAFFIC and bool(endpoint.variants)
        if self.served and not serves and self._live()[0]:
            status = endpoint.status if endpoint else "gone"
            self.violated("blue answers throughout", f"{self._live()[0]} is live and the endpoint is {status}")
        self.served = self.served or serves

    def _live(self) -> tuple[str, str]:
        item = self.play.world.tables.item(ENDPOINT, "#live")
        return item.get("live", {}).get("S", ""), item.get("previous", {}).get("S", "")

    def _UpdateEndpoint(self, running: Invocation | None, params: Json) -> None:  # noqa: N802 named as the operation
        self.began.add(params["EndpointConfigName"])

    def _DeleteEndpoint(self, running: Invocation | None, params: Json) -> None:  # noqa: N802 named as the operation
        name = params["EndpointName"]
        endpoint = self.play.world.hosting.endpoints.get(name.lower())
        if endpoint is None or running is None:
            return
        own = running.release or "nobody"
        if endpoint.config not in (own, rehearsal_name(own) if own != "nobody" else ""):
            self.violated(
                "an endpoint is deleted by its owner only", f"{own} deletes {name}, which is {endpoint.config}'s"
            )
        if self._live()[0] == endpoint.config:
            self.violated("live and previous good are never deleted", f"{own} deletes {name}")

    def _DeleteEndpointConfig(self, running: Invocation | None, params: Json) -> None:  # noqa: N802 named as the operation
        self._kept(running, "config", params["EndpointConfigName"])

    def _DeleteModel(self, running: Invocation | None, params: Json) -> None:  # noqa: N802 named as the operation
        self._kept(running, "model", params["ModelName"])

    def _kept(self, running: Invocation | None, kind: str, name: str) -> None:
        by = running.function if running else "somebody"
        known = self.play.world.hosting.registry
        if name.lower() not in (known.models if kind == "model" else known.configs):
            return
        if name in self._live():
            self.violated("live and previous good are never deleted", f"{by} deletes {kind} {name}")
        for endpoint in self.play.world.hosting.endpoints.values():
            pending = endpoint.pending.config if endpoint.pending else ""
            if endpoint.status in (*records.TAKES_TRAFFIC, records.CREATING) and name in (endpoint.config, pending):
                self.violated("what serves is never deleted", f"{by} deletes {kind} {name} of {endpoint.name}")

    def _DeleteAlarms(self, running: Invocation | None, params: Json) -> None:  # noqa: N802 named as the operation
        for endpoint in self.play.world.hosting.endpoints.values():
            if endpoint.pending is None or endpoint.status not in (records.UPDATING, records.ROLLING_BACK):
                continue
            auto = (endpoint.deployment_config or {}).get("AutoRollbackConfiguration") or {}
            watched = {one["AlarmName"] for one in auto.get("Alarms", ())} & set(params["AlarmNames"])
            if watched & set(alarms.ALARMS._alarms):
                by = running.function if running else "somebody"
                self.violated("alarms stand while traffic moves", f"{by} deletes {sorted(watched)}")

    def _Publish(self, running: Invocation | None, params: Json) -> None:  # noqa: N802 named as the operation
        attributes = {name: one["StringValue"] for name, one in params.get("MessageAttributes", {}).items()}
        release, outcome = attributes.get("dedupe_id"), attributes.get("outcome", "")
        if release is None:
            return
        endpoint = self.play.world.hosting.endpoints.get(attributes["endpoint"].lower())
        config = endpoint.config if endpoint else ""
        pending = endpoint.pending.config if endpoint and endpoint.pending else ""
        if outcome in GOOD and config != release and release not in self._live():
            self.violated("the outcome is the endpoint's truth", f"{outcome} {release}, and {config} serves")
        if outcome not in GOOD and config == release and endpoint and endpoint.status in records.TAKES_TRAFFIC:
            self.violated("the outcome is the endpoint's truth", f"{outcome} {release}, and it serves")
        if pending == release and "untouched" in params["Message"]:
            self.violated("the card is true", f"{release} is pending and the old model is called untouched")
        if outcome == "rolled_back" and release not in self.began:
            self.violated("the card is true", f"rolled_back {release}, and no rollout began")


def outcome_messages(play: Play, release: str) -> list[Message]:
    """Return the messages that told a release's outcome."""
    return [one for one in play.world.messages if one.attributes.get("dedupe_id") == release]


def in_the_end(story: Story, play: Play, *, passing: bool, at_most: int) -> Iterator[str]:
    """Look at what is left when everything has come to rest; passing: the fault passed by itself."""
    yield from _endings(play, passing=passing, at_most=at_most)
    yield from _truth(play)
    yield from _rest(story, play)
    yield from _orphans(play)


def _endings(play: Play, *, passing: bool, at_most: int) -> Iterator[str]:
    for release, outcomes in play.expected.items():
        record = play.record(release)
        if record is None or record.outcome is None:
            where = "no record" if record is None else f"phase {record.phase}"
            yield f"every release ends: {release} has no outcome ({where})"
            continue
        sent = outcome_messages(play, release)
        if not sent:
            yield f"every release is told: {release} is {record.outcome}, and nobody was told"
        if len(sent) > at_most:
            yield f"told once: {release} was told {len(sent)} times"
        late = sent[0].at - moment(record.finished_at).timestamp() if sent else 0
        if passing and late > MAX_DELAY_SECONDS:
            yield f"told in time: {release} was told {late:.0f} s after its outcome"
        if len({one.attributes["outcome"] for one in sent}) > 1 or (
            sent and sent[0].attributes["outcome"] != record.outcome
        ):
            yield f"exactly one outcome: {release} is {record.outcome} and was told {[one.subject for one in sent]}"
        if release in play.bad and record.outcome in GOOD:
            yield f"a bad model is never promoted: {release} is {record.outcome}"
        if passing and record.outcome not in outcomes:
            reasons = "; ".join(record.reasons)[:300]
            yield f"one passing fault loses nothing: {release} is {record.outcome}, not {sorted(outcomes)} ({reasons})"


def failed_executions(play: Play) -> Iterator[str]:
    """No execution fails where only an answer was lost: a person would be called for nothing."""
    for execution in play.world.executions.values():
        if execution.status not in ("SUCCEEDED", "RUNNING"):
            yield f"no execution fails for a lost answer: {execution.name} is {execution.status}: {execution.error}"


def _truth(play: Play) -> Iterator[str]:
    endpoint = play.world.hosting.endpoints.get(ENDPOINT)
    live = play.world.tables.item(ENDPOINT, "#live").get("live", {}).get("S", "")
    if endpoint is None:
        if live:
            yield f"what is live serves: {live} is live, and there is no endpoint"
        return
    if endpoint.status != records.IN_SERVICE or endpoint.pending is not None:
        yield f"the endpoint comes to rest: it is {endpoint.status}"
    if endpoint.config != live:
        yield f"what is live serves: {live or 'nothing'} is live, and {endpoint.config} serves"
    if play.world.kind_of(endpoint.config) == "bad":
        yield f"a bad model is never left serving: {endpoint.config}"


def _rest(story: Story, play: Play) -> Iterator[str]:
    lease = play.world.tables.item(ENDPOINT, "#lease")
    # one that has expired is free to take, once its owner's execution has ended
    if "owner" in lease and int(lease["expires"]["N"]) > play.world.now:
        yield f"the lease comes free: {lease['owner']['S']} has it"
    running = [one.name for one in play.world.executions.values() if one.status == "RUNNING"]
    if running:
        yield f"everything ends: {running} still run"
    targets = list(autoscaling.REGISTRY.targets.values())
    if story.scaling and play.world.hosting.endpoints.get(ENDPOINT):
        if len(targets) != 1 or (targets[0].minimum, targets[0].maximum) != (2, 4):
            yield f"autoscaling is as the policy says: {targets}"
        elif any(targets[0].suspended.values()):
            yield f"autoscaling is as the policy says: it is left suspended: {dict(targets[0].suspended)}"
        elif len(autoscaling.REGISTRY.policies) != 1:
            yield f"autoscaling is as the policy says: {len(autoscaling.REGISTRY.policies)} policies"


def _orphans(play: Play) -> Iterator[str]:
    """Models, configs, alarms, copies and throw-away endpoints of what is neither live nor kept are gone."""
    world = play.world
    known = world.tables.items(ENDPOINT)
    good = [item["release"]["S"] for item in known if item.get("outcome", {}).get("S") in GOOD]
    for kind, kept in (("model", world.hosting.registry.models), ("config", world.hosting.registry.configs)):
        names = [one.name for one in kept.values()]
        for name in names:
            if name not in good:
                yield f"no orphans: {kind} {name}"
        if len(names) > MAX_KEPT:
            yield f"no orphans: {len(names)} {kind}s, the policy keeps {MAX_KEPT}"
    for name in alarms.ALARMS._alarms:
        yield f"no orphans: alarm {name}"
    for endpoint in world.hosting.endpoints.values():
        if endpoint.name != ENDPOINT:
            yield f"no orphans: endpoint {endpoint.name}"
    for key in world.buckets.keys(APPROVED, "rehearsal/"):
        yield f"no orphans: copy {key}"
    for one in still_open(play):
        yield f"open work is done: {one} is still open"


# `retain: 2` of the stories' policy
MAX_KEPT = 2


def still_open(play: Play) -> list[str]:
    """Return the releases that the reconciler still has to look after."""
    query = {
        "TableName": play.world.tables.name,
        "IndexName": "open",
        "KeyConditionExpression": "#open = :one",
        "ExpressionAttributeNames": {"#open": "open"},
        "ExpressionAttributeValues": {":one": {"S": "1"}},
    }
    try:
        return [item["release"]["S"] for item in play.world.tables.call("Query", query)["Items"]]
    except AwsError:
        return []
