"""AWS as one set of credentials sees it, and the stack of modeldrop in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.failures import CommandError

if TYPE_CHECKING:
    from modeldrop.aws.releases import ReleaseTable


class Account:
    """boto3 clients, made on first use.

    environment: AWS_* variables to use instead of the process's own; the demo reaches its cloud so.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        import boto3

        self._endpoint = None if environment is None else environment["AWS_ENDPOINT_URL"]
        self._session: Any = (
            # the name that AWS's other tools take, and boto3 does not
            boto3.session.Session(region_name=os.environ.get("AWS_REGION"))
            if environment is None
            else boto3.session.Session(
                aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
                region_name=environment["AWS_REGION"],
            )
        )
        self._clients: dict[str, Any] = {}

    @property
    def region(self) -> str:
        """Return the region; CommandError when none is set."""
        if not self._session.region_name:
            raise CommandError("no AWS region is set", fix="export AWS_REGION=...")
        return str(self._session.region_name)

    def client(self, service: str) -> Any:
        """Return the client of a service, with the same timeouts the functions use."""
        if service not in self._clients:
            from modeldrop.aws.clients import CONFIG

            # the session's lookup of variables (AWS_ENDPOINT_URL) stays as it is unless the caller brought its own
            chosen = {} if self._endpoint is None else {"endpoint_url": self._endpoint}
            self._clients[service] = self._session.client(service, config=CONFIG, **chosen)
        return self._clients[service]


@dataclass(frozen=True)
class Stack:
    """The deployed stack: its outputs, by the names of template.yaml."""

    account: Account
    name: str
    upload_bucket: str
    approved_bucket: str
    release_table: str
    releases_topic_arn: str
    state_machine_arn: str
    dashboard_url: str

    def releases(self) -> ReleaseTable:
        """Return the release table."""
        from modeldrop.aws.releases import ReleaseTable

        return ReleaseTable(self.release_table, self.account.client("dynamodb"))


def find_stack(name: str, account: Account | None = None) -> Stack:
    """Read the stack's outputs; CommandError when it is not there, not finished, or not modeldrop."""
    from botocore.exceptions import ClientError

    account = account or Account()
    region = account.region
    try:
        stacks = account.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            fix = "`sam build && sam deploy`, or name the stack with --stack or MODELDROP_STACK"
            raise CommandError(f"there is no stack {name} in {region}", fix=fix) from None
        raise
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stacks[0].get("Outputs", [])}
    try:
        return Stack(
            account=account,
            name=name,
            upload_bucket=outputs["UploadBucket"],
            approved_bucket=outputs["ApprovedBucket"],
            release_table=outputs["ReleaseTable"],
            releases_topic_arn=outputs["ReleasesTopicArn"],
            state_machine_arn=outputs["StateMachineArn"],
            dashboard_url=outputs.get("DashboardUrl", ""),
        )
    except KeyError as missing:
        status = stacks[0]["StackStatus"]
        what = (
            f"stack {name} in {region} ({status}) has no output {missing}: it is not modeldrop's, or not deployed yet"
        )
        raise CommandError(what, fix="`sam deploy` and look at its events") from None
