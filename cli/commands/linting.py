"""`modeldrop lint`: a policy's alarms and powers before anything is dropped, and alarms of the user's own."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.artifacts import (
    DEFAULT_INSTANCE_COUNT,
    DEFAULT_INSTANCE_TYPE,
    default_policy,
    print_policy,
    read_policy,
)
from cli.console import print_json, print_table, say
from cli.failures import ANSWER_IS_NO, USAGE, CommandError
from cli.options import DEFAULT_STACK, AsJson, StackName

if TYPE_CHECKING:
    from cli.account import Account
    from modeldrop.policy.model import MetricName, Policy
    from modeldrop.rollout.alarm_lint import AlarmReport
    from modeldrop.rollout.model import PlanInputs, RolloutPlan, Traffic

NEVER = {"errors": "not even if all fail", "slow": "not even if all are slow", "drift": "not even if all are that"}
# defects that a person has a feeling for, in times of blue's rate
DEFECTS = (2, 3, 10)
# what blue answers, where it was not asked
ASSUMED_SHARES = {"one class": 0.5, "another": 0.5}
# latencies whose p95 is twice their p50, where nothing was measured
SPREAD = 2.0
# of captured answers, where the stack's own bucket is not known
ANY_BUCKET = "s3://"


def lint(
    file: Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, show_default=False)] = None,
    rps: Annotated[float | None, typer.Option(min=0.001, help="Requests a second, for the power preview.")] = None,
    endpoint: Annotated[str, typer.Option(help="Plan onto this endpoint as it is, with its last hour.")] = "",
    blue_errors: Annotated[float, typer.Option(min=0, max=1, help="Blue's error rate, with --rps.")] = 0.005,
    alarm: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, help="An alarm of your own, JSON; may be given more than once."),
    ] = None,
    instance_type: Annotated[
        str, typer.Option(help="Stack default, when the policy names none.")
    ] = DEFAULT_INSTANCE_TYPE,
    instance_count: Annotated[int, typer.Option(min=1, help="Stack default.")] = DEFAULT_INSTANCE_COUNT,
    stack: StackName = DEFAULT_STACK,
    as_json: AsJson = False,
) -> None:
    """Check rollout.yaml: what it means, the alarms a release will get, and which defects they and the judge find.

    --alarm takes PutMetricAlarm JSON, a describe-alarms answer, or CloudFormation, and holds it against the bake of
    the policy (or the default one): can it fire, is it diluted by blue, is it quick enough, what is silence to it.
    --rps or --endpoint add the power preview: the smallest error-rate ratio and latency shift that is found with 50,
    90 and 99% probability within the bake.

    Exit status: 0 good; 1 the policy or an alarm is refused, or the endpoint can't be planned for; 2 a file is not JSON
    or holds no alarm; 3 AWS.

    Example: modeldrop lint rollout.yaml --rps 20 ; modeldrop lint --alarm alarm.json
    """
    from modeldrop.errors import RejectedError

    if file is None and not alarm:
        raise CommandError("nothing to lint", fix="modeldrop lint rollout.yaml, or --alarm alarm.json", status=USAGE)
    answer: dict[str, Any] = {"file": str(file) if file else None, "problems": []}
    policy = plan = None
    notes: tuple[str, ...] = ()
    reports: list[AlarmReport] = []
    try:
        policy = read_policy(file, instance_type, instance_count) if file else default_policy()
        inputs = _inputs(policy, endpoint, stack, rps, blue_errors)
        plan = _plan(inputs)
        notes = _notes(plan, inputs) if file else ()
        reports = _own_alarms(plan) if file else []
        answer |= _preview(plan, policy, inputs.traffic) if file and inputs.traffic.requests else {}
    except RejectedError as error:
        answer["problems"] += [asdict(one) for one in error.problems]
    reports += [report for one in alarm or () for report in _reports(one, policy or default_policy(), plan)]
    answer["alarms"] = [asdict(one) for one in reports]
    answer["problems"] += [asdict(problem) for one in reports for problem in one.problems]
    if as_json:
        from modeldrop.policy.wire import policy_to_json

        wire = {"policy": policy_to_json(policy)} if file and policy else {}
        print_json({**answer, **wire, "notes": list(notes)})
    else:
        _print(answer, file, policy, notes, reports)
    if answer["problems"]:
        raise typer.Exit(ANSWER_IS_NO)


def _inputs(policy: Policy, endpoint: str, stack: str, rps: float | None, blue_errors: float) -> PlanInputs:
    """Return what a release onto an endpoint as it is would be planned from, or onto one like the policy's own."""
    from modeldrop.rollout.model import LiveAnswers, LiveState, PlanInputs, Stack, Traffic

    values = Stack("gpu", "cpu", "ami", "role", "role", "modeldrop", stack)
    release = PlanInputs(endpoint or "ENDPOINT", "RELEASE", "s3://approved/model.tar.gz", policy, values)
    if endpoint:
        return _as_it_is(release)
    traffic = Traffic()
    if rps is not None:
        requests = max(1, round(rps * 3600))
        traffic = Traffic(requests, round(requests * blue_errors), measured=False)
    answers = LiveAnswers("s3://captures/LIVE", 1_000_000, ASSUMED_SHARES) if policy.quality.output else LiveAnswers()
    live = LiveState("LIVE", policy.endpoint.instance_type, policy.endpoint.instance_count)
    return replace(release, live=live, traffic=traffic, answers=answers)


