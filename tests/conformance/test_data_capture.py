"""Data capture: sampled requests and answers as JSON lines in S3.

Sources: SageMaker API reference (DataCaptureConfig, DataCaptureConfigSummary, InvokeEndpoint); developer guide,
"Capture data from real-time endpoint" (keys, lines, "delivery can require a couple of minutes") and "Deploy models with
Serverless Inference" (exclusions).
"""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError

from tests.conformance.hosting import VARIANT
from tests.conformance.test_sagemaker_rollout import NEW, OLD, Load, canary, wait_for

BUCKET = "data-capture-tests"
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
NAME = re.compile(rf"\d{{4}}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{{3}}-{UUID}\.jsonl")
TYPES = {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]}
BODY = b"[[1.0,2.0]]"


@pytest.fixture(scope="module")
def bucket(client):
    client("s3").create_bucket(Bucket=BUCKET)
    return BUCKET


@pytest.fixture
def prefix(bucket, unique):
    """A place of the test's own in the bucket."""
    return unique("captured")


def capture(prefix, percent=100, modes=("InputAndOutput",), **settings):
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": percent,
        "DestinationS3Uri": f"s3://{BUCKET}/{prefix}",
        "CaptureOptions": [{"CaptureMode": mode} for mode in modes],
        "CaptureContentTypeHeader": TYPES,
        **settings,
    }


def config_of(hosting, data_capture, kind="double", **variant):
    settings = {"VariantName": VARIANT, "ModelName": hosting.model(kind), **variant}
    if "ServerlessConfig" not in settings:
        settings |= {"InitialInstanceCount": 4, "InstanceType": "ml.g5.xlarge"}
    return hosting.config_of(settings, DataCaptureConfig=data_capture)


def objects(hosting, prefix):
    """Return every object under a prefix: key and lines."""
    found = hosting.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/").get("Contents", [])
    return {item["Key"]: hosting.s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read() for item in found}


def captured(hosting, prefix):
    """Return every captured request under a prefix."""
    return [json.loads(text) for content in objects(hosting, prefix).values() for text in content.splitlines()]


def send(hosting, endpoint, body=BODY, content_type="application/json", **settings):
    answer = hosting.runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType=content_type, **settings)
    return answer["Body"].read()


def ids(records):
    return [record["eventMetadata"].get("inferenceId") for record in records]


