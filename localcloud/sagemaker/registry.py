"""CreateModel and CreateEndpointConfig and what goes with them: names, checks, tags.

Sources: SageMaker API reference; texts of errors as AWS gives them.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from botocore.exceptions import ClientError

from localcloud.core import Core
from localcloud.sagemaker import capture
from localcloud.sagemaker.errors import ValidationError, existing, missing
from localcloud.sagemaker.fleets import model_data, split_uri
from localcloud.sagemaker.records import EndpointConfig, Json, Model
from localcloud.sagemaker.shapes import check_request

PUBLISH_SECONDS = (10, 30, 60, 120, 180, 240, 300)
MAX_ENVIRONMENT_BYTES = 32 * 1024
MAX_ENVIRONMENT_ENTRY_BYTES = 1024
MAX_TAGS = 50


class Registry:
    """Models, endpoint configs and tags of the account."""

    def __init__(self, core: Core, lock: threading.RLock) -> None:
        self._core, self._lock = core, lock
        self.models: dict[str, Model] = {}
        self.configs: dict[str, EndpointConfig] = {}
        self._tags: dict[str, dict[str, str]] = {}

    def arn(self, kind: str, name: str) -> str:
        """Return a resource's ARN; SageMaker writes names in lower case there."""
        return f"arn:aws:sagemaker:{self._core.region}:{self._core.account_id}:{kind}/{name.lower()}"

    def create_model(self, request: Json) -> str:
        """Create a model and return its ARN."""
        check_request("CreateModel", request)
        name = request["ModelName"]
        arn = self.arn("model", name)
        if bool(request.get("PrimaryContainer")) == bool(request.get("Containers")):
            raise ValidationError("Exactly one of PrimaryContainer and Containers must be provided.")
        with self._lock:
            if name.lower() in self.models:
                raise existing("model", arn)
        model = Model(name, arn, request, time.time())
        for container in model.containers:
            _check_environment(container.get("Environment") or {})
            if not (container.get("Image") or container.get("ModelPackageName")):
                raise ValidationError("Either Image or ModelPackageName must be provided for a container.")
            self._check_model_data(container)
        with self._lock:
            if name.lower() in self.models:
                raise existing("model", arn)
            self.models[name.lower()] = model
            self.put_tags(arn, request.get("Tags") or [])
        return arn

    def model(self, name: str) -> Model:
        """Return a model; raises ValidationError when there is none."""
        with self._lock:
            found = self.models.get(name.lower())
        if found is None:
            raise missing("model", self.arn("model", name))
        return found

    def delete_model(self, name: str) -> None:
        """Delete a model; endpoints that use it go on, as on AWS."""
        with self._lock:
            model = self.model(name)
            del self.models[name.lower()]
            self._tags.pop(model.arn, None)

    def create_config(self, request: Json) -> str:
        """Create an endpoint config and return its ARN."""
        check_request("CreateEndpointConfig", request)
        name = request["EndpointConfigName"]
        arn = self.arn("endpoint-config", name)
        variants = request["ProductionVariants"]
        names = [variant["VariantName"] for variant in variants]
        if len(set(names)) != len(names):
            raise ValidationError("Duplicate production variant name found. Production variant names must be unique.")
        for variant in variants:
            self._check_variant(variant)
        if request.get("ShadowProductionVariants"):
            raise ValidationError("ShadowProductionVariants are not covered by the local cloud.")
        capture.check(request)
        _check_metrics(request.get("MetricsConfig") or {})
        with self._lock:
            if name.lower() in self.configs:
                raise existing("endpoint configuration", arn)
            self.configs[name.lower()] = EndpointConfig(name, arn, request, time.time())
            self.put_tags(arn, request.get("Tags") or [])
        return arn

    def config(self, name: str) -> EndpointConfig:
        """Return an endpoint config; raises ValidationError when there is none."""
        with self._lock:
            found = self.configs.get(name.lower())
        if found is None:
            raise missing("endpoint configuration", self.arn("endpoint-config", name))
        return found

    def delete_config(self, name: str) -> None:
        """Delete an endpoint config, also one in use (AWS advises against it, and lets it happen)."""
        with self._lock:
            config = self.config(name)
            del self.configs[name.lower()]
            self._tags.pop(config.arn, None)

    def tags(self, arn: str) -> dict[str, str]:
        """Return the tags of a resource."""
        with self._lock:
            return dict(self._tags.get(arn.lower(), {}))

    def put_tags(self, arn: str, tags: list[Json]) -> None:
        """Add or replace tags; raises ValidationError over the limit."""
        with self._lock:
            merged = {**self._tags.get(arn.lower(), {}), **{tag["Key"]: tag["Value"] for tag in tags}}
            if len(merged) > MAX_TAGS:
                raise ValidationError(f"The number of tags has exceeded the limit of {MAX_TAGS}.")
            self._tags[arn.lower()] = merged

    def drop_tags(self, arn: str, keys: list[str] | None = None) -> None:
        """Remove some tags, or all with the resource."""
        with self._lock:
            kept = self._tags.pop(arn.lower(), {})
            if keys is not None:
                self._tags[arn.lower()] = {key: value for key, value in kept.items() if key not in keys}

    def _check_model_data(self, container: Json) -> None:
        uri, packed = model_data(container)
        if uri is None:
            return
        bucket, key = split_uri(uri)
        try:
            s3 = self._core.client("s3")
            if packed:
                s3.head_object(Bucket=bucket, Key=key)
                return
            if s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)["KeyCount"]:
                return
        except ClientError:
            pass
        raise ValidationError(f"Could not find model data at {uri}.")

    def _check_variant(self, variant: Json) -> None:
        model = self.model(variant.get("ModelName") or "")
        name, serverless = variant["VariantName"], variant.get("ServerlessConfig")
        if serverless:
            _check_serverless(name, variant, serverless, model)
            return
        if not (variant.get("InstanceType") and variant.get("InitialInstanceCount")) and not variant.get(
            "InstancePools"
        ):
            raise ValidationError(
                f"InstanceType and InitialInstanceCount, or ServerlessConfig, must be provided for variant {name}."
            )


