"""UpdateEndpoint with deployment guardrails, on real fleets.

Sources: developer guide, "Deployment guardrails" (blue/green canary, linear, all at once, rolling, auto-rollback
configuration and monitoring); "Events that Amazon SageMaker AI sends to Amazon EventBridge"; API reference,
UpdateEndpoint and DescribeEndpoint.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from tests.conformance.hosting import GPU_IMAGE, PATIENCE_SECONDS, VARIANT, Hosting

OLD, NEW = 6.0, 9.0  # what the models `double` and `triple` answer to [1, 2]
ONE_OF_FOUR = {"Type": "INSTANCE_COUNT", "Value": 1}


def canary(bake: int = 2, final: int = 1, alarms: tuple[str, ...] = (), size: dict | None = None) -> dict:
    policy = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY", "WaitIntervalInSeconds": bake, "CanarySize": size or ONE_OF_FOUR,
            },
            "TerminationWaitInSeconds": final,
        }
    }  # fmt: skip
    return with_alarms(policy, alarms)


def with_alarms(policy: dict, alarms: tuple[str, ...]) -> dict:
    if alarms:
        policy["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in alarms]}
    return policy


class Load:
    """Requests from two threads until the end; what was answered, and what failed."""

    def __init__(self, hosting: Hosting, endpoint: str) -> None:
        self.answers: Counter[float] = Counter()
        self.failures: list[str] = []
        self._hosting, self._endpoint = hosting, endpoint
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(2)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            try:
                self.answers[self._hosting.invoke(self._endpoint)["predictions"][0]] += 1
            except Exception as error:
                self.failures.append(str(error))


def wait_for(hosting: Hosting, endpoint: str, status: str, message: str = "") -> None:
    """Wait until a variant of the rollout has a status."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        summary = hosting.describe(endpoint).get("PendingDeploymentSummary", {})
        for variant in summary.get("ProductionVariants", []):
            for seen in variant["VariantStatus"]:
                if seen["Status"] == status and message in seen["StatusMessage"]:
                    return
        assert time.monotonic() < deadline, summary
        time.sleep(0.02)


def test_a_canary_shifts_its_share_and_then_all(hosting, eventually):
    old, new = hosting.config(), hosting.config("triple")
    name = hosting.endpoint(old)
    with Load(hosting, name) as load:
        hosting.update(name, new, canary(bake=8, final=3))
        wait_for(hosting, name, "Baking", "canary")
        load.answers.clear()
        eventually(lambda: load.answers.total() >= 150)
        share = load.answers[NEW] / load.answers.total()
        found = hosting.describe(name)
        assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("Updating", old)
        assert found["PendingDeploymentSummary"]["EndpointConfigName"] == new
        seen = hosting.watch(name)
        load.answers.clear()
        time.sleep(0.2)
    assert load.failures == []
    assert 0.12 < share < 0.4, share  # 1 of 4; four deviations of 150 requests
    assert set(load.answers) == {NEW}
    assert ("Updating", "Baking", "Baking for 3 seconds (TerminationWaitInSeconds) with traffic enabled on full "
            "capacity of 4 instance(s).") in seen  # fmt: skip
    found = hosting.describe(name)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", new)
    assert "PendingDeploymentSummary" not in found
    assert found["LastDeploymentConfig"] == canary(bake=8, final=3)


def test_an_alarm_in_the_canarys_bake_gives_all_traffic_back_to_blue(hosting):
    old, new, alarm = hosting.config(), hosting.config("triple"), hosting.alarm()
    name = hosting.endpoint(old)
    with Load(hosting, name) as load:
        hosting.update(name, new, canary(bake=60, alarms=(alarm,)))
        wait_for(hosting, name, "Baking")
        hosting.set_off(alarm)
        began = time.monotonic()
        found = hosting.settled(name)
        took = time.monotonic() - began
        load.answers.clear()
        time.sleep(0.2)
    assert load.failures == []
    assert took < 60  # before the bake would have ended
    assert set(load.answers) == {OLD}
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", old)
    assert "PendingDeploymentSummary" not in found
    assert "FailureReason" not in found


