"""SNS, SQS, EventBridge rules and schedules."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from localcloud.cloudformation.provider import Made, Provider, Request, ignore_missing, provider


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, dict | list) else str(value)


@provider
class Topic(Provider):
    """AWS::SNS::Topic."""

    type_name = "AWS::SNS::Topic"
    name_property = "TopicName"
    attributes = ("DisplayName", "KmsMasterKeyId", "FifoTopic", "ContentBasedDeduplication", "TracingConfig")
    supported = frozenset({*attributes, "TopicName", "Subscription", "Tags"})

    def create(self, request: Request) -> Made:
        """Make the topic and its inline subscriptions."""
        name = request.name("TopicName", 256)
        given = {key: _text(value) for key, value in request.pick(*self.attributes).items()}
        sns = request.client("sns")
        arn = sns.create_topic(Name=name, Attributes=given, Tags=request.tag_list())["TopicArn"]
        for entry in request.properties.get("Subscription", []):
            sns.subscribe(TopicArn=arn, Protocol=entry["Protocol"], Endpoint=entry["Endpoint"])
        return Made(arn, {"TopicArn": arn, "TopicName": name})

    def update(self, request: Request, physical_id: str) -> Made:
        """Set the attributes."""
        for key, value in request.pick("DisplayName", "KmsMasterKeyId", "TracingConfig").items():
            request.client("sns").set_topic_attributes(
                TopicArn=physical_id, AttributeName=key, AttributeValue=_text(value)
            )
        return Made(physical_id, {"TopicArn": physical_id, "TopicName": physical_id.split(":")[-1]})

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the topic."""
        ignore_missing(lambda: request.client("sns").delete_topic(TopicArn=physical_id))