def _check_serverless(name: str, variant: Json, serverless: Json, model: Model) -> None:
    if variant.get("InstanceType") or variant.get("InitialInstanceCount"):
        raise ValidationError(f"InstanceType and ServerlessConfig can not both be provided for variant {name}.")
    memory = int(serverless["MemorySizeInMB"])
    if memory % 1024:
        raise ValidationError(f"MemorySizeInMB {memory} of variant {name} must be in 1 GB increments, 1024 to 6144.")
    if model.request.get("EnableNetworkIsolation"):
        raise ValidationError("Network isolation is not supported for serverless endpoints.")
    if model.request.get("VpcConfig"):
        raise ValidationError("VPC configuration is not supported for serverless endpoints.")
    if any("-gpu" in str(container.get("Image", "")) for container in model.containers):
        raise ValidationError("GPU images are not supported for serverless endpoints.")


def _check_metrics(config: Json) -> None:
    frequency = config.get("MetricPublishFrequencyInSeconds")
    if frequency is not None and frequency not in PUBLISH_SECONDS:
        raise ValidationError(
            f"1 validation error detected: Value '{frequency}' at 'metricsConfig.metricPublishFrequencyInSeconds' "
            f"failed to satisfy constraint: Member must satisfy enum value set: {list(PUBLISH_SECONDS)}"
        )


def _check_environment(environment: dict[str, Any]) -> None:
    sizes = [len(text.encode()) for pair in environment.items() for text in pair]
    if any(size > MAX_ENVIRONMENT_ENTRY_BYTES for size in sizes):
        raise ValidationError(f"An environment key or value is longer than {MAX_ENVIRONMENT_ENTRY_BYTES} bytes.")
    if sum(sizes) > MAX_ENVIRONMENT_BYTES:
        raise ValidationError(f"The environment is {sum(sizes)} bytes, over the limit of {MAX_ENVIRONMENT_BYTES}.")