def test_an_alarm_in_the_final_bake_rolls_back_too(hosting):
    old, new, alarm = hosting.config(), hosting.config("triple"), hosting.alarm()
    name = hosting.endpoint(old)
    hosting.update(name, new, canary(bake=1, final=60, alarms=(alarm,)))
    wait_for(hosting, name, "Baking", "full")
    assert hosting.invoke(name)["predictions"] == [NEW]
    hosting.set_off(alarm)
    assert hosting.settled(name)["EndpointConfigName"] == old
    assert hosting.invoke(name)["predictions"] == [OLD]


def test_an_alarm_before_a_bake_waits_for_it(hosting):
    """The guide: alarms are monitored in baking periods. One in ALARM at the start ends the first bake at once."""
    old, new, alarm = hosting.config(), hosting.config("triple"), hosting.alarm()
    name = hosting.endpoint(old)
    hosting.set_off(alarm)
    hosting.update(name, new, canary(bake=60, alarms=(alarm,)))
    assert hosting.settled(name)["EndpointConfigName"] == old


def test_an_alarm_that_does_not_exist_is_refused(hosting):
    name = hosting.endpoint()
    error = hosting.refused(hosting.update, name, hosting.config("triple"), canary(alarms=("nobody",)))
    assert error["Code"] == "ValidationException"
    assert "nobody" in error["Message"]
    assert hosting.describe(name)["EndpointStatus"] == "InService"


def test_no_other_change_is_taken_during_a_rollout(hosting):
    new = hosting.config("triple")
    name = hosting.endpoint()
    hosting.update(name, new, canary())
    change = hosting.sagemaker.update_endpoint_weights_and_capacities
    calls = (
        lambda: hosting.update(name, new),
        lambda: hosting.sagemaker.delete_endpoint(EndpointName=name),
        lambda: change(EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": VARIANT, "DesiredWeight": 1}]),
    )
    for call in calls:
        assert hosting.refused(call)["Message"].startswith('Cannot update in-progress endpoint "arn:aws:sagemaker:')


def test_linear_goes_step_by_step(hosting):
    new = hosting.config("triple")
    name = hosting.endpoint()
    routing = {
        "Type": "LINEAR",
        "WaitIntervalInSeconds": 3,
        "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 50},
    }
    hosting.update(name, new, {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}})
    baking = [message for _, status, message in hosting.watch(name) if status == "Baking"]
    assert baking == [
        "Baking for 3 seconds (WaitIntervalInSeconds) with traffic enabled on linear capacity of 2 instance(s)."
    ]
    assert hosting.describe(name)["EndpointConfigName"] == new


def test_rolling_replaces_batch_by_batch(hosting):
    old, new = hosting.config(), hosting.config("triple")
    name = hosting.endpoint(old)
    policy = {
        "RollingUpdatePolicy": {
            "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 50}, "WaitIntervalInSeconds": 3,
        }
    }  # fmt: skip
    with Load(hosting, name) as load:
        hosting.update(name, new, policy)
        wait_for(hosting, name, "Baking", "batch capacity of 2")
        blue = hosting.describe(name)["ProductionVariants"][0]["CurrentInstanceCount"]
        found = hosting.settled(name)
    assert load.failures == []
    assert blue == 2
    assert found["EndpointConfigName"] == new
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 4


def test_rolling_rolls_back_on_an_alarm(hosting):
    old, new, alarm = hosting.config(), hosting.config("triple"), hosting.alarm()
    name = hosting.endpoint(old)
    batch = {"Type": "CAPACITY_PERCENT", "Value": 50}
    policy = {"RollingUpdatePolicy": {"MaximumBatchSize": batch, "WaitIntervalInSeconds": 60}}
    hosting.update(name, new, with_alarms(policy, (alarm,)))
    wait_for(hosting, name, "Baking")
    hosting.set_off(alarm)
    found = hosting.settled(name)
    assert found["EndpointConfigName"] == old
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 4
    assert hosting.invoke(name)["predictions"] == [OLD]


