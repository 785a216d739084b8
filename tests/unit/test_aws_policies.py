"""The policy of a release and the signature over it, as they lie in S3 and Parameter Store."""

from __future__ import annotations

import time
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from modeldrop.aws import clients, logs
from modeldrop.aws.policies import read_policy
from modeldrop.errors import ArtifactRejectedError, PolicyRejectedError
from modeldrop.policy.model import Policy
from modeldrop.release.record import ReleaseRecord
from modeldrop.settings import Settings
from tests.unit.artifact_builders import good_members
from tests.unit.test_artifact_signature import a_bundle, a_key, a_statement, public

BUCKET, KEY = "uploads", "ssm:/modeldrop/signing-key"
CODE = b"artifact: {code: allow}\n"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in (("AWS_REGION", "eu-west-1"), ("AWS_DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DEFAULT_INSTANCE_TYPE", "ml.g5.xlarge")
    monkeypatch.setenv("DEFAULT_INSTANCE_COUNT", "2")
    made = (clients.s3, clients.ssm, clients.logs)
    with mock_aws():
        for one in made:
            one.cache_clear()
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        value = public(a_key()).decode()
        boto3.client("ssm").put_parameter(Name="/modeldrop/signing-key", Value=value, Type="String")
        yield
    for one in made:
        one.cache_clear()


def put(name: str, body: bytes | None) -> str:
    """Return the version, or nothing where there is no such object."""
    if body is None:
        return ""
    return str(boto3.client("s3").put_object(Bucket=BUCKET, Key=f"e/{name}", Body=body)["VersionId"])


def read(policy: bytes | None, bundle: bytes | None, key: str = KEY) -> Policy:
    record = ReleaseRecord(
        "e", "e-1", BUCKET, "e/model.tar.gz", "v",
        policy_version_id=put("rollout.yaml", policy), signature_version_id=put("model.tar.gz.sig", bundle),
    )  # fmt: skip
    return read_policy(record, Settings(), key)


def bundle_over(policy: bytes, path: str = "rollout.yaml", seed: int = 1) -> bytes:
    return a_bundle(a_statement(good_members() | {path: policy}), a_key(seed))


@pytest.mark.usefixtures("cloud")
def test_a_policy_that_the_artifact_s_bundle_covers_is_signed() -> None:
    assert read(CODE, bundle_over(CODE)).artifact.code == "allow"


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(
    "bundle",
    [
        bundle_over(b"retain: 3\n"),
        bundle_over(CODE, "1/rollout.yaml"),
        bundle_over(CODE, "x/../rollout.yaml"),
        a_bundle(a_statement(good_members())),
    ],
)
def test_a_bundle_over_another_policy_signs_nothing(bundle: bytes) -> None:
    with pytest.raises(PolicyRejectedError, match="nobody signed this"):
        read(CODE, bundle)


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("bundle", [None, bundle_over(CODE, seed=2), b"{"])
def test_without_a_good_bundle_there_is_no_signed_policy(bundle: bytes | None) -> None:
    with pytest.raises(ArtifactRejectedError, match="SIGNATURE_"):
        read(CODE, bundle)


@pytest.mark.usefixtures("cloud")
def test_a_policy_that_needs_no_signature_reads_no_bundle() -> None:
    assert read(b"retain: 4\n", b"{").retain == 4
    assert read(None, None).signature.required
    assert read(CODE, None, key="").artifact.code == "allow"


@pytest.mark.usefixtures("cloud")
def test_the_end_of_a_log_is_short_whatever_the_container_wrote() -> None:
    client, group = boto3.client("logs"), "/aws/sagemaker/Endpoints/r"
    client.create_log_group(logGroupName=group)
    client.create_log_stream(logGroupName=group, logStreamName="s")
    events = [{"timestamp": int(time.time() * 1000), "message": f"{number} " + "x" * 100_000} for number in range(5)]
    client.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)
    lines = logs.container_tail("r").splitlines()
    assert [line[:2] for line in lines] == ["0 ", "1 ", "2 ", "3 ", "4 "]
    assert max(map(len, lines)) == logs.MAX_LINE_CHARACTERS
    assert logs.container_tail("gone") == ""
