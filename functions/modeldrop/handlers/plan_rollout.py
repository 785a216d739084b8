"""PlanRollout: policy and present state in, a plan out; what cannot work is refused before a GPU is paid for."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from modeldrop.artifact.language import compared_again, told
from modeldrop.aws import clients, endpoints, language, signatures
from modeldrop.aws.plan_inputs import Reach, gather
from modeldrop.aws.releases import ReleaseTable
from modeldrop.aws.steps import begin_as_owner
from modeldrop.entry import entry
from modeldrop.errors import ParkedError
from modeldrop.policy.wire import policy_from_json
from modeldrop.release.observe import EndpointView
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.reports import approved_key, captures_prefix
from modeldrop.release.restore import is_roll_back
from modeldrop.rollout.plan import PlanInputs, Stack, plan_rollout, plan_to_json
from modeldrop.settings import Settings, settings
from modeldrop.times import iso, moment

# autoscaling comes to rest in minutes; what takes longer is a person's work, and is not waited for
MAX_WAIT = timedelta(minutes=30)


@entry
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Answer {moving, wait_seconds, rehearse, approve}; a rejection or ParkedError when the plan cannot work."""
    table, record, at = begin_as_owner(event)
    gates = policy_from_json(record.policy).gates
    answer = {"rehearse": gates.rehearsal != "off", "approve": gates.approval != "none"}
    seen = endpoints.describe(clients.sagemaker(), record.endpoint)
    if seen.standing == "moving":
        return {"moving": True, "wait_seconds": wait(table, record, seen, at), **answer}
    compared = compare_again(table, record)
    plan = plan_rollout(gather(reach(), inputs_of(compared, settings()), seen, at))
    rollout = {name: value for name, value in record.rollout.items() if name != "moving_since"}
    facts = {"plan": plan_to_json(plan), "artifact": compared.artifact, "rollout": rollout}
    table.change(record, fenced=True, phase="planning", **facts)
    return {"moving": False, "wait_seconds": 0, **answer}


def wait(table: ReleaseTable, record: ReleaseRecord, seen: EndpointView, at: datetime) -> int:
    """Return how long to wait for an endpoint that somebody else moves; ParkedError when it takes too long."""
    since = record.rollout.get("moving_since") or iso(at)
    waited = at - moment(since)
    if waited > MAX_WAIT:
        minutes = MAX_WAIT.total_seconds() / 60
        raise ParkedError(
            f"endpoint {record.endpoint} is {seen.status} for {minutes:.0f} min: somebody else changes it"
        )
    table.change(record, fenced=True, phase="planning", rollout={**record.rollout, "moving_since": since})
    return wait_seconds(waited.total_seconds())


def wait_seconds(waited: float) -> int:
    """Return how long to wait before looking at the endpoint again: soon at first, then ever longer."""
    return max(10, int(waited / 4))


def compare_again(table: ReleaseTable, record: ReleaseRecord) -> ReleaseRecord:
    """Hold the artifact against the live release, where that is another than the one it was validated against."""
    live = language.live_model(record, table)
    if live is None or live.release == record.artifact.get("compared_with"):
        return record
    policy = policy_from_json(record.policy)
    signatures.refuse_replay(record, policy.signature, table)
    report = compared_again(language.kept(record), live, language.breaking_of(record, policy))
    language.keep(record, report)
    report.require_good()
    return replace(record, artifact={**record.artifact, "compared_with": live.release, **told(report)})


def inputs_of(record: ReleaseRecord, stack: Settings) -> PlanInputs:
    """Return what is known of the release itself, for the plan."""
    return PlanInputs(
        endpoint=record.endpoint,
        release=record.release,
        model_data_url=f"s3://{stack.approved_bucket}/{approved_key(record.endpoint, record.artifact['sha256'])}",
        policy=policy_from_json(record.policy),
        stack=Stack(
            image_gpu=stack.image_gpu,
            image_cpu=stack.image_cpu,
            inference_ami_gpu=stack.inference_ami_gpu,
            endpoint_role_arn=stack.endpoint_role_arn,
            rehearsal_role_arn=stack.rehearsal_role_arn,
            metric_namespace=stack.metric_namespace,
            name=stack.stack_name,
            capture_prefix=captures_prefix(stack.approved_bucket),
        ),
        outputs=tuple(record.artifact["outputs"]) if record.artifact.get("outputs") else None,
        archive_bytes=record.artifact["size_bytes"],
        unpacked_bytes=record.artifact["uncompressed_bytes"],
        roll_back=is_roll_back(record),
    )


def reach() -> Reach:
    """Return the clients that the present state is read with."""
    return Reach(
        sagemaker=clients.sagemaker(),
        cloudwatch=clients.cloudwatch(),
        application_autoscaling=clients.application_autoscaling(),
        service_quotas=clients.service_quotas(),
        s3=clients.s3(),
    )
