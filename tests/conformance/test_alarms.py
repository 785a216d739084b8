"""Alarms of the local cloud, as PutMetricAlarm and the CloudWatch user guide describe them.

Sources: botocore's service model of CloudWatch (periods, limits, states), user guide "Alarm evaluation" (10 s cadence
for high-resolution alarms), "Alarm events and EventBridge" (the shape of the event).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

Client = Callable[[str], Any]
Unique = Callable[[str], str]
Eventually = Callable[..., Any]

ENDPOINT = [{"Name": "Endpoint", "Value": "sentiment"}]


def an_alarm(name: str, **overrides: Any) -> dict[str, Any]:
    request = {
        "AlarmName": name,
        "Namespace": f"tests/{name}",
        "MetricName": "Verdict",
        "Statistic": "Maximum",
        "Period": 10,
        "EvaluationPeriods": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }
    return {key: value for key, value in (request | overrides).items() if value is not None}


def a_rate(name: str) -> dict[str, Any]:
    """An alarm on the share of errors among requests."""
    stats = [
        {
            "Id": each,
            "MetricStat": {"Metric": {"Namespace": f"tests/{name}", "MetricName": each}, "Period": 10, "Stat": "Sum"},
            "ReturnData": False,
        }
        for each in ("errors", "requests")
    ]
    return {
        "AlarmName": name,
        "Metrics": [*stats, {"Id": "share", "Expression": "errors / requests", "ReturnData": True}],
        "EvaluationPeriods": 1,
        "Threshold": 0.05,
        "ComparisonOperator": "GreaterThanThreshold",
    }


def publish(cloudwatch: Any, name: str, value: float, **more: Any) -> None:
    datum = {"MetricName": "Verdict", "Value": value, "StorageResolution": 1} | more
    cloudwatch.put_metric_data(Namespace=f"tests/{name}", MetricData=[datum])


def described(cloudwatch: Any, name: str) -> dict[str, Any]:
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return alarm  # type: ignore[no-any-return]


def in_state(cloudwatch: Any, name: str, state: str) -> bool:
    return described(cloudwatch, name)["StateValue"] == state


def refusal(cloudwatch: Any, request: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        cloudwatch.put_metric_alarm(**request)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def queue_for(client: Client, name: str) -> tuple[str, str]:
    """Return the URL and the ARN of a new queue."""
    url = client("sqs").create_queue(QueueName=name)["QueueUrl"]
    arn = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, arn


def messages(client: Client, url: str) -> list[str]:
    found = client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [message["Body"] for message in found]


def test_an_alarm_begins_without_enough_data(client: Client, unique: Unique) -> None:
    cloudwatch, name = client("cloudwatch"), unique("new")
    # so that an evaluation that comes before the look leaves the state as it is
    cloudwatch.put_metric_alarm(**an_alarm(name, TreatMissingData="ignore"))
    alarm = described(cloudwatch, name)
    assert (alarm["StateValue"], alarm["StateReason"]) == ("INSUFFICIENT_DATA", "Unchecked: Initial alarm creation")


@dataclass(frozen=True)
class Evaluated:
    """Alarms of several kinds that were made together, so that the tests wait for one evaluation, not for six."""

    suffix: str
    topic_queue: str
    event_queue: str
    muted_queue: str

    def name(self, stem: str) -> str:
        return f"{stem}-{self.suffix}"


@pytest.fixture(scope="module")
def evaluated(client: Client, eventually: Eventually) -> Evaluated:
    """Make the alarms, and wait until those that must alarm have done so."""
    cloudwatch, suffix = client("cloudwatch"), uuid.uuid4().hex[:8]
    urls, topics = {}, {}
    for stem in ("topic", "event", "muted"):
        urls[stem], arn = queue_for(client, f"alarm-{stem}-{suffix}")
        topics[stem] = client("sns").create_topic(Name=f"alarm-{stem}-{suffix}")["TopicArn"]
        if stem == "event":
            pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": [f"verdict-{suffix}"]}}
            client("events").put_rule(Name=f"alarm-{suffix}", EventPattern=json.dumps(pattern))
            client("events").put_targets(Rule=f"alarm-{suffix}", Targets=[{"Id": "queue", "Arn": arn}])
        else:
            raw = {"RawMessageDelivery": "true"}
            client("sns").subscribe(TopicArn=topics[stem], Protocol="sqs", Endpoint=arn, Attributes=raw)
    made = Evaluated(suffix, urls["topic"], urls["event"], urls["muted"])
    verdict = {"AlarmActions": [topics["topic"]], "Dimensions": ENDPOINT, "DatapointsToAlarm": 1}
    percentile = {"Statistic": None, "ExtendedStatistic": "p99"}
    for stem, overrides in {
        "verdict": verdict,
        "silent": {"TreatMissingData": "breaching"},
        "muted": {"AlarmActions": [topics["muted"]], "ActionsEnabled": False},
        "slow": percentile | {"EvaluateLowSampleCountPercentile": "evaluate"},
        "few": percentile | {"EvaluateLowSampleCountPercentile": "ignore"},
        "by-hand": {},
    }.items():
        cloudwatch.put_metric_alarm(**an_alarm(made.name(stem), **overrides))
    cloudwatch.put_metric_alarm(**a_rate(made.name("rate")))
    publish(cloudwatch, made.name("verdict"), 1, Dimensions=ENDPOINT)
    for stem, value in {"muted": 1, "slow": 5, "few": 5}.items():
        publish(cloudwatch, made.name(stem), value)
    for name, value in (("errors", 2), ("requests", 10)):
        publish(cloudwatch, made.name("rate"), value, MetricName=name)
    cloudwatch.set_alarm_state(AlarmName=made.name("by-hand"), StateValue="ALARM", StateReason="a test")
    assert described(cloudwatch, made.name("by-hand"))["StateReason"] == "a test"
    for stem in ("verdict", "silent", "muted", "slow", "rate"):
        eventually(lambda stem=stem: in_state(cloudwatch, made.name(stem), "ALARM"), every=0.3)
    return made


def test_a_breach_alarms_and_says_why(client: Client, evaluated: Evaluated) -> None:
    alarm = described(client("cloudwatch"), evaluated.name("verdict"))
    assert alarm["StateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints [1.0 (")
    assert json.loads(alarm["StateReasonData"])["recentDatapoints"] == [1.0]


def test_an_alarm_tells_its_topic(client: Client, evaluated: Evaluated, eventually: Eventually) -> None:
    message = json.loads(eventually(lambda: messages(client, evaluated.topic_queue))[0])
    assert message["AlarmName"] == evaluated.name("verdict")
    assert (message["NewStateValue"], message["OldStateValue"]) == ("ALARM", "INSUFFICIENT_DATA")
    assert message["Trigger"]["Dimensions"] == [{"value": "sentiment", "name": "Endpoint"}]
    assert message["Trigger"]["Statistic"] == "MAXIMUM"


def test_an_alarm_tells_the_bus(client: Client, evaluated: Evaluated, eventually: Eventually) -> None:
    name = evaluated.name("verdict")
    event = json.loads(eventually(lambda: messages(client, evaluated.event_queue))[0])
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["resources"] == [f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{name}"]
    assert event["detail"]["state"]["value"] == "ALARM"
    assert event["detail"]["previousState"]["value"] == "INSUFFICIENT_DATA"
    (metric,) = event["detail"]["configuration"]["metrics"]
    assert metric["metricStat"]["metric"] == {
        "namespace": f"tests/{name}",
        "name": "Verdict",
        "dimensions": {"Endpoint": "sentiment"},
    }


def test_a_state_set_by_hand_goes_back_at_the_next_evaluation(client: Client, evaluated: Evaluated) -> None:
    assert described(client("cloudwatch"), evaluated.name("by-hand"))["StateValue"] == "OK"


def test_missing_data_that_counts_as_breaching_alarms(client: Client, evaluated: Evaluated) -> None:
    assert "[Breaching]" in described(client("cloudwatch"), evaluated.name("silent"))["StateReason"]


def test_a_percentile_of_too_few_samples_changes_nothing_where_ignored(client: Client, evaluated: Evaluated) -> None:
    assert described(client("cloudwatch"), evaluated.name("few"))["StateValue"] == "INSUFFICIENT_DATA"


def test_an_alarm_on_metric_math_explains_the_value(client: Client, evaluated: Evaluated) -> None:
    assert "[0.2 (" in described(client("cloudwatch"), evaluated.name("rate"))["StateReason"]


def test_disabled_actions_are_not_taken(client: Client, evaluated: Evaluated) -> None:
    assert messages(client, evaluated.muted_queue) == []


def test_the_next_good_period_ends_an_alarm_and_history_has_it_all(
    client: Client, evaluated: Evaluated, eventually: Eventually
) -> None:
    cloudwatch, name = client("cloudwatch"), evaluated.name("verdict")
    publish(cloudwatch, name, 0, Dimensions=ENDPOINT)
    eventually(lambda: in_state(cloudwatch, name, "OK"), every=0.3)
    kinds = [item["HistoryItemType"] for item in cloudwatch.describe_alarm_history(AlarmName=name)["AlarmHistoryItems"]]
    assert sorted(kinds) == ["Action", "ConfigurationUpdate", "StateUpdate", "StateUpdate"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"Period": 5}, "Period must be 10, 20, 30 or a multiple of 60"),
        ({"Period": 1}, "Period must be 10, 20, 30 or a multiple of 60"),
        ({"Period": 90}, "Period must be 10, 20, 30 or a multiple of 60"),
        ({"Period": 60, "EvaluationPeriods": 1441}, "Metrics cannot be checked across more than a day"),
        ({"Period": 3600, "EvaluationPeriods": 169}, "604800"),
        ({"DatapointsToAlarm": 2}, "DatapointsToAlarm"),
        ({"ExtendedStatistic": "p99"}, "Exactly one of Statistic and ExtendedStatistic"),
        ({"Statistic": None}, "Exactly one of Statistic and ExtendedStatistic"),
        ({"Statistic": None, "ExtendedStatistic": "p101"}, "not supported"),
        ({"Statistic": None, "ExtendedStatistic": "Sum"}, "not supported"),
        ({"Threshold": None}, "Threshold is required"),
        ({"TreatMissingData": "bad"}, "Option bad is not supported"),
        ({"EvaluationInterval": 30}, "EvaluationInterval"),
        ({"AlarmActions": ["topic"]}, "Invalid arn syntax"),
        ({"AlarmActions": ["arn:aws:sns:us-east-1:123456789012:t"] * 6}, "must not have a size greater than 5"),
    ],
)
def test_what_aws_refuses_is_refused(client: Client, unique: Unique, overrides: dict[str, Any], words: str) -> None:
    code, message = refusal(client("cloudwatch"), an_alarm(unique("refused"), **overrides))
    assert code in ("ValidationError", "ValidationException")
    assert words in message


@pytest.mark.parametrize(
    "name", ["p99.9", "tm90", "IQM", "PR(:300)", "TM(150:1000)", "TC(:100000)", "TS(80%:)", "WM(10%:90%)"]
)
def test_extended_statistics_are_taken(client: Client, unique: Unique, name: str) -> None:
    """Alarms of these forms were made on AWS by the tests of others, though the API's text lists fewer."""
    alarm = unique("extended")
    client("cloudwatch").put_metric_alarm(**an_alarm(alarm, Period=300, Statistic=None, ExtendedStatistic=name))
    assert described(client("cloudwatch"), alarm)["ExtendedStatistic"] == name


