"""What may be touched when a release ends: decided from the endpoint, the lease and the owner, never from hope.

Whoever ends a thing owns it and it is at rest. SageMaker's Delete calls take no precondition, so these rules are asked
on a fresh description, right before each act.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from modeldrop.release.observe import EndpointView

# what is left of a rollout when all of its waits are over: a bound on our own waiting, not on SageMaker's
MAX_WAIT = timedelta(hours=9)
# an act that an ending needs is tried for so long; then the outcome is written, says what is left, and it is done later
PATIENCE = timedelta(minutes=5)
# UpdateEndpoint may be described as InService on the old config for a moment after it was accepted
BEGIN_GRACE = timedelta(seconds=60)
# no Lambda of the release can live longer than 15 minutes after its outcome: what acts after that is nobody's
CLOSE_AFTER = timedelta(minutes=20)
# what can't be tidied by then is left to a person, who was told
GIVE_UP_AFTER = timedelta(days=7)


@dataclass(frozen=True)
class Scene:
    """A release and its endpoint at one moment.

    previous: the endpoint config it was to replace, or empty. started: it wrote down that it begins to change the
    endpoint. holds_lease: no other release can change the endpoint now. owner: the endpoint's tag `modeldrop:release`,
    empty where it was not read. kept: releases whose model and config must stay (live, previous good, retained).
    since_start: how long ago it began to change the endpoint, None where it did not or was seen to move since.
    """

    release: str
    seen: EndpointView
    previous: str = ""
    first_release: bool = False
    started: bool = False
    holds_lease: bool = False
    owner: str = ""
    kept: frozenset[str] = field(default_factory=frozenset)
    since_start: timedelta | None = None


def moves_for(release: str, seen: EndpointView, *, started: bool) -> bool:
    """Say whether the endpoint moves on this release's account.

    A deployment names its config while it is in flight; while SageMaker names none, it may be ours if we began one.
    """
    if seen.standing != "moving":
        return False
    if seen.pending_config:
        return seen.pending_config == release
    return seen.config == release or started


def must_wait(scene: Scene) -> bool:
    """Say whether the truth is not known yet: something moves, or another release has the endpoint that we changed.

    A release that never began waits for nobody: whatever moves is not its own.
    """
    if moves_for(scene.release, scene.seen, started=scene.started):
        return True
    if scene.since_start is not None and scene.since_start < BEGIN_GRACE and scene.seen.serves(scene.previous):
        return True
    return scene.started and (scene.seen.standing == "moving" or not scene.holds_lease)


def may_delete_alarms(scene: Scene) -> bool:
    """Say whether nothing is rolled back by this release's alarms any more."""
    if scene.seen.standing != "moving":
        return True
    pending = scene.seen.pending_config
    if not pending:
        return not scene.started and scene.seen.config != scene.release
    return scene.release not in (scene.seen.config, pending)


def may_delete_model(scene: Scene) -> bool:
    """Say whether model and config of the release serve nobody, and are not kept for a roll back."""
    if scene.seen.standing not in ("absent", "settled"):
        return False
    return scene.release not in {scene.seen.config, scene.seen.pending_config, *scene.kept}


def may_delete_endpoint(scene: Scene) -> bool:
    """Say whether the endpoint is this release's own, made by it, at rest, and never was announced as live."""
    return (
        scene.holds_lease
        and scene.first_release
        and scene.started
        and scene.seen.standing in ("settled", "broken")
        and scene.seen.config == scene.release
        and scene.seen.pending_config in ("", scene.release)
        and scene.owner == scene.release
        and scene.release not in scene.kept
    )


def may_touch_scaling(scene: Scene) -> bool:
    """Say whether autoscaling may be put as this release leaves it: nobody else's config serves, and nothing moves."""
    if not (scene.holds_lease and scene.started and scene.seen.standing == "settled"):
        return False
    return scene.seen.config in {scene.release, scene.previous} - {""}


def wait_seconds(waited: float) -> int:
    """Return how long to wait before looking again: soon at first, then ever longer, to bound the history."""
    return max(5, min(600, int(waited / 4)))
