"""Every environment variable a function reads, in one frozen class."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Settings:
    """The stack as its functions see it; template.yaml sets each of these for every function."""

    stack_name: str
    upload_bucket: str
    approved_bucket: str
    release_table: str
    releases_topic_arn: str
    state_machine_arn: str
    endpoint_role_arn: str
    rehearsal_role_arn: str
    image_gpu: str
    image_cpu: str
    inference_ami_gpu: str
    default_instance_type: str
    default_instance_count: int
    metric_namespace: str
    record_retention_days: int


@cache
def settings() -> Settings:
    """Read the environment once; a missing variable is a KeyError that names it."""
    env = os.environ
    return Settings(
        stack_name=env["STACK_NAME"],
        upload_bucket=env["UPLOAD_BUCKET"],
        approved_bucket=env["APPROVED_BUCKET"],
        release_table=env["RELEASE_TABLE"],
        releases_topic_arn=env["RELEASES_TOPIC_ARN"],
        state_machine_arn=env["STATE_MACHINE_ARN"],
        endpoint_role_arn=env["ENDPOINT_ROLE_ARN"],
        rehearsal_role_arn=env["REHEARSAL_ROLE_ARN"],
        image_gpu=env["IMAGE_GPU"],
        image_cpu=env["IMAGE_CPU"],
        inference_ami_gpu=env["INFERENCE_AMI_GPU"],
        default_instance_type=env["DEFAULT_INSTANCE_TYPE"],
        default_instance_count=int(env["DEFAULT_INSTANCE_COUNT"]),
        metric_namespace=env["METRIC_NAMESPACE"],
        record_retention_days=int(env["RECORD_RETENTION_DAYS"]),
    )