def _as_it_is(release: PlanInputs) -> PlanInputs:
    """Add the endpoint as the workflow would read it; RejectedError where nothing can be planned for it now."""
    from cli.account import Account
    from modeldrop.aws import endpoints
    from modeldrop.aws.plan_inputs import Reach, gather
    from modeldrop.errors import ParkedError, Problem, RejectedError
    from modeldrop.release.observe import UnknownStatusError

    account = Account()
    reach = Reach(
        sagemaker=account.client("sagemaker"),
        cloudwatch=account.client("cloudwatch"),
        application_autoscaling=account.client("application-autoscaling"),
        service_quotas=account.client("service-quotas"),
        s3=account.client("s3"),
    )
    seen = endpoints.describe(reach.sagemaker, release.endpoint)
    try:
        if release.policy.quality.output:
            prefix = _captures_prefix(account, release.stack.name)
            release = replace(release, stack=replace(release.stack, capture_prefix=prefix))
        return gather(reach, release, seen, datetime.now(UTC))
    except UnknownStatusError as error:
        raise CommandError(f"endpoint {release.endpoint}: {error}") from None
    except ParkedError as error:
        moves = seen.standing == "moving"
        code = "ENDPOINT_MOVING" if moves else "ENDPOINT_BROKEN"
        fix = "Lint again then; a release would wait for it." if moves else "A release would be parked for it."
        raise RejectedError([Problem(code, str(error), release.endpoint, fix)]) from None


def _captures_prefix(account: Account, stack: str) -> str:
    """Return where the stack reads captured answers; without the stack any bucket counts, which is told."""
    from cli.account import find_stack
    from modeldrop.release.reports import captures_prefix

    try:
        return captures_prefix(find_stack(stack, account).approved_bucket)
    except CommandError:
        return ANY_BUCKET


def _plan(inputs: PlanInputs) -> RolloutPlan:
    """Plan; RejectedError where the quota would park the release."""
    from modeldrop.errors import ParkedError, Problem, RejectedError
    from modeldrop.rollout.plan import plan_rollout

    try:
        return plan_rollout(inputs)
    except ParkedError as error:
        fix = "A release would be parked for it."
        raise RejectedError([Problem("QUOTA", str(error), "endpoint.instance_count", fix)]) from None


def _notes(plan: RolloutPlan, inputs: PlanInputs) -> tuple[str, ...]:
    """Return the plan's notes, and what it was made without."""
    unknown = list(inputs.unknown())
    if inputs.stack.capture_prefix == ANY_BUCKET:
        unknown.append(f"whether answers are captured to the bucket of stack {inputs.stack.name}, which was not found")
    return (*plan.notes, *([f"not known, so not checked: {', '.join(unknown)}"] if unknown else []))


def _own_alarms(plan: RolloutPlan) -> list[AlarmReport]:
    from modeldrop.rollout.alarm_lint import alarm_report
    from modeldrop.rollout.alarms import alarm_requests
    from modeldrop.rollout.lint import watched_seconds

    watched = watched_seconds(plan)
    lag, fields = plan.metric_lag, plan.strategy.all_bake_fields
    return [
        alarm_report(one, watched_seconds=watched, lag_seconds=lag, bake_fields=fields) for one in alarm_requests(plan)
    ]