def test_a_request_becomes_a_line_of_an_object(hosting, prefix, eventually):
    name = hosting.endpoint(config_of(hosting, capture(prefix)))
    began = datetime.now(UTC).replace(microsecond=0)
    answer = send(hosting, name, InferenceId="mine", CustomAttributes="trace=7")
    (key, content), = eventually(lambda: objects(hosting, prefix)).items()  # fmt: skip
    head, path = f"{prefix}/{name}/{VARIANT}/", key.removeprefix(f"{prefix}/{name}/{VARIANT}/")
    assert key.startswith(head)
    assert NAME.fullmatch(path), path
    record = json.loads(content)
    assert content == (json.dumps(record, separators=(",", ":")) + "\n").encode()
    event = record.pop("eventMetadata")
    assert record == {
        "captureData": {
            "endpointInput": {
                "observedContentType": "application/json", "mode": "INPUT", "data": BODY.decode(), "encoding": "JSON",
            },
            "endpointOutput": {
                "observedContentType": "application/json", "mode": "OUTPUT", "data": answer.decode(),
                "encoding": "JSON",
            },
        },
        "eventVersion": "0",
    }  # fmt: skip
    assert re.fullmatch(UUID, event.pop("eventId"))
    moment = datetime.strptime(event.pop("inferenceTime"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert began <= moment <= datetime.now(UTC)
    assert timedelta(0) <= datetime.strptime(path[:19], "%Y/%m/%d/%H/%M-%S").replace(tzinfo=UTC) - began
    assert event == {"inferenceId": "mine", "customAttributes": ["trace=7"]}


def test_the_listed_types_are_text_and_all_else_is_base64(hosting, prefix, eventually):
    name = hosting.endpoint(config_of(hosting, capture(prefix)))
    bodies = {"text/csv": b"1.0,2.0\n", "application/json": BODY, "application/jsonlines": b"[1.0,2.0]\n"}
    for kind, body in bodies.items():
        send(hosting, name, body, kind)
    hosting.sagemaker.delete_endpoint(EndpointName=name)
    eventually(lambda: len(captured(hosting, prefix)) == len(bodies))
    found = {}
    for record in captured(hosting, prefix):
        payload = record["captureData"]["endpointInput"]
        text = payload["data"]
        raw = base64.b64decode(text, validate=True) if payload["encoding"] == "BASE64" else text.encode()
        assert raw == bodies[payload["observedContentType"]]
        found[payload["observedContentType"]] = payload["encoding"]
    assert found == {"text/csv": "CSV", "application/json": "JSON", "application/jsonlines": "BASE64"}


def test_a_share_of_the_requests_is_captured_and_none_at_nought_percent(hosting, unique, prefix, eventually):
    """Later requests tell when the earlier ones are all written: files are written in order."""
    nought = unique("captured")
    half = hosting.endpoint(config_of(hosting, capture(prefix, percent=50)))
    silent = hosting.endpoint(config_of(hosting, capture(nought, percent=0)))
    for number in range(200):
        send(hosting, half, InferenceId=f"counted-{number}")
        if number % 10 == 0:
            send(hosting, silent)
    for number in range(60):
        send(hosting, half, InferenceId=f"later-{number}")
    hosting.sagemaker.delete_endpoint(EndpointName=half)
    eventually(lambda: any(name.startswith("later") for name in ids(captured(hosting, prefix))))
    counted = [name for name in ids(captured(hosting, prefix)) if name.startswith("counted")]
    assert len(set(counted)) == len(counted)
    assert 58 <= len(counted) <= 142  # 100 is expected; six standard deviations either way
    assert objects(hosting, nought) == {}


def test_a_failed_invocation_is_not_captured_and_what_is_outlives_the_endpoint(hosting, prefix, eventually):
    name = hosting.endpoint(config_of(hosting, capture(prefix), "moody"))
    error = hosting.refused(send, hosting, name, b'{"instances": [-1]}', InferenceId="fails")
    assert error["Code"] == "ModelError"
    send(hosting, name, b'{"instances": [0]}', InferenceId="answers")
    hosting.sagemaker.delete_endpoint(EndpointName=name)
    assert ids(eventually(lambda: captured(hosting, prefix))) == ["answers"]


def test_blue_and_green_capture_by_their_own_configs(hosting, unique, prefix, eventually):
    green_prefix = unique("captured")
    old = config_of(hosting, capture(prefix, modes=["Input", "Output"]))
    new = config_of(hosting, capture(green_prefix, modes=["Output"]), "triple")
    name = hosting.endpoint(old)
    with Load(hosting, name) as load:
        hosting.update(name, new, canary(bake=2, final=0))
        wait_for(hosting, name, "Baking")
        found = hosting.describe(name)
        assert found["DataCaptureConfig"]["DestinationS3Uri"] == f"s3://{BUCKET}/{prefix}"
        found = hosting.settled(name)
    assert load.failures == []
    assert found["DataCaptureConfig"]["DestinationS3Uri"] == f"s3://{BUCKET}/{green_prefix}"
    for place, answer in ((prefix, OLD), (green_prefix, NEW)):
        eventually(lambda place=place, answer=answer: len(captured(hosting, place)) == load.answers[answer], seconds=30)
        outputs = {record["captureData"]["endpointOutput"]["data"] for record in captured(hosting, place)}
        assert {json.loads(output)["predictions"][0] for output in outputs} == {answer}
        assert all(key.startswith(f"{place}/{name}/{VARIANT}/") for key in objects(hosting, place))
    assert {"endpointOutput"} == {mode for record in captured(hosting, green_prefix) for mode in record["captureData"]}


def test_the_front_writes_what_it_has_before_it_ends(hosting, cloud, prefix, eventually):
    """A second front on the same core, ended right after a request."""
    name = hosting.endpoint(config_of(hosting, capture(prefix)))
    core_port = cloud._processes["front"].args[-1]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "localcloud.front", "--port", str(port), "--core-port", core_port]
    runtime = boto3.client(
        "sagemaker-runtime", endpoint_url=f"http://localhost:{port}", region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test", config=Config(retries={"max_attempts": 0}),
    )  # fmt: skip

    def answered():
        try:
            return runtime.invoke_endpoint(EndpointName=name, Body=BODY, ContentType="application/json")["Body"].read()
        except (ClientError, ConnectionError, EndpointConnectionError, HTTPClientError):
            return None  # not up yet, or without its routes

    with subprocess.Popen(command) as process:
        try:
            eventually(answered, seconds=30)
            process.terminate()
            assert process.wait(10) == 0
        finally:
            process.kill()
    assert len(captured(hosting, prefix)) == 1


def test_a_bucket_that_is_not_there_costs_the_capture_and_not_the_request(hosting, cloud, prefix, eventually):
    name = hosting.endpoint(config_of(hosting, capture(prefix, DestinationS3Uri=f"s3://no-such-bucket/{prefix}")))
    assert json.loads(send(hosting, name))["predictions"] == [OLD]
    eventually(lambda: f"can not be written to s3://no-such-bucket/{prefix}/{name}/" in cloud.log_tail("core"))
    assert hosting.describe(name)["DataCaptureConfig"]["CaptureStatus"] == "Started"


def test_captures_are_described_and_encrypted_with_their_key(hosting, client, prefix, eventually):
    key = client("kms").create_key()["KeyMetadata"]["KeyId"]
    settings = capture(prefix, percent=100, KmsKeyId=key)
    config = config_of(hosting, settings)
    assert hosting.sagemaker.describe_endpoint_config(EndpointConfigName=config)["DataCaptureConfig"] == settings
    name = hosting.endpoint(config)
    assert hosting.describe(name)["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{BUCKET}/{prefix}",
        "KmsKeyId": key,
    }
    send(hosting, name)
    hosting.sagemaker.delete_endpoint(EndpointName=name)
    (place,) = eventually(lambda: objects(hosting, prefix))
    head = hosting.s3.head_object(Bucket=BUCKET, Key=place)
    assert head["ServerSideEncryption"] == "aws:kms"
    assert head["SSEKMSKeyId"].endswith(key)


def test_an_endpoint_without_capture_describes_none(hosting, steady):
    assert "DataCaptureConfig" not in hosting.describe(steady)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"InitialSamplingPercentage": 101}, "less than or equal to 100"),
        ({"DestinationS3Uri": "bucket/prefix"}, "Member must satisfy regular expression pattern"),
        ({"DestinationS3Uri": "https://bucket.s3.amazonaws.com/prefix"}, "must be of the form s3://bucket/prefix"),
        ({"DestinationS3Uri": "s3://b/" + "x" * 512}, "less than or equal to 512"),
        ({"CaptureOptions": [{"CaptureMode": "Everything"}]}, "Member must satisfy enum value set"),
        ({"CaptureOptions": [{"CaptureMode": "Input"}] * 33}, "less than or equal to 32"),
        ({"CaptureContentTypeHeader": {"CsvContentTypes": ["csv"]}}, "regular expression pattern"),
        ({"CaptureContentTypeHeader": {"JsonContentTypes": ["a/b"] * 11}}, "less than or equal to 10"),
        ({"KmsKeyId": "not a key"}, "regular expression pattern"),
    ],
)
def test_a_capture_that_can_not_be_is_refused(hosting, settings, problem):
    error = hosting.refused(config_of, hosting, capture("refused", **settings))
    assert error["Code"] == "ValidationException"
    assert problem in error["Message"]


def test_serverless_variants_do_not_capture(hosting, bucket):
    serverless = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
    error = hosting.refused(config_of, hosting, capture("refused"), **serverless)
    assert "not supported for serverless" in error["Message"]
    assert config_of(hosting, capture("disabled", EnableCapture=False), **serverless)
