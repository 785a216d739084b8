"""From policy and present state to a plan: what will be made, shifted, watched and waited for, or why not."""

from __future__ import annotations

import re
from dataclasses import replace

from modeldrop.errors import ParkedError, PolicyRejectedError, Problem
from modeldrop.judge.answers import DriftTerms
from modeldrop.policy.model import Policy
from modeldrop.policy.strategy import PROVISIONING_SECONDS, Strategy
from modeldrop.rollout import timing
from modeldrop.rollout.lint import lint
from modeldrop.rollout.model import (
    LiveAnswers,
    LiveState,
    PlanInputs,
    RolloutPlan,
    Stack,
    Traffic,
    plan_from_json,
    plan_to_json,
    quota_name,
)
from modeldrop.rollout.rehearsing import rehearsal_place

__all__ = [
    "LiveAnswers",
    "LiveState",
    "PlanInputs",
    "RolloutPlan",
    "Stack",
    "Traffic",
    "plan_from_json",
    "plan_rollout",
    "plan_to_json",
]

# fewer requests do not tell a rate
MIN_RATE_REQUESTS = 100
# fewer answers do not tell which classes there are
MIN_ANSWERS = 50


def plan_rollout(inputs: PlanInputs) -> RolloutPlan:
    """Make the plan. PolicyRejectedError: what cannot work here. ParkedError: the quota does not hold both fleets.

    A fleet of one cannot be split: the default strategy gives way to all_at_once, one that the policy names itself
    (Policy.strategy_chosen) is refused.
    """
    count, count_changed = _count(inputs.policy, inputs.live)
    strategy, problems = _strategy(inputs.policy, count, inputs.live is None)
    # from here on the policy says what is done, not what was wished for
    endpoint = replace(inputs.policy.endpoint, instance_count=count)
    policy = replace(inputs.policy, strategy=strategy, endpoint=endpoint)
    problems += _instance_problems(policy)
    problems += strategy.fleet_problems(count) if inputs.live and count > 1 else []
    problems += strategy.time_problems(count) if inputs.live else []
    problems += _timing_problems(policy) if inputs.live else []
    problems += [] if inputs.roll_back else _quality_problems(policy, inputs.outputs)
    if problems:
        raise PolicyRejectedError(problems)
    plan = _plan(inputs, policy, count_changed)
    if inputs.live:
        findings = lint(plan, policy.judge, inputs.traffic, roll_back=inputs.roll_back)
        if findings.problems:
            raise PolicyRejectedError(findings.problems)
        plan = replace(plan, notes=(*plan.notes, *findings.warnings, *findings.sights))
    _require_quota(inputs, policy)
    return plan


def _plan(inputs: PlanInputs, policy: Policy, count_changed: bool) -> RolloutPlan:
    live, stack, traffic = inputs.live, inputs.stack, inputs.traffic
    gpu = is_gpu(policy.endpoint.instance_type)
    slow_ms = policy.judge.slow_ms if policy.judge.slow_ms is not None else traffic.p95_ms
    scaling = policy.endpoint.autoscaling
    place, why_there = rehearsal_place(policy.gates.rehearsal, inputs.archive_bytes, inputs.unpacked_bytes)
    return RolloutPlan(
        endpoint=inputs.endpoint,
        release=inputs.release,
        model_data_url=inputs.model_data_url,
        image=stack.image_gpu if gpu else stack.image_cpu,
        inference_ami=stack.inference_ami_gpu if gpu else "",
        role_arn=stack.endpoint_role_arn,
        rehearsal_image=stack.image_cpu,
        rehearsal_role_arn=stack.rehearsal_role_arn,
        rehearsal_instance_type=place,
        environment=dict(policy.endpoint.environment),
        instance_type=policy.endpoint.instance_type,
        instance_count=policy.endpoint.instance_count,
        metrics_every=policy.endpoint.metrics_every_seconds,
        metric_namespace=stack.metric_namespace,
        tags={"modeldrop:release": inputs.release, "modeldrop:stack": stack.name},
        first_release=live is None,
        previous_config=live.config if live else "",
        instance_type_changed=live is not None and live.instance_type != policy.endpoint.instance_type,
        count_changed=count_changed,
        strategy=policy.strategy,
        execution_timeout=timing.execution_timeout_seconds(policy),
        deadline=timing.deadline_seconds(policy),
        alarm_period=timing.alarm_period_seconds(policy),
        metric_lag=timing.metric_lag_seconds(policy),
        look=timing.look_seconds(policy),
        notice=timing.notice_seconds(policy),
        silence=timing.silence_seconds(policy),
        heartbeat_periods=timing.heartbeat_periods(policy),
        slow_ms=slow_ms,
        error_ceiling=policy.slo.error_rate,
        latency_ceilings_ms=dict(policy.slo.latency_ms),
        scaling_min=scaling.min if scaling else None,
        scaling_max=scaling.max if scaling else None,
        scaling_target_per_minute=scaling.invocations_per_instance_per_minute if scaling else None,
        notes=(
            *_notes(inputs, policy, slow_ms),
            *([f"rehearsal on {place} {why_there}"] if why_there else []),
            *(["not rehearsed: gates.rehearsal is off"] if place == "off" else []),
        ),
        rehearsal_note=why_there,
        blue_error_rate=traffic.errors / traffic.requests if traffic.requests >= MIN_RATE_REQUESTS else None,
        # slow is what 5% of blue exceeded, where it is taken from blue itself
        blue_slow_rate=0.05 if policy.judge.slow_ms is None and slow_ms is not None else None,
        clump=policy.judge.clump or traffic.clump,
        capture_to=f"{stack.capture_prefix}{inputs.release}" if policy.quality.output else "",
        capture_percent=round(policy.quality.every * 100),
        captured_to=inputs.answers.captured_to,
        capture_lag=timing.capture_lag_seconds(policy),
        quality_output=policy.quality.output,
        drift=_drift(policy, inputs),
    )


