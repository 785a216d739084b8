"""The stories that faults are put into: each begins with an endpoint as it is, and says how its releases must end."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modeldrop.aws.releases import ReleaseTable
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.restore import Claim, as_metadata
from tests.faults.world import APPROVED, MODELS, TABLE, World
from tests.unit import artifact_builders as builders

ENDPOINT = "sentiment"
PATIENCE_SECONDS, CLOSED_SECONDS = 6 * 3600.0, 2700.0
POLICY = """
endpoint: {{instance_count: 2, metrics_every: 30s, instance_type: {instance_type}{scaling}}}
strategy: {strategy}
canary: {{size: 1, bake: {bake}, final_bake: {final_bake}}}
judge: {{metric_lag: 10s, dead_man: 60s, slow: 50ms, warm_up: 0s, min_green: 1}}
gates: {{rehearsal: {rehearsal}, approval: {approval}}}
on_blind: {on_blind}
on_inconclusive: {on_inconclusive}
retain: 2
"""
SCALING = ", autoscaling: {min: 2, max: 4, invocations_per_instance_per_minute: 1000}"


def policy(**overrides: str) -> str:
    """Return a policy with a short canary."""
    usual = {"instance_type": "ml.g5.xlarge", "scaling": "", "strategy": "canary", "rehearsal": '"off"'}
    usual |= {"approval": "none", "bake": "2m", "final_bake": "1m", "on_blind": "promote", "on_inconclusive": "promote"}
    return POLICY.format(**(usual | overrides))


@functools.cache
def archive(kind: str, number: int = 0) -> bytes:
    """Return an archive of its own digest, of a model of a kind: good, bad (half of its answers fail), crash."""
    members = builders.good_members()
    members[f"1/assets.extra/{kind}-{number}.txt"] = f"{kind} {number}".encode()
    made = builders.tar_gz(members)
    MODELS[hashlib.sha256(made).hexdigest()] = kind
    return made


JUNK = b"this is no archive"


@dataclass
class Play:
    """One story that is being played. expected: release -> the outcomes that it may have when nothing goes wrong."""

    world: World
    expected: dict[str, frozenset[str]] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)

    @property
    def table(self) -> ReleaseTable:
        return ReleaseTable(TABLE)

    def drop(self, kind: str, number: int, *outcomes: str, text: str | None = None, **more: Any) -> str:
        """Drop a model; the outcomes that its release may have."""
        body = JUNK if kind == "junk" else archive(kind, number)
        release = self.world.drop(ENDPOINT, body, text, **more)
        self.expect(release, *outcomes)
        if kind in ("bad", "crash", "junk"):
            self.bad.add(release)
        return release

    def expect(self, release: str, *outcomes: str) -> None:
        self.expected[release] = frozenset(outcomes)

    def record(self, release: str) -> ReleaseRecord | None:
        return self.table.get(ENDPOINT, release)

    def has_ended(self, release: str) -> bool:
        """Say whether the outcome was sent to people."""
        return any(one.attributes.get("dedupe_id") == release for one in self.world.messages)

    def settled(self, kind: str, number: int, text: str | None = None) -> str:
        """Drop a model and wait for its good end, before the story begins."""
        release = self.drop(kind, number, "created", "promoted", text=text)
        assert self.world.run(3600, lambda: self.has_ended(release)), f"{release} did not end: {self.record(release)}"
        # until nothing of it is open any more: the closing run comes 20 to 35 minutes after the end
        self.world.run(CLOSED_SECONDS)
        record = self.record(release)
        assert record is not None
        assert record.outcome in ("created", "promoted"), record.reasons
        del self.expected[release]
        return release

    def wait_for(self, condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
        return self.world.run(seconds, condition)

    def wait_for_phase(self, release: str, *phases: str) -> bool:
        """Let time pass until a release is in a phase, or has ended."""

        def there() -> bool:
            if self.has_ended(release):
                return True
            item = self.world.tables.item(ENDPOINT, release)
            return item.get("phase", {}).get("S") in phases or "outcome" in item

        return self.wait_for(there)

    def end(self) -> None:
        """Let time pass until every release has ended."""
        self.wait_for(lambda: all(self.has_ended(release) for release in self.expected))


@dataclass(frozen=True)
class Story:
    """A story: what is there before it, and what happens in it.

    scaling: whether the endpoint scales in the end. kills: a function dies in it, so that an execution fails.
    """

    name: str
    before: Callable[[Play], None]
    happens: Callable[[Play], None]
    scaling: bool = False
    kills: bool = False


def nothing(_play: Play) -> None:
    """No endpoint yet."""


def one_release(play: Play) -> None:
    play.settled("good", 1, policy())


def create(play: Play) -> None:
    play.drop("good", 1, "created", text=policy())


def promote(play: Play) -> None:
    play.drop("good", 2, "promoted")


def roll_back(play: Play) -> None:
    play.drop("bad", 2, "rolled_back")


def rehearse_and_approve(play: Play) -> None:
    release = play.drop("good", 2, "promoted", text=policy(rehearsal="ml.c5.large", approval="before_rollout"))
    said = [""]

    def approve() -> bool:
        if play.has_ended(release):
            return True
        token = play.table.approval_token(ENDPOINT, release) or ""
        item = play.world.tables.item(ENDPOINT, release)
        if token and token != said[0] and item.get("phase", {}).get("S") == "approving":
            said[0] = token
            send(play.world, "SendTaskSuccess", {"taskToken": token, "output": json.dumps({"approved_by": "op"})})
        return False

    play.wait_for(approve)


def other_type(play: Play) -> None:
    play.drop("good", 2, "promoted", text=policy(instance_type="ml.g5.2xlarge", scaling=SCALING))


def scaled_release(play: Play) -> None:
    play.settled("good", 1, policy(scaling=SCALING))


def autoscaled_roll_back(play: Play) -> None:
    play.drop("bad", 2, "rolled_back", text=policy(scaling=SCALING))


def abort(play: Play) -> None:
    release = play.drop("good", 2, "aborted")
    play.wait_for_phase(release, "canary")
    play.table.request_abort(ENDPOINT, release, "op")


def supersede(play: Play) -> None:
    first = play.drop("good", 2, "promoted", "superseded")
    play.wait_for_phase(first, "preparing", "rolling_out", "canary")
    play.drop("good", 3, "superseded", "promoted")
    play.world.run(30)
    play.drop("good", 4, "promoted")


def junk_behind_good(play: Play) -> None:
    first = play.drop("good", 2, "promoted")
    play.wait_for_phase(first, "preparing", "rolling_out", "canary")
    play.drop("good", 3, "promoted")
    play.world.run(10)
    play.drop("junk", 0, "rejected")


def two_releases(play: Play) -> None:
    play.settled("good", 1, policy())
    play.settled("good", 2)


def restore(play: Play) -> None:
    live = play.table.live(ENDPOINT)
    earlier = live["previous"] if isinstance(live, Mapping) else live.previous
    target = play.record(str(earlier))
    assert target is not None
    claim = Claim(target.release, "0" * 32)
    play.table.ask_restore(ENDPOINT, claim, "op", int(play.world.now) + 3600)
    key = f"approved/{ENDPOINT}/{target.artifact['sha256']}/model.tar.gz"
    body = play.world.buckets._objects[APPROVED, key][-1].body
    play.expect(play.world.drop(ENDPOINT, body, metadata=as_metadata(claim)), "promoted")


def restore_unheard(play: Play) -> None:
    play.world.hears_uploads = False
    restore(play)


def first_fails(play: Play) -> None:
    play.drop("crash", 1, "failed", text=policy())


def unheard(play: Play) -> None:
    """S3's event is lost: the reconciler finds the upload of a key that was used before."""
    play.world.hears_uploads = False
    play.drop("good", 2, "promoted")


