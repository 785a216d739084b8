"""The rollback alarms of a release: what each one sees, as PutMetricAlarm takes it."""

from __future__ import annotations

from typing import Any

from modeldrop.rollout.model import VARIANT, RolloutPlan

VERDICT, HEARTBEAT = "Verdict", "Heartbeat"
# no shorter than the time between looks: a period without a verdict between two that are bad would be taken for OK
MAX_VERDICT_PERIOD = 30


def alarm_names(plan: RolloutPlan) -> list[str]:
    """Return the names of the release's alarms; none for a first release, which CreateEndpoint would not watch."""
    return [request["AlarmName"] for request in alarm_requests(plan)]


def alarm_requests(plan: RolloutPlan) -> list[dict[str, Any]]:
    """Return the alarms; at most ten, plain metric alarms, each in words that a person can check."""
    if plan.first_release:
        return []
    alarms = [_verdict(plan), _heartbeat(plan)]
    if plan.error_ceiling is not None:
        alarms.append(_errors(plan, plan.error_ceiling))
    alarms += [_latency(plan, percentile, limit) for percentile, limit in plan.latency_ceilings_ms.items()]
    return alarms


def verdict_period(plan: RolloutPlan) -> int:
    """Return the period of the verdict's alarm in seconds: ours is a high-resolution metric, so it need not be 60."""
    return min(MAX_VERDICT_PERIOD, plan.alarm_period)


def own_metric(plan: RolloutPlan, name: str) -> dict[str, Any]:
    """Return where a metric of ours is, for who publishes it and for its alarm."""
    dimensions = [{"Name": "Endpoint", "Value": plan.endpoint}, {"Name": "Release", "Value": plan.release}]
    return {"Namespace": plan.metric_namespace, "MetricName": name, "Dimensions": dimensions}


def _verdict(plan: RolloutPlan) -> dict[str, Any]:
    return {
        **own_metric(plan, VERDICT),
        **_common(plan),
        "Period": verdict_period(plan),
        "AlarmName": f"{plan.release}-verdict",
        "AlarmDescription": "The judge says that green is worse than blue, or an operator aborted.",
        "Statistic": "Maximum",
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Threshold": 1.0,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "TreatMissingData": "notBreaching",
    }


def _heartbeat(plan: RolloutPlan) -> dict[str, Any]:
    periods = plan.heartbeat_periods
    return {
        **own_metric(plan, HEARTBEAT),
        **_common(plan),
        "AlarmName": f"{plan.release}-heartbeat",
        "AlarmDescription": f"Nobody has judged green for {plan.silence} s.",
        "Statistic": "Sum",
        "ComparisonOperator": "LessThanThreshold",
        "Threshold": 1.0,
        "EvaluationPeriods": periods,
        "DatapointsToAlarm": periods,
        "TreatMissingData": "breaching",
    }


def _errors(plan: RolloutPlan, ceiling: float) -> dict[str, Any]:
    return {
        **_green_metric(plan, "InvocationModelErrors"),
        "AlarmName": f"{plan.release}-errors",
        "AlarmDescription": f"More than {ceiling:.3g} of green's requests fail.",
        # each request is 0 or 1, so the average is the error rate
        "Statistic": "Average",
        "Threshold": ceiling,
        "TreatMissingData": "notBreaching",
    }


def _latency(plan: RolloutPlan, percentile: str, limit_ms: float) -> dict[str, Any]:
    return {
        **_green_metric(plan, "ModelLatency"),
        "AlarmName": f"{plan.release}-latency-{percentile}",
        "AlarmDescription": f"Green's {percentile} latency is over {limit_ms:g} ms.",
        "ExtendedStatistic": percentile,
        "EvaluateLowSampleCountPercentile": "evaluate",
        # ModelLatency is in microseconds
        "Threshold": limit_ms * 1000,
        "TreatMissingData": "notBreaching",
    }


def _green_metric(plan: RolloutPlan, name: str) -> dict[str, Any]:
    # with EndpointConfigName blue cannot dilute it
    named = {"EndpointName": plan.endpoint, "VariantName": VARIANT, "EndpointConfigName": plan.release}
    return {
        "Namespace": "AWS/SageMaker",
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in named.items()],
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        **_common(plan),
    }


def _common(plan: RolloutPlan) -> dict[str, Any]:
    tags = [{"Key": key, "Value": value} for key, value in plan.tags.items()]
    return {"Period": plan.alarm_period, "ActionsEnabled": True, "Tags": tags}
