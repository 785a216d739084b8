"""Functions run as they do on AWS Lambda.

Sources: Lambda developer guide ("Defined runtime environment variables", "Understanding retry behavior in Lambda",
"Managing Lambda function versions", "Lambda quotas") and the Lambda API reference, Invoke.
"""

from __future__ import annotations

import base64
import io
import json
import textwrap
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError


def package(source: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", textwrap.dedent(source))
    return buffer.getvalue()


@pytest.fixture(scope="session")
def role(client):
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    return client("iam").create_role(RoleName="lambda-conformance", AssumeRolePolicyDocument=document)["Role"]["Arn"]


@pytest.fixture
def function(client, role, unique):
    """Create a function from source and return its name."""
    created = []

    def create(source: str, **settings) -> str:
        name = unique("function")
        client("lambda").create_function(
            **{
                "FunctionName": name,
                "Runtime": "python3.13",
                "Handler": "app.handler",
                "Role": role,
                "Code": {"ZipFile": package(source)},
                **settings,
            }
        )
        created.append(name)
        return name

    yield create
    for name in created:
        client("lambda").delete_function(FunctionName=name)


def call(client, name, event=None, **options):
    answer = client("lambda").invoke(FunctionName=name, Payload=json.dumps(event), **options)
    return json.loads(answer["Payload"].read()), answer


def test_the_handler_gets_the_event_and_its_environment(client, function, cloud):
    name = function(
        """
        import os
        def handler(event, context):
            return {"event": event, "env": dict(os.environ), "remaining": context.get_remaining_time_in_millis(),
                    "arn": context.invoked_function_arn, "memory": context.memory_limit_in_mb}
        """,
        Environment={"Variables": {"COLOUR": "green"}},
        MemorySize=512,
        Timeout=7,
    )
    answer, _ = call(client, name, {"a": 1})
    assert answer["event"] == {"a": 1}
    assert answer["env"]["COLOUR"] == "green"
    assert answer["env"]["AWS_ENDPOINT_URL"] == cloud.url
    assert answer["env"]["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "512"
    assert answer["env"]["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert 5000 < answer["remaining"] <= 7000
    assert answer["arn"].endswith(f":function:{name}")
    assert int(answer["memory"]) == 512


def test_an_event_without_a_payload_is_an_empty_object(client, function):
    name = function("def handler(event, context):\n    return event\n")
    assert json.loads(client("lambda").invoke(FunctionName=name)["Payload"].read()) == {}


def test_a_warm_process_keeps_its_globals(client, function):
    name = function("count = 0\ndef handler(event, context):\n    global count\n    count += 1\n    return count\n")
    assert [call(client, name)[0] for _ in range(3)] == [1, 2, 3]


def test_concurrent_events_run_in_processes_of_their_own(client, function):
    name = function(
        "import os, time\ndef handler(event, context):\n    time.sleep(0.5)\n    return os.getpid()\n", Timeout=10
    )
    with ThreadPoolExecutor(3) as threads:
        pids = list(threads.map(lambda _: call(client, name)[0], range(3)))
    assert len(set(pids)) == 3


def test_an_exception_is_a_function_error_with_its_type(client, function):
    name = function("class Broken(Exception): pass\ndef handler(event, context):\n    raise Broken('no luck')\n")
    answer, response = call(client, name, LogType="Tail")
    assert response["StatusCode"] == 200
    assert response["FunctionError"] == "Unhandled"
    assert answer["errorType"] == "Broken"
    assert answer["errorMessage"] == "no luck"
    assert "Broken" in base64.b64decode(response["LogResult"]).decode()


def test_a_timeout_ends_the_process_and_says_so(client, function):
    name = function("import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'done'\n", Timeout=1)
    answer, response = call(client, name, 30)
    assert response["FunctionError"] == "Unhandled"
    assert answer["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in answer["errorMessage"]
    assert call(client, name, 0)[0] == "done"


def test_a_process_that_exits_is_an_exit_error(client, function):
    name = function("import os\ndef handler(event, context):\n    os._exit(3)\n")
    answer, _ = call(client, name)
    assert answer["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in answer["errorMessage"]


def test_a_dependency_that_is_not_packaged_fails(client, function):
    # moto is installed beside the local cloud, so it would be found if the function saw that environment
    name = function("import moto\ndef handler(event, context):\n    return 1\n")
    answer, response = call(client, name)
    assert response["FunctionError"] == "Unhandled"
    assert answer["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'moto'" in answer["errorMessage"]


def test_boto3_of_the_runtime_reaches_this_cloud(client, function):
    name = function(
        "import boto3\ndef handler(event, context):\n    return boto3.client('sts').get_caller_identity()\n"
    )
    answer, _ = call(client, name)
    assert answer["Account"] == "123456789012"


def test_a_published_version_pins_code_and_environment(client, function):
    source = "import os\ndef handler(event, context):\n    return [{}, os.environ['MODE'], context.function_version]\n"
    name = function(source.format(1), Environment={"Variables": {"MODE": "old"}})
    first = client("lambda").publish_version(FunctionName=name)["Version"]
    client("lambda").create_alias(FunctionName=name, Name="live", FunctionVersion=first)
    client("lambda").update_function_code(FunctionName=name, ZipFile=package(source.format(2)))
    client("lambda").update_function_configuration(FunctionName=name, Environment={"Variables": {"MODE": "new"}})
    assert call(client, name)[0] == [2, "new", "$LATEST"]
    assert call(client, name, Qualifier=first)[0] == [1, "old", "1"]
    assert call(client, f"{name}:live")[0] == [1, "old", "1"]
    second = client("lambda").publish_version(FunctionName=name)["Version"]
    client("lambda").update_alias(FunctionName=name, Name="live", FunctionVersion=second)
    arn = client("lambda").get_alias(FunctionName=name, Name="live")["AliasArn"]
    assert call(client, arn)[0] == [2, "new", "2"]


def test_publishing_without_a_change_gives_the_same_version(client, function):
    name = function("def handler(event, context):\n    return 1\n")
    client("lambda").update_function_configuration(FunctionName=name, MemorySize=256)
    versions = [client("lambda").publish_version(FunctionName=name)["Version"] for _ in range(2)]
    assert versions == ["1", "1"]


def test_what_a_handler_prints_is_in_cloudwatch_logs(client, function):
    name = function("def handler(event, context):\n    print('hello from', event)\n")
    call(client, name, "here")
    events = client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    messages = [event["message"] for event in events]
    assert "hello from here" in messages
    assert messages[0].startswith("START RequestId:")
    assert messages[-1].startswith("REPORT RequestId:")
    assert "Init Duration" in messages[-1]


def test_an_asynchronous_event_is_tried_three_times_then_sent_to_its_destination(client, function, unique, eventually):
    queue_url = client("sqs").create_queue(QueueName=unique("failures"))["QueueUrl"]
    queue_arn = client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
    name = function("def handler(event, context):\n    print('tried')\n    raise ValueError('never')\n")
    client("lambda").put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": queue_arn["QueueArn"]}}
    )
    _, response = (None, client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": 1}'))
    assert response["StatusCode"] == 202
    found = eventually(lambda: client("sqs").receive_message(QueueUrl=queue_url).get("Messages"))
    record = json.loads(found[0]["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["requestPayload"] == {"n": 1}
    assert record["responsePayload"]["errorType"] == "ValueError"


def test_reserved_concurrency_throttles(client, function):
    name = function("import time\ndef handler(event, context):\n    time.sleep(3)\n", Timeout=30)
    client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    with ThreadPoolExecutor(2) as threads:
        errors = [one.exception() for one in [threads.submit(call, client, name) for _ in range(2)]]
    (refused,) = (error for error in errors if error is not None)
    assert isinstance(refused, ClientError)
    assert refused.response["Error"]["Code"] == "TooManyRequestsException"
    assert refused.response["ResponseMetadata"]["HTTPStatusCode"] == 429


def test_reserved_concurrency_of_zero_stops_every_version_also_a_warm_one(client, function):
    # Lambda developer guide, "Configuring reserved concurrency": 0 throttles a function completely
    name = function("def handler(event, context):\n    return 1\n")
    version = client("lambda").publish_version(FunctionName=name)["Version"]
    call(client, f"{name}:{version}")
    client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError) as refused:
        call(client, f"{name}:{version}")
    assert refused.value.response["Error"]["Code"] == "TooManyRequestsException"
    client("lambda").delete_function_concurrency(FunctionName=name)
    call(client, f"{name}:{version}")


def test_an_unknown_function_is_not_found(client):
    with pytest.raises(ClientError) as refused:
        call(client, "nobody")
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_the_xray_sdk_neither_fails_nor_complains(client, function):
    name = function(
        """
        import os, socket
        def handler(event, context):
            host, port = os.environ["AWS_XRAY_DAEMON_ADDRESS"].split(":")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                out.sendto(b"{}", (host, int(port)))
            return os.environ["_X_AMZN_TRACE_ID"].split("Sampled=")[1]
        """
    )
    assert call(client, name)[0] == "0"


def test_invocations_errors_and_embedded_metrics_reach_cloudwatch(client, function):
    """CloudWatch user guide, "Specification: Embedded metric format"; Lambda guide, "Types of metrics"."""
    name = function(
        """
        import json, time
        def handler(event, context):
            metrics = [{"Name": "Seen", "Unit": "Count"}]
            directive = {"Namespace": "conformance", "Dimensions": [["Who"]], "Metrics": metrics}
            about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
            print(json.dumps({"_aws": about, "Who": context.function_name, "Seen": [2, 3]}))
            raise ValueError
        """
    )
    call(client, name)

    def total(namespace, metric, dimension, value):
        points = client("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": dimension, "Value": value}],
            StartTime=time.time() - 120,
            EndTime=time.time() + 120,
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        return sum(point["Sum"] for point in points)

    assert total("AWS/Lambda", "Invocations", "FunctionName", name) == 1
    assert total("AWS/Lambda", "Errors", "FunctionName", name) == 1
    assert total("conformance", "Seen", "Who", name) == 5