def test_what_is_not_covered_says_so(client: Client, unique: Unique) -> None:
    request = an_alarm(unique("window"), WarmUpConfiguration={"WarmUpPeriodDurationInMinutes": 5})
    code, message = refusal(client("cloudwatch"), request)
    assert code == "NotImplemented"
    assert "WarmUpConfiguration" in message


def test_an_update_leaves_the_state_and_the_tags(client: Client, unique: Unique) -> None:
    cloudwatch, name = client("cloudwatch"), unique("updated")
    cloudwatch.put_metric_alarm(**an_alarm(name, Period=300, Tags=[{"Key": "release", "Value": "one"}]))
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="a test")
    cloudwatch.put_metric_alarm(**an_alarm(name, Period=300, Threshold=7.0, Tags=[{"Key": "release", "Value": "two"}]))
    alarm = described(cloudwatch, name)
    assert (alarm["StateValue"], alarm["Threshold"]) == ("OK", 7.0)
    assert cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"] == [
        {"Key": "release", "Value": "one"}
    ]
    cloudwatch.untag_resource(ResourceARN=alarm["AlarmArn"], TagKeys=["release"])
    assert cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"] == []


def test_alarms_are_found_by_prefix_state_and_page(client: Client, unique: Unique) -> None:
    cloudwatch, stem = client("cloudwatch"), unique("paged")
    for letter in "abc":
        cloudwatch.put_metric_alarm(**an_alarm(f"{stem}-{letter}", Period=300))
    first = cloudwatch.describe_alarms(AlarmNamePrefix=stem, MaxRecords=2)
    second = cloudwatch.describe_alarms(AlarmNamePrefix=stem, MaxRecords=2, NextToken=first["NextToken"])
    assert [alarm["AlarmName"][-1] for alarm in first["MetricAlarms"] + second["MetricAlarms"]] == ["a", "b", "c"]
    assert "NextToken" not in second
    assert cloudwatch.describe_alarms(AlarmNamePrefix=stem, StateValue="OK")["MetricAlarms"] == []
    cloudwatch.delete_alarms(AlarmNames=[f"{stem}-a", "there-is-none"])
    left = cloudwatch.describe_alarms(AlarmNamePrefix=stem)["MetricAlarms"]
    assert [alarm["AlarmName"][-1] for alarm in left] == ["b", "c"]