def unversioned(play: Play) -> None:
    """S3's event names no version."""
    play.world.hears_uploads = False
    play.drop("good", 2, "promoted")
    play.world.tell_of(play.world.uploads[-1], **{"version-id": None})


def rejected_rehearsal(play: Play) -> None:
    play.drop("crash", 2, "rejected", text=policy(rehearsal="ml.c5.large"))


def late_recovery(play: Play) -> None:
    """A first release serves and dies before its outcome; nobody notices for an hour, and a newer one comes."""
    first = play.drop("good", 1, "created", "failed", text=policy())
    play.world.dying, play.world.unreachable = frozenset({"FinishReleaseFunction"}), frozenset({"ReconcileFunction"})
    play.world.hears_failures = False
    play.wait_for(lambda: first in play.world.executions and play.world.executions[first].status != "RUNNING")
    play.world.dying = frozenset()
    play.world.run(1500)
    second = play.drop("good", 2, "promoted", text=policy())
    play.wait_for(lambda: play.has_ended(second), 2 * 3600)
    play.world.hears_failures, play.world.unreachable = True, frozenset()


def finishing_slowly(play: Play) -> None:
    """A newer release comes while an older one is in its last steps."""
    first = play.drop("good", 2, "promoted")
    play.wait_for(lambda: "FinishReleaseFunction" in play.world.visits or play.has_ended(first))
    play.drop("good", 3, "promoted")


def send(world: World, operation: str, params: dict[str, Any]) -> None:
    """Answer a task as the command line does; one that waits no more is left alone."""
    from botocore.exceptions import ClientError

    try:
        world._answer("stepfunctions", operation, params)
    except ClientError:
        return


STORIES: dict[str, Story] = {
    story.name: story
    for story in (
        Story("create", nothing, create),
        Story("promote", one_release, promote),
        Story("roll_back", one_release, roll_back),
        Story("rehearse_and_approve", one_release, rehearse_and_approve),
        Story("other_type", scaled_release, other_type, scaling=True),
        Story("autoscaled_roll_back", scaled_release, autoscaled_roll_back, scaling=True),
        Story("abort", one_release, abort),
        Story("supersede", one_release, supersede),
        Story("junk_behind_good", one_release, junk_behind_good),
        Story("restore", two_releases, restore),
        Story("restore_unheard", two_releases, restore_unheard),
        Story("first_fails", nothing, first_fails),
        Story("unheard", one_release, unheard),
        Story("unversioned", one_release, unversioned),
        Story("rejected_rehearsal", one_release, rejected_rehearsal),
        Story("late_recovery", nothing, late_recovery, kills=True),
        Story("finishing_slowly", one_release, finishing_slowly),
    )
}
