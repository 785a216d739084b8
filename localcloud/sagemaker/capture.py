"""DataCaptureConfig: what is refused, what the front captures by it, what Describe calls say, and the way to S3.

Sources: SageMaker API reference, DataCaptureConfig and DataCaptureConfigSummary; developer guide, "Capture data from
real-time endpoint" and "Deploy models with Serverless Inference" (exclusions).
"""

from __future__ import annotations

import logging
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.sagemaker.errors import ValidationError
from localcloud.sagemaker.records import Json

_LOG = logging.getLogger(__name__)


def check(request: Json) -> None:
    """Raise ValidationError for a CreateEndpointConfig request that asks for a capture which can't be."""
    config = request.get("DataCaptureConfig")
    if not config:
        return
    uri = config["DestinationS3Uri"]
    if not uri.startswith("s3://"):
        raise ValidationError(f"DestinationS3Uri {uri} of DataCaptureConfig must be of the form s3://bucket/prefix.")
    names = [variant["VariantName"] for variant in request["ProductionVariants"] if variant.get("ServerlessConfig")]
    if names and enabled(config):
        raise ValidationError(f"DataCaptureConfig is not supported for serverless variant(s) {', '.join(names)}.")


def enabled(config: Json) -> bool:
    """Tell whether a DataCaptureConfig captures; it does unless it says otherwise."""
    return config.get("EnableCapture") is not False


def rule(request: Json) -> Json | None:
    """Return the front's rule for fleets of an endpoint config, or None when nothing is captured."""
    config = request.get("DataCaptureConfig")
    if not config or not enabled(config):
        return None
    bucket, _, prefix = config["DestinationS3Uri"].removeprefix("s3://").partition("/")
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    types = config.get("CaptureContentTypeHeader") or {}
    return {
        "percent": config["InitialSamplingPercentage"],
        "bucket": bucket,
        "prefix": prefix.strip("/"),
        "kms_key_id": config.get("KmsKeyId"),
        "input": bool(modes & {"Input", "InputAndOutput"}),
        "output": bool(modes & {"Output", "InputAndOutput"}),
        "csv_types": [kind.lower() for kind in types.get("CsvContentTypes") or []],
        "json_types": [kind.lower() for kind in types.get("JsonContentTypes") or []],
    }


def summary(config: Json) -> Json:
    """Return DescribeEndpoint's DataCaptureConfig; KmsKeyId is there only if it was given, as AWS answers."""
    answer = {
        "EnableCapture": enabled(config),
        "CaptureStatus": "Started" if enabled(config) else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
    }
    return answer | ({"KmsKeyId": config["KmsKeyId"]} if config.get("KmsKeyId") else {})


def write(s3: Any, file: Json) -> bool:
    """Put one file of captured requests into its bucket; what S3 refuses is lost, and said in the core's log."""
    bucket, key, kms_key_id = file["bucket"], file["key"], file["kms_key_id"]
    if file["dropped"]:
        _LOG.warning("%d request(s) were not captured: too much waited for S3 already", file["dropped"])
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id} if kms_key_id else {}
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=file["body"].encode(), **encryption)
    except (ClientError, BotoCoreError) as error:
        _LOG.warning("captured requests can not be written to s3://%s/%s: %s", bucket, key, error)
        return False
    return True