def test_composite_alarms_are_left_out_unless_asked_for(client: Client, unique: Unique) -> None:
    cloudwatch, name = client("cloudwatch"), unique("composite")
    cloudwatch.put_composite_alarm(AlarmName=name, AlarmRule='ALARM("one")')
    assert cloudwatch.describe_alarms(AlarmNames=[name])["CompositeAlarms"] == []
    (found,) = cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
    assert found["AlarmRule"] == 'ALARM("one")'


def test_setting_the_state_of_no_alarm_is_an_error(client: Client, unique: Unique) -> None:
    cloudwatch = client("cloudwatch")
    with pytest.raises(cloudwatch.exceptions.ResourceNotFound):
        cloudwatch.set_alarm_state(AlarmName=unique("none"), StateValue="OK", StateReason="")


def test_actions_are_switched_off_and_on(client: Client, unique: Unique) -> None:
    cloudwatch, name = client("cloudwatch"), unique("switched")
    cloudwatch.put_metric_alarm(**an_alarm(name, Period=300))
    cloudwatch.disable_alarm_actions(AlarmNames=[name])
    assert described(cloudwatch, name)["ActionsEnabled"] is False
    cloudwatch.enable_alarm_actions(AlarmNames=[name])
    assert described(cloudwatch, name)["ActionsEnabled"] is True


def test_unpatched_moto_still_begins_alarms_as_ok() -> None:
    """The day this fails, moto may evaluate alarms: look whether localcloud.cloudwatch is still needed."""
    from moto.cloudwatch.models import CloudWatchBackend

    request = {"comparison_operator": "GreaterThanThreshold", "evaluation_periods": 1, "period": 60, "threshold": 1.0}
    lists: dict[str, Any] = {"dimensions": [], "alarm_actions": []}
    names = {"name": "a", "namespace": "n", "metric_name": "m", "statistic": "Sum", "description": ""}
    alarm = CloudWatchBackend("us-east-1", "123456789012").put_metric_alarm(**names, **request, **lists)  # type: ignore[arg-type]
    assert alarm.state_value == "OK"
