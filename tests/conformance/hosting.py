"""What the hosting tests share: small models in S3, and endpoints that are cleaned up."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/hosting"
CPU_IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.20.0-cpu-py312"
GPU_IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.20.0-gpu-py312"
VARIANT = "AllTraffic"
BUCKET = "hosting-models"
# how long a test waits for what must come; a busy machine decides nothing
PATIENCE_SECONDS = 120.0
_numbers = itertools.count(1)


def archive_of(folder: Path) -> bytes:
    """Return a model.tar.gz of what is in a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(folder, arcname=".")
    return buffer.getvalue()


class Hosting:
    """Short words for hosting calls; names are made up where none is given."""

    def __init__(self, client: Callable[[str], Any], cloud: Any) -> None:
        self.cloud = cloud
        self.sagemaker, self.runtime, self.s3 = client("sagemaker"), client("sagemaker-runtime"), client("s3")
        self._client = client
        self._made: list[str] = []

    def name(self, stem: str) -> str:
        return f"{stem}-{next(_numbers)}"

    def model(self, kind: str = "double", image: str = CPU_IMAGE, **settings: Any) -> str:
        name = self.name(f"model-{kind}")
        container = {"Image": image, "ModelDataUrl": f"s3://{BUCKET}/{kind}/model.tar.gz"}
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={**container, **settings.pop("container", {})},
            **settings,
        )
        return name

    def config(self, kind: str = "double", instances: int = 4, *, image: str = CPU_IMAGE, **variant: Any) -> str:
        return self.config_of(
            {
                "VariantName": VARIANT,
                "ModelName": self.model(kind, image),
                "InitialInstanceCount": instances,
                "InstanceType": "ml.g5.xlarge",
                **variant,
            }
        )

    def config_of(self, *variants: dict[str, Any], **settings: Any) -> str:
        name = self.name("config")
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=list(variants), **settings)
        return name

    def endpoint(self, config: str | None = None, *, wait: bool = True, **settings: Any) -> str:
        name = self.name("Endpoint")
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config or self.config(), **settings)
        self._made.append(name)
        if wait:
            found = self.settled(name)
            assert found["EndpointStatus"] == "InService", found
        return name

    def update(self, name: str, config: str, policy: dict[str, Any] | None = None, **settings: Any) -> None:
        if policy is not None:
            settings["DeploymentConfig"] = policy
        self.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, **settings)

    def describe(self, name: str) -> dict[str, Any]:
        return self.sagemaker.describe_endpoint(EndpointName=name)

    def settled(self, name: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Wait until no change is under way, and return the description."""
        deadline = time.monotonic() + seconds
        while (found := self.describe(name))["EndpointStatus"] in ("Creating", "Updating", "RollingBack"):
            if time.monotonic() > deadline:
                pytest.fail(f"still {found} after {seconds} s")
            time.sleep(0.05)
        return found

    def watch(self, name: str, seconds: float = PATIENCE_SECONDS) -> list[tuple[str, str, str]]:
        """Return every (endpoint status, variant status, message) seen until no change is under way."""
        seen: list[tuple[str, str, str]] = []
        deadline = time.monotonic() + seconds
        while (found := self.describe(name))["EndpointStatus"] in ("Creating", "Updating", "RollingBack"):
            assert time.monotonic() < deadline, found
            for variant in found.get("PendingDeploymentSummary", {}).get("ProductionVariants", []):
                for status in variant["VariantStatus"]:
                    entry = (found["EndpointStatus"], status["Status"], status["StatusMessage"])
                    if entry not in seen:
                        seen.append(entry)
            time.sleep(0.02)
        return seen

    def invoke(self, name: str, body: Any = ((1, 2),), content_type: str = "application/json", **settings: Any) -> Any:
        """Return the JSON answer of the endpoint."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.runtime.invoke_endpoint(EndpointName=name, Body=raw, ContentType=content_type, **settings)
        return json.loads(answer["Body"].read())

    def invoked_variant(self, name: str, **settings: Any) -> str:
        """Return which variant answered."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=name, Body=b"[[1,2]]", ContentType="application/json", **settings
        )
        answer["Body"].read()
        return answer["InvokedProductionVariant"]

    def refused(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the error that a call ends with."""
        with pytest.raises(ClientError) as caught:
            call(*args, **kwargs)
        return {**caught.value.response["Error"], "response": caught.value.response}

    def alarm(self) -> str:
        """Return a new alarm on a custom metric of the same name, which ten-second data of 1 sets off."""
        name = self.name("alarm")
        self._client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            Namespace="hosting-tests",
            MetricName=name,
            Statistic="Maximum",
            Period=10,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            TreatMissingData="notBreaching",
        )
        return name

    def set_off(self, alarm: str) -> None:
        self._client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a test says so")

    def fault(self, kind: str, endpoint: str, **settings: Any) -> None:
        self.cloud.admin("faults", {"kind": kind, "endpoint": endpoint, **settings})

    def clean(self) -> None:
        """Delete what was made; an endpoint that hangs is let go first."""
        self.cloud.admin("faults", {"kind": "none"})
        for name in self._made:
            try:
                if self.settled(name)["EndpointStatus"] != "Deleting":
                    self.sagemaker.delete_endpoint(EndpointName=name)
            except ClientError as error:
                assert "Could not find endpoint" in str(error)
        self._made.clear()


@pytest.fixture(scope="session")
def serving_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Path]]:
    """Make the SavedModels in a process of its own; the value waits for it and returns their folder."""
    folder = tmp_path_factory.mktemp("serving-models")
    script = Path(__file__).with_name("serving_models.py")
    log = folder / "log"
    with (
        log.open("wb") as out,
        subprocess.Popen([sys.executable, str(script), str(folder)], stdout=out, stderr=out) as p,
    ):

        def wait() -> Path:
            assert p.wait(120) == 0, log.read_text()
            return folder

        yield wait
        p.wait(120)


@pytest.fixture(scope="session")
def hosting_session(serving_models: Callable[[], Path], cloud: Any, client: Callable[[str], Any]) -> Hosting:
    """The models in S3, once a session."""
    hosting = Hosting(client, cloud)
    hosting.s3.create_bucket(Bucket=BUCKET)
    folder = serving_models()
    for kind in ("double", "triple", "many", "moody", "endless"):
        hosting.s3.put_object(Bucket=BUCKET, Key=f"{kind}/model.tar.gz", Body=archive_of(folder / kind))
    return hosting


@pytest.fixture
def hosting(hosting_session: Hosting) -> Iterator[Hosting]:
    """Hosting calls; endpoints and faults of a test end with it."""
    yield hosting_session
    hosting_session.clean()


@pytest.fixture(scope="session")
def steady(hosting_session: Hosting) -> str:
    """An endpoint that doubles, for tests that change nothing."""
    hosting = Hosting(hosting_session._client, hosting_session.cloud)
    return hosting.endpoint()


@pytest.fixture(scope="session")
def many(hosting_session: Hosting) -> str:
    """An endpoint with the model of many signatures, for tests that change nothing."""
    hosting = Hosting(hosting_session._client, hosting_session.cloud)
    return hosting.endpoint(hosting.config("many"))
