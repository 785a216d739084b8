"""Commands that change a release on its way: abort, approve, deny, rollback."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli.commands.releases import Endpoint, find_release
from cli.console import print_json, say
from cli.failures import ANSWER_IS_NO, CommandError
from cli.options import DEFAULT_STACK, AsJson, StackName

if TYPE_CHECKING:
    from cli.account import Stack
    from modeldrop.release.record import ReleaseRecord

# template.yaml, METRIC_NAMESPACE of every function
METRIC_NAMESPACE = "modeldrop"
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
    token = found.releases().approval_token(record.endpoint, record.release)
    if record.phase == WAITING_FOR_APPROVAL and token:
        _end_wait(found, token, f"aborted by {_who(found)} before it was approved")
    publish_verdict(found, record.endpoint, record.release)
    if as_json:
        print_json({"endpoint": record.endpoint, "release": record.release, "abort": "requested"})
    else:
        say(f"abort of {record.release} requested; SageMaker rolls back within a bake: modeldrop watch {endpoint}")


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
    to: Annotated[str, typer.Option("--to", help="A release; else the previous good one.")] = "",
    stack: StackName = DEFAULT_STACK,
) -> None:
    """Bring an earlier release back. Not built yet: it says which artifact to drop again instead."""
    from cli.account import find_stack

    found = find_stack(stack)
    table = found.releases()
    target = to or table.live(endpoint)["previous"]
    if not target:
        raise CommandError(f"{endpoint} has no previous good release", status=ANSWER_IS_NO)
    record = find_release(table, target)
    place = f"--bucket {record.bucket} --key {record.key} --version-id {record.version_id}"
    source = f"aws s3api get-object {place} model.tar.gz"
    fix = f"`{source}`, then `modeldrop drop model.tar.gz {record.endpoint}`"
    raise CommandError("rollback to an earlier release is not built yet", fix=fix)


def publish_verdict(stack: Stack, endpoint: str, release: str) -> None:
    """Publish the verdict ourselves too: should the judge be dead, the alarm still fires."""
    now = datetime.now(UTC)
    dimensions = [{"Name": "Endpoint", "Value": endpoint}, {"Name": "Release", "Value": release}]
    stack.account.client("cloudwatch").put_metric_data(
        Namespace=METRIC_NAMESPACE,
        MetricData=[
            {"MetricName": "Verdict", "Dimensions": dimensions, "Timestamp": at, "Value": 1.0, "StorageResolution": 1}
            # the period before too: a rollback alarm looks at closed periods
            for at in (now - timedelta(seconds=10), now)
        ],
    )


def _end_wait(stack: Stack, token: str, cause: str) -> None:
    stack.account.client("stepfunctions").send_task_failure(taskToken=token, error="AbortedError", cause=cause[:1000])


def _under_way(stack: Stack, endpoint: str) -> ReleaseRecord:
    waiting = [one for one in stack.releases().recent(endpoint) if one.outcome is None]
    if not waiting:
        raise CommandError(f"no release of {endpoint} is under way", status=ANSWER_IS_NO)
    # the one that changes the endpoint, not one that waits behind it
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
