"""Real models behind InvokeEndpoint: formats, methods, errors, and what a bad model may not do to others.

Sources: tensorflow/serving, api_rest.md; aws/deep-learning-containers, tensorflow/inference; SageMaker developer guide,
"Use your own inference code with hosting services"; SageMaker Runtime API reference, InvokeEndpoint (ModelError).
"""

from __future__ import annotations

import io
import json
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conformance.hosting import BUCKET, CPU_IMAGE, VARIANT


def test_rows_and_columns(hosting, many):
    assert hosting.invoke(many, {"instances": [{"a": 0.5, "b": 1}, {"a": 1, "b": 2}]}) == {
        "predictions": [{"b": 1, "sum": 1.5}, {"b": 2, "sum": 3.0}]
    }
    assert hosting.invoke(many, {"inputs": {"a": [0.5], "b": [1]}}) == {"outputs": {"b": [1], "sum": [1.5]}}


def test_a_signature_is_chosen_by_name(hosting, many):
    body = {"signature_name": "echo", "instances": ["grüße", {"b64": "AP8="}]}
    first, second = hosting.invoke(many, body)["predictions"]
    assert first["text"] == "grüße"
    assert second["raw_bytes"] == {"b64": "AP8="}


@pytest.mark.parametrize(
    ("content_type", "body", "answer"),
    [
        ("application/json", b"[[1, 2], [3, 4]]", {"predictions": [6.0, 14.0]}),
        ("application/jsonlines", b"[1, 2]\n[3, 4]", {"predictions": [6.0, 14.0]}),
        ("text/csv", b"1,2\n3,4", {"predictions": [6.0, 14.0]}),
    ],
)
def test_every_format_of_the_container(hosting, steady, content_type, body, answer):
    assert hosting.invoke(steady, body, content_type) == answer


def test_classify_and_regress(hosting, many):
    examples = {"signature_name": "classes", "examples": [{"f": 0.25}]}
    assert hosting.invoke(many, examples, CustomAttributes="tfs-method=classify") == {
        "results": [[["low", 0.75], ["high", 0.25]]]
    }
    examples["signature_name"] = "values"
    assert hosting.invoke(many, examples, CustomAttributes="tfs-method=regress") == {"results": [0.5]}


@pytest.mark.parametrize(
    ("body", "settings", "status", "message"),
    [
        (b"{", {}, 400, "JSON Parse error"),
        (b"x", {"ContentType": "image/png"}, 415, "Unsupported Media Type: image/png"),
        ({"instances": [{"a": 1}]}, {}, 400, "keys must be equal to: a,b"),
        ({"signature_name": "none", "instances": [1]}, {}, 400, "not found in signature def"),
        ({"signature_name": "scalar", "instances": [1]}, {}, 400, "has no shape information"),
        ({"instances": [1]}, {"CustomAttributes": "tfs-model-name=other"}, 404, "Servable not found"),
        ({"examples": [{"f": 1.0}]}, {"CustomAttributes": "tfs-method=classify"}, 400, "classify"),
    ],
)
def test_the_models_own_error_is_carried_in_a_model_error(hosting, many, body, settings, status, message):
    content_type = settings.pop("ContentType", "application/json")
    error = hosting.refused(hosting.invoke, many, body, content_type, **settings)
    response = error["response"]
    assert error["Code"] == "ModelError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == status
    assert message in json.loads(response["OriginalMessage"])["error"]
    assert response["LogStreamArn"].endswith(f":log-group:/aws/sagemaker/Endpoints/{many}")
    assert error["Message"].startswith(f'Received client error ({status}) from primary with message "')


def test_a_slow_request_does_not_hold_up_others(hosting):
    name = hosting.endpoint(hosting.config("moody"))
    hosting.invoke(name, {"instances": [1]})
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(hosting.invoke, name, {"instances": [3000]})
        time.sleep(0.2)
        hosting.invoke(name, {"instances": [1]})
        assert not slow.done()
        slow.result()


def test_a_model_that_never_loads_takes_nothing_down_with_it(hosting, steady):
    config = hosting.config("endless")
    name = hosting.name("Endpoint")
    hosting.fault("never_healthy", name, seconds=1.5)  # shortens the wait; the model itself is what hangs
    hosting._made.append(name)
    hosting.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    assert hosting.invoke(steady)["predictions"] == [6.0]
    found = hosting.settled(name)
    assert found["EndpointStatus"] == "Failed"
    assert found["FailureReason"] == (
        f"The primary container for production variant {VARIANT} did not pass the ping health check. Please check "
        "CloudWatch logs for this endpoint."
    )
    fleets = hosting.cloud.admin("fleets", {})["fleets"]
    assert name not in [fleet["endpoint"] for fleet in fleets]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"readme.txt": b"no model"}, "did not pass the ping health check"),
        ({"1/saved_model.pb": b"garbage"}, "did not pass the ping health check"),
        (None, "Failed to extract model data archive"),
    ],
    ids=["no model", "garbage", "no archive"],
)
def test_a_bad_artifact_fails_the_endpoint_with_its_reason(hosting, client, members, reason):
    buffer = io.BytesIO(b"" if members is not None else b"text")
    if members is not None:
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for path, data in members.items():
                info = tarfile.TarInfo(path)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    key = f"{hosting.name('bad')}/model.tar.gz"
    hosting.s3.put_object(Bucket=BUCKET, Key=key, Body=buffer.getvalue())
    model = hosting.model(container={"ModelDataUrl": f"s3://{BUCKET}/{key}"})
    name = hosting.endpoint(hosting.config(ModelName=model), wait=False)
    found = hosting.settled(name)
    assert found["EndpointStatus"] == "Failed"
    assert reason in found["FailureReason"]
    if members == {"readme.txt": b"no model"}:
        events = client("logs").filter_log_events(logGroupName=f"/aws/sagemaker/Endpoints/{name}")["events"]
        assert any("no SavedModel bundles found" in event["message"] for event in events)


def test_the_containers_environment_reaches_it(hosting, serving_models):
    folder = serving_models()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for kind in ("double", "triple"):
            tar.add(folder / kind, arcname=kind)
    hosting.s3.put_object(Bucket=BUCKET, Key="two/model.tar.gz", Body=buffer.getvalue())
    environment = {"SAGEMAKER_TFS_DEFAULT_MODEL_NAME": "triple"}
    model = hosting.model("two", CPU_IMAGE, container={"Environment": environment})
    name = hosting.endpoint(hosting.config(ModelName=model))
    assert hosting.invoke(name) == {"predictions": [9.0]}
    assert hosting.invoke(name, CustomAttributes="tfs-model-name=double") == {"predictions": [6.0]}


def test_an_image_that_is_not_served_here_is_said(hosting):
    model = hosting.model(image="123456789012.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6")
    found = hosting.settled(hosting.endpoint(hosting.config(ModelName=model), wait=False))
    assert "TensorFlow Serving images only" in found["FailureReason"]
