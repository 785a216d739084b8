"""PlanRollout: policy and present state in, a plan out; what cannot work is refused before a GPU is paid for."""

from __future__ import annotations

from typing import Any

from modeldrop.aws import captures, endpoints, measurements, quotas, scaling
from modeldrop.aws.releases import ReleaseTable
from modeldrop.clock import now
from modeldrop.errors import ParkedError, TransientError
from modeldrop.judge.clump import clump_size
from modeldrop.observability import entry
from modeldrop.policy.model import Policy
from modeldrop.policy.wire import policy_from_json
from modeldrop.release.observe import EndpointView
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.reports import approved_key
from modeldrop.release.restore import is_roll_back
from modeldrop.rollout.plan import LiveAnswers, LiveState, PlanInputs, Stack, Traffic, plan_rollout, plan_to_json
from modeldrop.settings import Settings, settings


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Answer {rehearse, approve}; PolicyRejectedError or ParkedError when the plan cannot work."""
    table = ReleaseTable(settings().release_table)
    record = table.require(event["endpoint"], event["release"])
    table.update(record.endpoint, record.release, phase="planning")
    inputs = plan_inputs(record, endpoints.describe(record.endpoint), settings())
    plan = plan_rollout(inputs)
    table.update(record.endpoint, record.release, plan=plan_to_json(plan))
    gates = inputs.policy.gates
    return {"rehearse": gates.rehearsal != "off", "approve": gates.approval != "none"}


def plan_inputs(record: ReleaseRecord, seen: EndpointView, stack: Settings) -> PlanInputs:
    """Gather what the plan depends on."""
    policy = policy_from_json(record.policy)
    live = live_state(record.endpoint, seen)
    return PlanInputs(
        endpoint=record.endpoint,
        release=record.release,
        model_data_url=f"s3://{stack.approved_bucket}/{approved_key(record.endpoint, record.artifact['sha256'])}",
        policy=policy,
        stack=Stack(
            image_gpu=stack.image_gpu,
            image_cpu=stack.image_cpu,
            inference_ami_gpu=stack.inference_ami_gpu,
            endpoint_role_arn=stack.endpoint_role_arn,
            rehearsal_role_arn=stack.rehearsal_role_arn,
            metric_namespace=stack.metric_namespace,
            name=stack.stack_name,
            capture_prefix=capture_prefix(stack),
        ),
        live=live,
        traffic=traffic(record.endpoint) if live else Traffic(),
        answers=live_answers(record.endpoint, live, policy) if live else LiveAnswers(),
        outputs=tuple(record.artifact["outputs"]) if record.artifact.get("outputs") else None,
        archive_bytes=record.artifact["size_bytes"],
        unpacked_bytes=record.artifact["uncompressed_bytes"],
        quota=quotas.endpoint_instances(policy.endpoint.instance_type),
        roll_back=is_roll_back(record),
    )


def live_state(endpoint: str, seen: EndpointView) -> LiveState | None:
    """Return what serves now; an endpoint that moves or is broken can't be planned for."""
    if seen.standing == "absent":
        return None
    if seen.standing == "moving":
        raise TransientError(f"endpoint {endpoint} is {seen.status}: somebody else changes it")
    if seen.standing == "broken":
        raise ParkedError(
            f"endpoint {endpoint} is {seen.status} ({seen.failure_reason}); mend or delete it, drop again"
        )
    config = endpoints.describe_config(seen.config) or {}
    variants = config.get("ProductionVariants", [{}])
    return LiveState(
        config=seen.config,
        instance_type=variants[0].get("InstanceType", ""),
        instance_count=seen.desired_count or seen.instance_count,
        scales=scaling.read(endpoint) is not None,
    )


def traffic(endpoint: str) -> Traffic:
    """Read blue's last hour."""
    hour = measurements.last_hour(endpoint, now())
    return Traffic(hour.requests, hour.errors, hour.p95_ms, hour.peak_per_second, clump_size(hour.minutes))


def capture_prefix(stack: Settings) -> str:
    """Return what the prefix of every release's captured answers begins with."""
    return f"s3://{stack.approved_bucket}/captures/"


def live_answers(endpoint: str, live: LiveState, policy: Policy) -> LiveAnswers:
    """Read which classes of answers the live model gave in the last hour, where they are captured to our bucket."""
    if not policy.quality.output:
        return LiveAnswers()
    config = endpoints.describe_config(live.config) or {}
    return captures.last_hour(config, endpoint, policy.quality.output, capture_prefix(settings()), now())
