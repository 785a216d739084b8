"""`modeldrop doctor`: is everything there that the first drop needs?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.commands.artifacts import DEFAULT_INSTANCE_COUNT, DEFAULT_INSTANCE_TYPE
from cli.console import console, print_json
from cli.failures import ANSWER_IS_NO, CommandError, explain
from cli.options import DEFAULT_STACK, AsJson, StackName

if TYPE_CHECKING:
    from cli.account import Account, Stack

Result = Literal["ok", "warn", "fail"]
COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was found, and what to do where it is not good."""

    check: str
    result: Result
    found: str
    fix: str = ""


def doctor(
    instance_type: Annotated[str, typer.Option(help="What the fleet runs on.")] = DEFAULT_INSTANCE_TYPE,
    instance_count: Annotated[int, typer.Option(min=1, help="Instances of the fleet.")] = DEFAULT_INSTANCE_COUNT,
    stack: StackName = DEFAULT_STACK,
    as_json: AsJson = False,
) -> None:
    """Check account, stack, quota for the double fleet, image, alarms and subscription before the first drop.

    Example: modeldrop doctor --instance-type ml.g5.xlarge --instance-count 2
    """
    findings = list(examine(stack, instance_type, instance_count))
    if as_json:
        print_json([asdict(one) for one in findings])
    else:
        _print(findings)
    if any(one.result == "fail" for one in findings):
        raise typer.Exit(ANSWER_IS_NO)


def examine(stack_name: str, instance_type: str, instance_count: int) -> Iterator[Finding]:
    """Look at one thing after the other; what can't be looked at is a warning, not a pass."""
    from cli.account import Account, find_stack

    account = Account()
    yield from _guarded("credentials", lambda: check_identity(account))
    yield from _guarded("quota", lambda: check_quota(account, instance_type, 2 * instance_count))
    try:
        stack = find_stack(stack_name, account)
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        yield Finding("stack", "fail", str(told))
        return
    yield Finding("stack", "ok", f"{stack.name} in {account.region}")
    looks: tuple[tuple[str, Callable[[Stack], Iterator[Finding]]], ...] = (
        ("buckets", check_buckets),
        ("image", check_images),
        ("subscription", check_subscription),
        ("alarms", check_alarms),
    )
    for name, look in looks:
        yield from _guarded(name, lambda look=look: look(stack))  # type: ignore[misc]


def check_identity(account: Account) -> Iterator[Finding]:
    """Who are we, and where?"""
    identity = account.client("sts").get_caller_identity()
    yield Finding("credentials", "ok", f"account {identity['Account']}, region {account.region}, {identity['Arn']}")


def check_quota(account: Account, instance_type: str, needed: int) -> Iterator[Finding]:
    """Blue and green run side by side: the quota must allow both fleets (deployment guardrails guide)."""
    from modeldrop.aws.quotas import endpoint_instances
    from modeldrop.rollout.model import quota_name

    wanted = quota_name(instance_type)
    quota = endpoint_instances(account.client("service-quotas"), instance_type)
    fix = f"Service Quotas, Amazon SageMaker, ask for {needed} or more of {wanted!r}"
    if quota is None:
        yield Finding("quota", "warn", f"the quota {wanted!r} is not listed, or may not be read", fix)
    elif quota < needed:
        yield Finding("quota", "fail", f"{quota} {instance_type}; a rollout needs {needed} (twice the fleet)", fix)
    else:
        yield Finding("quota", "ok", f"{quota} {instance_type}, {needed} needed (twice the fleet)")


def check_buckets(stack: Stack) -> Iterator[Finding]:
    """Releases are pinned to versions, and start from the bucket's events."""
    s3 = stack.account.client("s3")
    versioning = s3.get_bucket_versioning(Bucket=stack.upload_bucket).get("Status", "off")
    events = "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket=stack.upload_bucket)
    good = versioning == "Enabled" and events
    found = f"{stack.upload_bucket}: versioning {versioning}, EventBridge {'on' if events else 'off'}"
    yield Finding("upload bucket", "ok" if good else "fail", found, "" if good else "`sam deploy` again")
    s3.head_bucket(Bucket=stack.approved_bucket)
    yield Finding("approved bucket", "ok", stack.approved_bucket)


