"""The one public port: InvokeEndpoint to the fleets, all else to the core unchanged.

Sources: SageMaker Runtime API reference, InvokeEndpoint (headers, errors, limits); RFC 9110 and 9112 (Expect,
chunked bodies, HEAD, persistent connections).
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
from collections import Counter
from urllib.parse import urlparse

import pytest

from localcloud.front_invoke import Invoker
from localcloud.front_routes import pick_fleet, table_from_json
from tests.conformance.hosting import VARIANT

BUCKET = "front-tests"


@pytest.fixture(scope="module")
def bucket(client):
    client("s3").create_bucket(Bucket=BUCKET)
    return BUCKET


@pytest.fixture
def connection(cloud):
    parsed = urlparse(cloud.url)
    connection = http.client.HTTPConnection(parsed.hostname, parsed.port, timeout=20)
    yield connection
    connection.close()


def ask(connection, method, path, body=None, headers=None, **options):
    connection.request(method, path, body, headers or {}, **options)
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def test_large_objects_go_through_in_both_directions(client, bucket):
    data = os.urandom(20_000_000)
    client("s3").put_object(Bucket=bucket, Key="large", Body=data)
    answer = client("s3").get_object(Bucket=bucket, Key="large")
    with answer["Body"] as body:
        assert body.read() == data


def test_a_body_of_unknown_length_goes_through(client, bucket, connection):
    pieces = [b"a" * 70_000, b"b" * 3, b"c" * 200_000]
    status, _, _ = ask(connection, "PUT", f"/{bucket}/chunked", iter(pieces), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})  # fmt: skip
    assert status == 200
    with client("s3").get_object(Bucket=bucket, Key="chunked")["Body"] as body:
        assert body.read() == b"".join(pieces)


def test_expect_continue_is_answered_before_the_body(cloud, bucket):
    parsed = urlparse(cloud.url)
    with socket.create_connection((parsed.hostname, parsed.port), timeout=10) as raw:
        lines = [
            f"PUT /{bucket}/expected HTTP/1.1",
            f"Host: {parsed.netloc}",
            "Expect: 100-continue",
            "Content-Length: 2",
        ]
        head = "\r\n".join([*lines, "", ""])
        raw.sendall(head.encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 100 ")
        raw.sendall(b"ok")
        assert raw.recv(100).startswith(b"HTTP/1.1 200 ")


def test_a_connection_serves_many_requests_of_both_kinds(connection, bucket, steady):
    socket_of_first = None
    for _ in range(3):
        assert ask(connection, "HEAD", f"/{bucket}")[0] == 200
        socket_of_first = socket_of_first or connection.sock
        path = f"/endpoints/{steady}/invocations"
        status, _, body = ask(connection, "POST", path, b"[[1,2]]", {"Content-Type": "application/json"})
        assert (status, json.loads(body)) == (200, {"predictions": [6.0]})
        assert connection.sock is socket_of_first


def test_the_host_is_kept_so_that_queue_urls_lead_back(client, cloud, hosting):
    url = client("sqs").create_queue(QueueName=hosting.name("front"))["QueueUrl"]
    assert url.startswith(cloud.url)


def test_the_answering_variant_is_named(hosting, steady):
    assert hosting.invoked_variant(steady) == VARIANT
    assert hosting.invoked_variant(steady, TargetVariant=VARIANT) == VARIANT


def test_an_unknown_endpoint_or_variant_is_a_validation_error(hosting, steady):
    error = hosting.refused(hosting.invoke, "nobody")
    assert (error["Code"], error["Message"]) == (
        "ValidationError",
        "Endpoint nobody of account 123456789012 not found.",
    )
    assert error["response"]["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert hosting.refused(hosting.invoke, steady, TargetVariant="other")["Code"] == "ValidationError"


def test_a_payload_over_6_mib_is_refused(hosting, steady):
    error = hosting.refused(hosting.invoke, steady, b"[" + b" " * (6 * 1024 * 1024) + b"[1,2]]")
    assert error["Code"] == "ValidationError"
    assert error["response"]["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert hosting.invoke(steady, b"[" + b" " * (6 * 1024 * 1024 - 7) + b"[1,2]]")["predictions"] == [6.0]


def test_the_answer_has_the_type_that_was_accepted(hosting, steady):
    answer = hosting.runtime.invoke_endpoint(
        EndpointName=steady, Body=b"[[1,2]]", ContentType="application/json", Accept="application/jsonlines"
    )
    answer["Body"].read()
    assert answer["ContentType"] == "application/jsonlines"


def test_asynchronous_inference_is_refused_by_name(hosting, steady):
    error = hosting.refused(hosting.runtime.invoke_endpoint_async, EndpointName=steady, InputLocation="s3://a/b")
    assert error["Code"] == "NotImplemented"
    assert "InvokeEndpointAsync" in error["Message"]


def test_web_pages_can_not_steer_the_cloud(connection):
    for path in ("/_localcloud/routes", "/_localcloud/faults"):
        status, _, _ = ask(connection, "POST", path, b"{}", {"Origin": "http://elsewhere.example"})
        assert status == 403


def test_a_malformed_routing_table_changes_nothing(connection, hosting, steady):
    status, _, body = ask(connection, "POST", "/_localcloud/routes", b'{"version": 1}')
    assert status == 400
    assert b"malformed routing table" in body
    assert hosting.invoke(steady)["predictions"] == [6.0]


def test_what_is_no_http_ends_the_connection(cloud):
    parsed = urlparse(cloud.url)
    with socket.create_connection((parsed.hostname, parsed.port), timeout=10) as raw:
        raw.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400 ")
        assert raw.recv(100) == b""


def test_a_dead_fleet_is_a_model_error_and_counted_as_one():
    """ "low-level socket errors" are InvocationModelErrors; another fleet must not hide them from the alarms."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dead_port = listener.getsockname()[1]
    fleet = {"fleet": "green", "port": dead_port, "weight": 1, "config": "new", "published_config": True}
    variant = {"name": VARIANT, "weight": 1, "instances": 1, "fleets": [fleet]}
    invoker = Invoker()
    invoker.swap(table_from_json({"version": 1, "endpoints": [{"name": "E", "variants": [variant]}]}))
    answer = asyncio.run(invoker.invoke("e", {}, b"[]"))
    assert answer.status == 424
    assert json.loads(answer.body)["OriginalStatusCode"] == 0
    (series,) = invoker.observations.take()
    assert (series["config"], series["published_config"], series["rows"][0][3]) == ("new", True, 0)
    assert not invoker.in_flight