def _drift(policy: Policy, inputs: PlanInputs) -> DriftTerms | None:
    """Return what green's answers are judged with; None without anything of blue's to compare them with."""
    answers = inputs.answers
    if not policy.quality.output or not _compares(policy) or answers.answers < MIN_ANSWERS:
        return None
    return DriftTerms(policy.quality.tolerance, dict(answers.shares), answers.clump)


def is_gpu(instance_type: str) -> bool:
    """Say whether an instance type has NVIDIA GPUs: families p and g (EC2 instance families)."""
    family = instance_type.split(".")[1]
    return family[0] in "pg"


def _count(policy: Policy, live: LiveState | None) -> tuple[int, bool]:
    """Return green's instances, and whether the policy's count replaces the live one."""
    asked = policy.endpoint.instance_count
    if live is None or live.instance_count == asked:
        return asked, False
    # an autoscaled count is the traffic's answer: it survives the rollout (RetainAllVariantProperties)
    if live.scales or policy.endpoint.autoscaling:
        return live.instance_count, False
    return asked, True


def _strategy(policy: Policy, count: int, first: bool) -> tuple[Strategy, list[Problem]]:
    """Return the strategy that is used, or why the one that was asked for cannot be."""
    if first or count > 1 or not policy.strategy.splits_the_fleet:
        return policy.strategy, []
    whole = policy.for_one_instance
    if not policy.strategy_chosen:
        return whole, []
    what = f"strategy is {policy.strategy.name}, and one instance cannot be split"
    fix = f"Run 2 instances or more, or ask for {whole.name}, which bakes with all traffic on the new model."
    return policy.strategy, [Problem("ONE_INSTANCE", what, "strategy", fix)]


def _instance_problems(policy: Policy) -> list[Problem]:
    """Refuse hardware that no image of the stack runs on: its images are x86, for CPU and for NVIDIA GPUs."""
    kind = policy.endpoint.instance_type
    fix = "Choose a GPU instance (ml.g5, ml.g6, ml.p4d...) or an x86 one (ml.c5, ml.m5, ml.c7i...)."
    if re.match(r"^ml\.(inf|trn)\d", kind):
        what = f"{kind} has AWS's own accelerators, for which the TensorFlow Serving image is not built"
    elif re.match(r"^ml\.[a-z]+\d+gd?n?\.", kind):
        what = f"{kind} has ARM processors (Graviton), for which the TensorFlow Serving image is not built"
    else:
        return []
    return [Problem("INSTANCE_TYPE", what, "endpoint.instance_type", fix)]


def _timing_problems(policy: Policy) -> list[Problem]:
    problems = []
    lag, bake = timing.metric_lag_seconds(policy), _bake(policy)
    watched = timing.waits_seconds(policy)
    silence = timing.silence_seconds(policy)
    if silence + lag > watched:
        what = (
            f"a dead judge is noticed after {silence} s and {lag} s of metric lag, and the bakes are {watched} s in all"
        )
        fix = (
            f"Lengthen {policy.strategy.all_bake_fields} to {silence + lag} s in all, or shorten judge.dead_man or "
            "endpoint.metrics_every."
        )
        problems.append(Problem("DEAD_MAN_TOO_LONG", what, "judge.dead_man", fix))
    slowest = timing.slowest_look_seconds(policy)
    if slowest > silence / 2:
        what = f"a rollout this long can be looked at every {slowest} s only, and its heartbeat may pause {silence} s"
        fix = f"Use a judge.dead_man of at least {2 * slowest}s, or a shorter {policy.strategy.bake_field}."
        problems.append(Problem("DEAD_MAN_TOO_SHORT", what, "judge.dead_man", fix))
    notice = timing.notice_seconds(policy)
    if policy.on_inconclusive == "rollback" and _compares(policy) and bake <= notice:
        what = f"on_inconclusive: rollback must be decided {notice} s before the bake of {bake} s ends"
        fix = f"Use a bake of at least {2 * notice}s."
        problems.append(Problem("NO_TIME_TO_DECIDE", what, policy.strategy.bake_field, fix))
    return problems