def _reports(file: Path, policy: Policy, plan: RolloutPlan | None) -> list[AlarmReport]:
    from modeldrop.rollout import timing
    from modeldrop.rollout.alarm_lint import AlarmFormatError, alarm_report, read_alarms
    from modeldrop.rollout.lint import watched_seconds

    watched = watched_seconds(plan) if plan else policy.strategy.longest_bake_seconds(policy.endpoint.instance_count)
    lag = timing.metric_lag_seconds(policy)
    try:
        alarms = read_alarms(json.loads(file.read_bytes()))
        if not alarms:
            raise AlarmFormatError("it holds no alarm")
        fields = (plan or policy).strategy.all_bake_fields
        return [alarm_report(one, watched_seconds=watched, lag_seconds=lag, bake_fields=fields) for one in alarms]
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{file}: {error}", fix="give PutMetricAlarm JSON", status=USAGE) from None


def _preview(plan: RolloutPlan, policy: Policy, traffic: Traffic) -> dict[str, Any]:
    from modeldrop.rollout.preview import delay_seconds, latency_shift, preview, seconds_until_found

    rps = traffic.requests / 3600
    # what is slow is what 5% of blue exceeds, unless the policy names a latency
    rates: dict[MetricName, float] = {"errors": traffic.errors / traffic.requests, "slow": 0.05}
    found = []
    for one in preview(plan, policy.judge, requests_per_second=rps, blue_rates=rates):
        bad = one.green_rate
        if bad is not None and one.metric == "drift" and one.ratio:
            bad -= bad / one.ratio  # blue would have said the same to these
        harm = None if bad is None or one.seconds is None else bad * rps * plan.canary_share * one.seconds
        shift = (
            latency_shift(one.green_rate, rates["slow"], SPREAD) if one.metric == "slow" and one.green_rate else None
        )
        found.append({**asdict(one), "bad_requests": harm, "latency_shift": shift})
    defects = []
    for times in DEFECTS if rates["errors"] else ():
        rate = min(1.0, times * rates["errors"])
        for_chance = {
            str(chance): seconds_until_found(
                plan,
                policy.judge,
                "errors",
                requests_per_second=rps,
                blue_rate=rates["errors"],
                green_rate=rate,
                chance=chance,
            )
            for chance in (0.5, 0.9, 0.99)
        }
        defects.append({"times": times, "green_rate": rate, "seconds": for_chance})
    return {"requests_per_second": rps, "delay_seconds": delay_seconds(plan), "powers": found, "defects": defects}


def _print(
    answer: dict[str, Any],
    file: Path | None,
    policy: Policy | None,
    notes: tuple[str, ...],
    reports: list[AlarmReport],
) -> None:
    for one in answer["problems"]:
        say(f"{one['code']}  {one['what']} ({one['where']}). {one['fix']}")
    if file and policy and not answer["problems"]:
        print_policy(file, policy)
    for report in reports:
        say(f"alarm {report.name}: {'REFUSED' if report.problems else 'sound'}")
        say(f"  sees    {report.sees}")
        for text in report.misses:
            say(f"  misses  {text}")
        for text in report.warnings:
            say(f"  note    {text}")
    for note in notes:
        say(f"note  {note}")
    if "powers" in answer:
        _print_powers(answer)


def _print_powers(answer: dict[str, Any]) -> None:
    rows = []
    for one in answer["powers"]:
        rate = NEVER[one["metric"]] if one["green_rate"] is None else f"{one['green_rate']:.2%} of green"
        ratio = "-" if one["ratio"] is None else f"{one['ratio']:.1f}x blue"
        if one["latency_shift"]:
            ratio += f", latency x {one['latency_shift']:.2f}"
        seconds = "-" if one["seconds"] is None else f"{one['seconds']} s"
        harm = "-" if one["bad_requests"] is None else f"{one['bad_requests']:.0f}"
        rows.append((one["metric"], f"{one['chance']:.0%}", rate, ratio, seconds, harm))
    if not rows:
        say("no blue beside green: the judge compares nothing, only SLO alarms and the heartbeat act")
        return
    title = f"found within the bake at {answer['requests_per_second']:.3g} requests/s"
    columns = ("metric", "chance", "smallest rate found", "that is", "alarm after", "bad requests by then")
    print_table(columns, rows, title=f"{title} ({answer['delay_seconds']} s of delays included)")
    for one in answer["defects"]:
        times = ", ".join(
            f"{float(chance):.0%} within {after} s" for chance, after in one["seconds"].items() if after is not None
        )
        times = times or "not found in half of such bakes"
        say(f"errors {one['times']}x blue ({one['green_rate']:.2%}): {times}")
    say("assumed: failures independent and from the start; 5% of blue slow; latencies log-normal with p95 twice p50")
    if any(one["metric"] == "drift" for one in answer["powers"]):
        say("drift: to which share of green's answers the class must grow that blue gives most often (50% with --rps)")
