"""What a rollout's own alarms listen to: the heartbeat of whoever watches it, and the verdict."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from modeldrop.aws import clients
from modeldrop.rollout.alarms import HEARTBEAT, VERDICT, own_metric, verdict_period
from modeldrop.rollout.model import RolloutPlan

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient


def beat(plan: RolloutPlan, at: datetime) -> None:
    """Say that somebody watches the rollout."""
    _publish(plan, [_datum(plan, HEARTBEAT, at, 1.0)])


def judged(plan: RolloutPlan, at: datetime, *, bad: bool) -> None:
    """Say that somebody judged the rollout, and how."""
    verdict = _bad(plan, at) if bad else [_datum(plan, VERDICT, at, 0.0)]
    _publish(plan, [_datum(plan, HEARTBEAT, at, 1.0), *verdict])


def trip(plan: RolloutPlan, at: datetime, cloudwatch: CloudWatchClient | None = None) -> None:
    """Trip the verdict's alarm, whoever judges or does not: SageMaker has no call that stops a rollout."""
    _publish(plan, _bad(plan, at), cloudwatch)


def _bad(plan: RolloutPlan, at: datetime) -> list[dict[str, Any]]:
    # in two periods: the alarm's next evaluation may look at the one that is over
    before = at - timedelta(seconds=verdict_period(plan))
    return [_datum(plan, VERDICT, moment, 1.0) for moment in (at, before)]


def _datum(plan: RolloutPlan, name: str, at: datetime, value: float) -> dict[str, Any]:
    metric = own_metric(plan, name)
    # in high resolution, so that alarms of 10 s read it
    return {
        "MetricName": metric["MetricName"],
        "Dimensions": metric["Dimensions"],
        "Timestamp": at,
        "Value": value,
        "StorageResolution": 1,
    }


def _publish(plan: RolloutPlan, data: list[Any], cloudwatch: CloudWatchClient | None = None) -> None:
    if not plan.first_release:  # it has no alarms
        (cloudwatch or clients.cloudwatch()).put_metric_data(Namespace=plan.metric_namespace, MetricData=data)
