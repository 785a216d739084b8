r"""Latency and throughput of InvokeEndpoint on the local cloud, client included, as one boto3 user sees it.

    python benchmarks/endpoint/run.py [--model model.tar.gz --body '{"instances": [...]}'] [--rate 50] [--seconds 20] \
        [--capture 100]

Without --model a small model is made (two numbers in, one out). Prints JSON: p50, p90, p99 and maximum in milliseconds
at a steady rate (open loop: a late request counts from when it should have been sent), and requests a second with
1, 4 and 8 callers that wait for their answers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from localcloud.cloud import LocalCloud

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.20.0-cpu-py312"
ROLE = "arn:aws:iam::123456789012:role/benchmark"
SMALL_MODEL = """
import sys, tensorflow as tf
v1 = tf.compat.v1
with tf.Graph().as_default(), v1.Session() as session:
    x = v1.placeholder(tf.float32, [None, 2])
    v1.saved_model.simple_save(session, sys.argv[1], {"x": x}, {"y": tf.reduce_sum(x, axis=1)})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model.tar.gz; by default a small one is made")
    parser.add_argument("--body", default='{"instances": [[1.0, 2.0]]}', help="the request")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second of the latency run")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each run")
    parser.add_argument("--capture", type=int, help="data capture of so many percent of the requests; by default none")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, LocalCloud.start() as cloud:
        endpoint = deploy(cloud, options.model or small_model(Path(scratch)), options.capture)
        call = caller(cloud, endpoint, options.body.encode())
        for _ in range(200):
            call()
        result: dict[str, Any] = {"cpus": os.cpu_count(), "steady": steady(call, options.rate, options.seconds)}
        for callers in (1, 4, 8):
            result[f"callers_{callers}"] = closed_loop(call, callers, options.seconds / 2)
    print(json.dumps(result, indent=2))


def small_model(scratch: Path) -> Path:
    subprocess.run([sys.executable, "-c", SMALL_MODEL, str(scratch / "1")], check=True, stderr=subprocess.DEVNULL)
    path = scratch / "model.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(scratch / "1", arcname="1")
    return path


def deploy(cloud: LocalCloud, model: Path, capture_percent: int | None) -> str:
    s3, sagemaker = client(cloud, "s3"), client(cloud, "sagemaker")
    s3.create_bucket(Bucket="benchmark")
    s3.upload_file(str(model), "benchmark", "model.tar.gz")
    container = {"Image": IMAGE, "ModelDataUrl": "s3://benchmark/model.tar.gz"}
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "AllTraffic", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.c5.large"}
    settings: dict[str, Any] = {"EndpointConfigName": "c", "ProductionVariants": [variant]}
    if capture_percent is not None:
        settings["DataCaptureConfig"] = {
            "InitialSamplingPercentage": capture_percent,
            "DestinationS3Uri": "s3://benchmark/captured",
            "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
        }
    sagemaker.create_endpoint_config(**settings)
    sagemaker.create_endpoint(EndpointName="benchmark", EndpointConfigName="c")
    while (found := sagemaker.describe_endpoint(EndpointName="benchmark"))["EndpointStatus"] == "Creating":
        time.sleep(0.2)
    if found["EndpointStatus"] != "InService":
        raise SystemExit(f"the endpoint is {found['EndpointStatus']}: {found.get('FailureReason')}")
    return "benchmark"


def client(cloud: LocalCloud, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=cloud.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(max_pool_connections=64, retries={"max_attempts": 0}),
    )


def caller(cloud: LocalCloud, endpoint: str, body: bytes) -> Any:
    runtime = client(cloud, "sagemaker-runtime")

    def call() -> None:
        answer = runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType="application/json")
        answer["Body"].read()

    return call


def steady(call: Any, rate: float, seconds: float) -> dict[str, float]:
    """Send at a fixed rate whatever the answers take."""
    taken: list[float] = []
    began = time.perf_counter() + 0.1

    def one(due: float) -> None:
        call()
        taken.append((time.perf_counter() - due) * 1000)

    with ThreadPoolExecutor(32) as threads:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            threads.submit(one, due)
    return {"rate": rate, "requests": len(taken), **quantiles(taken)}


def closed_loop(call: Any, callers: int, seconds: float) -> dict[str, float]:
    """Each caller sends its next request when it has its answer."""
    taken: list[float] = []
    until = time.perf_counter() + seconds

    def run() -> None:
        while (began := time.perf_counter()) < until:
            call()
            taken.append((time.perf_counter() - began) * 1000)

    threads = [threading.Thread(target=run) for _ in range(callers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"requests_a_second": round(len(taken) / (time.perf_counter() - began), 1), **quantiles(taken)}


def quantiles(taken: list[float]) -> dict[str, float]:
    ordered = sorted(taken)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)

    return {"p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": round(ordered[-1], 2)}


if __name__ == "__main__":
    main()
