"""Commands that change a release on its way: abort, approve, deny, rollback."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_json, say
from cli.failures import ANSWER_IS_NO, CommandError
from cli.following import find_release, follow_and_exit
from cli.options import DEFAULT_STACK, AsJson, Endpoint, Plain, StackName

if TYPE_CHECKING:
    from cli.account import Stack
    from modeldrop.release.record import ReleaseRecord

WAITING_FOR_APPROVAL = "approving"
Release = Annotated[str, typer.Argument(show_default=False)]


def abort(endpoint: Endpoint, stack: StackName = DEFAULT_STACK, as_json: AsJson = False) -> None:
    """Roll the endpoint's rollout back. It takes effect in the bake that is going on, or the next one.

    Example: modeldrop abort sentiment
    """
    from cli.account import find_stack

    found = find_stack(stack)
    record = _under_way(found, endpoint)
    if not found.releases().request_abort(record.endpoint, record.release, _who(found)):
        raise CommandError(
            f"{record.release} has just ended", fix=f"modeldrop show {record.release}", status=ANSWER_IS_NO
        )
    waits = record.phase == WAITING_FOR_APPROVAL
    token = found.releases().approval_token(record.endpoint, record.release) if waits else None
    if token:
        _end_wait(found, token, f"aborted by {_who(found)} before it was approved")
    # read again, since a list has no plans
    record = found.releases().require(record.endpoint, record.release)
    # should the judge be dead, the alarm fires all the same
    trip_alarm(found, record)
    if as_json:
        print_json({"endpoint": record.endpoint, "release": record.release, "abort": "requested"})
    else:
        effect = "its wait for approval is over" if token else effect_of_abort(record)
        say(f"abort of {record.release} requested: {effect}; follow it with: modeldrop watch {endpoint}")


def approve(release: Release, stack: StackName = DEFAULT_STACK, as_json: AsJson = False) -> None:
    """Let a release that waits for approval go on.

    Example: modeldrop approve sentiment-20261123201000-4f1c2a
    """
    from cli.account import find_stack

    found = find_stack(stack)
    record, token = _waiting(found, release)
    answer = json.dumps({"approved": True, "by": _who(found)})
    found.account.client("stepfunctions").send_task_success(taskToken=token, output=answer)
    _tell(record, "approved", as_json=as_json)


def deny(
    release: Release,
    reason: Annotated[str, typer.Option(help="Goes into the outcome's message.")] = "",
    stack: StackName = DEFAULT_STACK,
    as_json: AsJson = False,
) -> None:
    """End a release that waits for approval; its outcome is `aborted`.

    Example: modeldrop deny sentiment-20261123201000-4f1c2a --reason "wrong data"
    """
    from cli.account import find_stack

    found = find_stack(stack)
    record, token = _waiting(found, release)
    cause = f"denied by {_who(found)}" + (f": {reason}" if reason else "")
    _end_wait(found, token, cause)
    _tell(record, "denied", as_json=as_json)


def rollback(
    endpoint: Endpoint,
    to: Annotated[str, typer.Option("--to", help="A good release; else the one before the live one.")] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it until its outcome.")] = False,
    plain: Plain = False,
    stack: StackName = DEFAULT_STACK,
    as_json: AsJson = False,
) -> None:
    """Bring an earlier release back, as a new release of its own. It takes minutes, not an instant.

    The approved artifact of that release is dropped again and goes the whole way: checks, a new fleet, canary, judge,
    under the rollout.yaml there is now; it may be older than the live one and lack what that answers. Nothing changes
    for users until its canary starts. A rollout that is still going on is stopped with `modeldrop abort` instead, which
    is quick.

    Exit status: 0 it is on its way (with --watch: it is live), 1 there is nothing to go back to, 3 AWS.

    Example: modeldrop rollback sentiment --watch
    """
    from cli.account import find_stack
    from cli.dropping import restore_model
    from modeldrop.release.restore import cannot_be_restored

    found = find_stack(stack)
    table = found.releases()
    live = table.live(endpoint)
    wanted = to or live.previous
    if not wanted:
        fix = f"modeldrop history {endpoint}, then --to RELEASE"
        raise CommandError(f"{endpoint} has no previous good release", fix=fix, status=ANSWER_IS_NO)
    target = find_release(table, wanted)
    why = cannot_be_restored(target, live.live)
    if not why and target.endpoint.lower() != endpoint.lower():
        why = f"{target.release} is a release of {target.endpoint}, not of {endpoint}"
    if why:
        raise CommandError(why, fix=f"modeldrop history {endpoint}", status=ANSWER_IS_NO)
    release = restore_model(found, target, _who(found))
    if watch:
        follow_and_exit(found, target.endpoint, release, plain=plain, as_json=as_json)
    elif as_json:
        print_json({"endpoint": target.endpoint, "release": release, "restores": target.release})
    else:
        say(f"{target.release} comes back as {release}: a new fleet is started and judged, which takes minutes")
        until = f"until then {live.live} stays live" if live.live else "until then no release is live"
        say(f"{until}; follow it with: modeldrop watch {target.endpoint}")


def effect_of_abort(record: ReleaseRecord) -> str:
    """Say what an abort does, from how far the release is."""
    from modeldrop.rollout.plan import plan_from_json

    if not record.rollout.get("started_at"):
        return "it ends before its rollout, or is rolled back in its first bake"
    if plan_from_json(record.plan).first_release:
        return "nothing stops SageMaker's making of a first endpoint"
    return "SageMaker rolls back in the bake that is going on, or in the next one"


def trip_alarm(stack: Stack, record: ReleaseRecord) -> None:
    """Trip the alarm that SageMaker rolls back on, where the release has one."""
    from modeldrop.aws import signals
    from modeldrop.rollout.plan import plan_from_json

    if record.plan:
        signals.trip(plan_from_json(record.plan), datetime.now(UTC), stack.account.client("cloudwatch"))


def _end_wait(stack: Stack, token: str, cause: str) -> None:
    stack.account.client("stepfunctions").send_task_failure(taskToken=token, error="AbortedError", cause=cause[:1000])


def _under_way(stack: Stack, endpoint: str) -> ReleaseRecord:
    """Find the release that changes the endpoint, or else the one that will: not one that waits behind it."""
    table = stack.releases()
    lease = table.lease(endpoint)
    for release in filter(None, (lease.owner, lease.approving)):
        record = table.get(endpoint, release)
        if record is not None and record.outcome is None:
            return record
    waiting = [one for one in table.recent(endpoint, summary=True, consistent=True) if one.outcome is None]
    if not waiting:
        raise CommandError(f"no release of {endpoint} is under way", status=ANSWER_IS_NO)
    return next((one for one in waiting if one.phase != "waiting"), waiting[0])


def _waiting(stack: Stack, release: str) -> tuple[ReleaseRecord, str]:
    table = stack.releases()
    record = find_release(table, release)
    token = table.approval_token(record.endpoint, record.release)
    if record.outcome or record.phase != WAITING_FOR_APPROVAL or not token:
        what = f"{release} does not wait for approval: it is {record.outcome or record.phase}"
        raise CommandError(what, status=ANSWER_IS_NO)
    return record, token


def _who(stack: Stack) -> str:
    identity = stack.account.client("sts").get_caller_identity()["Arn"]
    return f"{identity} ({getpass.getuser()})"


def _tell(record: ReleaseRecord, word: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"endpoint": record.endpoint, "release": record.release, "answer": word})
    else:
        say(f"{word}: {record.release}; follow it with: modeldrop watch {record.endpoint}")
