"""EventBridge of the local cloud: delivery, inputs, patterns, retries and schedules.

Sources: EventBridge user guide, "Event patterns" and its comparison operators, "Transforming input", "Retry policies
and dead-letter queues", "Creating a rule that runs on a schedule".
"""

from __future__ import annotations

import calendar
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.events.delivery import error_code, is_retriable
from localcloud.events.schedules import next_time
from localcloud.events.transform import at_path, fill, target_input

Client = Callable[[str], Any]
Unique = Callable[[str], str]
Eventually = Callable[..., Any]

EVENT = {
    "version": "0",
    "id": "e-1",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "account": "123456789012",
    "time": "2026-11-23T20:10:00Z",
    "region": "us-east-1",
    "resources": ["arn:aws:s3:::uploads"],
    "detail": {"object": {"key": 'a "b"', "size": 7}, "list": [1, {"x": None}]},
}


def a_queue(client: Client, name: str) -> tuple[str, str]:
    url = client("sqs").create_queue(QueueName=name)["QueueUrl"]
    arn = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, arn


def a_rule(client: Client, name: str, pattern: dict[str, Any], *targets: dict[str, Any], state: str = "ENABLED") -> str:
    arn = client("events").put_rule(Name=name, EventPattern=json.dumps(pattern), State=state)["RuleArn"]
    numbered = [{"Id": str(number), **target} for number, target in enumerate(targets)]
    client("events").put_targets(Rule=name, Targets=numbered)
    return str(arn)


def put(client: Client, source: str, detail: dict[str, Any], kind: str = "Release Outcome") -> None:
    entry = {"Source": source, "DetailType": kind, "Detail": json.dumps(detail), "Resources": ["arn:aws:x:::y"]}
    answer = client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0


def received(client: Client, url: str) -> list[dict[str, Any]]:
    found = client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=60
    )
    return found.get("Messages", [])  # type: ignore[no-any-return]


def test_an_event_reaches_sqs_sns_and_logs(client: Client, unique: Unique, eventually: Eventually) -> None:
    source = unique("modeldrop")
    direct_url, direct = a_queue(client, unique("direct"))
    topic_url, topic_queue = a_queue(client, unique("by-topic"))
    topic = client("sns").create_topic(Name=unique("events"))["TopicArn"]
    client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=topic_queue, Attributes={"RawMessageDelivery": "true"}
    )
    group = f"/aws/events/{unique('group')}"
    client("logs").create_log_group(logGroupName=group)
    logs = f"arn:aws:logs:us-east-1:123456789012:log-group:{group}"
    a_rule(client, unique("rule"), {"source": [source]}, {"Arn": direct}, {"Arn": topic}, {"Arn": logs})
    put(client, source, {"outcome": "promoted"})

    event = json.loads(eventually(lambda: received(client, direct_url))[0]["Body"])
    assert event["detail"] == {"outcome": "promoted"}
    assert (event["source"], event["detail-type"], event["version"]) == (source, "Release Outcome", "0")
    assert time.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ")
    assert json.loads(eventually(lambda: received(client, topic_url))[0]["Body"]) == event
    logged = eventually(lambda: client("logs").filter_log_events(logGroupName=group)["events"])
    assert json.loads(logged[0]["message"]) == event


