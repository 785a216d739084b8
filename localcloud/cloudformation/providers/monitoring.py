"""CloudWatch alarms and dashboards, log groups and what hangs on them."""

from __future__ import annotations

import json
from typing import Any

from localcloud.cloudformation.errors import DeployError
from localcloud.cloudformation.provider import Made, Provider, Request, ignore_missing, lower_keys, provider


def _alarm_arn(request: Request, name: str) -> str:
    return f"arn:aws:cloudwatch:{request.core.region}:{request.core.account_id}:alarm:{name}"


@provider
class Alarm(Provider):
    """AWS::CloudWatch::Alarm."""

    type_name = "AWS::CloudWatch::Alarm"
    name_property = "AlarmName"
    fields = (
        "ActionsEnabled",
        "AlarmActions",
        "AlarmDescription",
        "ComparisonOperator",
        "DatapointsToAlarm",
        "Dimensions",
        "EvaluateLowSampleCountPercentile",
        "EvaluationPeriods",
        "ExtendedStatistic",
        "InsufficientDataActions",
        "MetricName",
        "Metrics",
        "Namespace",
        "OKActions",
        "Period",
        "Statistic",
        "Threshold",
        "TreatMissingData",
        "Unit",
    )
    supported = frozenset({*fields, "AlarmName", "Tags"})

    def create(self, request: Request) -> Made:
        """Put the alarm."""
        return self.update(request, request.name("AlarmName", 255))

    def update(self, request: Request, physical_id: str) -> Made:
        """Put it again; PutMetricAlarm replaces the whole of it."""
        request.client("cloudwatch").put_metric_alarm(AlarmName=physical_id, **request.pick(*self.fields))
        return Made(physical_id, {"Arn": _alarm_arn(request, physical_id)})

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the alarm."""
        ignore_missing(lambda: request.client("cloudwatch").delete_alarms(AlarmNames=[physical_id]))


@provider
class CompositeAlarm(Provider):
    """AWS::CloudWatch::CompositeAlarm."""

    type_name = "AWS::CloudWatch::CompositeAlarm"
    name_property = "AlarmName"
    fields = ("ActionsEnabled", "AlarmActions", "AlarmDescription", "AlarmRule", "InsufficientDataActions", "OKActions")
    supported = frozenset({*fields, "AlarmName", "Tags"})

    def create(self, request: Request) -> Made:
        """Put the alarm."""
        return self.update(request, request.name("AlarmName", 255))

    def update(self, request: Request, physical_id: str) -> Made:
        """Put it again."""
        request.client("cloudwatch").put_composite_alarm(AlarmName=physical_id, **request.pick(*self.fields))
        return Made(physical_id, {"Arn": _alarm_arn(request, physical_id)})

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the alarm."""
        ignore_missing(lambda: request.client("cloudwatch").delete_alarms(AlarmNames=[physical_id]))


@provider
class Dashboard(Provider):
    """AWS::CloudWatch::Dashboard."""

    type_name = "AWS::CloudWatch::Dashboard"
    name_property = "DashboardName"
    supported = frozenset({"DashboardName", "DashboardBody"})

    def create(self, request: Request) -> Made:
        """Put the dashboard."""
        return self.update(request, request.name("DashboardName", 255))

    def update(self, request: Request, physical_id: str) -> Made:
        """Put it again; a body that is no JSON is refused."""
        body = request.properties["DashboardBody"]
        try:
            json.loads(body)
        except ValueError as error:
            raise DeployError(f"The field DashboardBody must be a valid JSON object: {error}") from None
        request.client("cloudwatch").put_dashboard(DashboardName=physical_id, DashboardBody=body)
        return Made(physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the dashboard."""
        ignore_missing(lambda: request.client("cloudwatch").delete_dashboards(DashboardNames=[physical_id]))


@provider
class LogGroup(Provider):
    """AWS::Logs::LogGroup."""

    type_name = "AWS::Logs::LogGroup"
    name_property = "LogGroupName"
    supported = frozenset({"LogGroupName", "RetentionInDays", "KmsKeyId", "LogGroupClass", "Tags"})

    def create(self, request: Request) -> Made:
        """Make the group."""
        name = request.name("LogGroupName", 512)
        fields = lower_keys(request.pick("KmsKeyId"))
        tags = {"tags": request.all_tags()} if request.all_tags() else {}
        request.client("logs").create_log_group(logGroupName=name, **fields, **tags)
        return self.update(request, name)

    def update(self, request: Request, physical_id: str) -> Made:
        """Set the retention."""
        days = request.properties.get("RetentionInDays")
        if days:
            request.client("logs").put_retention_policy(logGroupName=physical_id, retentionInDays=days)
        elif request.previous.get("RetentionInDays"):
            request.client("logs").delete_retention_policy(logGroupName=physical_id)
        arn = f"arn:aws:logs:{request.core.region}:{request.core.account_id}:log-group:{physical_id}:*"
        return Made(physical_id, {"Arn": arn})

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the group."""
        ignore_missing(lambda: request.client("logs").delete_log_group(logGroupName=physical_id))


@provider
class MetricFilter(Provider):
    """AWS::Logs::MetricFilter."""

    type_name = "AWS::Logs::MetricFilter"
    name_property = "FilterName"
    supported = frozenset({"FilterName", "FilterPattern", "LogGroupName", "MetricTransformations"})

    def create(self, request: Request) -> Made:
        """Put the filter."""
        return self.update(request, request.name("FilterName", 512))

    def update(self, request: Request, physical_id: str) -> Made:
        """Put it again."""
        given = request.properties
        request.client("logs").put_metric_filter(
            logGroupName=given["LogGroupName"],
            filterName=physical_id,
            filterPattern=given["FilterPattern"],
            metricTransformations=[_transformation(one) for one in given["MetricTransformations"]],
        )
        return Made(physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the filter."""
        group = request.properties["LogGroupName"]
        ignore_missing(lambda: request.client("logs").delete_metric_filter(logGroupName=group, filterName=physical_id))


def _transformation(given: dict[str, Any]) -> dict[str, Any]:
    made = lower_keys({key: value for key, value in given.items() if key != "Dimensions"})
    if "Dimensions" in given:
        made["dimensions"] = {pair["Key"]: pair["Value"] for pair in given["Dimensions"]}
    return dict(made)


@provider
class ResourcePolicy(Provider):
    """AWS::Logs::ResourcePolicy."""

    type_name = "AWS::Logs::ResourcePolicy"
    name_property = "PolicyName"
    supported = frozenset({"PolicyName", "PolicyDocument"})

    def create(self, request: Request) -> Made:
        """Put the policy."""
        return self.update(request, request.properties["PolicyName"])

    def update(self, request: Request, physical_id: str) -> Made:
        """Put it again."""
        request.client("logs").put_resource_policy(
            policyName=physical_id, policyDocument=request.properties["PolicyDocument"]
        )
        return Made(physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the policy."""
        ignore_missing(lambda: request.client("logs").delete_resource_policy(policyName=physical_id))
