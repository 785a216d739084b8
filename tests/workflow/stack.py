"""The shipped template, state machine and functions on the local cloud, as their users see them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest

from localcloud.cloud import LocalCloud
from modeldrop.aws.releases import ReleaseTable
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.upload import Upload, destination, release_id, table_endpoint

ROOT = Path(__file__).resolve().parents[2]
STACK = "modeldrop"
# a release takes about a minute on a machine of its own; a busy one decides nothing here
PATIENCE_SECONDS = 300.0
# sam and the runtime's python3.13, also where the environment is not active
TOOLS = {"PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"}


class Models(NamedTuple):
    """Real archives: a model, a better one, and one whose input has another name."""

    first: bytes
    better: bytes
    breaking: bytes


class Stack:
    """The deployed product as its users see it: a bucket to drop into, a topic that tells, a table that remembers."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self._clients: dict[str, Any] = {}
        answer = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        self.outputs = {one["OutputKey"]: one["OutputValue"] for one in answer["Outputs"]}
        self.table = ReleaseTable(self.outputs["ReleaseTable"], self.client("dynamodb"))
        self.messages: list[dict[str, Any]] = []
        self._listen()

    def client(self, service: str) -> Any:
        if service not in self._clients:
            environment = self.cloud.environment()
            self._clients[service] = boto3.client(
                service,
                endpoint_url=environment["AWS_ENDPOINT_URL"],
                region_name=environment["AWS_DEFAULT_REGION"],
                aws_access_key_id="test",
                aws_secret_access_key="test",
            )
        return self._clients[service]

    def _listen(self) -> None:
        sqs = self.client("sqs")
        queue = sqs.create_queue(QueueName="listener")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.client("sns").subscribe(TopicArn=self.outputs["ReleasesTopicArn"], Protocol="sqs", Endpoint=arn)

        def receive() -> None:
            while True:
                try:
                    got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
                except Exception:  # the cloud is gone at the end of the session
                    return
                for one in got.get("Messages", ()):
                    body = json.loads(one["Body"])
                    attributes = {name: value["Value"] for name, value in body.get("MessageAttributes", {}).items()}
                    self.messages.append({"subject": body["Subject"], "text": body["Message"], **attributes})
                    sqs.delete_message(QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"])

        threading.Thread(target=receive, daemon=True).start()

    def upload(self, key: str, body: bytes, metadata: Mapping[str, str] | None = None) -> Upload:
        """Put an object and return the upload that S3's event will tell of."""
        s3, bucket = self.client("s3"), self.outputs["UploadBucket"]
        version = s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata=metadata or {})["VersionId"]
        modified = s3.head_object(Bucket=bucket, Key=key, VersionId=version)["LastModified"]
        return Upload(bucket, key, version, modified, "", len(body))

    def drop(
        self,
        endpoint: str,
        archive: bytes,
        policy: str | None = None,
        label: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Drop an artifact (its policy first) and return the release id."""
        if policy is not None:
            self.upload(f"{endpoint}/rollout.yaml", policy.encode())
        key = "/".join(part for part in (endpoint, label, "model.tar.gz") if part)
        return release_id(self.upload(key, archive, metadata), destination(key).endpoint)

    def drop_key(self, key: str, archive: bytes) -> tuple[str, str]:
        """Drop an artifact under any key; the name it is filed under and its release id."""
        endpoint = table_endpoint(key)
        return endpoint, release_id(self.upload(key, archive), endpoint)

    def outcome_messages(self, release: str) -> list[dict[str, Any]]:
        """Return the messages of a release's outcome that went out so far."""
        return [one for one in self.messages if one.get("dedupe_id") == release]

    def finished(self, endpoint: str, release: str, seconds: float = PATIENCE_SECONDS) -> ReleaseRecord:
        """Wait until the release's message is out; its record."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.outcome_messages(release):
                return self.table.require(endpoint, release)
            time.sleep(0.2)
        record = self.table.get(endpoint, release)
        pytest.fail(f"{release} has no outcome after {seconds} s; its record is {record}")

    def endpoint(self, name: str) -> dict[str, Any] | None:
        """Describe an endpoint; None when there is none."""
        client = self.client("sagemaker")
        try:
            return dict(client.describe_endpoint(EndpointName=name))
        except client.exceptions.ClientError:
            return None

    def serving(self, name: str) -> str:
        """Return the config that serves an endpoint at rest."""
        found = self.endpoint(name)
        assert found is not None
        assert found["EndpointStatus"] == "InService"
        return str(found["EndpointConfigName"])

    def wait_until_at_rest(self, name: str) -> None:
        """Wait until SageMaker changes nothing on an endpoint."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (self.endpoint(name) or {}).get("EndpointStatus") != "InService":
            if time.monotonic() > deadline:
                pytest.fail(f"{name} is not at rest after {PATIENCE_SECONDS} s: {self.endpoint(name)}")
            time.sleep(0.5)

    def wait_for_phase(
        self, endpoint: str, release: str, *phases: str, seconds: float = PATIENCE_SECONDS
    ) -> ReleaseRecord:
        """Wait until a release is in one of the phases; its record."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            record = self.table.get(endpoint, release)
            if record and record.phase in phases:
                return record
            assert not (record and record.outcome), f"{release} ended as {record and record.outcome}: {record}"
            time.sleep(0.2)
        pytest.fail(f"{release} did not come to {phases}")

    def modeldrop(self, *arguments: str, status: int = 0) -> str:
        """Run the command line as an operator would; what it said."""
        command = [sys.executable, "-m", "cli.main", *arguments]
        environment = {**os.environ, **self.cloud.environment()}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == status, f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def lease_is_free(self, endpoint: str, seconds: float = 60) -> bool:
        """Say whether the lease is given back (which follows the message by a step)."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.table.lease(endpoint).owner:
                return True
            time.sleep(0.2)
        return False


def deploy(cloud: LocalCloud, directory: Path) -> None:
    # sam reads all events of the stack at each poll; twice a second is work for a processor that has other suites
    sam = {"SAM_CLI_TELEMETRY": "0", "SAM_CLI_BETA_BUILD_PERFORMANCE": "1", "SAM_CLI_POLL_DELAY": "2"}
    environment = {**os.environ, **TOOLS, **cloud.environment(), **sam}
    template, built = str(ROOT / "template.yaml"), str(directory / "build")
    options = ["--config-file", str(ROOT / "samconfig.toml")]
    # in a directory of its own: two builds in one would clear each other's dependencies
    run(["sam", "build", *options, "--template-file", template, "--build-dir", built], environment, directory)
    deploy = ["sam", "deploy", *options, "--template-file", f"{built}/template.yaml", "--stack-name", STACK]
    run(deploy, environment, directory)


def run(command: list[str], environment: dict[str, str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