def test_an_event_starts_a_state_machine(client: Client, unique: Unique, eventually: Eventually) -> None:
    source, states = unique("modeldrop"), client("stepfunctions")
    role = client("iam").create_role(RoleName=unique("role"), AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    machine = states.create_state_machine(name=unique("machine"), definition=definition, roleArn=role)[
        "stateMachineArn"
    ]
    a_rule(client, unique("rule"), {"source": [source]}, {"Arn": machine, "RoleArn": role, "InputPath": "$.detail"})
    put(client, source, {"release": "one"})
    (execution,) = eventually(lambda: states.list_executions(stateMachineArn=machine)["executions"])
    described = states.describe_execution(executionArn=execution["executionArn"])
    assert json.loads(described["input"]) == {"release": "one"}


@pytest.fixture
def function(client: Client, unique: Unique) -> Iterator[tuple[str, str]]:
    """A function that says in its log which version of it was asked; its name and the ARN of an alias."""
    name = unique("listener")
    source = "def handler(event, context):\n    print('HEARD', event['release'], context.function_version)\n"
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", source)
    role = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    lambdas = client("lambda")
    code = {"ZipFile": package.getvalue()}
    settings = {"Runtime": "python3.13", "Handler": "app.handler", "Role": role, "Code": code}
    lambdas.create_function(FunctionName=name, **settings)
    version = lambdas.publish_version(FunctionName=name)["Version"]
    yield name, lambdas.create_alias(FunctionName=name, Name="live", FunctionVersion=version)["AliasArn"]
    lambdas.delete_function(FunctionName=name)


def test_an_event_invokes_a_function_by_its_alias(
    client: Client, unique: Unique, eventually: Eventually, function: tuple[str, str]
) -> None:
    source, (name, alias) = unique("modeldrop"), function
    a_rule(client, unique("rule"), {"source": [source]}, {"Arn": alias, "InputPath": "$.detail"})
    put(client, source, {"release": "one"})

    def heard() -> list[str]:
        try:
            found = client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        except client("logs").exceptions.ResourceNotFoundException:
            return []
        return [each["message"].strip() for each in found if "HEARD" in each["message"]]

    assert eventually(heard) == ["HEARD one 1"]


def test_an_event_crosses_to_another_bus(client: Client, unique: Unique, eventually: Eventually) -> None:
    source, bus = unique("modeldrop"), unique("bus")
    url, queue = a_queue(client, unique("far"))
    bus_arn = client("events").create_event_bus(Name=bus)["EventBusArn"]
    client("events").put_rule(Name="far", EventBusName=bus, EventPattern=json.dumps({"source": [source]}))
    client("events").put_targets(Rule="far", EventBusName=bus, Targets=[{"Id": "1", "Arn": queue}])
    a_rule(client, unique("rule"), {"source": [source]}, {"Arn": bus_arn})
    put(client, source, {"release": "one"})
    assert json.loads(eventually(lambda: received(client, url))[0]["Body"])["detail"] == {"release": "one"}


def test_a_disabled_rule_is_silent(client: Client, unique: Unique, eventually: Eventually) -> None:
    source = unique("modeldrop")
    off_url, off = a_queue(client, unique("off"))
    on_url, on = a_queue(client, unique("on"))
    a_rule(client, unique("rule"), {"source": [source]}, {"Arn": off}, state="DISABLED")
    a_rule(client, unique("rule"), {"source": [source]}, {"Arn": on})
    put(client, source, {})
    eventually(lambda: received(client, on_url))
    assert received(client, off_url) == []


def test_a_rule_with_a_schedule_only_gets_no_events(client: Client, unique: Unique, eventually: Eventually) -> None:
    source, name = unique("modeldrop"), unique("hourly")
    hourly_url, hourly = a_queue(client, unique("hourly"))
    on_url, on = a_queue(client, unique("on"))
    client("events").put_rule(Name=name, ScheduleExpression="rate(1 hour)")
    client("events").put_targets(Rule=name, Targets=[{"Id": "1", "Arn": hourly}])
    a_rule(client, unique("rule"), {"source": [source]}, {"Arn": on})
    put(client, source, {})
    eventually(lambda: received(client, on_url))
    assert received(client, hourly_url) == []


def test_a_target_that_is_gone_goes_straight_to_the_dead_letters(
    client: Client, unique: Unique, eventually: Eventually
) -> None:
    source = unique("modeldrop")
    dead_url, dead = a_queue(client, unique("dead"))
    gone = "arn:aws:sqs:us-east-1:123456789012:there-is-none"
    rule = a_rule(client, unique("rule"), {"source": [source]}, {"Arn": gone, "DeadLetterConfig": {"Arn": dead}})
    put(client, source, {"release": "one"})
    (message,) = eventually(lambda: received(client, dead_url))
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes.pop("ERROR_MESSAGE")
    assert attributes == {
        "RULE_ARN": rule,
        "TARGET_ARN": gone,
        "ERROR_CODE": "NO_RESOURCE",
        "RETRY_ATTEMPTS": "0",
    }
    assert json.loads(message["Body"])["detail"] == {"release": "one"}

    def counted(metric: str) -> float:
        points = client("cloudwatch").get_metric_statistics(
            Namespace="AWS/Events",
            MetricName=metric,
            Dimensions=[{"Name": "RuleName", "Value": rule.rsplit("/", 1)[1]}],
            StartTime=time.time() - 120,
            EndTime=time.time() + 60,
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        return sum(point["Sum"] for point in points)

    assert [counted(name) for name in ("FailedInvocations", "InvocationsSentToDlq", "Invocations")] == [1, 1, 0]


def test_retries_end_in_the_dead_letters_with_the_condition(
    client: Client, unique: Unique, eventually: Eventually
) -> None:
    source = unique("modeldrop")
    dead_url, dead = a_queue(client, unique("dead"))
    # a FIFO queue refuses a message that it can't deduplicate: an error of the target, which is retried
    fifo = f"{unique('fifo')}.fifo"
    client("sqs").create_queue(QueueName=fifo, Attributes={"FifoQueue": "true"})
    target = {
        "Arn": f"arn:aws:sqs:us-east-1:123456789012:{fifo}",
        "SqsParameters": {"MessageGroupId": "one"},
        "DeadLetterConfig": {"Arn": dead},
        "RetryPolicy": {"MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60},
    }
    a_rule(client, unique("rule"), {"source": [source]}, target)
    put(client, source, {})
    (message,) = eventually(lambda: received(client, dead_url))
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert (attributes["ERROR_CODE"], attributes["EXHAUSTED_RETRY_CONDITION"], attributes["RETRY_ATTEMPTS"]) == (
        "ERROR_FROM_TARGET",
        "MaximumRetryAttempts",
        "1",
    )


@pytest.mark.parametrize(
    ("code", "word", "retried"),
    [
        ("ResourceNotFoundException", "NO_RESOURCE", False),
        ("StateMachineDoesNotExist", "NO_RESOURCE", False),
        ("AWS.SimpleQueueService.NonExistentQueue", "NO_RESOURCE", False),
        ("AccessDeniedException", "NO_PERMISSIONS", False),
        ("ThrottlingException", "ERROR_FROM_TARGET", True),
    ],
)
def test_only_errors_of_the_target_are_retried(code: str, word: str, retried: bool) -> None:
    error = ClientError({"Error": {"Code": code, "Message": ""}}, "Call")
    assert (error_code(error), is_retriable(error)) == (word, retried)


# what each comparison operator of the guide takes, and what not
PATTERNS: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    ([{"prefix": "a"}], {"x": "abc"}, {"x": "bca"}),
    ([{"prefix": {"equals-ignore-case": "A"}}], {"x": "abc"}, {"x": "bca"}),
    ([{"suffix": "model.tar.gz"}], {"x": "e/v1/model.tar.gz"}, {"x": "e/model.tar.gz.bak"}),
    ([{"anything-but": "a"}], {"x": "b"}, {"x": "a"}),
    ([{"anything-but": ["a", "b"]}], {"x": "c"}, {"x": "b"}),
    ([{"anything-but": {"prefix": "a"}}], {"x": "b"}, {"x": "ab"}),
    ([{"anything-but": {"suffix": ".txt"}}], {"x": "a.gz"}, {"x": "a.txt"}),
    ([{"anything-but": {"wildcard": "*/tmp/*"}}], {"x": "a/b"}, {"x": "a/tmp/b"}),
    ([{"numeric": [">", 0, "<=", 5]}], {"x": 5}, {"x": 6}),
    ([{"numeric": ["=", 3]}], {"x": 3.0}, {"x": "3"}),
    ([{"exists": True}], {"x": 1}, {"y": 1}),
    ([{"exists": False}], {"y": 1}, {"x": 1}),
    ([{"equals-ignore-case": "ALARM"}], {"x": "alarm"}, {"x": "alarms"}),
    ([{"wildcard": "dir/*.gz"}], {"x": "dir/a/b.gz"}, {"x": "dir/a.txt"}),
    ([{"cidr": "10.0.0.0/24"}], {"x": "10.0.0.7"}, {"x": "10.0.1.7"}),
    (["a", {"prefix": "b"}], {"x": "bc"}, {"x": "c"}),
    (["a"], {"x": ["z", "a"]}, {"x": ["z"]}),
]


@pytest.mark.parametrize(("filters", "matching", "other"), PATTERNS)
def test_each_comparison_operator(filters: Any, matching: dict[str, Any], other: dict[str, Any]) -> None:
    from moto.events.models import EventPattern

    pattern = EventPattern.load(json.dumps({"detail": {"x": filters}}))
    assert [pattern.matches_event({"detail": detail}) for detail in (matching, other)] == [True, False]


def test_or_matches_either_side() -> None:
    from moto.events.models import EventPattern

    pattern = EventPattern.load(json.dumps({"detail": {"$or": [{"a": [1]}, {"b": [2]}], "c": [3]}}))
    details = ({"a": 1, "c": 3}, {"b": 2, "c": 3}, {"a": 2, "b": 1, "c": 3}, {"a": 1})
    assert [pattern.matches_event({"detail": detail}) for detail in details] == [True, True, False, False]


def test_input_is_a_constant_and_input_path_a_part() -> None:
    assert target_input(EVENT, {"Input": '{"a": 1}'}, "r", "arn") == '{"a": 1}'
    assert target_input(EVENT, {"InputPath": "$.detail.object"}, "r", "arn") == json.dumps(EVENT["detail"]["object"])  # type: ignore[index]
    assert at_path(EVENT, "$.detail.list[1].x") is None
    with pytest.raises(ValueError, match="does not begin"):
        at_path(EVENT, "detail")


def test_a_template_is_filled_as_text_inside_quotes_and_as_json_outside() -> None:
    target = {
        "InputTransformer": {
            "InputPathsMap": {"key": "$.detail.object.key", "size": "$.detail.object.size", "none": "$.detail.none"},
            "InputTemplate": '{"text": "key <key> of <size> bytes<none>", "key": <key>, "none": <none>, '
            '"rule": <aws.events.rule-name>}',
        }
    }
    assert json.loads(target_input(EVENT, target, "uploads", "arn")) == {
        "text": 'key a "b" of 7 bytes',
        "key": 'a "b"',
        "none": None,
        "rule": "uploads",
    }


def test_a_template_may_be_a_sentence() -> None:
    assert fill('"<who> is <state>"', {"who": "v", "state": "ALARM"}) == '"v is ALARM"'


def at(text: str) -> float:
    return float(calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S")))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(1 minute)", "2026-11-23 20:11:30"),
        ("rate(15 minutes)", "2026-11-23 20:25:30"),
        ("rate(1 day)", "2026-11-24 20:10:30"),
        ("cron(0/15 * * * ? *)", "2026-11-23 20:15:00"),
        ("cron(0 12 * * ? *)", "2026-11-24 12:00:00"),
        ("cron(30 8 ? * MON-FRI *)", "2026-11-24 08:30:00"),
        ("cron(0 0 1 JAN ? *)", "2027-01-01 00:00:00"),
        ("cron(0 9 ? * 1 *)", "2026-11-29 09:00:00"),
    ],
)
def test_schedules_fire_when_they_say(expression: str, expected: str) -> None:
    assert next_time(expression, at("2026-11-23 20:10:30")) == at(expected)


@pytest.mark.parametrize("expression", ["rate(0 minutes)", "cron(0 0 L * ? *)", "cron(61 * * * ? *)", "every day"])
def test_a_schedule_that_is_not_understood_is_an_error(expression: str) -> None:
    with pytest.raises(ValueError, match=r"schedule|cron|outside"):
        next_time(expression, 0.0)


def test_unpatched_moto_still_does_not_deliver_to_lambda() -> None:
    """The day this fails, moto delivers by itself: look whether localcloud.events is still needed."""
    from moto.events.models import Rule

    name = {
        "name": "r",
        "account_id": "1",
        "region_name": "us-east-1",
        "description": None,
        "event_bus_name": "default",
    }
    rule = Rule(**name, event_pattern=None, schedule_exp=None, role_arn=None, state=None)  # type: ignore[arg-type]
    rule.targets = [{"Id": "1", "Arn": "arn:aws:lambda:us-east-1:1:function:f"}]
    with pytest.raises(NotImplementedError):
        rule.send_to_targets({**EVENT, "time": 0.0, "ingestion-time": 0.0})  # type: ignore[typeddict-item]