def check_images(stack: Stack) -> Iterator[Finding]:
    """Are the serving images where the functions look for them?"""
    for name, uri in _images(stack).items():
        registry, _, rest = uri.partition("/")
        repository, _, tag = rest.partition(":")
        account_id, region = registry.split(".")[0], registry.split(".")[3]
        ecr = stack.account.client("ecr")
        asked = {"registryId": account_id, "repositoryName": repository, "imageIds": [{"imageTag": tag}]}
        try:
            ecr.describe_images(**asked)
        except Exception as error:
            told = explain(error)
            if told is None:
                raise
            result: Result = "fail" if "ImageNotFound" in str(error) else "warn"
            fix = f"deploy with {'GpuImageUri' if name == 'gpu' else 'CpuImageUri'}, or check access to ECR in {region}"
            yield Finding(f"image, {name}", result, f"{uri}: {told}", fix)
        else:
            yield Finding(f"image, {name}", "ok", uri)


def _images(stack: Stack) -> dict[str, str]:
    """Read the image URIs from the environment of a function of the stack."""
    resources = stack.account.client("cloudformation").describe_stack_resources(
        StackName=stack.name, LogicalResourceId="PlanRolloutFunction"
    )["StackResources"]
    if not resources:
        raise CommandError(f"stack {stack.name} has no PlanRolloutFunction", fix="`sam deploy` again")
    function = stack.account.client("lambda").get_function_configuration(
        FunctionName=resources[0]["PhysicalResourceId"]
    )
    variables = function["Environment"]["Variables"]
    return {"gpu": variables["IMAGE_GPU"], "cpu": variables["IMAGE_CPU"]}


def check_subscription(stack: Stack) -> Iterator[Finding]:
    """Is anybody told?"""
    pages = stack.account.client("sns").get_paginator("list_subscriptions_by_topic")
    listed = [one for page in pages.paginate(TopicArn=stack.releases_topic_arn) for one in page["Subscriptions"]]
    pending = [one["Endpoint"] for one in listed if one["SubscriptionArn"] == "PendingConfirmation"]
    confirmed = len(listed) - len(pending)
    if pending:
        fix = "open the mail from AWS Notifications and confirm"
        yield Finding("subscription", "fail", f"not confirmed: {', '.join(pending)}", fix)
    elif not confirmed:
        fix = "deploy with NotificationEmail, or subscribe something to the topic"
        yield Finding("subscription", "warn", "nobody is subscribed to the releases topic", fix)
    else:
        yield Finding("subscription", "ok", f"{confirmed} confirmed")


def check_alarms(stack: Stack) -> Iterator[Finding]:
    """Is our own machinery well?"""
    pages = stack.account.client("cloudwatch").get_paginator("describe_alarms")
    alarms = [
        one
        for page in pages.paginate(AlarmTypes=["MetricAlarm"])
        for one in page["MetricAlarms"]
        if stack.releases_topic_arn in one.get("AlarmActions", [])
    ]
    ringing = [
        f"{one['AlarmName']} ({one.get('StateReason', '')[:120]})" for one in alarms if one["StateValue"] == "ALARM"
    ]
    if not alarms:
        yield Finding("alarms", "fail", "the stack has no alarm on itself", "`sam deploy` again")
    elif ringing:
        yield Finding("alarms", "fail", f"in ALARM: {'; '.join(ringing)}", f"the dashboard: {stack.dashboard_url}")
    else:
        yield Finding("alarms", "ok", f"{len(alarms)} watch the stack, none rings")


def _guarded(name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Turn AWS's refusal of a look into a line of its own."""
    try:
        yield from look()
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        result: Result = "fail" if name == "credentials" else "warn"
        yield Finding(name, result, f"could not be checked: {told}")


def _print(findings: list[Finding]) -> None:
    from rich.text import Text

    for one in findings:
        fix = f"\n       -> {one.fix}" if one.fix else ""
        console().print(
            Text.assemble((f"{one.result:<5}", COLOURS[one.result]), f"  {one.check}: {one.found}{fix}"), soft_wrap=True
        )