def _quality_problems(policy: Policy, outputs: tuple[str, ...] | None) -> list[Problem]:
    """Refuse to look at an output that the model does not have: nothing would ever be seen of it."""
    wanted = policy.quality.output
    if not wanted or outputs is None or wanted in outputs:
        return []
    what = f"quality.output is {wanted}, and serving_default has {', '.join(outputs[:20]) or 'no outputs'}"
    return [Problem("QUALITY_OUTPUT", what, "quality.output", "Name one of them, or remove quality.")]


def _quality_notes(policy: Policy, answers: LiveAnswers) -> list[str]:
    """Say whether green's answers are compared with blue's, and if not, why."""
    quality = policy.quality
    if not quality.output or not _compares(policy):
        return []
    if not answers.captured_to:
        return ["answers are captured, not judged: the live model's are not, it was released without quality"]
    if answers.answers < MIN_ANSWERS:
        return [
            f"answers are captured, not judged: of the live model {answers.answers} were captured in the last hour, "
            f"and {MIN_ANSWERS} are needed to know its classes"
        ]
    seen = timing.capture_lag_seconds(policy) + timing.alarm_period_seconds(policy) + timing.look_seconds(policy)
    late = (
        f"; the first are known after {seen} s, later than the bake of {_bake(policy)} s"
        if seen > _bake(policy)
        else ""
    )
    does = "shown, not acted on," if "drift" in policy.judge.observe else "judged"
    return [
        f"answers ({quality.output}) are {does} on {quality.every:.0%} of requests: {len(answers.shares)} classes, of "
        f"which none may be more frequent by {quality.tolerance:.0%} of all{late}"
    ]


def _require_quota(inputs: PlanInputs, policy: Policy) -> None:
    """Park the release when the quota cannot hold what it needs: both fleets while baking (blue/green).

    Instances of other endpoints count against the same quota, and are not known here: enough is not a promise.
    """
    kind, live = policy.endpoint.instance_type, inputs.live
    same = live.instance_count if live is not None and live.instance_type == kind else 0
    needed = policy.strategy.instances_needed(policy.endpoint.instance_count, same)
    if inputs.quota is not None and inputs.quota < needed:
        while_both = f", {same} of them the live fleet, while both run" if same else ""
        raise ParkedError(
            f"the quota '{quota_name(kind)}' is {inputs.quota} and the rollout needs {needed} "
            f"instances{while_both}; ask for more in Service Quotas and drop again"
        )


def _bake(policy: Policy) -> int:
    return policy.strategy.first_bake_seconds(policy.endpoint.instance_count)


def _compares(policy: Policy) -> bool:
    return policy.strategy.compares(policy.endpoint.instance_count)


def _notes(inputs: PlanInputs, policy: Policy, slow_ms: float | None) -> list[str]:
    """Say in words what will happen and what will not be seen."""
    if inputs.live is None:
        return ["first release: there is nothing to compare with, the golden requests decide"]
    strategy, asked, count = policy.strategy, inputs.policy.strategy, policy.endpoint.instance_count
    notes: list[str] = []
    if strategy != asked:
        bake = strategy.final_bake_seconds_of(count)
        notes.append(
            f"one instance cannot be split: {asked.name} becomes {strategy.name}, with a final bake of {bake} s"
        )
    notes += strategy.notes(count)
    notes += _quality_notes(policy, inputs.answers)
    if slow_ms is None:
        notes.append("slow requests are not judged: no latency of blue in the last hour, and judge.slow is auto")
    clump = policy.judge.clump or inputs.traffic.clump
    if clump > 1:
        whose = "as the policy says" if policy.judge.clump else "as in blue's last hour"
        notes.append(f"failures are taken to come {clump} at a time, {whose}: the judge needs more of them to be sure")
    hours = (timing.waits_seconds(policy) + PROVISIONING_SECONDS) / 3600
    notes.append(
        f"the second fleet costs about {strategy.extra_instances(count)} x {hours:.1f} instance hours of "
        f"{policy.endpoint.instance_type}"
    )
    silence = timing.silence_seconds(policy) + timing.metric_lag_seconds(policy)
    if silence > _bake(policy) / 2 > 0:
        notes.append(f"a dead judge is noticed after {silence} s, which is more than half of the bake")
    peak, scaling = inputs.traffic.peak_per_second, policy.endpoint.autoscaling
    if peak and scaling and peak * 60 > count * scaling.invocations_per_instance_per_minute:
        notes.append(
            f"scaling is frozen at {count} instances during the rollout, and the busiest minute of the last days had "
            f"{peak:.0f} requests a second, more than its target"
        )
    return notes