def test_a_rolling_rollback_without_capacity_leaves_a_mixed_fleet(hosting):
    old, new, alarm = hosting.config(), hosting.config("triple"), hosting.alarm()
    name = hosting.endpoint(old)
    batch = {"Type": "CAPACITY_PERCENT", "Value": 50}
    policy = {"RollingUpdatePolicy": {"MaximumBatchSize": batch, "WaitIntervalInSeconds": 60}}
    hosting.update(name, new, with_alarms(policy, (alarm,)))
    wait_for(hosting, name, "Baking")
    hosting.fault("no_capacity", name)
    hosting.set_off(alarm)
    found = hosting.settled(name)
    assert found["EndpointStatus"] == "UpdateRollbackFailed"
    assert "InsufficientInstanceCapacity" in found["FailureReason"]
    assert {hosting.invoke(name)["predictions"][0] for _ in range(40)} == {OLD, NEW}
    hosting.cloud.admin("faults", {"kind": "none"})
    hosting.update(name, new)
    assert hosting.settled(name)["EndpointConfigName"] == new
    assert {hosting.invoke(name)["predictions"][0] for _ in range(20)} == {NEW}


def test_a_scaled_count_is_kept_only_when_asked_for(hosting):
    name = hosting.endpoint()
    wish = [{"VariantName": VARIANT, "DesiredInstanceCount": 7}]
    hosting.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=wish)
    hosting.settled(name)
    excluded = [{"VariantPropertyType": "DesiredInstanceCount"}]
    for settings, count in (
        ({"RetainAllVariantProperties": True}, 7),
        ({"RetainAllVariantProperties": True, "ExcludeRetainedVariantProperties": excluded}, 4),
        ({}, 4),
    ):
        hosting.update(name, hosting.config(), **settings)
        assert hosting.settled(name)["ProductionVariants"][0]["CurrentInstanceCount"] == count


def test_green_without_capacity_leaves_blue_and_says_why(hosting):
    old = hosting.config()
    name = hosting.endpoint(old)
    hosting.fault("no_capacity", name)
    hosting.update(name, hosting.config("triple"), canary())
    found = hosting.settled(name)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", old)
    assert found["FailureReason"].startswith(
        "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error."
    )
    assert hosting.invoke(name)["predictions"] == [OLD]
    hosting.cloud.admin("faults", {"kind": "none"})
    hosting.update(name, hosting.config("triple"))
    assert "FailureReason" not in hosting.describe(name)


@pytest.mark.parametrize("kind", ["crash", "never_healthy"])
def test_green_that_does_not_start_leaves_blue(hosting, kind):
    old = hosting.config()
    name = hosting.endpoint(old)
    hosting.fault(kind, name, seconds=1)
    with Load(hosting, name) as load:
        hosting.update(name, hosting.config("triple"), canary())
        found = hosting.settled(name)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", old)
    assert "did not pass the ping health check" in found["FailureReason"]
    assert load.failures == []
    assert set(load.answers) == {OLD}


def test_a_first_release_that_fails_is_failed_and_can_only_be_deleted(hosting, eventually):
    config = hosting.config()
    hosting.fault("no_capacity", "")
    name = hosting.endpoint(config, wait=False)
    found = hosting.settled(name)
    assert found["EndpointStatus"] == "Failed"
    assert "InsufficientInstanceCapacity" in found["FailureReason"]
    hosting.cloud.admin("faults", {"kind": "none"})
    assert "Failed" in hosting.refused(hosting.update, name, config)["Message"]
    hosting.sagemaker.delete_endpoint(EndpointName=name)


def test_a_quota_is_refused_at_the_call(hosting):
    name = hosting.endpoint()
    hosting.fault("quota", name)
    error = hosting.refused(hosting.update, name, hosting.config("triple"))
    assert error["Code"] == "ResourceLimitExceeded"
    assert "ml.g5.xlarge for endpoint usage" in error["Message"]


