"""Taking away what a release no longer needs: never what is live, kept for a roll back, in use, or another's."""

from __future__ import annotations

import json
from collections.abc import Callable

from modeldrop.aws import alarms, clients, endpoints, objects, scaling
from modeldrop.aws.attempts import attempt
from modeldrop.aws.releases import ReleaseTable
from modeldrop.aws.scaling import Scaling
from modeldrop.clock import now
from modeldrop.policy.wire import policy_from_json
from modeldrop.release.ending import Scene, may_delete_alarms, may_delete_model, may_touch_scaling
from modeldrop.release.record import GOOD_OUTCOMES, ReleaseRecord
from modeldrop.release.rehearsal import rehearsal_name
from modeldrop.release.reports import rehearsal_key
from modeldrop.rollout.alarms import alarm_names
from modeldrop.rollout.plan import plan_from_json
from modeldrop.rollout.requests import scaling_policy
from modeldrop.settings import settings
from modeldrop.times import moment

DAY_SECONDS = 86_400


def scene_of(table: ReleaseTable, record: ReleaseRecord, *, holds_lease: bool) -> Scene:
    """Look at the endpoint and at what is kept, now."""
    live = table.live(record.endpoint)
    # one that was seen to move is described as it is
    began = "" if record.rollout.get("moved") else record.rollout.get("started_at")
    return Scene(
        release=record.release,
        seen=endpoints.describe(clients.sagemaker(), record.endpoint),
        previous=record.plan.get("previous_config", ""),
        first_release=bool(record.plan.get("first_release", False)),
        started=bool(record.rollout.get("started_at")),
        holds_lease=holds_lease,
        kept=frozenset({live.live, live.previous, *live.retained} - {""}),
        since_start=now() - moment(began) if began else None,
    )


def tidy(table: ReleaseTable, record: ReleaseRecord, *, holds_lease: bool) -> list[str]:
    """Take away what a release that has ended no longer needs; what is left, in words, to be done again later."""
    if not record.plan:
        return []
    rehearses = record.plan.get("rehearsal_instance_type") != "off"
    left = [_tried("the rehearsal", lambda: end_rehearsal(record))] if rehearses else []
    if record.outcome in GOOD_OUTCOMES:
        left.append(_tried("older releases", lambda: retire(table, record, holds_lease=holds_lease)))
    else:
        left.append(_tried("model and config", lambda: end_model(table, record, holds_lease=holds_lease)))
    # last: once the config is gone, SageMaker refuses a deployment to it, which these alarms would have to end
    left.append(_tried("alarms", lambda: end_alarms(table, record, holds_lease=holds_lease)))
    left.append(_tried("autoscaling", lambda: mend_scaling(table, record, holds_lease=holds_lease)))
    return [one for one in left if one]


def end_rehearsal(record: ReleaseRecord) -> bool:
    """Delete everything the rehearsal made; safe to call again. False while it is being created: AWS refuses then."""
    name = rehearsal_name(record.release)
    if endpoints.describe(clients.sagemaker(), name).status == "Creating":
        return False
    endpoints.delete_endpoint(name, record.release)
    endpoints.delete_config(name, record.release)
    endpoints.delete_model(name, record.release)
    objects.delete(settings().approved_bucket, rehearsal_key(record.release))
    return True


def end_model(table: ReleaseTable, record: ReleaseRecord, *, holds_lease: bool) -> bool:
    """Delete model and config of a release that is not good; False while they may serve."""
    if not may_delete_model(scene_of(table, record, holds_lease=holds_lease)):
        return False
    endpoints.delete_config(record.release, record.release)
    endpoints.delete_model(record.release, record.release)
    return True


def end_alarms(table: ReleaseTable, record: ReleaseRecord, *, holds_lease: bool) -> bool:
    """Delete the rollback alarms; False while traffic may move under their eyes."""
    if not may_delete_alarms(scene_of(table, record, holds_lease=holds_lease)):
        return False
    alarms.remove(alarm_names(plan_from_json(record.plan)))
    return True


def retire(table: ReleaseTable, record: ReleaseRecord, *, holds_lease: bool) -> bool:
    """Delete model and config of good releases beyond those the policy retains; False without the lease."""
    if not holds_lease:
        return False
    live, seen = table.live(record.endpoint), endpoints.describe(clients.sagemaker(), record.endpoint)
    if live.live != record.release:  # a newer release retires
        return True
    retain = max(2, policy_from_json(record.policy).retain)
    old = [one for one in live.retained[retain:] if one not in (live.live, live.previous)]
    if old and seen.standing != "settled":
        return False
    gone = [one for one in old if one not in (seen.config, seen.pending_config)]
    for release in gone:
        endpoints.delete_config(release, release)
        endpoints.delete_model(release, release)
    if gone:
        table.forget_retained(record.endpoint, gone, forget_after(record))
    return True


def mend_scaling(table: ReleaseTable, record: ReleaseRecord, *, holds_lease: bool) -> bool:
    """Put back what a function that went on after the end took away; False while it can't be seen or touched."""
    wanted = scaling_after(record)
    if wanted is None or not record.rollout.get("started_at"):
        return True
    scene = scene_of(table, record, holds_lease=holds_lease)
    if not may_touch_scaling(scene):
        # a newer release's scaling is its own
        return scene.seen.standing in ("absent", "settled") and scene.seen.config not in (
            record.release,
            scene.previous,
        )
    if scaling.lacks(scaling.read(clients.application_autoscaling(), record.endpoint), wanted):
        scaling.restore(record.endpoint, wanted)
    return True


def scaling_after(record: ReleaseRecord) -> Scaling | None:
    """Return the scaling that a release leaves: what its policy asks for once it is live, or else what was before."""
    before = scaling.from_json(record.rollout.get("scaling"))
    if record.outcome not in GOOD_OUTCOMES or not record.plan:
        return before
    plan = plan_from_json(record.plan)
    wanted = scaling_policy(plan)
    if wanted is None or plan.scaling_min is None or plan.scaling_max is None:
        return before
    return Scaling(plan.scaling_min, plan.scaling_max, scaling.RUNNING, (wanted,))


def forget_after(record: ReleaseRecord) -> int:
    """Return from when DynamoDB may delete the record of a release that nothing keeps, in seconds since 1970."""
    return int(moment(record.finished_at).timestamp()) + settings().record_retention_days * DAY_SECONDS


def error_message(cause: str) -> str | None:
    """Return the message inside a Lambda error's cause, which is JSON; None when it is not one."""
    try:
        document = json.loads(cause)
    except ValueError:
        return None
    message = document.get("errorMessage") if isinstance(document, dict) else None
    return str(message) if message is not None else None


def _tried(what: str, act: Callable[[], bool]) -> str:
    done: list[bool] = []
    trouble = attempt(f"to take away {what}", lambda: done.append(act()))
    return trouble or ("" if done[-1] else f"{what}: still in use, or not ours to touch now")
