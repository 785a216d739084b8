"""Bad input, dropped for real: refused by name, told by one message, nothing created."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from modeldrop.release.record import ReleaseRecord
from tests.unit.artifact_builders import good_artifact
from tests.workflow.stack import Stack


def a_tar(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return buffer.getvalue()


def a_link() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("1/saved_model.pb")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    return buffer.getvalue()


def a_bomb() -> bytes:
    block = b"\0" * 1024**2
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as packed:
        info = tarfile.TarInfo("1/variables/variables.data-00000-of-00001")
        info.size = 1024**3
        packed.write(info.tobuf())
        for _ in range(1024):
            packed.write(block)
    return buffer.getvalue()


def two_versions() -> bytes:
    return a_tar(("1/saved_model.pb", b"x"), ("2/saved_model.pb", b"x"))


# case: (key, artifact, policy, what the message must name)
CASES = {
    "empty-object": ("{}/model.tar.gz", lambda: b"", None, "0 bytes"),
    "text-file": ("{}/model.tar.gz", lambda: b"hello, I am a model\n", None, "gzip"),
    "truncated-gzip": ("{}/model.tar.gz", lambda: good_artifact()[:-20], None, "gzip"),
    "no-savedmodel": ("{}/model.tar.gz", lambda: a_tar(("readme.txt", b"hi")), None, "readme.txt"),
    "at-the-root": ("{}/model.tar.gz", lambda: a_tar(("saved_model.pb", b"x")), None, "saved_model.pb"),
    "two-versions": ("{}/model.tar.gz", two_versions, None, "version"),
    "dot-dot": ("{}/model.tar.gz", lambda: a_tar(("../../escape", b"x")), None, ".."),
    "absolute": ("{}/model.tar.gz", lambda: a_tar(("/etc/passwd", b"x")), None, "absolute"),
    "link": ("{}/model.tar.gz", a_link, None, "link"),
    "bomb": ("{}/model.tar.gz", a_bomb, None, ""),
    "key-layout": ("{}/a/b/model.tar.gz", lambda: b"x", None, "KEY_LAYOUT"),
    "endpoint-name-": ("{}/model.tar.gz", lambda: b"x", None, "ENDPOINT_NAME"),
    "policy-unknown": ("{}/model.tar.gz", good_artifact, "canary: {sise: 1}\n", "sise"),
    "policy-range": ("{}/model.tar.gz", good_artifact, "judge: {alpha: 7}\n", "alpha"),
    "policy-yaml": ("{}/model.tar.gz", good_artifact, "judge: [\n", "YAML"),
}


@pytest.fixture(scope="module")
def refused(stack: Stack) -> Iterator[dict[str, tuple[ReleaseRecord, str]]]:
    """Drop every case, three at a time, and gather what became of it."""

    def drop(case: str) -> tuple[str, tuple[ReleaseRecord, str]]:
        key, artifact, policy, _ = CASES[case]
        if policy is not None:
            stack.upload(f"{case}/rollout.yaml", policy.encode())
        endpoint, release = stack.drop_key(key.format(case), artifact())
        record = stack.finished(endpoint, release)
        return case, (record, stack.outcome_messages(release)[0]["text"])

    with ThreadPoolExecutor(3) as pool:
        yield dict(pool.map(drop, CASES))


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_rejected_and_named(refused: dict[str, tuple[ReleaseRecord, str]], case: str) -> None:
    record, text = refused[case]
    assert record.outcome == "rejected"
    assert CASES[case][3].lower() in text.lower()


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_told_once_and_creates_nothing(
    stack: Stack, refused: dict[str, tuple[ReleaseRecord, str]], case: str
) -> None:
    record, _ = refused[case]
    assert len(stack.outcome_messages(record.release)) == 1
    assert stack.endpoint(record.endpoint) is None
    sagemaker = stack.client("sagemaker")
    assert not sagemaker.list_models(NameContains=record.release)["Models"]
    assert not sagemaker.list_endpoint_configs(NameContains=record.release)["EndpointConfigs"]


def test_bad_input_leaves_the_lease_free(stack: Stack, refused: dict[str, tuple[ReleaseRecord, str]]) -> None:
    assert all(stack.lease_is_free(record.endpoint) for record, _ in refused.values())