def test_a_gpu_image_hangs_on_a_host_whose_driver_is_too_old(hosting):
    """deep-learning-containers #6187: TF 2.20 GPU images need al2-ami-sagemaker-inference-gpu-3-1."""
    good = hosting.config(image=GPU_IMAGE, InferenceAmiVersion="al2-ami-sagemaker-inference-gpu-3-1")
    name = hosting.endpoint(good)
    assert hosting.invoke(name)["predictions"] == [OLD]
    hanging = hosting.sagemaker.create_endpoint(
        EndpointName=hosting.name("Hanging"), EndpointConfigName=hosting.config(image=GPU_IMAGE)
    )
    time.sleep(2)
    assert hosting.describe(hanging["EndpointArn"].rpartition("/")[2])["EndpointStatus"] == "Creating"


def test_the_switch_wrong_ami_hangs_until_it_is_off(hosting):
    name, new = hosting.endpoint(), hosting.config("triple")
    hosting.fault("wrong_ami", name)
    hosting.update(name, new)
    time.sleep(1.5)
    found = hosting.describe(name)
    assert found["EndpointStatus"] == "Updating"
    (variant,) = found["PendingDeploymentSummary"]["ProductionVariants"]
    assert variant["VariantStatus"][0]["StatusMessage"] == "Launching 4 instance(s)."
    hosting.cloud.admin("faults", {"kind": "none"})
    assert hosting.settled(name)["EndpointConfigName"] == new


def test_an_unknown_fault_is_refused(hosting):
    from localcloud.cloud import LocalCloudError

    with pytest.raises(LocalCloudError, match="no_capacity"):
        hosting.fault("earthquake", "x")


def test_metrics_tell_green_from_blue_by_the_configs_name(hosting, client, eventually):
    """Auto-Rollback Configuration and Monitoring: EndpointConfigName once the new fleet takes traffic."""
    old, new = hosting.config("moody"), hosting.config("moody")
    name = hosting.endpoint(old)

    def total(metric: str, config: str | None, statistic: str = "Sum") -> float | None:
        dimensions = {"EndpointName": name, "VariantName": VARIANT}
        if config:
            dimensions["EndpointConfigName"] = config
        now = datetime.now(UTC)
        points = client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker", MetricName=metric, Period=60, Statistics=[statistic],
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=now - timedelta(minutes=5), EndTime=now + timedelta(minutes=1),
        )["Datapoints"]  # fmt: skip
        return sum(point[statistic] for point in points) if points else None

    for _ in range(5):
        hosting.invoke(name, {"instances": [1]})
    eventually(lambda: total("Invocations", None) == 5)
    assert total("Invocations", old) is None
    assert total("Invocations", new) is None
    hosting.update(name, new)
    hosting.settled(name)
    for value in (1, 1, -1):
        if value > 0:
            hosting.invoke(name, {"instances": [value]})
        else:
            hosting.refused(hosting.invoke, name, {"instances": [value]})
    eventually(lambda: total("Invocations", new) == 3)
    assert total("Invocations", None) == 8
    assert total("Invocations", old) is None
    assert total("InvocationModelErrors", new) == 1
    assert total("Invocation4XXErrors", new) == 1
    assert total("Invocation5XXErrors", new) == 0
    assert total("InvocationsPerInstance", new) == pytest.approx(0.75)
    assert total("ModelLatency", new, "SampleCount") == 3
    latency = total("ModelLatency", new, "Maximum")
    assert latency is not None
    assert 100 < latency < 5e6  # microseconds