def test_traffic_follows_weights():
    fleets = [
        {"fleet": name, "port": port, "weight": weight, "config": name, "published_config": False}
        for name, port, weight in (("blue", 1, 0.9), ("green", 2, 0.1))
    ]
    variant = {"name": VARIANT, "weight": 1, "instances": 10, "fleets": fleets}
    table = table_from_json({"version": 1, "endpoints": [{"name": "E", "variants": [variant]}]})
    chosen = Counter(pick_fleet(table.endpoints["e"].variants[0]).fleet for _ in range(5000))
    assert 380 < chosen["green"] < 620  # 500 is expected; six standard deviations either way


def test_step_functions_own_calls_reach_the_fleets(hosting, steady, client):
    """An SDK integration calls the core's own port, which hands it to the front."""
    role = "arn:aws:iam::123456789012:role/steps"
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sagemakerruntime:invokeEndpoint",
        "Parameters": {"EndpointName": steady, "Body": {"instances": [[1, 2]]}, "ContentType": "application/json"},
        "End": True,
    }
    definition = json.dumps({"StartAt": "Ask", "States": {"Ask": state}})
    steps = client("stepfunctions")
    arn = steps.create_state_machine(name=hosting.name("ask"), definition=definition, roleArn=role)["stateMachineArn"]
    execution = steps.start_execution(stateMachineArn=arn)["executionArn"]
    for _ in range(100):
        found = steps.describe_execution(executionArn=execution)
        if found["status"] != "RUNNING":
            break
    assert "6.0" in found.get("output", ""), found