@provider
class TopicPolicy(Provider):
    """AWS::SNS::TopicPolicy."""

    type_name = "AWS::SNS::TopicPolicy"
    supported = frozenset({"Topics", "PolicyDocument"})

    def create(self, request: Request) -> Made:
        """Set the policy of every topic."""
        return self.update(request, request.name("-", 128))

    def update(self, request: Request, physical_id: str) -> Made:
        """Set it again."""
        for topic in request.properties["Topics"]:
            request.client("sns").set_topic_attributes(
                TopicArn=topic, AttributeName="Policy", AttributeValue=_text(request.properties["PolicyDocument"])
            )
        return Made(physical_id, {"Id": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Leave the topics with the default policy: nothing to do that moto would notice."""


@provider
class Subscription(Provider):
    """AWS::SNS::Subscription."""

    type_name = "AWS::SNS::Subscription"
    attributes = ("FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy", "DeliveryPolicy")
    supported = frozenset({*attributes, "TopicArn", "Protocol", "Endpoint"})

    def create(self, request: Request) -> Made:
        """Subscribe."""
        given = {key: _text(value) for key, value in request.pick(*self.attributes).items()}
        arn = request.client("sns").subscribe(
            **request.pick("TopicArn", "Protocol", "Endpoint"), Attributes=given, ReturnSubscriptionArn=True
        )["SubscriptionArn"]
        return Made(arn, {"Arn": arn})

    def update(self, request: Request, physical_id: str) -> Made:
        """Set the attributes."""
        for key, value in request.pick(*self.attributes).items():
            request.client("sns").set_subscription_attributes(
                SubscriptionArn=physical_id, AttributeName=key, AttributeValue=_text(value)
            )
        return Made(physical_id, {"Arn": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Unsubscribe."""
        ignore_missing(lambda: request.client("sns").unsubscribe(SubscriptionArn=physical_id))


@provider
class Queue(Provider):
    """AWS::SQS::Queue."""

    type_name = "AWS::SQS::Queue"
    name_property = "QueueName"
    attributes = (
        "ContentBasedDeduplication",
        "DelaySeconds",
        "FifoQueue",
        "KmsDataKeyReusePeriodSeconds",
        "KmsMasterKeyId",
        "MaximumMessageSize",
        "MessageRetentionPeriod",
        "ReceiveMessageWaitTimeSeconds",
        "RedrivePolicy",
        "RedriveAllowPolicy",
        "SqsManagedSseEnabled",
        "VisibilityTimeout",
    )
    supported = frozenset({*attributes, "QueueName", "Tags"})

    def create(self, request: Request) -> Made:
        """Make the queue."""
        given = {key: _text(value) for key, value in request.pick(*self.attributes).items()}
        url = request.client("sqs").create_queue(
            QueueName=request.name("QueueName", 80), Attributes=given, tags=request.all_tags()
        )["QueueUrl"]
        return self._made(request, url)

    def update(self, request: Request, physical_id: str) -> Made:
        """Set the attributes."""
        given = {key: _text(value) for key, value in request.pick(*self.attributes).items() if key != "FifoQueue"}
        if given:
            request.client("sqs").set_queue_attributes(QueueUrl=physical_id, Attributes=given)
        return self._made(request, physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the queue."""
        ignore_missing(lambda: request.client("sqs").delete_queue(QueueUrl=physical_id))

    @staticmethod
    def _made(request: Request, url: str) -> Made:
        name = url.rsplit("/", 1)[1]
        # the core answers with its own address; users reach the queue by the public one
        public = f"{request.core.public_url}/{request.core.account_id}/{name}"
        arn = f"arn:aws:sqs:{request.core.region}:{request.core.account_id}:{name}"
        return Made(public, {"Arn": arn, "QueueName": name, "QueueUrl": public})


@provider
class QueuePolicy(Provider):
    """AWS::SQS::QueuePolicy."""

    type_name = "AWS::SQS::QueuePolicy"
    supported = frozenset({"Queues", "PolicyDocument"})

    def create(self, request: Request) -> Made:
        """Set the policy of every queue."""
        return self.update(request, request.name("-", 128))

    def update(self, request: Request, physical_id: str) -> Made:
        """Set it again."""
        policy = {"Policy": _text(request.properties["PolicyDocument"])}
        for queue in request.properties["Queues"]:
            request.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes=policy)
        return Made(physical_id, {"Id": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Take the policy away."""
        for queue in request.properties["Queues"]:
            forget = request.client("sqs").set_queue_attributes
            ignore_missing(partial(forget, QueueUrl=queue, Attributes={"Policy": ""}))


@provider
class Rule(Provider):
    """AWS::Events::Rule."""

    type_name = "AWS::Events::Rule"
    name_property = "Name"
    supported = frozenset(
        {
            "Name",
            "Description",
            "EventBusName",
            "EventPattern",
            "RoleArn",
            "ScheduleExpression",
            "State",
            "Targets",
            "Tags",
        }
    )

    def create(self, request: Request) -> Made:
        """Put the rule and its targets."""
        return self._put(request, request.name("Name", 64))

    def update(self, request: Request, physical_id: str) -> Made:
        """Put it again, without the targets that are gone."""
        name = physical_id.split("|")[-1]
        wanted = {target["Id"] for target in request.properties.get("Targets", [])}
        gone = [target["Id"] for target in request.previous.get("Targets", []) if target["Id"] not in wanted]
        if gone:
            request.client("events").remove_targets(Rule=name, Ids=gone, **request.pick("EventBusName"))
        return self._put(request, name)

    def delete(self, request: Request, physical_id: str) -> None:
        """Remove the targets and the rule."""
        events, name, bus = request.client("events"), physical_id.split("|")[-1], request.pick("EventBusName")
        targets = [target["Id"] for target in request.properties.get("Targets", [])]
        if targets:
            ignore_missing(lambda: events.remove_targets(Rule=name, Ids=targets, **bus))
        ignore_missing(lambda: events.delete_rule(Name=name, **bus))

    def _put(self, request: Request, name: str) -> Made:
        events = request.client("events")
        fields = request.pick("Description", "EventBusName", "RoleArn", "ScheduleExpression", "State")
        if "EventPattern" in request.properties:
            fields["EventPattern"] = _text(request.properties["EventPattern"])
        arn = events.put_rule(Name=name, **fields)["RuleArn"]
        targets = request.properties.get("Targets", [])
        if targets:
            answer = events.put_targets(Rule=name, Targets=targets, **request.pick("EventBusName"))
            if answer.get("FailedEntryCount"):
                raise RuntimeError(f"targets were refused: {answer['FailedEntries']}")
        bus = request.properties.get("EventBusName")
        return Made(f"{bus}|{name}" if bus and bus != "default" else name, {"Arn": arn})


@provider
class EventBus(Provider):
    """AWS::Events::EventBus."""

    type_name = "AWS::Events::EventBus"
    name_property = "Name"
    supported = frozenset({"Name", "Description", "Tags"})

    def create(self, request: Request) -> Made:
        """Make the bus."""
        arn = request.client("events").create_event_bus(**request.pick("Name"))["EventBusArn"]
        return Made(request.properties["Name"], {"Arn": arn, "Name": request.properties["Name"]})

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the bus."""
        ignore_missing(lambda: request.client("events").delete_event_bus(Name=physical_id))


@provider
class Schedule(Provider):
    """AWS::Scheduler::Schedule."""

    type_name = "AWS::Scheduler::Schedule"
    name_property = "Name"
    fields = (
        "Description",
        "EndDate",
        "FlexibleTimeWindow",
        "GroupName",
        "KmsKeyArn",
        "ScheduleExpression",
        "ScheduleExpressionTimezone",
        "StartDate",
        "State",
        "Target",
    )
    supported = frozenset({*fields, "Name"})

    def create(self, request: Request) -> Made:
        """Make the schedule."""
        name = request.name("Name", 64)
        arn = request.client("scheduler").create_schedule(Name=name, **request.pick(*self.fields))["ScheduleArn"]
        return Made(name, {"Arn": arn})

    def update(self, request: Request, physical_id: str) -> Made:
        """Replace its settings."""
        answer = request.client("scheduler").update_schedule(Name=physical_id, **request.pick(*self.fields))
        return Made(physical_id, {"Arn": answer["ScheduleArn"]})

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the schedule."""
        ignore_missing(
            lambda: request.client("scheduler").delete_schedule(Name=physical_id, **request.pick("GroupName"))
        )