def test_events_tell_each_state_and_each_step(hosting, client, eventually):
    sqs, events = client("sqs"), client("events")
    queue = sqs.create_queue(QueueName=hosting.name("events"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    old, new = hosting.config(), hosting.config("triple")
    name = hosting.endpoint(old, Tags=[{"Key": "team", "Value": "x"}])
    rule = hosting.name("rule")
    pattern = {"source": ["aws.sagemaker"], "detail": {"EndpointName": [name]}}
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": arn}])
    hosting.update(name, new, canary(bake=1, final=1))
    found: list[dict] = []

    def ended() -> bool:
        received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        found.extend(json.loads(message["Body"]) for message in received)
        return any(event["detail"]["EndpointStatus"] == "IN_SERVICE" for event in found)

    eventually(ended)
    states = [e["detail"] for e in found if e["detail-type"] == "SageMaker Endpoint State Change"]
    steps = [e["detail"] for e in found if e["detail-type"] == "SageMaker Endpoint Deployment State Change"]
    assert {"UPDATING", "IN_SERVICE"} == {detail["EndpointStatus"] for detail in states}
    assert all(detail["Tags"] == {"team": "x"} for detail in states)
    assert [d["EndpointConfigName"] for d in states if d["EndpointStatus"] == "IN_SERVICE"] == [new]
    baking = [
        status
        for detail in steps
        for variant in detail["PendingDeploymentSummary"]["ProductionVariants"]
        for status in variant["VariantStatus"]
        if status["Status"] == "Baking"
    ]
    assert len(baking) == 2
    assert all(isinstance(status["StartTime"], int) and status["StartTime"] > 1e12 for status in baking)
    assert {detail["EndpointConfigName"] for detail in steps} == {old}


def test_a_request_under_way_is_answered_by_the_fleet_that_got_it(hosting):
    old, new = hosting.config("moody"), hosting.config("moody")
    name = hosting.endpoint(old)
    answers: list[object] = []
    slow = threading.Thread(target=lambda: answers.append(hosting.invoke(name, {"instances": [800]})))
    slow.start()
    time.sleep(0.3)
    hosting.update(name, new)
    found = hosting.settled(name)
    slow.join()
    assert answers == [{"predictions": [800.0]}]
    assert found["EndpointConfigName"] == new


def test_a_container_that_dies_in_service_is_started_again(hosting, eventually):
    name = hosting.endpoint(hosting.config("double"))
    (fleet,) = [f for f in hosting.cloud.admin("fleets", {})["fleets"] if f["endpoint"] == name]
    os.kill(fleet["pid"], signal.SIGKILL)

    def answers() -> bool:
        try:
            return hosting.invoke(name)["predictions"] == [OLD]
        except Exception:
            return False

    eventually(answers)
    (again,) = [f for f in hosting.cloud.admin("fleets", {})["fleets"] if f["endpoint"] == name]
    assert again["pid"] != fleet["pid"]


def test_blue_and_green_both_count_against_the_quota(hosting):
    """A blue/green update needs instances for both fleets (guide); ResourceLimitExceeded is in the service model."""
    instance_type = "ml.g6.48xlarge"  # used by no other test
    old, new = (hosting.config(InstanceType=instance_type) for _ in range(2))
    hosting.cloud.admin("quotas", {instance_type: 7})
    name = hosting.endpoint(old)
    error = hosting.refused(hosting.update, name, new)
    assert error["Code"] == "ResourceLimitExceeded"
    assert (
        "is 7 Instances, with current utilization of 4 Instances and a request delta of 4 Instances" in error["Message"]
    )
    batch = {"Type": "CAPACITY_PERCENT", "Value": 50}
    hosting.update(name, new, {"RollingUpdatePolicy": {"MaximumBatchSize": batch, "WaitIntervalInSeconds": 0}})
    assert hosting.settled(name)["EndpointConfigName"] == new


def test_a_scaled_variant_keeps_its_instance_type_until_it_is_deregistered(hosting, client):
    """Developer guide, "Automatically scale models", on updating endpoints that use automatic scaling."""
    name = hosting.endpoint()
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/{VARIANT}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling = client("application-autoscaling")
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=8)
    other = hosting.config("triple", InstanceType="ml.g5.2xlarge")
    assert "automatic scaling" in hosting.refused(hosting.update, name, other)["Message"]
    hosting.update(name, hosting.config("triple"))
    hosting.settled(name)
    scaling.deregister_scalable_target(**target)
    hosting.update(name, other)
    assert hosting.settled(name)["EndpointConfigName"] == other
